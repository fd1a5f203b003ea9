"""The client of a WebSocket application: one socket for a call, opened at its first message, and again when it is lost.

As strict as a feature server: a message of more than 24 KiB closes the socket with 1009, an acknowledgement that does
not come within 5 s is a failure, and what is no acknowledgement and no command is answered with ``jambonz:error``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urldefrag, urljoin

from jambonz.simulator.app_messages import UNACKNOWLEDGED, Acknowledged, Commanded, read, write
from jambonz.simulator.requestor import HookFailed, HookKind, HookRecord, Requestor, backoff, basic_auth, retry_policy
from jambonz.simulator.transport import NORMAL_CLOSURE, ServiceSocket, SocketRefused, SocketTransport

SUBPROTOCOL = "ws.jambonz.org"
HANDSHAKE_SECONDS = 1.5
ACK_SECONDS = 5.0
MAX_PAYLOAD = 24 * 1024
MAX_CONNECTIONS = 5
RETRIES = 5

TOO_BIG = 1009
REJECTED = 1001
"""What a feature server closes with when it does not run the application."""


class OnCommand(Protocol):
    """Raises ValueError for a command that cannot be done."""

    def __call__(self, command: str, data: Any, *, queue: bool, call_sid: str | None) -> None: ...


class SocketRequestor:
    """What :class:`Requestor` is for webhooks. ``http`` posts the hooks of verbs that are absolute HTTP URLs."""

    def __init__(
        self,
        transport: SocketTransport,
        url: str,
        http: Requestor,
        *,
        call_sid: str,
        auth: tuple[str, str] | None,
        on_record: Callable[[HookRecord], None],
        on_command: OnCommand,
        on_note: Callable[[str], None],
    ) -> None:
        self.base_url = http.base_url
        self.auth = auth
        self.connections = 0
        self.graceful = False
        """Closed with 1000, by either: nothing is sent any more, and nothing is missed."""
        self.closes: list[int] = []
        """The codes with which the socket was closed, by either."""
        self.lost = asyncio.Event()
        """An acknowledgement of ``session:reconnect`` did not come: the call is hung up."""
        self._transport = transport
        self._url, fragment = urldefrag(url)
        self._retries, self._policies = retry_policy(fragment, RETRIES)
        self.http = http
        self._call_sid = call_sid
        self._on_record = on_record
        self._on_command = on_command
        self._on_note = on_note
        self._socket: ServiceSocket | None = None
        self._handler: _Handler | None = None
        self._opening = asyncio.Lock()
        self._session: dict[str, Any] = {}
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._first: HookRecord | None = None
        self._first_answer: asyncio.Future[Any] | None = None
        self._coming_back: asyncio.Task[None] | None = None
        self._pauses = 0

    async def request(self, kind: HookKind, hook: Any, payload: dict[str, Any]) -> Any:
        """Send a message, and return the ``data`` of its acknowledgement, ``""`` where there is none, or none is
        waited for. Raises :class:`HookFailed`."""
        target = hook.get("url", "") if isinstance(hook, Mapping) else str(hook)
        if kind == "session:new":
            self._session = payload
            target = ""
        elif kind == "call:status":
            target = "/status"
        elif target.startswith(("http://", "https://")):
            return await self.http.request(kind, hook, payload)
        if self.graceful:
            return ""
        url = urljoin(self.base_url, target) if target else self._url
        record = HookRecord(kind, url, payload, _now())
        self._on_record(record)
        try:
            return await self._exchange(record, target)
        except HookFailed as error:
            record.error = str(error)
            raise

    def close(self, code: int = NORMAL_CLOSURE) -> None:
        """The call is over, or its application was not to be run."""
        self.graceful = True
        if self._coming_back is not None:
            self._coming_back.cancel()
        if self._socket is not None:
            self.closes.append(code)
            self._drop().close(code)
        self._abandon()

    # One message

    async def _exchange(self, record: HookRecord, target: str) -> Any:
        # A call that the application had placed tells its states before it is answered, and has no session yet.
        await self._ensure_open(first=record.kind == "session:new" or not self._session)
        if self._socket is None:
            return ""  # closed for good meanwhile
        if record.kind in UNACKNOWLEDGED:
            self._send(record.kind, record.payload, target)
            return ""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        msgid = self._send(record.kind, record.payload, target)
        self._waiting[msgid] = answer
        if record.kind == "session:new":
            self._first_answer = answer
        try:
            data = await asyncio.wait_for(answer, ACK_SECONDS)
        except TimeoutError:
            raise HookFailed(f"timeout from far end for msgid {msgid}") from None
        finally:
            self._waiting = {key: waited for key, waited in self._waiting.items() if waited is not answer}
            if record.kind == "session:new":
                self._first_answer = None
        record.answered = _now()
        record.response = json.dumps(data).encode() if data is not None else b""
        return data if data is not None else ""

    def notify(self, kind: str, payload: dict[str, Any]) -> None:
        """A message that is not acknowledged, where there is a socket."""
        if self._socket is not None and not self.graceful:
            self._send(kind, payload, "")

    def _send(self, kind: str, payload: dict[str, Any], target: str) -> str:
        assert self._socket is not None  # noqa: S101 - looked at before
        msgid, text = write(kind, self._call_sid if self._session else None, payload, target)
        self._socket.send_text(text)
        return msgid

    # The socket

    async def _ensure_open(self, *, first: bool = False) -> None:
        """Whoever wants to send while there is no socket opens it."""
        async with self._opening:
            if self._socket is not None or self.graceful:
                return
            if self.connections >= MAX_CONNECTIONS:
                raise HookFailed(f"max attempts connecting to {self._url}")
            await (self._connect_first() if first else self._connect())
            if not first:
                await self._reconnected()

    async def _connect_first(self) -> None:
        """With the retries that the URL asks for: by default none after an answer other than the upgrade."""
        for attempt in range(self._retries + 1):
            if attempt:
                await asyncio.sleep(backoff(attempt))
            try:
                await self._connect()
            except _Unconnected as error:
                if attempt == self._retries or not self._policies & {error.policy, "all"}:
                    raise
            else:
                return

    async def _connect(self) -> None:
        handler = _Handler(self)
        headers = {"User-Agent": "jambonz"} | ({"Authorization": basic_auth(*self.auth)} if self.auth else {})
        opening = self._transport.connect(self._url, subprotocol=SUBPROTOCOL, headers=headers, handler=handler)
        try:
            socket = await asyncio.wait_for(opening, HANDSHAKE_SECONDS)
        except TimeoutError:
            raise _Unconnected("Opening handshake has timed out", "ct") from None
        except SocketRefused as error:
            policy = "ct" if error.status is None else f"{error.status // 100}xx"
            raise _Unconnected(f"Unexpected server response: {error.status or error}", policy) from None
        self.connections += 1
        self._socket, self._handler = socket, handler
        handler.attached()

    async def _reconnected(self) -> None:
        """Nothing else is sent before this is acknowledged. It stands for ``session:new``, where that was not."""
        answer = self._first_answer or asyncio.get_running_loop().create_future()
        if self._socket is None:
            raise HookFailed("the socket was lost again")
        record = HookRecord("session:reconnect", self._url, self._session, _now())
        self._on_record(record)
        msgid = self._send("session:reconnect", self._session, "")
        self._waiting[msgid] = answer
        if answer is self._first_answer:
            return
        try:
            await asyncio.wait_for(answer, ACK_SECONDS)
            record.answered = _now()
        except (TimeoutError, HookFailed) as error:
            record.error = "session:reconnect was not acknowledged"
            self.lost.set()
            raise HookFailed(record.error) from error
        finally:
            self._waiting.pop(msgid, None)

    def on_closed(self, code: int) -> None:
        self._socket = None
        self.closes.append(code)
        if code == NORMAL_CLOSURE:
            self.graceful = True
            self._abandon()
        elif not self.graceful and self._session:
            if self._first_answer is None:
                self._abandon()
            if self._coming_back is None or self._coming_back.done():
                self._coming_back = asyncio.create_task(self._come_back())

    async def _come_back(self) -> None:
        """The pauses grow from loss to loss, and never shrink."""
        while True:
            self._pauses += 1
            await asyncio.sleep(backoff(self._pauses))
            if self._socket is not None or self.graceful or self.connections >= MAX_CONNECTIONS:
                return
            try:
                await self._ensure_open()
            except HookFailed as error:
                self._on_note(f"the application socket did not come back: {error}")
                if self.lost.is_set() or self._pauses >= MAX_CONNECTIONS:
                    return
            else:
                return

    def _drop(self) -> ServiceSocket:
        socket, self._socket = self._socket, None
        assert socket is not None  # noqa: S101 - looked at before
        if self._handler is not None:
            self._handler.detach()
        return socket

    def _abandon(self) -> None:
        """What waits for an acknowledgement waits in vain."""
        for msgid, answer in self._waiting.items():
            if not answer.done():
                answer.set_exception(HookFailed(f"abandoning msgid {msgid} since socket is closed"))
        self._waiting = {}

    # What comes in

    def on_text(self, text: str) -> None:
        if len(text.encode()) > MAX_PAYLOAD:
            self._on_note(f"a message of more than {MAX_PAYLOAD} bytes, and the application socket is closed")
            self._drop().close(TOO_BIG)
            self.on_closed(TOO_BIG)
            return
        try:
            message = read(text)
            if isinstance(message, Commanded):
                self._on_command(message.command, message.data, queue=message.queue, call_sid=message.call_sid)
            else:
                self._take(message)
        except ValueError as error:
            self._on_note(f"the application sent an invalid message: {error}")
            self.notify("jambonz:error", {"msg": "InvalidMessage", "details": str(error), "content": text})

    def _take(self, acknowledged: Acknowledged) -> None:
        answer = self._waiting.get(acknowledged.msgid)
        if answer is None:
            self._on_note(f"an acknowledgement of {acknowledged.msgid}, which waits for none")
        elif not answer.done():
            answer.set_result(acknowledged.data)


class _Unconnected(HookFailed):
    """No socket. ``policy`` is which policy would try again."""

    def __init__(self, message: str, policy: str) -> None:
        super().__init__(message)
        self.policy = policy


class _Handler:
    """Of one socket: what comes in before it counts as open waits."""

    def __init__(self, requestor: SocketRequestor) -> None:
        self._requestor: SocketRequestor | None = requestor
        self._open = False
        self._early: list[Callable[[], None]] = []

    def attached(self) -> None:
        self._open = True
        for deliver in self._early:
            deliver()

    def detach(self) -> None:
        self._requestor = None

    def on_text(self, text: str) -> None:
        self._deliver(lambda requestor: requestor.on_text(text))

    def on_binary(self, data: bytes) -> None:
        self._deliver(lambda requestor: requestor.on_text(data.decode(errors="replace")))

    def on_closed(self, code: int) -> None:
        self._deliver(lambda requestor: requestor.on_closed(code))

    def _deliver(self, what: Callable[[SocketRequestor], None]) -> None:
        if not self._open:
            self._early.append(lambda: self._deliver(what))
        elif self._requestor is not None:
            what(self._requestor)


def _now() -> float:
    return asyncio.get_running_loop().time()
