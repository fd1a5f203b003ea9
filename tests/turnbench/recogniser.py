"""A streaming recogniser as a vendor's behaves, without its errors: it knows the words, and tells them late.

Each word comes 150 to 250 ms after it was said, as part of an interim transcript. Asked for what it has, it gives a
final one 100 to 200 ms later. Every other caller gets a recogniser that writes numbers as digits, and every second pair
one that ends each final transcript with a full stop, as many do, whether anything ended there or not.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from pipelines.parts import Transcript
from tests.turnbench.texts import DIGITS
from tests.turnbench.voices import Word

_WORD_LATENCY = (0.15, 0.25)
_FINAL_LATENCY = (0.1, 0.2)
_WORK = 0.1
"""An interim transcript covers the sound until so long ago."""
_ALMOST = 0.1
"""A word of which no more than this is missing is understood."""


class StreamingRecogniser:
    """For one recording. ``told`` is false for a recogniser that hears speech and understands none of it: its only
    word is "...", so that the sound alone has to tell when a turn is over."""

    def __init__(self, name: str, words: Sequence[Word], *, told: bool = True) -> None:
        style = crc32(name.encode())
        self._random = np.random.default_rng(style)
        self._digits, self._stops = bool(style & 1), bool(style & 2)
        self._told = told
        self._words = words
        self._due: list[tuple[float, int, bool, float]] = []
        for index, word in enumerate(words):
            told_at = word.end + self._random.uniform(*_WORD_LATENCY)
            heapq.heappush(self._due, (told_at, index + 1, False, told_at - _WORK))
        self._known = 0
        self._segment = 0
        self._first = 0
        self._begun: float | None = None

    def speech_started(self, at: float) -> None:
        if self._begun is None:
            self._begun = at

    def speech_paused(self, now: float) -> None:
        """A final transcript is wanted: it covers what was said until now."""
        said = sum(word.end <= now + _ALMOST for word in self._words)
        heapq.heappush(self._due, (now + self._random.uniform(*_FINAL_LATENCY), said, True, now))

    def end_segment(self, now: float) -> None:
        """What was said until now was taken, or was nothing."""
        self._segment += 1
        self._begun = None
        self._first = max(self._known, sum(word.end <= now for word in self._words))
        self._due = [due for due in self._due if due[1] > self._first]
        heapq.heapify(self._due)

    def transcripts(self, now: float) -> list[Transcript]:
        """What has come by now."""
        transcripts = []
        while self._due and self._due[0][0] <= now:
            _, count, final, covered = heapq.heappop(self._due)
            self._known = max(self._known, count)
            if self._begun is not None:
                covered = max(covered - self._begun, 0.02)
                transcripts.append(Transcript(self._segment, self._text(final), final, audio_seconds=covered))
        return transcripts

    def _text(self, final: bool) -> str:
        words = [word.text for word in self._words[self._first : self._known]]
        if words and not self._told:
            return "..."
        text = " ".join(re.sub(r"[^\w'-]", "", word) or word for word in words)
        if self._digits:
            text = _as_digits(text)
        return f"{text}." if text and final and self._stops else text


def _as_digits(text: str) -> str:
    """Two digits or more in a row are written as a number: "five five oh" is "550"."""
    words: list[str] = []
    run: list[str] = []
    for word in [*text.split(), ""]:
        if word.lower() in DIGITS:
            run.append(word)
            continue
        words += ["".join(DIGITS[digit.lower()] for digit in run)] if len(run) > 1 else run
        run = []
        words.append(word)
    return " ".join(words).strip()
