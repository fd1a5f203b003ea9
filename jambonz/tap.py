"""The short way for a caller's audio: off the wire before aiohttp reads it.

Audio is all but a few of the frames that come in on a listen socket, 50 a second. aiohttp takes each through a queue, a
future and a turn of the loop to whoever awaits it; here it is a plain call. Everything else is aiohttp's, as ever:
texts, pings and closes, and whatever a peer may send that is not quite right.

Pure, but for the protocol that it hands on to. Formats and numbers are those of RFC 6455, section 5.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

try:
    from aiohttp._websocket.helpers import websocket_mask  # compiled, and no part of aiohttp's interface
except ImportError:

    def websocket_mask(mask: bytes, data: bytearray) -> None:
        """Each byte of ``data`` with its byte of the mask taken off. Whole numbers of any size do it at once."""
        size = len(data)
        masks = (mask * (size // 4 + 1))[:size]
        data[:] = (int.from_bytes(data) ^ int.from_bytes(masks)).to_bytes(size)


_BINARY = 0x82
_WHOLE = frozenset((_BINARY, 0x81, 0x88, 0x89, 0x8A))
"""Whole messages, and control frames: after any of them a new frame begins."""

_MASKED = 0x80
_SHORT, _LONG = 126, 127


class AudioTap(asyncio.Protocol):
    """Stands between a transport and the ``below`` that reads a WebSocket from it. Whole binary messages of up to 64 KB
    go to ``on_audio``; all other bytes go ``below``. With the first frame that is no whole message, everything does."""

    def __init__(self, below: asyncio.Protocol, on_audio: Callable[[bytes], None]) -> None:
        self.below = below
        self._on_audio = on_audio
        self._rest = b""  # the beginning of a frame
        self._aside = False
        self._usual = -1  # the size of a frame of audio that came alone ...
        self._head = b""  # ... and what it has before its mask
        # What is not about data is no matter of ours.
        self.connection_lost = below.connection_lost  # type: ignore[method-assign]
        self.eof_received = below.eof_received  # type: ignore[method-assign]
        self.pause_writing = below.pause_writing  # type: ignore[method-assign]
        self.resume_writing = below.resume_writing  # type: ignore[method-assign]

    def data_received(self, data: bytes) -> None:
        if len(data) == self._usual and not self._rest and data.startswith(self._head):  # 20 ms, as before
            payload = bytearray(data[8:])
            websocket_mask(data[4:8], payload)
            self._on_audio(bytes(payload))
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, end = 0, len(data)
        while end - at >= 2 and not self._aside:
            first, length = data[at], data[at + 1] - _MASKED
            if first not in _WHOLE or length < 0 or length == _LONG:
                self._aside = True
                self._usual = -1
                break
            start = at + 6
            if length == _SHORT:
                if end - at < 4:
                    break
                length, start = data[at + 2] << 8 | data[at + 3], at + 8
            stop = start + length
            if stop > end:
                break
            if first == _BINARY:
                if length > 125 and stop - at == end:
                    self._usual, self._head = end, data[:4]
                payload = bytearray(data[start:stop])
                websocket_mask(data[start - 4 : start], payload)
                self._on_audio(bytes(payload))
            else:
                self.below.data_received(data[at:stop])
            at = stop
        if at == end:
            return
        if self._aside:
            self.below.data_received(data[at:])
        else:
            self._rest = data[at:]
