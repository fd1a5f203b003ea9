"""One listen socket on aiohttp: reads in the handler's own task, writes synchronously.

One ticker paces the playout of every call, so that sending a frame has to be a plain call: whole frames go straight to
the transport (a server's frames are not masked, and compression is off). Control frames stay aiohttp's, but for the
ping: aiohttp's own heartbeat costs 2 to 4 µs for every frame that comes in, as much as the rest of a frame's protocol.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

import structlog
from aiohttp import WebSocketError, WSMsgType, hdrs, web

from jambonz.listen import (
    CLEAR,
    DISCONNECT,
    MAX_RING_SECONDS,
    SUBPROTOCOLS,
    LegListener,
    ListenProtocol,
    ListenRefused,
    Refusal,
    mark,
    safe_samples,
)
from jambonz.tap import AudioTap
from media.audio import PCM_8K, AudioFormat

START_SECONDS = 5.0
"""The first text frame comes within some 75 ms of the answer."""

DISCONNECT_SECONDS = 2.0
"""Jambonz closes some 45 ms after our ``disconnect``; past this, we close."""

CLOSE_SECONDS = 2.0
"""The peer's close frame is waited for this long, after ours."""

HEARTBEAT_SECONDS = 5.0
"""After this long without a frame the peer is sent a ping, and after once more it is taken to be gone."""

MAX_UNREAD_BYTES = 512 * 1024
"""A quarter of a minute of audio or more that waits in our own buffers: nobody reads it."""

NO_SUBPROTOCOL = f"This is a listen socket: offer one of the WebSocket subprotocols {', '.join(SUBPROTOCOLS)}."
NO_WEBSOCKET = "This is a listen socket: connect with a WebSocket handshake of version 13."

_TEXT, _BINARY = 0x81, 0x82  # opcodes of frames that are whole messages
_PING = b"\x89\x00"
_MAX_REASON = 123

_log = structlog.get_logger(__name__)


class Ending(NamedTuple):
    """How a socket closed: the code of RFC 6455 and a sentence."""

    code: int
    reason: str


_LOST = Ending(1006, "the connection was lost")
_FAILED = Ending(1011, "an error in this service")
_GOING_AWAY = Ending(1001, "this service is stopping")
_OVERDUE = Ending(1000, "the listen verb did not end after a disconnect")


