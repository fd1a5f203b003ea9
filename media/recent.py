"""The last seconds of a stream, kept for whoever wants to hear a turn again as a whole."""

from __future__ import annotations

from collections import deque

from media.audio import FRAME_SECONDS, AudioFormat, Clip


class RecentAudio:
    """``push`` takes a frame of 20 ms in ``format``; beyond ``seconds`` the oldest go. It keeps the frames as they
    came: no copy, and 1 us of the audio path for a second of sound."""

    __slots__ = ("_format", "_frames", "push")

    def __init__(self, format: AudioFormat, seconds: float = 8.0) -> None:
        self._format = format
        self._frames: deque[bytes] = deque(maxlen=round(seconds / FRAME_SECONDS))
        self.push = self._frames.append

    def last(self, seconds: float | None = None, *, less: float = 0.0) -> Clip:
        """The last ``seconds``, or as much as there is, without the very last: ``less`` seconds. Whole frames."""
        frames = list(self._frames)
        end = len(frames) - round(less / FRAME_SECONDS)
        start = 0 if seconds is None else len(frames) - round(seconds / FRAME_SECONDS)
        return Clip(self._format, b"".join(frames[max(0, start) : max(0, end)]))

    def clear(self) -> None:
        """Forget the stream so far."""
        self._frames.clear()
