"""A recogniser's text as lower-case words, whatever it did about capitals and marks."""

from __future__ import annotations

import re

LONGEST = 40
"""Only the last words are looked at: a turn's end is there."""

BREAK = "."
"""Stands where a sentence may end inside the text."""

_TOKEN = re.compile(
    r"(?P<clock>[ap]\.\s?m\b\.?|(?<=\d )[ap] m\b)|[$£€+]?\d+(?:[.,:/]\d+)*(?:st|nd|rd|th|am|pm)?(?![^\W\d_])"
    r"|[^\W_]+(?:['’´][^\W_]+)*['’]?|[@.!?]"
)
_TITLES = frozenset({"mr", "mrs", "ms", "dr", "st", "prof", "no", "hr", "fr", "sr", "sra", "mme", "dott"})


def words(text: str) -> list[str]:
    """The last words of ``text``, with :data:`BREAK` between sentences; marks after the last word are left out."""
    tail = " ".join(text.split()[-LONGEST:]).lower()
    found: list[str] = []
    for match in _TOKEN.finditer(tail):
        word = match[0]
        if word in ".!?":
            after = tail[match.end() : match.end() + 1]
            if found and found[-1] != BREAK and after in ("", " ") and (word != "." or _ends_sentence(found[-1])):
                found.append(BREAK)
        elif match["clock"]:
            found.append("o'clock")
        else:
            found.append(word.replace("’", "'").replace("´", "'"))
    if found and found[-1] == BREAK:
        found.pop()
    return found


def _ends_sentence(word: str) -> bool:
    return word not in _TITLES and (len(word) > 1 or word.isdigit())
