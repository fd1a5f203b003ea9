"""How a script listens: phrases found in what a recogniser wrote, whatever its spelling, and times of day."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_WORD = re.compile(r"\d{1,2}[:.]\d{2}|[\w']+")
_LONGEST_CAPTURE = 3
_FUZZY_FROM = 5  # letters; shorter words differ from each other by one too often

_SMALL = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
_NUMBERS = {
    **{word: value for value, word in enumerate(_SMALL)},
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
}
_SAID = {value: word for word, value in _NUMBERS.items()}
# What recognisers write for numbers, where only a number makes sense.
_MISHEARD = {"to": "two", "too": "two", "for": "four", "fore": "four", "won": "one", "ate": "eight"}


def words(text: str) -> list[str]:
    """The words of ``text``, small, without punctuation; "half-past" is two, "3:30" one."""
    return [word.strip("'") for word in _WORD.findall(text.lower().replace("’", "'").replace("o'clock", "oclock"))]


def alike(heard: str, word: str) -> bool:
    """The same word, or, for words long enough to tell, one letter off ("tuesdays", "apointment")."""
    if heard == word:
        return True
    if _NUMBERS.get(word) is not None and heard.isdecimal():
        return int(heard) == _NUMBERS[word]
    if min(len(heard), len(word)) < _FUZZY_FROM or abs(len(heard) - len(word)) > 1:
        return False
    start = next((at for at, (a, b) in enumerate(zip(heard, word, strict=False)) if a != b), min(len(heard), len(word)))
    return (
        heard[start + 1 :] == word[start + 1 :]
        or heard[start:] == word[start + 1 :]
        or heard[start + 1 :] == word[start:]
    )


def find(phrase: str, said: Sequence[str]) -> list[str] | None:
    """The words that ``phrase`` captures if it is somewhere in ``said``, else None. A phrase is as scripts have it."""
    if phrase.strip() == "*":
        return []
    before, _, rest = phrase.partition("{")
    _, capture, after = rest.partition("}")
    head, tail = words(before), words(after)
    for start in range(len(said) - len(head) + 1):
        at = start + len(head)
        if not _same(said[start:at], head):
            continue
        if not capture:
            return []
        for length in range(min(_LONGEST_CAPTURE, len(said) - at), 0, -1):
            if _same(said[at + length : at + length + len(tail)], tail):
                return list(said[at : at + length])
    return None


def _same(heard: Sequence[str], expected: Sequence[str]) -> bool:
    return len(heard) == len(expected) and all(map(alike, heard, expected))


def time_of_day(said: Sequence[str]) -> str | None:
    """The first time in ``said``, as one says it: "three o'clock", "half past ten", "ten fifteen"."""
    return next((time for at in range(len(said)) if (time := _time_at(said, at)) is not None), None)


def _time_at(said: Sequence[str], at: int) -> str | None:
    def number(offset: int, *, sure: bool = False) -> int | None:
        if at + offset >= len(said):
            return None
        word = said[at + offset]
        word = word if sure else _MISHEARD.get(word, word)
        return int(word) if word.isdecimal() else _NUMBERS.get(word)

    def follows(offset: int, *choices: str) -> bool:
        return said[at + offset : at + offset + 1] != [] and said[at + offset] in choices

    word = said[at]
    if clock := re.fullmatch(r"(\d{1,2})[:.](\d{2})", word):
        return _spell(int(clock[1]), int(clock[2]))
    if word == "half" and follows(1, "past", "passed", "pass") and (hour := number(2)):
        return _spell(hour, 30)
    if word == "quarter" and follows(1, "past", "passed", "pass") and (hour := number(2)):
        return _spell(hour, 15)
    if word == "quarter" and follows(1, "to", "two") and (hour := number(2)):
        return _spell(hour - 1 or 12, 45)
    if word == "noon" or word == "midday":
        return "noon"
    hour = number(0, sure=True)
    if hour is None:
        if follows(1, "oclock", "clock") and (hour := number(0)):
            return _spell(hour, 0)
        if word == "at" and (hour := number(1)):
            return _spell(hour, number(2, sure=True) or 0)
        return None
    if follows(1, "oclock", "clock", "pm", "am", "p", "a") or (at and said[at - 1] in ("at", "around", "about")):
        return _spell(hour, number(1, sure=True) or 0)
    minute = number(1, sure=True)
    return _spell(hour, minute) if minute is not None and minute >= 10 else None


def _spell(hour: int, minute: int) -> str | None:
    if not (0 < hour <= 24 and minute in (0, 10, 15, 20, 30, 40, 45, 50)):
        return None
    hour = (hour - 1) % 12 + 1
    match minute:
        case 0:
            return f"{_SAID[hour]} o'clock"
        case 15:
            return f"quarter past {_SAID[hour]}"
        case 30:
            return f"half past {_SAID[hour]}"
        case 45:
            return f"quarter to {_SAID[hour % 12 + 1]}"
        case _:
            return f"{_SAID[hour]} {_SAID[minute]}"


def captures(patterns: Sequence[str], said: Sequence[str]) -> Iterator[str]:
    for pattern in patterns:
        if found := find(pattern, said):
            yield " ".join(found)
