"""Did the caller hear what the log says? The ear's transcript against the utterances of the agent, word by word.

A recogniser writes "8" for "eight" and "book" for "booked": numbers are spelled out, and words count as the same if
most of their letters are. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

ENOUGH = 0.8
"""The part of an utterance's words that the recogniser has to find in what was heard."""

AT_THE_CUT = 1
"""Where an utterance was interrupted, log and ear may differ by this many words at its end."""

_ALIKE = 0.7
"""From this part of their letters on (as difflib counts them), two words are the same."""

_UP_TO_NINETEEN = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_DOLLARS = re.compile(r"\$(\d+)")
_WORD = re.compile(r"\d+|[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Utterance:
    """What the log says that the caller heard of one utterance."""

    text: str
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """``heard`` is what the recogniser found where ``utterance`` was played; ``found`` the part of its words that was
    among them. ``too_much`` and ``too_little`` count words at its end that the ear heard and the log lacks, and those
    that the log has and the ear did not hear."""

    utterance: Utterance
    heard: str
    found: float
    too_much: int
    too_little: int

    @property
    def agrees(self) -> bool:
        if self.found < ENOUGH:
            return False
        return not self.utterance.interrupted or max(self.too_much, self.too_little) <= AT_THE_CUT


def words(text: str) -> list[str]:
    """Lower case, without punctuation; numbers up to 99 as they are said."""
    text = _DOLLARS.sub(r"\1 dollars", text.lower().replace("’", "'"))
    return [word for token in _WORD.findall(text.replace("'", "")) for word in _spelled(token)]


def says(text: str, phrase: str) -> bool:
    """Whether the words of ``phrase`` stand in ``text``, one after the other."""
    return f" {' '.join(words(phrase))} " in f" {' '.join(words(text))} "


def compare(log: Sequence[Utterance], heard: Sequence[str]) -> list[Comparison]:
    """``heard`` has the transcripts of the stretches of sound at the ear, in order: one or more for each utterance."""
    said = [(word, number) for number, utterance in enumerate(log) for word in words(utterance.text)]
    ear = [(word, number) for number, stretch in enumerate(heard) for word in words(stretch)]
    pairs = _align([word for word, _ in said], [word for word, _ in ear])
    found = [0] * len(log)
    texts: list[list[str]] = [[] for _ in log]
    too_much, too_little = [0] * len(log), [0] * len(log)
    current, stretch = 0, -1
    for i, j in pairs:
        if i is not None:
            if said[i][1] != current:
                stretch = -1
            current = said[i][1]
        if j is not None and log:
            texts[current].append(ear[j][0])
        if i is not None and j is not None and _alike(said[i][0], ear[j][0]):
            found[current] += 1
            too_much[current] = too_little[current] = 0
            stretch = ear[j][1]
        elif i is not None:
            too_little[current] += 1
            too_much[current] += j is not None
        elif log and j is not None and ear[j][1] == stretch:
            too_much[current] += 1
    counts = [len(words(utterance.text)) for utterance in log]
    shares = [found[n] / count if count else 1.0 for n, count in enumerate(counts)]
    return [
        Comparison(utterance, " ".join(texts[n]), shares[n], too_much[n], too_little[n])
        for n, utterance in enumerate(log)
    ]


def _align(said: Sequence[str], ear: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """The cheapest way from one list of words to the other: pairs of indices, None where one has a word too many."""
    width = len(ear) + 1
    costs = [[0] * width for _ in range(len(said) + 1)]
    for i in range(len(said) + 1):
        for j in range(width):
            if i and j:
                replaced = costs[i - 1][j - 1] + (0 if _alike(said[i - 1], ear[j - 1]) else 2)
                costs[i][j] = min(replaced, costs[i - 1][j] + 1, costs[i][j - 1] + 1)
            else:
                costs[i][j] = i + j
    pairs: list[tuple[int | None, int | None]] = []
    i, j = len(said), len(ear)
    while i or j:
        if i and j and costs[i][j] == costs[i - 1][j - 1] + (0 if _alike(said[i - 1], ear[j - 1]) else 2):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and costs[i][j] == costs[i - 1][j] + 1:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]


@lru_cache(maxsize=100_000)
def _alike(one: str, other: str) -> bool:
    return one == other or SequenceMatcher(None, one, other).ratio() >= _ALIKE


def _spelled(token: str) -> list[str]:
    if not token.isdecimal() or len(token) > 2:
        return [token]
    number = int(token)
    if number < 20:
        return [_UP_TO_NINETEEN[number]]
    return [_TENS[number // 10]] + ([_UP_TO_NINETEEN[number % 10]] if number % 10 else [])
