"""From a model's stream of text to pieces that a voice can speak: early, and never in the middle of "Dr. Smith".

The cut depends on the characters alone, never on how they arrived: whether a full stop ends a sentence is decided by
the first character after the gap that follows it, which a model's tokens bring along with the gap.
"""

from __future__ import annotations

import re
import unicodedata

FIRST_CLAUSE = 30
"""The first piece of an answer may end at a comma once it is this long: the caller waits for it. Lengths here count
characters; one of a wide script (Chinese, Japanese, Korean) says as much as three."""

SENTENCE = 24
"""A later sentence shorter than this is spoken together with the next one."""

CLAUSE = 110
"""A later piece may end at a comma once it is this long."""

LONGEST = 220
"""A piece is cut between words, or where a script has no gaps anywhere, rather than be longer."""

_WIDE = 3
_CLOSERS = "\"')]}»”’*_`~」』）】"
_OPENERS = "\"'([{«“‘*_`~"
_ENDS = ".!?…"
_WIDE_ENDS = "。！？"
_PAUSES = ",;:—–"
_WIDE_PAUSES = "、，；："

# Words whose full stop does not end a sentence; single letters and "a.m." are told by their shape.
_ABBREVIATIONS = re.compile(
    "dr|mr|mrs|ms|mx|prof|rev|hon|sr|jr|st|mt|ft|ave|rd|blvd|gen|col|capt|lt|sgt|gov|sen|rep|pres|ph.d|"
    "vs|etc|approx|est|dept|inc|ltd|co|corp|bros|ext|tel|fax|min|max|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|"
    "hr|fr|sra|bzw|ca|usw|evtl|ggf|inkl|nr|str|mme|mlle|sig|dott"
)
# Those that are so only before a number: "No. 5", but "No. We are closed."
_BEFORE_NUMBERS = re.compile("nos?|num|art|fig|sec|vol|pp?|ch")
_LETTERS_AND_DOTS = re.compile(r"(?:[^\W\d]\.)+")
_ENUMERATOR = re.compile(r"(?:^|\n)\s*(?:\d{1,2}|[a-zA-Z])\.$")


class PhraseSplitter:
    """One answer of a model. Feed it with :meth:`push`; :meth:`flush` gives what is left at its end.

    The pieces, put together, are the text that went in, but for the white space where it was cut. ``language`` is the
    tag of what is spoken: outside of English a number with a full stop is taken for an ordinal.
    """

    def __init__(self, language: str = "en") -> None:
        self._ordinals = language.lower().split("-")[0] != "en"
        self._piece = ""
        self._gap = ""
        self._length = 0
        self._looked = 0  # how much of a piece grown too long has no place to be cut at
        self._first = True

    def push(self, text: str) -> list[str]:
        return [piece for character in text if (piece := self._add(character))]

    def flush(self) -> list[str]:
        piece = self._piece
        self._piece, self._gap, self._length, self._looked = "", "", 0, 0
        return [piece] if piece else []

    def _add(self, character: str) -> str:
        """Take one more character; answers the piece that it has shown to be complete, or nothing."""
        if character.isspace():
            self._gap += character
            return ""
        done = ""
        if self._piece and (self._ends_in_gap(character) if self._gap else self._ends_wide(character)):
            done, self._piece, self._length, self._looked = self._piece, "", 0, 0
        elif self._piece:
            self._piece += self._gap
            self._length += len(self._gap)
        self._gap = ""
        self._piece += character
        self._length += _WIDE if _is_wide(character) else 1
        if self._length >= LONGEST and not done:
            done = self._cut()
        self._first = self._first and not done
        return done

    def _ends_in_gap(self, following: str) -> bool:
        """Whether the piece ends at the gap before ``following``."""
        text = self._piece.rstrip(_CLOSERS)
        last = text[-1:]
        if "\n" in self._gap:
            return any(character.isalnum() for character in text) and not _ENUMERATOR.search(text)
        if last and last in _ENDS:
            return self._length >= (2 if self._first else SENTENCE) and self._is_sentence(text, following)
        if last and last in _PAUSES:
            return self._length >= (FIRST_CLAUSE if self._first else CLAUSE)
        return last != "" and last in _WIDE_ENDS

    def _ends_wide(self, following: str) -> bool:
        """The same where no gap is needed."""
        if following in _CLOSERS or following in _WIDE_ENDS:
            return False
        last = self._piece.rstrip(_CLOSERS)[-1:]
        if last and last in _WIDE_ENDS:
            return self._first or self._length >= SENTENCE
        return last != "" and last in _WIDE_PAUSES and self._length >= (FIRST_CLAUSE if self._first else CLAUSE)

    def _is_sentence(self, text: str, following: str) -> bool:
        if following.islower():
            return False
        if not text.endswith(".") or text.endswith(".."):
            return True
        word = text.split()[-1].lstrip(_OPENERS)
        stem = word[:-1].lower()
        if _ABBREVIATIONS.fullmatch(stem) or _LETTERS_AND_DOTS.fullmatch(word) or _ENUMERATOR.search(text):
            return False
        if stem.isdecimal() and len(stem) <= 2 and self._ordinals:
            return False
        return not (_BEFORE_NUMBERS.fullmatch(stem) and following.isdecimal())

    def _cut(self) -> str:
        """The part of a piece grown too long that may be spoken; the rest begins the next one."""
        text = self._piece
        first = max(self._looked, len(text) // 4)
        at = next((at for at in range(len(text) - 1, first - 1, -1) if _may_cut(text, at)), None)
        if at is None:
            if self._length < 2 * LONGEST:
                self._looked = len(text)
                return ""
            at = len(text) - 1
        self._piece, self._looked = text[at:].lstrip(), 0
        self._length = sum(_WIDE if _is_wide(character) else 1 for character in self._piece)
        return text[:at].rstrip()


def _may_cut(text: str, at: int) -> bool:
    """Between words (but not after a full stop, which would be an abbreviation's), or beside a character of a script
    without gaps."""
    before, after = text[at - 1 : at], text[at]
    if after.isspace():
        return before not in "." and not before.isspace()
    if ord(after) < 0x0E00 or ord(before or " ") < 0x0E00:
        return False
    return after not in _CLOSERS + _WIDE_ENDS + _WIDE_PAUSES and not unicodedata.category(after).startswith("M")


def _is_wide(character: str) -> bool:
    return character >= "\u2e80" and unicodedata.east_asian_width(character) in "WF"
