"""Which words of a phrase have sounded after so many seconds of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from media.audio import AudioFormat

SPEECH_RATE = 14.0
"""Characters a second: how long a phrase is taken to be while its sound is still being made. English at a telephone
voice's pace; a phrase whose sound is whole is measured instead."""

ABOUT = 0.75
"""Voices differ by so much: a phrase that is said in this share of what it is expected to take may be whole."""

WORD_HEARD = 0.6
"""A word counts as heard once this share of it has sounded."""

_MARKS = ".,;:!?"
_FINAL_LETTERS = 3
"""The last word before a mark is drawn out, by as much as so many letters take (phrase-final lengthening). In 19
sentences of the Pico voice this leaves the estimate two words off at 0.5 % of all moments; without it, 1.3 %."""

LOOK_BACK = 0.5
"""The longest word that is said again from its beginning after a pause."""

GAP_SHARE = 0.15
"""Sound below this share of the loudest around it separates words."""

_ROUNDING = 0.011
"""Vendors' timings are of whole hundredths of a second, and frames of 20 ms end where they end."""

_QUIET = 0.03
"""Sound below this share of the phrase's loudest 20 ms is a pause between words."""


@dataclass(frozen=True, slots=True)
class TimedWord:
    """Where a word sounds, in seconds from the start of the phrase."""

    word: str
    start: float
    end: float


class Spoken:
    """A phrase: its text, and the timings of its words where the synthesiser gave them. ``forms``: what each word is
    said as, where that is not as it is written."""

    __slots__ = ("_format", "forms", "text", "timings")

    def __init__(self, text: str, format: AudioFormat) -> None:
        self.text = text.strip()
        self.timings: list[TimedWord] = []
        self.forms: Sequence[str] = ()
        self._format = format

    def heard(self, audio: bytes, seconds: float, *, whole: bool | None = True) -> str:
        """The words heard after ``seconds`` of the phrase; ``audio`` is its sound (PCM), or, if that is not ``whole``,
        as much of it as was made: then the text tells how long it would have been. None: nobody knows whether it is,
        and it is if it is about as long as the text."""
        words = self.text.split()
        if not words or seconds <= 0:
            return ""
        if self.timings:
            said = sum(t.start + WORD_HEARD * (t.end - t.start) <= seconds for t in self.timings)
            return " ".join(words[: min(said, len(words))])
        voiced_before, voiced = self._voiced_seconds(audio, seconds)
        forms = self.forms or words
        length = sum(map(len, forms)) + len(forms) - 1
        expected = length / SPEECH_RATE
        total = voiced if whole or (whole is None and voiced >= ABOUT * expected) else max(voiced, expected)
        return " ".join(words[: _words_in(forms, voiced_before / total if total else 0.0)])

    def cut(self, audio: bytes, seconds: float, sent: float) -> tuple[float, str, str]:
        """The sound stops after ``seconds`` of the phrase, ``sent`` of which are out already: up to where it is of use
        (never less than ``sent``), the words up to there, and those that are still to be said.

        Where the timings are known this is exact. Else it is an estimate, and rather says a word twice than not at all.
        """
        words = self.text.split()
        if self.timings:
            count, end = 0, 0.0
            for timing in self.timings[: len(words)]:
                if timing.end > seconds + _ROUNDING:
                    break
                count, end = count + 1, timing.end
        else:
            end = self.word_start(audio, seconds)
            count = len(self.heard(audio, end, whole=False).split())
            if end <= sent:
                count = len(self.heard(audio, sent, whole=False).split())
        return max(end, sent), " ".join(words[:count]), " ".join(words[count:])

    def word_start(self, audio: bytes, seconds: float) -> float:
        """Where the word begins that sounds at ``seconds``, at most :data:`LOOK_BACK` before; else ``seconds`` itself.

        Without timings a word is taken to begin after the quietest 20 ms on the way back, if those are quiet indeed.
        """
        for word in self.timings:
            if word.start < seconds < word.end and seconds - word.start <= LOOK_BACK:
                return word.start
        if self.timings:
            return seconds
        frame = self._format.frame_bytes
        end = round(seconds * 50) * frame
        recent = np.frombuffer(audio[max(0, end - round(LOOK_BACK * 50) * frame) : end], np.int16)
        if not len(recent):
            return seconds
        levels = np.abs(recent.astype(np.int32)).reshape(-1, self._format.frame_samples).max(axis=1)
        quietest = len(levels) - 1 - int(levels[::-1].argmin())
        if levels[quietest] > GAP_SHARE * levels.max():
            return seconds
        return seconds - (len(levels) - 1 - quietest) / 50

    def _voiced_seconds(self, audio: bytes, until: float) -> tuple[float, float]:
        """Seconds of sound that is not a pause: before ``until``, and in all."""
        per_frame = self._format.frame_samples
        samples = np.frombuffer(audio, np.int16)
        frames = samples[: len(samples) // per_frame * per_frame].reshape(-1, per_frame)
        if not len(frames):
            return 0.0, 0.0
        level = np.abs(frames.astype(np.int32)).max(axis=1)
        voiced = level > max(_QUIET * level.max(), 50)
        return float(voiced[: int(until * 50)].sum()) / 50, float(voiced.sum()) / 50


def _words_in(words: Sequence[str], share: float) -> int:
    """How many words have sounded after ``share`` of the voiced time, each taken to last as long as it is written."""
    weights = [_letters(word) for word in words]
    budget = share * sum(weights)
    for index, weight in enumerate(weights):
        if budget < weight * WORD_HEARD:
            return index
        budget -= weight
    return len(words)


def _letters(word: str) -> int:
    """How long a word lasts, in letters."""
    plain = len(word.strip("\"'()" + _MARKS))
    return max(plain, 1) + (_FINAL_LETTERS if word.rstrip("\"')")[-1:] in tuple(_MARKS) else 0)
