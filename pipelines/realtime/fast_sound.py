"""Sound out of a message of JSON, without a parser. Pure."""

from __future__ import annotations

import re


class FastSound:
    """Messages that hold sound and nothing else: ``head`` is a pattern of all before the first character of base64,
    ``tail`` of all from the quotation mark after the last one.

    A pattern for the sound itself would take longer than the parser; finding its end takes next to nothing.
    """

    def __init__(self, head: str, tail: str) -> None:
        self._head_text, self._tail_text = re.compile(head), re.compile(tail)
        self._head_binary, self._tail_binary = re.compile(head.encode()), re.compile(tail.encode())

    def find(self, message: str | bytes) -> str | bytes | None:
        """The base64 as it stands; None where the message is another, or is spelled in another way."""
        if isinstance(message, str):
            found = self._head_text.match(message)
            if found is None:
                return None
            end = message.find('"', found.end())
            text = message[found.end() : end]
            return text if end >= 0 and self._tail_text.fullmatch(message, end) and "\\" not in text else None
        start = self._head_binary.match(message)
        if start is None:
            return None
        end = message.find(b'"', start.end())
        data = message[start.end() : end]
        return data if end >= 0 and self._tail_binary.fullmatch(message, end) and b"\\" not in data else None
