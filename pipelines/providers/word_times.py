"""Where the words of a text sound, by what a vendor says of the words that it reads aloud. Pure.

Those need not be the words of the text: marks may be left out, "well-known" may be two, "New York" one, and "5" read as
"five". The text's words are told in their order, each once, as soon as it is known that they have sounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipelines.parts import WordTiming

LOOK_AHEAD = 3
"""A word that is none of the text's next is looked for so many words further on."""

_ALIKE_FROM = 3  # letters; shorter words are the beginnings of too many others


class WordTimes:
    """Of one text. Times are seconds from its beginning."""

    def __init__(self, text: str) -> None:
        self._words = text.split()
        self._letters = [_letters(word) for word in self._words]
        self._told = 0
        self._last = 0.0  # the end of the latest word that was told
        self._read = ""  # the letters of the next word that were read
        self._begun: float | None = None  # where it begins
        self._heard_of = False

    def hear(self, words: Sequence[tuple[str, float, float]]) -> list[WordTiming]:
        """Words that are read aloud, each with where it begins and ends; returns those of the text."""
        found: list[WordTiming] = []
        for word, start, end in words:
            letters = _letters(word)
            if letters:
                self._heard_of = True
                found += self._pass_marks()
                found += self._hear(letters, start, end)
        return found

    def rest(self, until: float) -> list[WordTiming]:
        """All of it has sounded, ``until`` seconds after its beginning. Of words that the vendor did not tell of, if it
        told of any, each has its share of the time that is left."""
        return list(self._share(len(self._words), max(until, self._last))) if self._heard_of else []

    def _hear(self, letters: str, start: float, end: float) -> Iterator[WordTiming]:
        if self._told == len(self._words):
            return
        read = self._read + letters
        if not self._fits(read):
            known = self._find(letters)
            if known is None:  # it is read otherwise than it is written
                self._read = ""
                return
            yield from self._share(known, start)
            read = letters
        begun = start if self._begun is None else self._begun
        length = len(read)
        self._begun = begun
        while self._told < len(self._words) and read and read.startswith(self._letters[self._told]):
            read = read.removeprefix(self._letters[self._told])
            done = end - (end - begun) * len(read) / length
            yield self._tell(self._begun, done)
            yield from self._pass_marks()
            self._begun = self._last
        self._read = read
        if not read:
            self._begun = None

    def _fits(self, read: str) -> bool:
        """Whether ``read`` is the beginning of the next words, or they are its."""
        for letters in self._letters[self._told :]:
            if letters.startswith(read):
                return True
            if not read.startswith(letters):
                return False
            read = read.removeprefix(letters)
        return False

    def _find(self, read: str) -> int | None:
        """Which word, not far from here, is read."""
        for at in range(self._told + 1, min(self._told + 1 + LOOK_AHEAD, len(self._words))):
            letters = self._letters[at]
            alike = min(len(letters), len(read)) >= _ALIKE_FROM
            if letters == read or (alike and (letters.startswith(read) or read.startswith(letters))):
                return at
        return None

    def _share(self, upto: int, until: float) -> Iterator[WordTiming]:
        """The words before that one have sounded."""
        self._read, self._begun = "", None
        start, count = self._last, upto - self._told
        for number in range(1, count + 1):
            yield self._tell(self._last, start + (until - start) * number / count)

    def _pass_marks(self) -> Iterator[WordTiming]:
        """A dash by itself takes no time."""
        while self._told < len(self._words) and not self._letters[self._told]:
            yield self._tell(self._last, self._last)

    def _tell(self, start: float, end: float) -> WordTiming:
        start = max(start, self._last)
        self._last = max(start, end)
        self._told += 1
        return WordTiming(self._words[self._told - 1], start, self._last)


def is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9


def _letters(word: str) -> str:
    return "".join(character for character in word.casefold() if character.isalnum())
