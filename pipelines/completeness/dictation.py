"""Numbers and names that are read out piece by piece: whether they are whole, told by their length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from pipelines.completeness.judgement import Expects, Judgement
from pipelines.completeness.languages import Language, Numbered
from pipelines.completeness.tokens import BREAK

INTERNATIONAL = 10
"""The fewest digits of a telephone number with its country's code."""

NEAR = 6
"""A number is called by its name ("my number is") so many words before it, at most."""

GROUP = (3, 4)
"""Digits of a telephone number that are said in one breath."""

ADDRESS_PARTS = frozenset({"dot", "underscore", "@"})

_DIGITS = re.compile(r"\+?\d+(?:[./]\d+)*")
_POSTCODE = re.compile(r"[a-z]{1,2}\d[a-z\d]?\d[a-z]{2}")
_MIXED = re.compile(r"(?=.*\d)(?=.*[a-z])[a-z\d]{2,5}")
_PENDING = Judgement("open", "digits_pending")
_PLAUSIBLE = Judgement("uncertain", "digits_plausible")
_WHOLE = Judgement("complete", "digits_whole")
_SPELLING = Judgement("open", "spelling")


def dictated(tokens: list[str], language: Language, expects: Expects, wanted: int | None) -> Judgement | None:
    """Judge ``tokens`` if they end in a number or a word that is being read out; None if they do not."""
    if not _may_be_dictated(tokens, language):
        return None
    return _spelled(tokens, language) or _number(tokens, language, expects, wanted)


