"""The transport of real calls: aiohttp's client."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from jambonz.simulator.transport import (
    NORMAL_CLOSURE,
    SUBPROTOCOL,
    HookResponse,
    HookUnreachable,
    SocketHandler,
    SocketRefused,
)

_HIGH_WATER_BYTES = 64 * 1024
"""Unsent bytes from which on a socket counts as not writable."""

_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_ABNORMAL_CLOSURE = 1006
_CLOSE_SECONDS = 2.0


class _WebSocket(aiohttp.ClientWebSocketResponse):
    """aiohttp's WebSocket, with a view of how much of what was sent is still here."""

    def __init__(self, reader: Any, writer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(reader, writer, *args, **kwargs)
        self._to_send: asyncio.WriteTransport = writer.transport
        # A send that would wait for the buffer to shrink could not be a plain call; ``writable`` says when to stop.
        self._to_send.set_write_buffer_limits(high=2**30)

    @property
    def unsent_bytes(self) -> int:
        return self._to_send.get_write_buffer_size()


class NetworkSocket:
    """A ``ServiceSocket`` on a WebSocket. One task reads; writing is by plain calls into the transport's buffer."""

    def __init__(self, ws: _WebSocket, handler: SocketHandler) -> None:
        self._ws = ws
        self._handler = handler
        self._open = True
        self._reader = asyncio.create_task(self._read())
        self._closer: asyncio.Task[bool] | None = None

    @property
    def writable(self) -> bool:
        return self._ws.unsent_bytes < _HIGH_WATER_BYTES

    def send_text(self, text: str) -> None:
        self._write(self._ws.send_str(text))

    def send_binary(self, data: bytes) -> None:
        self._write(self._ws.send_bytes(data))

    def close(self, code: int = NORMAL_CLOSURE) -> None:
        if self._closer is None:
            self._closer = asyncio.create_task(self._ws.close(code=code))
        self._ended(code)

    @property
    def done(self) -> bool:
        """Nothing of it runs any more."""
        return self._reader.done() and (self._closer is None or self._closer.done())

    async def wait_closed(self) -> None:
        self.close()
        waiting = {self._reader} | ({self._closer} if self._closer else set())
        _, pending = await asyncio.wait(waiting, timeout=_CLOSE_SECONDS)
        for task in pending:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _write(self, sending: Coroutine[Any, Any, None]) -> None:
        """Run a send without a task: with a buffer that is never full, it has nothing to wait for."""
        try:
            if self._open:
                sending.send(None)
        except (StopIteration, ConnectionError, aiohttp.ClientError):
            pass
        finally:
            sending.close()

    async def _read(self) -> None:
        async for message in self._ws:
            if not self._open:
                break
            if message.type is aiohttp.WSMsgType.BINARY:
                self._handler.on_binary(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                self._handler.on_text(message.data)
        self._ended(self._ws.close_code or _ABNORMAL_CLOSURE)

    def _ended(self, code: int) -> None:
        if self._open:
            self._open = False
            self._handler.on_closed(code)


class AiohttpTransport:
    """One client session for all calls of a simulator. Close it, or use it in an ``async with``."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._sockets: set[NetworkSocket] = set()

    async def __aenter__(self) -> AiohttpTransport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HookResponse:
        try:
            async with self._open_session().post(url, data=body, headers=headers, allow_redirects=False) as response:
                return HookResponse(response.status, response.headers.get("Content-Type", ""), await response.read())
        except aiohttp.ClientConnectorError as error:
            raise HookUnreachable("ECONNREFUSED", str(error)) from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise HookUnreachable("ECONNRESET", str(error) or type(error).__name__) from error

    async def connect(
        self, url: str, *, subprotocol: str, headers: Mapping[str, str], handler: SocketHandler
    ) -> NetworkSocket:
        if subprotocol == SUBPROTOCOL:
            # The media server's libwebsockets sends the host without its port.
            headers = {**headers, "Host": urlsplit(url).hostname or ""}
        try:
            ws = await self._open_session().ws_connect(
                url,
                protocols=(subprotocol,),
                headers=headers,
                max_msg_size=_MAX_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
            )
        except aiohttp.WSServerHandshakeError as error:
            raise SocketRefused(f"the upgrade was answered with {error.status}", error.status) from error
        except (aiohttp.ClientError, ConnectionError, ValueError) as error:
            raise SocketRefused(str(error) or type(error).__name__) from error
        assert isinstance(ws, _WebSocket)  # noqa: S101 - the session was told to make these
        socket = NetworkSocket(ws, handler)
        self._sockets = {other for other in self._sockets if not other.done} | {socket}
        return socket

    async def close(self) -> None:
        await asyncio.gather(*(socket.wait_closed() for socket in self._sockets))
        self._sockets.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open_session(self) -> aiohttp.ClientSession:
        """Made when it is first needed: it belongs to the loop that runs then."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                ws_response_class=_WebSocket,
                headers={"User-Agent": "jambonz"},
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session
