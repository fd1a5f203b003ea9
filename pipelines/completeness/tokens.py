"""A recogniser's text as lower-case words, whatever it did about capitals and marks."""

from __future__ import annotations

import re

LONGEST = 40
"""Only the last words are looked at: a turn's end is there."""

BREAK = "."
"""Stands where a sentence may end inside the text."""

_TOKEN = re.compile(
    r"[ap]\.\s?m\b\.?|(?<=\d )[ap] m\b"
    r"|[$£€+]?\d+(?:[.,:/]\d+)*(?:st|nd|rd|th|am|pm)?(?![^\W\d_])"
    r"|[^\W_]+(?:'[^\W_]+)*'?|@|[.!?](?=\s|$)"
)
_CLOCK = re.compile(r"[ap][. ]\s?m\.?")
_MARKS = frozenset(".!?")
_TITLES = frozenset({"mr", "mrs", "ms", "dr", "st", "prof", "no", "hr", "fr", "sr", "sra", "mme", "dott"})


def words(text: str) -> list[str]:
    """The last words of ``text``, with :data:`BREAK` between sentences; marks after the last word are left out."""
    tail = " ".join(text.split()[-LONGEST:]).lower().replace("’", "'").replace("´", "'")
    found: list[str] = []
    for word in _TOKEN.findall(tail):
        if word in _MARKS:
            if found and found[-1] != BREAK and (word != "." or _ends_sentence(found[-1])):
                found.append(BREAK)
        elif len(word) > 2 and word[1] in ". " and _CLOCK.fullmatch(word):
            found.append("o'clock")
        else:
            found.append(word)
    if found and found[-1] == BREAK:
        found.pop()
    return found


def _ends_sentence(word: str) -> bool:
    return word not in _TITLES and (len(word) > 1 or word.isdigit())