def _may_be_dictated(tokens: list[str], language: Language) -> bool:
    """A quick no for most texts."""
    last = tokens[-1]
    return (
        len(last) == 1
        or last[0].isdigit()
        or last[0] == "+"
        or any(last in known for known in (language.digits, language.repeats, language.joiners, ADDRESS_PARTS))
        or tokens[-2:-1] == ["@"]
        or _as_in(tokens, len(tokens), language) > 0
        or bool(_MIXED.fullmatch(last))
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """The digits at the end of a text."""

    start: int
    digits: str
    pieces: int  # as they were said: "twenty three" are two
    round: bool  # "hundred": rather a quantity
    unfinished: bool  # "double", "area code"


def _number(tokens: list[str], language: Language, expects: Expects, wanted: int | None) -> Judgement | None:
    run = _run(tokens, language)
    if not run.digits:
        return None
    before = [token for token in tokens[max(0, run.start - NEAR) : run.start] if token != BREAK]
    kind = _called(before, language)
    if wanted is None and kind is Numbered.SHORT:
        wanted = _announced(before, language)
    unasked = expects != "digits" and kind is None
    group = unasked and _may_be_group(run, before, language)
    if unasked and not group and not _sounds_read_out(run, alone=not before):
        return None
    length = len(run.digits.lstrip("+"))
    if run.unfinished:
        return _PENDING
    if wanted is not None:
        return _WHOLE if length >= wanted else _PENDING
    if group:
        return _PLAUSIBLE
    return _PLAUSIBLE if _plausible(run.digits, length, kind, language) else _PENDING


def _plausible(digits: str, length: int, kind: Numbered | None, language: Language) -> bool:
    if kind is not None and kind is not Numbered.PHONE:
        return length >= kind
    if digits.startswith(("+", "00")):
        return length >= INTERNATIONAL
    lengths = language.national if digits[0] == "0" else language.plain
    return length in lengths or length > max(lengths)


def _sounds_read_out(run: _Run, *, alone: bool) -> bool:
    """Whether digits without a name are more than a quantity, an hour or a year."""
    if run.round:
        return False
    length = len(run.digits)
    by_one = run.pieces == length
    return (
        length >= 5
        or (run.digits[0] in "0+" and length >= 3)
        or (by_one and run.pieces >= (2 if alone else 3))
        or (run.unfinished and by_one and run.pieces > 1)
    )


def _may_be_group(run: _Run, before: list[str], language: Language) -> bool:
    """Whether three or four digits that a recogniser wrote as one, with nothing but "it's" before them, may be the
    first of a longer number. Hundreds are rather a quantity, and after "it's" a year is a year."""
    if run.pieces != 1 or len(run.digits) not in GROUP or run.digits.endswith("00"):
        return False
    if before and len(run.digits) == 4 and run.digits[:2] in ("19", "20"):
        return False
    passing = (language.links, language.answers, language.courtesies, language.fillers)
    return all(any(word in known for known in passing) for word in before)


def _called(before: list[str], language: Language) -> Numbered | None:
    for index in range(len(before) - 1, -1, -1):
        pair = " ".join(before[index - 1 : index + 1]) if index else ""
        kind = language.numbered.get(pair) or language.numbered.get(before[index])
        if kind is not None:
            return kind
        if before[index] not in language.links and before[index] not in language.joiners:
            return None
    return None


def _announced(before: list[str], language: Language) -> int | None:
    """Four, of "the last four digits are"."""
    for number, noun in pairwise(before):
        if noun == "digits":
            spoken = number if number.isdecimal() else language.digits.get(number, "")
            return int(spoken) if spoken else None
    return None


def _run(tokens: list[str], language: Language) -> _Run:
    start = len(tokens)
    first = start
    while start:
        token = tokens[start - 1]
        if _digits_of(token, language) is not None or token in language.repeats:
            first = start - 1
        elif token not in language.joiners and token != BREAK:
            break
        start -= 1
    digits, pieces, times, quantity = "", 0, 1, False
    tens = False
    for token in tokens[first:]:
        if token in language.repeats:
            times = language.repeats[token]
            continue
        spoken = _digits_of(token, language)
        if spoken is None:
            continue
        if spoken in ("00", "000") and not token[0].isdigit():
            quantity = True
            digits += spoken
        elif tens and len(spoken) == 1 and not token[0].isdigit():
            digits = digits[:-1] + spoken
        else:
            digits += spoken * times
            pieces += times
        tens = len(spoken) == 2 and spoken[0] > "1" and spoken[1] == "0" and not token[0].isdigit()
        times = 1
    return _Run(first, digits, pieces, quantity and pieces < 4, _digits_of(tokens[-1], language) is None)


def _digits_of(token: str, language: Language) -> str | None:
    spoken = language.digits.get(token)
    if spoken is not None:
        return spoken
    if _DIGITS.fullmatch(token) and not ("." in token and token.count(".") < 2):
        return token.replace(".", "").replace("/", "")
    return None


def _spelled(tokens: list[str], language: Language) -> Judgement | None:
    if _is_address_begun(tokens):
        return _SPELLING
    said = list(_letters(tokens, language))[::-1]
    spelt = "".join(said)
    first = 1 if said and said[0] in language.short else 0
    letters = sum(len(piece) == 1 and piece.isalpha() and piece not in language.digits for piece in said[first:])
    mixed = any(_MIXED.fullmatch(piece) for piece in said)
    announced = tokens[-2:-1] != [] and tokens[-2] in language.spelling
    if not (letters or mixed) or not (len(said) - first > 1 or announced or _as_in(tokens, len(tokens), language)):
        return None
    if not spelt.isalpha():
        return _PLAUSIBLE if _POSTCODE.fullmatch(spelt) else _SPELLING
    if len(spelt) >= 3 and spelt in tokens:
        return Judgement("complete", "spelled_word")
    return _SPELLING


def _letters(tokens: list[str], language: Language) -> Iterator[str]:
    """From the last one back: letters, and digits between them."""
    at = len(tokens)
    while at:
        token = tokens[at - 1]
        repeat = language.repeats.get(tokens[at - 2], 1) if at > 1 else 1
        if example := _as_in(tokens, at, language):
            yield tokens[at - example]
            at -= example
        elif len(token) == 1 and token.isalpha():
            for _ in range(repeat):
                yield token
            at -= 2 if repeat > 1 else 1
        elif _MIXED.fullmatch(token) or (token.isdigit() and len(token) <= 2):
            yield token
            at -= 1
        elif token in language.digits and len(language.digits[token]) == 1:
            yield language.digits[token]
            at -= 1
        elif token in language.joiners or token == BREAK:
            at -= 1
        else:
            return


def _as_in(tokens: list[str], at: int, language: Language) -> int:
    """How many words before ``at`` are "b for bravo", or "b as in bravo"; 0 if they are not."""
    word = tokens[at - 1]
    for length in (3, 4):
        letter = tokens[at - length] if at >= length else " "
        joined = all(joiner in language.as_in for joiner in tokens[at - length + 1 : at - 1])
        if len(letter) == 1 and joined and len(word) > 2 and word.startswith(letter) and letter.isalpha():
            return length
    return 0


def _is_address_begun(tokens: list[str]) -> bool:
    """An e-mail address without its end."""
    return tokens[-1] in ADDRESS_PARTS or tokens[-2:-1] == ["@"]
