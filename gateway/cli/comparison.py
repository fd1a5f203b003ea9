"""Did the caller hear what the log says? The ear's transcript against the utterances of the agent, word by word.

A recogniser writes "8" for "eight" and "book" for "booked": numbers are spelled out, and words count as the same if
most of their letters are. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
    """``heard`` is what the recogniser found where ``utterance`` was played, ``found`` counts the ``words`` of the log
    that were among it. ``too_much`` and ``too_little`` count words at its end that the ear heard and the log lacks, and
    those that the log has and the ear did not hear."""

    utterance: Utterance
    heard: str
    words: int
    found: int
    too_much: int = 0
    too_little: int = 0

    @property
    def share(self) -> float:
        """The part of the log's words that was heard."""
        return self.found / self.words if self.words else 1.0

    @property
    def agrees(self) -> bool:
        if not self.utterance.interrupted:
            return self.share >= ENOUGH
        before_the_cut = self.words - self.too_little
        return self.found >= ENOUGH * before_the_cut and max(self.too_much, self.too_little) <= AT_THE_CUT


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
    pairs = _common([word for word, _ in said], [word for word, _ in ear])
    owners = _owners(len(log), {j: said[i][1] for i, j in pairs}, [stretch for _, stretch in ear])
    comparisons = []
    for number, utterance in enumerate(log):
        text = [i for i, (_, owner) in enumerate(said) if owner == number]
        sound = [j for j, owner in enumerate(owners) if owner == number]
        found = [(i, j) for i, j in pairs if said[i][1] == number]
        last_i, last_j = found[-1] if found else (-1, -1)
        comparisons.append(
            Comparison(
                utterance,
                heard=" ".join(ear[j][0] for j in sound),
                words=len(text),
                found=len(found),
                too_much=sum(j > last_j for j in sound),
                too_little=sum(i > last_i for i in text),
            )
        )
    return comparisons


def _common(said: Sequence[str], ear: Sequence[str]) -> list[tuple[int, int]]:
    """The longest common subsequence: pairs of indices, rising."""
    longest = [[0] * (len(ear) + 1) for _ in range(len(said) + 1)]
    for i in reversed(range(len(said))):
        for j in reversed(range(len(ear))):
            if _alike(said[i], ear[j]):
                longest[i][j] = longest[i + 1][j + 1] + 1
            else:
                longest[i][j] = max(longest[i + 1][j], longest[i][j + 1])
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(said) and j < len(ear):
        if _alike(said[i], ear[j]):
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif longest[i + 1][j] >= longest[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def _owners(utterances: int, known: Mapping[int, int], stretches: Sequence[int]) -> list[int]:
    """Which utterance each word at the ear belongs to. One that is in no utterance goes with the word before it in its
    stretch, or the one behind it; a stretch of nothing but such words is the next utterance, as far as there is one."""
    owners: list[int] = []
    for j, stretch in enumerate(stretches):
        same = [k for k, other in enumerate(stretches) if other == stretch and k in known]
        before = [k for k in same if k <= j]
        if same:
            owners.append(known[before[-1] if before else same[0]])
        else:
            earlier = [owner for k, owner in known.items() if k < j]
            later = [owner for k, owner in known.items() if k > j]
            owners.append(min(earlier[-1] + 1 if earlier else 0, later[0] if later else utterances - 1))
    return owners


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
