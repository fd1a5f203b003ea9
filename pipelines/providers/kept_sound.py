"""A caller's sound on its way to a vendor's streams, one after another: what may be heard again is kept. Pure."""

from __future__ import annotations


class KeptSound:
    """``rate`` is in bytes a second; positions are seconds of the caller's sound from its beginning. ``most`` seconds
    are kept at least, and twice as many at most."""

    def __init__(self, rate: int, most: float) -> None:
        self._rate = rate
        self._most = most
        self._kept = bytearray()
        self._kept_from = 0  # bytes before what is kept
        self._sent = 0  # bytes up to which the stream was sent them
        self._end: int | None = None  # bytes up to which the stream gets them
        self.streamed = 0.0
        """Seconds that this stream was sent."""

    def push(self, pcm: bytes) -> None:
        self._kept += pcm
        if len(self._kept) > 2 * self._most * self._rate:
            self.forget(self.position - self._most)

    @property
    def position(self) -> float:
        return self._total / self._rate

    @property
    def _total(self) -> int:
        return self._kept_from + len(self._kept)

    @property
    def waiting(self) -> bool:
        """There is sound that no stream was sent."""
        return self._total > self._sent

    @property
    def unsent(self) -> int:
        """Bytes that the stream is to be sent."""
        end = self._total if self._end is None else self._end
        return max(0, end - max(self._sent, self._kept_from))

    def begin(self, position: float) -> float:
        """Another stream, which hears what follows ``position`` and is kept. Returns where its sound begins."""
        self.forget(max(position, self.position - self._most))
        self._sent, self._end, self.streamed = self._kept_from, None, 0.0
        return self._kept_from / self._rate

    def end(self) -> float:
        """The stream gets no more than there is now. Returns where its sound ends."""
        self._end = self._total
        return self.position

    def over(self) -> None:
        """There is no stream any more: what comes now waits for another."""
        self._end = None

    def take(self, most: int) -> bytes:
        """What the stream is to be sent next: at most so many bytes."""
        count = min(self.unsent, most)
        if not count:
            return b""
        self._sent = max(self._sent, self._kept_from)
        start = self._sent - self._kept_from
        self._sent += count
        self.streamed += count / self._rate
        return bytes(self._kept[start : start + count])

    def forget(self, position: float) -> None:
        """Sound before ``position`` will not be needed."""
        count = min(round(position * self._rate) - self._kept_from, len(self._kept))
        if count > 0:
            del self._kept[:count]
            self._kept_from += count
