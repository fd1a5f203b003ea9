"""An answer that was begun by somebody else: what the model is told of it, and what it says again of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pipelines.parts import Message

_WORD = re.compile(r"\S+\s*")


def begun_note(begun: str) -> str:
    """Told to the model as part of what it is to answer."""
    return (
        f"(You have begun your answer aloud, and the caller has heard: “{begun}” "
        "Go on right after these words. Do not say them again, and do not greet again.)"
    )


def with_begun(messages: Sequence[Message], begun: str) -> list[Message]:
    """``messages``, and that the answer to them was begun with these words."""
    begun = begun.strip()
    if not begun:
        return list(messages)
    last = messages[-1] if messages else None
    if last is not None and last.role == "user":
        return [*messages[:-1], replace(last, content=f"{last.content}\n\n{begun_note(begun)}")]
    return [*messages, Message("user", begun_note(begun))]


class Unrepeated:
    """The text of a model that goes on after ``begun``, as it streams, without ``begun`` if it repeats it.

    Nothing is held back for longer than it takes the text to differ.
    """

    def __init__(self, begun: str) -> None:
        self._expected = [_plain(word) for word in begun.split() if _plain(word)]
        self._held = ""
        self._through = not self._expected

    def push(self, text: str) -> str:
        """What may be said by now."""
        if self._through:
            return text
        self._held += text
        at = matched = 0
        for word in _WORD.finditer(self._held):
            if word.end() == len(self._held) and not word[0][-1].isspace():
                break  # it may go on
            plain = _plain(word[0])
            if plain and plain != self._expected[matched]:
                return self._let_go(0)
            at, matched = word.end(), matched + bool(plain)
            if matched == len(self._expected):
                return self._let_go(at)
        return ""

    def flush(self) -> str:
        """The text is over: what was held back and is no repetition."""
        if self._through:
            return ""
        words = [plain for word in self._held.split() if (plain := _plain(word))]
        if words == self._expected[: len(words)]:
            return self._let_go(len(self._held))
        return self._let_go(0)

    def _let_go(self, start: int) -> str:
        held, self._held, self._through = self._held[start:], "", True
        return held


def _plain(word: str) -> str:
    return "".join(character for character in word.casefold() if character.isalnum())
