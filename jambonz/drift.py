"""Does a caller's audio arrive at the rate that was announced for it?

Nothing on the wire tells 8 kHz from 16 kHz: audio at another rate than agreed is a strange noise, or a recogniser that
understands nothing. What tells is how much of it comes. Gaps say nothing (without RTP there are no frames), and neither
do bursts after a stall of ours.
"""

from __future__ import annotations

WINDOW = 1.0
"""Seconds between judgements."""

TOLERANCE = 0.2
"""A rate is off if it differs by more than this part."""

_GAP = 0.06
"""Seconds without audio that are a gap, rather than a late frame."""

_LEAK = 0.05
"""The part of real time by which a sender may be faster for ever: its clock is not ours."""

_SLACK = 0.25
"""Seconds that audio may run ahead of real time."""

_BACKLOG = 5.0
"""Seconds that Jambonz may hold back and send at once: the largest its ring buffer can be set to."""


class RateWatch:
    """Compares the audio that arrives with real time. ``now``, in seconds, is when the socket opened."""

    __slots__ = ("_bytes", "_bytes_per_second", "_gaps", "_judge_at", "_last", "_since", "ahead")

    def __init__(self, bytes_per_second: int, now: float) -> None:
        self._bytes_per_second = bytes_per_second
        self._bytes = 0
        self._gaps = 0.0
        self._since = self._last = now
        self._judge_at = now + WINDOW
        self.ahead = 0.0
        """Seconds of audio received beyond what real time explains, as of the last judgement."""

    def add(self, size: int, now: float) -> float | None:
        """Count ``size`` bytes. Where that ends a window whose rate was off: received per expected, else None."""
        gap = now - self._last
        if gap > _GAP:
            self._gaps += gap
        self._last = now
        self._bytes += size
        return None if now < self._judge_at else self._judge(now)

    def _judge(self, now: float) -> float | None:
        received = self._bytes / self._bytes_per_second
        elapsed = now - self._since
        flowing = elapsed - self._gaps
        explained = elapsed * (1 + _LEAK)
        self.ahead = max(-_BACKLOG, self.ahead + received - explained)
        self._bytes = 0
        self._gaps = 0.0
        self._since = now
        self._judge_at = now + WINDOW
        if self.ahead > _SLACK and received > explained:
            return received / elapsed
        if flowing > WINDOW / 2 and received < flowing * (1 - TOLERANCE):
            return received / flowing
        return None
