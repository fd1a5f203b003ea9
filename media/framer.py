"""Any chunks in, whole 20 ms frames out.

A leg that is fed anything else stutters: FreeSWITCH sends lumps of whatever has gathered, and providers send chunks cut
wherever their network liked, in the middle of a sample too.
"""

from __future__ import annotations

from media.audio import FRAME_MS, AudioFormat


class Framer:
    """Cuts one stream of one format into frames of 20 ms; what does not fill a frame waits for the next chunk."""

    __slots__ = ("_frame_bytes", "format", "pending")

    def __init__(self, format: AudioFormat) -> None:
        self.format = format
        self._frame_bytes = format.frame_bytes
        self.pending = b""
        """What waits for the rest of its frame; always less than a frame."""

    def push(self, chunk: bytes) -> list[bytes]:
        """The frames that ``chunk`` completes, in order. A chunk that is a frame already comes back as it is."""
        size = self._frame_bytes
        if not self.pending:
            if len(chunk) == size:
                return [chunk]
        else:
            chunk = self.pending + chunk
        whole = len(chunk) - len(chunk) % size
        self.pending = chunk[whole:]
        return [chunk[start : start + size] for start in range(0, whole, size)]

    def whole(self, chunk: bytes) -> bytes:
        """The frames that ``chunk`` completes, in one piece."""
        if self.pending:
            chunk = self.pending + chunk
        rest = len(chunk) % self._frame_bytes
        if not rest:
            self.pending = b""
            return chunk
        self.pending = chunk[-rest:]
        return chunk[:-rest]

    def flush(self) -> list[bytes]:
        """The last frame, filled up with silence; nothing if no sound waits. Half a sample at the end is dropped."""
        pending, self.pending = self.pending, b""
        pending = pending[: len(pending) - len(pending) % self.format.encoding.sample_bytes]
        return [pending + self.format.silence(FRAME_MS)[len(pending) :]] if pending else []

    def clear(self) -> None:
        """Forget what waits: the stream was cut."""
        self.pending = b""
