"""What Deepgram's wires have in common: where they are, words, and faults. Pure.

Source: deepgram-sdk 7.17.0. Nothing of it was tried against the service itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipelines.parts import ProviderFault
from pipelines.providers.wire import Failed, Malformed, Place, number, text

HOME = "https://api.deepgram.com"
AUDIO = (("encoding", "mulaw"), ("sample_rate", "8000"))
CLOSE_STREAM = '{"type":"CloseStream"}'


def deepgram_at(api_key: str, base_url: str = HOME) -> Place:
    return Place(api_key, base_url, scheme="Token")


def words(data: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Words with where they begin and end, as far as the vendor says so for each."""
    found = data.get("words")
    if not isinstance(found, list) or not all(isinstance(word, dict) for word in found):
        return []
    try:
        return [
            (
                text(word, "punctuated_word" if "punctuated_word" in word else "word"),
                number(word, "start"),
                number(word, "end"),
            )
            for word in found
        ]
    except Malformed:
        return []


def pieces(text: str, most: int) -> Iterator[str]:
    """``text`` in pieces of at most ``most`` characters, cut between words where there are any."""
    while len(text) > most:
        cut = text.rfind(" ", 1, most)
        cut = most if cut < 0 else cut + 1  # the space stays with what it follows: the pieces are one text
        yield text[:cut]
        text = text[cut:]
    yield text


def fault_of(data: dict[str, Any]) -> Failed:
    """An ``Error`` of the vendor."""
    code = data.get("code") or data.get("variant") or ""
    description = data.get("description") or data.get("message") or "an error without a description"
    return Failed(kind_of(str(code)), f"{code!s:.60}: {description}" if code else str(description))


def kind_of(code: str) -> ProviderFault:
    """The kind of what Deepgram calls ``DATA-0000``, ``NET-0001`` and so on."""
    name = code.upper()
    if "AUTH" in name or "FORBIDDEN" in name:
        return "auth"
    if "RATE" in name or "TOO_MANY" in name:
        return "rate_limit"
    if name.startswith("NET"):
        return "timeout"
    if name.startswith(("DATA", "MESSAGE", "BIG", "INVALID", "UNPARSABLE")):
        return "bad_request"
    return "server"


def kind_of_close(code: int, reason: str) -> ProviderFault:
    """Of a socket that was closed with ``code``."""
    if code in (1003, 1007, 1008, 1009):
        return "bad_request" if not reason.upper().startswith("NET") else "timeout"
    return kind_of(reason) if reason[:4].upper() in ("NET-", "DATA") else "unavailable"
