"""One session of a realtime model: the socket around a protocol. Sends are plain calls, events come by plain calls.

Opening is bounded as a whole, and every fault of it is told apart. A socket that does not read what it is sent is lost;
whether one that says nothing is alive, is for the link to find out by pings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from pipelines.realtime.model import (
    Address,
    Outgoing,
    RealtimeEvent,
    RealtimeModel,
    RealtimeProtocol,
    SessionOver,
    SessionReady,
    Setup,
    Used,
)
from pipelines.sockets import Pieces, TooLarge, close_of, opening_fault, trusted

CONNECT_SECONDS = 3.0
"""From dialling to a session that is set up."""

CLOSE_SECONDS = 1.0

LAST_WORD_SECONDS = 3.0
"""A vendor that is told of the end may take so long to say what was used."""

MOST_BYTES = 16 * 1024 * 1024
"""The largest message: more is no answer, but a mistake."""

MOST_UNSENT = 512 * 1024
"""Bytes that wait to be sent: over half a minute of sound, that nobody reads."""

# A member of an enumeration takes twelve times as long to be found by its class.
_TEXT, _BINARY, _CONTINUATION, _CLOSE = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION, WSMsgType.CLOSE


class ConnectionListener(Protocol):
    """Who hears of a session. Called on the event loop; what it raises is told to :attr:`RealtimeConnection.fault`."""

    def on_model_event(self, connection: RealtimeConnection, event: RealtimeEvent) -> None: ...

    def on_model_lost(self, connection: RealtimeConnection, reason: str) -> None:
        """The socket is gone, once and last, unless :meth:`RealtimeConnection.close` was called."""
        ...


class RealtimeConnection:
    """Made by :meth:`open`."""

    def __init__(
        self, protocol: RealtimeProtocol, listener: ConnectionListener, on_fault: Callable[[Exception], None]
    ) -> None:
        self.protocol = protocol
        self._listener: ConnectionListener | None = listener
        self._on_fault = on_fault
        self._transport: WSTransport | None = None
        self._address: Address | None = None
        self._loop = asyncio.get_running_loop()
        self._last_word: asyncio.Event | None = None  # it is told of the end, and may say something yet
        self._ready: asyncio.Future[SessionReady] = self._loop.create_future()
        self._pieces = Pieces(MOST_BYTES)
        self.seconds: float | None = None
        """How long the session may last, where the model says so."""
        self.heard_at = self._loop.time()
        """When anything last came, be it a pong."""

    @classmethod
    async def open(
        cls,
        model: RealtimeModel,
        setup: Setup,
        listener: ConnectionListener,
        *,
        on_fault: Callable[[Exception], None],
        handle: str | None = None,
    ) -> RealtimeConnection:
        """A session that is set up. Raises :class:`ProviderError`; then nothing of it is left."""
        connection = cls(model.protocol(setup, handle), listener, on_fault)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection._open(model, setup)
        except BaseException as error:
            connection._listener = None
            connection._abort()
            fault = opening_fault(model.name, error, what="session", seconds=CONNECT_SECONDS)
            if fault is None:
                raise
            raise fault from None
        return connection

    async def _open(self, model: RealtimeModel, setup: Setup) -> None:
        self._address = address = await model.dial(setup)
        self._transport, _ = await ws_connect(
            lambda: _Socket(self),
            address.url,
            ssl_context=await trusted() if address.url.startswith("wss:") else None,
            extra_headers=dict(address.headers),
            max_frame_size=MOST_BYTES,
            max_redirects=0,
            disconnect_on_exception=False,
        )
        self.send(self.protocol.opened())
        self.seconds = (await self._ready).seconds

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_disconnected

    # Sending

    def send(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            self._send(message)

    def send_audio(self, pcm: bytes) -> None:
        self._send(self.protocol.audio(pcm))

    def ping(self) -> None:
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send_ping()

    def _send(self, message: Outgoing) -> None:
        transport = self._transport
        if transport is None or transport.is_disconnected:
            return
        if isinstance(message, str):
            transport.send(_TEXT, message.encode())
        else:
            transport.send(_BINARY, message)
        if transport.underlying_transport.get_write_buffer_size() > MOST_UNSENT:
            self.lose("it does not read what it is sent")

    # What comes

    def _on_frame(self, frame: WSFrame) -> None:
        kind = frame.msg_type
        self.heard_at = self._loop.time()
        if kind in (_TEXT, _BINARY):
            if frame.fin:
                self._on_message(frame.get_payload_as_bytes(), text=kind == _TEXT)
            else:
                self._pieces.begin(frame)
        elif kind == _CONTINUATION:
            try:
                whole = self._pieces.go_on(frame)
            except TooLarge:
                self.lose("a message was too large")
            else:
                if whole is not None:
                    self._on_message(whole[0], text=whole[1])
        elif kind == _CLOSE:
            code, why = close_of(frame)
            self.lose(f"it closed the socket: {code} {why[:200]}".strip())

    def _on_message(self, data: bytes, *, text: bool) -> None:
        """Text is decoded here; what is no UTF-8 is for the protocol to wonder about."""
        events, replies = self.protocol.receive(data.decode(errors="replace") if text else data)
        if replies:
            self.send(replies)
        for event in events:
            if isinstance(event, SessionReady) and not self._ready.done():
                self._ready.set_result(event)
            if isinstance(event, SessionOver) and self._last_word is not None:
                self._last_word.set()
            elif self._listener is not None and (self._last_word is None or isinstance(event, Used)):
                try:
                    self._listener.on_model_event(self, event)
                except Exception as error:  # noqa: BLE001 - whatever it was, it ends this call and no other
                    self._on_fault(error)
                    return

    def lose(self, reason: str) -> None:
        """Drop the socket, as if the model had."""
        listener, self._listener = self._listener, None
        if not self._ready.done():
            self._ready.set_exception(ConnectionError(reason))
            self._ready.exception()  # it may be that nobody waits for it any more
        self._abort()
        if self._last_word is not None:
            self._last_word.set()
        elif listener is not None:
            listener.on_model_lost(self, reason)

    def _abort(self) -> None:
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.disconnect(graceful=False)

    # The end

    async def close(self, model: RealtimeModel) -> SessionOver | None:
        """End the session, in bounded time. All that is told of it from here on is what was used. Returns what the
        vendor says of why it ended, where it can be asked."""
        self._last_word = asyncio.Event()
        transport = self._transport
        try:
            if transport is not None and not transport.is_disconnected:
                self.send(self.protocol.closing())
                if model.capabilities.tells_last_usage:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LAST_WORD_SECONDS):
                            await self._last_word.wait()
                transport.send_close(WSCloseCode.OK)
                with suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await transport.wait_disconnected()
        finally:
            self._abort()  # where nobody waits for it any more, too
            self._listener = None
        return await model.hang_up(self._address) if self._address is not None else None


class _Socket(WSListener):
    def __init__(self, connection: RealtimeConnection) -> None:
        super().__init__()
        self._connection = connection

    def on_ws_connected(self, transport: WSTransport) -> None:
        pass

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self._connection._on_frame(frame)  # noqa: SLF001 - the other half of it

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._connection.lose("the connection was lost")
