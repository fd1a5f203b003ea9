"""One WebSocket to a vendor of speech: sending and what comes are plain calls, and every wait is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from pipelines.parts import ProviderError, ProviderFault
from pipelines.providers.wire import Failed, Place, failure, kind_of_close
from pipelines.sockets import Pieces, TooLarge, close_of, look_at_end, opening_fault, trusted

CONNECT_SECONDS = 3.0
IDLE_SECONDS, PONG_SECONDS = 3.0, 3.0
"""A socket that has sent nothing for so long is pinged, and lost where no pong comes."""

CLOSE_SECONDS = 1.0

MOST_BYTES = 4 * 1024 * 1024
MOST_UNSENT = 256 * 1024
"""Bytes that wait to be sent: half a minute of sound, that nobody reads."""


class ProviderSocket(WSListener):
    """Made by :meth:`open`. ``on_message`` gets each message; ``on_lost`` is told once and last that the socket is
    gone, unless it was closed from here."""

    def __init__(
        self,
        name: str,
        place: Place,
        on_message: Callable[[str | bytes], None],
        on_lost: Callable[[ProviderError], None],
        kind_of_close: Callable[[int, str], ProviderFault],
    ) -> None:
        super().__init__()
        self._kind_of_close = kind_of_close
        self._name, self._place = name, place
        self._on_message = on_message
        self._on_lost: Callable[[ProviderError], None] | None = on_lost
        self._transport: WSTransport | None = None
        self._pieces = Pieces(MOST_BYTES)

    @classmethod
    async def open(
        cls,
        name: str,
        place: Place,
        path: str,
        query: Sequence[tuple[str, str]],
        on_message: Callable[[str | bytes], None],
        on_lost: Callable[[ProviderError], None],
        *,
        kind_of_close: Callable[[int, str], ProviderFault] = kind_of_close,
    ) -> ProviderSocket:
        """``kind_of_close`` tells by code and reason why the vendor closed. Raises :class:`ProviderError`; then nothing
        is left of it."""
        socket = cls(name, place, on_message, on_lost, kind_of_close)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await ws_connect(
                    lambda: socket,
                    place.url(path, query),
                    extra_headers=place.headers,
                    ssl_context=await trusted() if place.base_url.startswith("https:") else None,
                    enable_auto_ping=True,
                    auto_ping_idle_timeout=IDLE_SECONDS,
                    auto_ping_reply_timeout=PONG_SECONDS,
                    max_frame_size=2 * MOST_BYTES,  # beyond it the connection just breaks, and nobody knows why
                    max_redirects=0,
                    disconnect_on_exception=False,
                )
        except BaseException as error:
            socket.drop()
            fault = opening_fault(name, error, what="socket", seconds=CONNECT_SECONDS)
            if fault is None:
                raise
            raise fault from None
        return socket

    @property
    def is_open(self) -> bool:
        return self._on_lost is not None and self._transport is not None and not self._transport.is_disconnected

    def send(self, message: str | bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_disconnected or self._on_lost is None:
            return
        if isinstance(message, str):
            transport.send(WSMsgType.TEXT, message.encode())
        else:
            transport.send(WSMsgType.BINARY, message)
        if transport.underlying_transport.get_write_buffer_size() > MOST_UNSENT:
            self._lose(Failed("timeout", "it does not read what it is sent"))

    def drop(self) -> None:
        """Be rid of the socket at once."""
        self._on_lost = None
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.disconnect(graceful=False)

    async def close(self, goodbye: str | None) -> None:
        """Say ``goodbye``, and wait for the other end to close, but not for long."""
        transport = self._transport
        if self.is_open and transport is not None:
            if goodbye is not None:
                self.send(goodbye)
            else:
                transport.send_close(WSCloseCode.OK)
            self._on_lost = None
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await transport.wait_disconnected()
            except TimeoutError:
                transport.send_close(WSCloseCode.OK)
        self.drop()

    # WSListener

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        asyncio.get_running_loop().call_soon(look_at_end, transport)  # it is known as soon as this returns
        self._lose(Failed("unavailable", "the connection was lost"))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.TEXT or kind == WSMsgType.BINARY:
            if frame.fin:
                self._message(frame.get_payload_as_bytes(), text=kind == WSMsgType.TEXT)
            else:
                self._pieces.begin(frame)
        elif kind == WSMsgType.CONTINUATION:
            try:
                whole = self._pieces.go_on(frame)
            except TooLarge:
                self._lose(Failed("protocol", "a message was too large"))
            else:
                if whole is not None:
                    self._message(whole[0], text=whole[1])
        elif kind == WSMsgType.CLOSE:
            code, why = close_of(frame)
            if self._on_lost is None:
                self.drop()
            else:
                self._lose(Failed(self._kind_of_close(code, why), f"it closed the socket: {code} {why}"))

    def _message(self, data: bytes, *, text: bool) -> None:
        if len(data) > MOST_BYTES:
            self._lose(Failed("protocol", "a message was too large"))
        elif self._on_lost is not None:
            self._on_message(data.decode(errors="replace") if text else data)

    def _lose(self, why: Failed) -> None:
        on_lost = self._on_lost
        self.drop()
        if on_lost is not None:
            on_lost(failure(why, self._place, self._name))
