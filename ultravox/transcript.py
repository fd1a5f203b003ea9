"""The words of one utterance, told in pieces (``delta``) or as a whole (``text``)."""

from __future__ import annotations


class Utterance:
    """What was said so far. Both methods return what is new."""

    __slots__ = ("text",)

    def __init__(self) -> None:
        self.text = ""

    def add(self, piece: str) -> str:
        self.text += piece
        return piece

    def replace(self, text: str) -> str:
        """``text`` is all of it. Where it is not what was told before with more at its end, but a revision, only the
        words beyond as many as were told are new."""
        before, self.text = self.text, text
        if text.startswith(before):
            return text[len(before) :]
        words = text.split()[len(before.split()) :]
        return "".join(f" {word}" for word in words)
