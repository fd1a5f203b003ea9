"""The words that a recogniser heard since the last turn, put together from what its windows of sound say. Pure."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from operator import itemgetter

from pipelines.parts import Transcript

ONSET_SECONDS = 0.1
"""Voice activity notices speech so long after it began."""

PRE_ROLL_SECONDS = 0.6
"""Words that ended longer before the voice activity noticed speech are no part of it."""

RESUMED_SECONDS = 0.2
"""Of a pause, so much before the voice activity notices that the caller goes on counts as speech."""


class Segment:
    """The words since the last turn: pieces that are settled, and what is said of the rest."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.begins = 0.0
        """The position before which nothing belongs to it."""
        self.onset: float | None = None
        self.paused: float | None = None
        self._pauses: list[tuple[float, float]] = []
        self._pieces: list[tuple[float, str]] = []
        self._tentative = ""

    def speech_started(self, at: float) -> None:
        if self.paused is not None and at - RESUMED_SECONDS > self.paused:
            self._pauses.append((self.paused, at - RESUMED_SECONDS))
        self.paused = None
        if self.onset is None:
            self.onset = max(self.begins, at - ONSET_SECONDS)
            self.begins = max(self.begins, at - PRE_ROLL_SECONDS)
            self._pieces = [piece for piece in self._pieces if piece[0] > self.begins]

    def end(self, at: float) -> None:
        """The next segment. What is said after a pause that was not taken up again is its."""
        self.number += 1
        self.begins = at if self.paused is None else self.paused
        self.onset = self.paused = None
        self._pauses.clear()
        self._pieces.clear()
        self._tentative = ""

    def mine(self, said: str, timed: Sequence[tuple[str, float, float]], origin: float) -> str:
        """``said`` without what was said before the segment; ``timed`` are its words, if they are known."""
        if not timed or origin + timed[0][1] >= self.begins:
            return said.strip()
        return " ".join(word for word, start, end in timed if origin + (start + end) / 2 > self.begins)

    def settle(self, said: str, end: float) -> None:
        self._tentative = ""
        if said:
            insort(self._pieces, (end, said), key=itemgetter(0))

    def suppose(self, said: str) -> None:
        self._tentative = said

    @property
    def text(self) -> str:
        return " ".join([*(piece for _, piece in self._pieces), *([self._tentative] if self._tentative else [])])

    def transcript(self, covered: float, *, took: float = 0.0, over: bool = False, likely: bool = False) -> Transcript:
        """``covered``: the position up to which the text holds all that was said. Pauses are no sound that was said:
        the turn machine leaves them out, too."""
        onset = self.begins if self.onset is None else self.onset
        silent = sum(min(end, covered) - start for start, end in self._pauses if start < covered)
        seconds = max(covered - onset - silent, 0.001)
        return Transcript(self.number, self.text, False, seconds, max(took, 0.0), over, likely)
