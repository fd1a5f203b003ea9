"""Which part of a caller's sound goes to a recogniser that is to have speech alone. Pure."""

from __future__ import annotations

from media.audio import AudioFormat

PRE_ROLL_SECONDS = 0.4
"""Sent from before the moment at which speech was noticed."""


class SpeechGate:
    """Positions are bytes of the stream. What is sent is committed now and then: a new stretch begins."""

    def __init__(self, format: AudioFormat) -> None:
        self._pre_roll = int(PRE_ROLL_SECONDS * format.bytes_per_second)
        self._before = bytearray()  # the latest sound that no commit has
        self.position = 0
        self.is_open = False
        self.start = 0
        """Where the sound begins that is to be sent and is not committed."""
        self.uncommitted = 0
        """How much of it was sent."""

    def hear(self, pcm: bytes) -> bytes:
        """What of it is to be sent."""
        self.position += len(pcm)
        self._before += pcm
        del self._before[: -self._pre_roll]
        if not self.is_open:
            return b""
        pcm = pcm[max(len(pcm) - (self.position - self.start), 0) :]
        self.uncommitted += len(pcm)
        return pcm

    def open(self, at: int) -> bytes:
        """Speech was noticed at ``at``; what is to be sent of the sound before."""
        if self.is_open:
            return b""
        self.is_open = True
        self.start = max(self.start, at - self._pre_roll)
        if at != self.position:
            return b""  # there is no connection: it will hear again from ``start``
        before = bytes(self._before[max(len(self._before) - (at - self.start), 0) :])
        self.start = at - len(before)
        self.uncommitted = len(before)
        return before

    def commit(self, at: int) -> None:
        self.start, self.uncommitted = at, 0
        self._before.clear()

    def close(self, start: int) -> bool:
        """Nothing more is to be sent; what comes next begins at ``start`` at the earliest. Whether anything was sent
        that is not committed."""
        uncommitted, self.uncommitted = self.uncommitted, 0
        self.is_open, self.start = False, start
        return uncommitted > 0

    def restart(self, origin: int, start: int) -> None:
        """Another connection hears everything again from ``origin`` on; what was sent and is still wanted begins at
        ``start``."""
        self.position, self.start, self.uncommitted = origin, max(origin, start), 0
        self._before.clear()