class JambonzLeg:
    """The caller's leg: what comes in goes to the listener by plain calls, and a playout sends by plain calls.

    Sending does nothing before the socket opened and once it closes.
    """

    def __init__(
        self,
        listener: LegListener,
        format: AudioFormat = PCM_8K,
        *,
        exact_marks: bool = True,
        told: Mapping[str, Any] | None = None,
    ) -> None:
        """``told``: see :class:`ListenProtocol`."""
        self.format = format
        self.exact_marks = exact_marks
        self.refusal: Refusal | None = None
        """Why we closed the socket, if the peer was to blame."""
        self.unsent = 0
        """Frames that were given to a closed socket."""
        self.ignored = 0
        """Text frames that meant nothing, as of the end."""
        self.drifts = 0
        """Seconds in which the caller's audio came at another rate than announced."""
        self._frame_bytes = format.frame_bytes
        self._listener = listener
        self._told = told
        self._ws: web.WebSocketResponse | None = None
        self._transport: asyncio.Transport | None = None
        self._open = False
        self._ending: Ending | None = None
        self._fault: Exception | None = None
        self._disconnected = False
        self._deadline: asyncio.Timeout | None = None
        self._heard = False
        self._pinged = False
        self._beat: asyncio.TimerHandle | None = None

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Serve the socket until it is closed; the handler of its route returns what this returns.

        A request that offers none of the subprotocols, or is no WebSocket handshake, is refused before the upgrade
        (400, as ``HTTPBadRequest``): then the listener hears nothing. Otherwise it hears ``on_closed`` in any event.
        """
        ws = _handshake(request, self.format)
        loop = asyncio.get_running_loop()
        protocol = ListenProtocol(
            self._listener, self.format, now=loop.time(), on_drift=self._drifting, told=self._told
        )
        ending = _FAILED
        self._ws, self._transport = ws, request.transport
        self._tap(protocol, loop.time)
        try:
            async with asyncio.timeout(START_SECONDS) as self._deadline:
                await ws.prepare(request)
                self._open = self._ending is None
                self._beat = loop.call_later(HEARTBEAT_SECONDS, self._heartbeat)
                ending = await self._read(ws, protocol, loop.time)
        except TimeoutError:
            if self._fault is not None:
                raise self._fault from None
            if self._deadline is None or not self._deadline.expired():
                raise
            ending = self._ending or (_OVERDUE if self._disconnected else self._refused(Refusal.NO_START))
        except ListenRefused as refused:
            self.refusal = refused.refusal
            ending = Ending(refused.refusal.code, str(refused))
        except ConnectionError:
            ending = _LOST  # during the handshake
        except asyncio.CancelledError:
            lost = self._transport is not None and self._transport.is_closing()  # aiohttp can be set to cancel then
            ending = self._ending or (_LOST if lost else _GOING_AWAY)
            raise
        finally:
            self._open = False
            self._ending = ending
            self.ignored = protocol.ignored
            try:
                protocol.closed(*ending)
            finally:
                await self._shut(ws, ending)
                self._ws = self._transport = self._deadline = None
        return ws

    # What a playout and a session call

    def prepare(self, pcm: bytes) -> bytes:
        """Whole samples, made safe to be sent while marks are out; the same length."""
        return safe_samples(pcm)

    def send_audio(self, pcm: bytes) -> None:
        """Audio in the leg's format, as :meth:`prepare` gave it: whole samples. Goes out in messages of 20 ms."""
        size = self._frame_bytes
        frames = [pcm[at : at + size] for at in range(0, len(pcm), size)]
        if frames and len(frames[-1]) == size:
            header = _header(_BINARY, size)
            data = header + header.join(frames)
        else:
            data = b"".join([part for frame in frames for part in (_header(_BINARY, len(frame)), frame)])
        self._write(data, len(frames))

    def send_mark(self, name: str) -> None:
        self._write_text(mark(name))

    def send_clear(self) -> None:
        self._write_text(CLEAR)

    def disconnect(self) -> None:
        """End the listen verb: Jambonz closes the socket and goes on with the action hook. Nothing is sent after it."""
        if self._open:
            self._write_text(DISCONNECT)
            self._open = False
            self._disconnected = True
            self._expire_in(DISCONNECT_SECONDS)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket from our side, with a code of RFC 6455; Jambonz goes on with the action hook, too."""
        self._end(Ending(code, reason))

    # Inside

    def _tap(self, protocol: ListenProtocol, time: Callable[[], float]) -> None:
        """Have audio come straight off the transport; the rest comes by :meth:`_read`."""

        def on_audio(data: bytes) -> None:
            self._heard = True
            if self._ending is not None:
                return
            try:
                protocol.receive_binary(data, time())
            except ListenRefused as refused:
                self.refusal = refused.refusal
                self._end(Ending(refused.refusal.code, str(refused)))
            except Exception as error:  # noqa: BLE001 - it is raised again by run, where it ends the call
                self._fault = error
                self._end(_FAILED)

        if self._transport is not None:
            below = self._transport.get_protocol()
            if isinstance(below, asyncio.Protocol):
                self._transport.set_protocol(AudioTap(below, on_audio))

    async def _read(self, ws: web.WebSocketResponse, protocol: ListenProtocol, time: Callable[[], float]) -> Ending:
        starting = True
        while self._ending is None:
            message = await ws.receive()
            self._heard = True
            match message.type:
                case WSMsgType.BINARY:
                    protocol.receive_binary(message.data, time())
                case WSMsgType.TEXT:
                    protocol.receive_text(message.data, time())
                    if starting and protocol.started:
                        starting = False
                        self._started()
                case WSMsgType.PING:
                    await ws.pong(message.data)
                case WSMsgType.PONG:
                    pass
                case WSMsgType.CLOSE:
                    return Ending(message.data or 1005, message.extra or "")
                case WSMsgType.ERROR if isinstance(message.data, WebSocketError):
                    return Ending(message.data.code, str(message.data))
                case _:
                    break
        return self._ending or _LOST

    def _started(self) -> None:
        """The deadline of the start is off, unless the listener has set another by ending the call."""
        if self._ending is None and not self._disconnected:
            self._expire_in(None)

    def _write_text(self, text: str) -> None:
        payload = text.encode()
        self._write(_header(_TEXT, len(payload)) + payload)

    def _write(self, data: bytes, messages: int = 1) -> None:
        """Messages with their headers."""
        transport, ws = self._transport, self._ws
        if not self._open or transport is None or ws is None or ws.closed or transport.is_closing():
            self.unsent += messages
            return
        transport.write(data)
        if transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self._cut(Refusal.NOT_READING)

    def _heartbeat(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        loop = asyncio.get_running_loop()
        stalled = self._beat is not None and loop.time() - self._beat.when() > HEARTBEAT_SECONDS / 4
        if self._heard or stalled:  # after a stall of ours, what the peer sent may not have been read yet
            self._pinged = False
        elif self._pinged:
            self._cut(Refusal.NO_PONG)
            return
        else:
            self._pinged = True
            self._transport.write(_PING)
        self._heard = False
        self._beat = loop.call_later(HEARTBEAT_SECONDS, self._heartbeat)

    def _end(self, ending: Ending) -> None:
        """Have the reading end, at once; the first ending stands."""
        self._open = False
        if self._ending is None:
            self._ending = ending
            self._expire_in(0.0)

    def _expire_in(self, seconds: float | None) -> None:
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)

    def _cut(self, refusal: Refusal) -> None:
        """Drop the connection of a peer that would not take a close frame."""
        self._end(self._refused(refusal))
        if self._transport is not None:
            self._transport.abort()

    def _refused(self, refusal: Refusal) -> Ending:
        self.refusal = refusal
        return Ending(refusal.code, refusal.sentence)

    async def _shut(self, ws: web.WebSocketResponse, ending: Ending) -> None:
        """Close what is still open, in bounded time, and leave no transport behind that waits to be read."""
        if self._beat is not None:
            self._beat.cancel()
        reason = ending.reason.encode()[:_MAX_REASON].decode(errors="ignore").encode()
        if ws.prepared:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS + 1):
                    await ws.close(code=ending.code, message=reason, drain=False)
        if self._transport is not None and (self._transport.get_write_buffer_size() or not ws.prepared):
            self._transport.abort()

    def _drifting(self, drift: float) -> None:
        self.drifts += 1
        if self.drifts == 1:
            _log.warning(
                "the caller's audio comes at another rate than announced",
                announced=self.format.rate,
                times=round(drift, 2),
            )


def _handshake(request: web.Request, format: AudioFormat) -> web.WebSocketResponse:
    offered = {
        name.strip() for line in request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ()) for name in line.split(",")
    }
    if offered.isdisjoint(SUBPROTOCOLS):
        raise web.HTTPBadRequest(text=NO_SUBPROTOCOL)
    ws = web.WebSocketResponse(
        protocols=SUBPROTOCOLS,
        compress=False,
        autoping=False,
        timeout=CLOSE_SECONDS,
        max_msg_size=MAX_RING_SECONDS * format.bytes_per_second + 1,  # aiohttp refuses from this size on
    )
    if not ws.can_prepare(request):
        raise web.HTTPBadRequest(text=NO_WEBSOCKET)
    return ws


@lru_cache(maxsize=64)
def _header(opcode: int, length: int) -> bytes:
    """The header of an unmasked frame of less than 64 KB (RFC 6455, section 5.2)."""
    if length < 126:
        return bytes((opcode, length))
    return struct.pack("!BBH", opcode, 126, length)
