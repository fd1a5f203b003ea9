"""Speech in mu-law that can be read exactly, wherever it was cut: each word is two levels, one after the other.

As :mod:`tests.simulators.codeword`, whose words mu-law would make alike, and of which a piece is as good as the whole.
Here a word of which a part is missing is no word: it is read as :data:`CUT`, as a recogniser would mishear it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from media.audio import MULAW_8K
from media.g711 import mulaw_to_pcm
from tests.simulators.codeword import plain_words

RATE = MULAW_8K.bytes_per_second
WORD_SECONDS = 0.3
CUT = "<cut>"

LEAST_SECONDS = 0.1
"""Less of a word is nothing that could be misheard."""

_SIGN = 0x80
_MARK, _HEAD, _TAIL = 160, 960, 1280
"""Bytes: the head's level upside down, the head, the tail."""

_GAP = 16  # what stands between two pieces of one level is no break, if it is no longer
_LOUDNESS = np.frombuffer(mulaw_to_pcm(bytes(range(256))), np.int16).tolist()
_LEVELS = [code for code in range(256) if 400 <= _LOUDNESS[code] < 12_000]
_IS_LEVEL = np.isin(np.arange(256), [*_LEVELS, *(code ^ _SIGN for code in _LEVELS)])
_vocabulary: dict[str, tuple[int, int]] = {}
_words: dict[tuple[int, int], str] = {}


@dataclass(frozen=True, slots=True)
class Spoken:
    """Seconds from the beginning of the sound. ``whole``: it was said to its end; the latest may yet be."""

    word: str
    start: float
    end: float
    whole: bool = True


def speak(text: str) -> bytes:
    sound = bytearray()
    for word in plain_words(text):
        head, tail = _code(word)
        sound += bytes([head ^ _SIGN]) * _MARK + bytes([head]) * _HEAD + bytes([tail]) * _TAIL
    return bytes(sound)


def read(sound: bytes) -> list[Spoken]:
    """The words in a piece of sound, in their order. What is no word's level is silence or noise."""
    words: list[Spoken] = []
    runs = _runs(sound)
    while runs:
        pieces = [runs.pop(0)]
        # Mark, head and tail follow each other without a gap; what comes first may be missing.
        while runs and len(pieces) < 2 + pieces[0].mark and runs[0].start - pieces[-1].end <= _GAP and not runs[0].mark:
            pieces.append(runs.pop(0))
        start, end = pieces[0].start / RATE, pieces[-1].end / RATE
        match [piece for piece in pieces if not piece.mark]:
            case [head, tail] if (head.level, tail.level) in _words and head.length >= 0.7 * _HEAD:
                word = _words[head.level, tail.level] if tail.length >= 0.6 * _TAIL else CUT
                words.append(Spoken(word, start, end, tail.length >= _TAIL - _GAP))
            case _ if end - start >= LEAST_SECONDS:
                words.append(Spoken(CUT, start, end, whole=False))
            case _:
                pass
    return words


def heard(sound: bytes) -> list[str]:
    return [spoken.word for spoken in read(sound)]


@dataclass(frozen=True, slots=True)
class _Run:
    level: int
    mark: bool
    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


def _runs(sound: bytes) -> list[_Run]:
    """Each stretch of a word's level that is longer than a few samples, in bytes."""
    codes = np.frombuffer(sound, np.uint8)
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)] if len(codes) else [0]
    runs: list[_Run] = []
    for start, end in itertools.pairwise(edges):
        code = int(codes[start])
        if not _IS_LEVEL[code]:
            continue
        mark = _LOUDNESS[code] < 0
        level = code ^ _SIGN if mark else code
        if runs and (runs[-1].level, runs[-1].mark) == (level, mark) and start - runs[-1].end <= _GAP:
            runs[-1] = _Run(level, mark, runs[-1].start, end)
        elif end - start > _GAP:
            runs.append(_Run(level, mark, start, end))
    return runs


def _code(word: str) -> tuple[int, int]:
    if word not in _vocabulary:
        number, count = len(_vocabulary), len(_LEVELS)
        head, further = _LEVELS[number % count], 1 + number // count
        code = head, _LEVELS[(number + further) % count]
        _vocabulary[word], _words[code] = code, word
    return _vocabulary[word]
