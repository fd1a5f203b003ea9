"""What Deepgram's wires have in common: where they are, JSON, faults, and the words of a segment. Pure.

Source: deepgram-sdk 7.17.0. Nothing of it was tried against the service itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from pipelines.parts import ProviderError, ProviderFault, Transcript

HOME = "https://api.deepgram.com"
AUDIO = (("encoding", "mulaw"), ("sample_rate", "8000"))
CLOSE_STREAM = '{"type":"CloseStream"}'

_MOST_DESCRIPTION = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where Deepgram is, and the key to it. ``base_url`` begins with http or https; without a key none is sent."""

    api_key: str = field(repr=False)
    base_url: str = HOME

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("DEEPGRAM_BASE_URL has to begin with http:// or https://")

    def url(self, path: str, query: Sequence[tuple[str, str]]) -> str:
        return f"ws{self.base_url.rstrip('/').removeprefix('http')}{path}?{urlencode(query)}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Token {self.api_key}"} if self.api_key else {}

    def without_key(self, text: str) -> str:
        """What the vendor wrote, fit for a log."""
        short = " ".join(text.split())[:_MOST_DESCRIPTION]
        return short.replace(self.api_key, "…") if self.api_key else short


@dataclass(frozen=True, slots=True)
class Failed:
    """The vendor says that this socket is of no use any more."""

    kind: ProviderFault
    message: str


@dataclass(frozen=True, slots=True)
class Strange:
    """A message that is none of the wire's; it is passed over."""

    what: str


HearingEvent = Transcript | Failed | Strange


class HearingProtocol(Protocol):
    """One call's recognition. Positions are seconds of the caller's sound, from the beginning of the stream; they go
    on over sockets, the time of the vendor does not. What the methods return is text to be sent."""

    path: str
    settled: float
    """Sound up to here is transcribed for good: another socket need not hear it again."""
    idle: str | bytes
    """What is sent while there is no sound."""

    def query(self) -> list[tuple[str, str]]: ...

    def connected(self, origin: float) -> None:
        """Another socket, whose time begins at ``origin``."""
        ...

    def replayed(self) -> Sequence[str]:
        """What was kept of the sound was sent to it."""
        ...

    def speech_started(self, at: float) -> Sequence[str]: ...

    def speech_paused(self, at: float, now: float) -> Sequence[str]: ...

    def end_segment(self, at: float) -> Sequence[str]: ...

    def receive(self, message: str | bytes, now: float) -> Sequence[HearingEvent]: ...


class Malformed(Exception):
    """A message is not what the wire promises."""


def parse(message: str | bytes) -> dict[str, Any]:
    if isinstance(message, bytes):
        raise Malformed("binary data")
    try:
        data = json.loads(message)
    except (ValueError, RecursionError):
        raise Malformed("what is no JSON") from None
    if not isinstance(data, dict) or not isinstance(data.get("type"), str):
        raise Malformed("a message without a type")
    return data


def text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise Malformed(f"a message {data.get('type', '')!s:.40} without the text {name}")
    return value


def number(data: dict[str, Any], name: str) -> float:
    value = data.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e9:
        raise Malformed(f"a message {data.get('type', '')!s:.40} without the number {name}")
    return float(value)


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


def failure(error: Failed, place: Place, name: str) -> ProviderError:
    return ProviderError(name, error.kind, place.without_key(error.message))


ONSET_SECONDS = 0.1
"""Voice activity notices speech so long after it began."""

PRE_ROLL_SECONDS = 0.6
"""Words that ended longer before the voice activity noticed speech are no part of it."""


RESUMED_SECONDS = 0.3
"""Of a pause, so much before the voice activity notices that the caller goes on counts as speech."""


class Segment:
    """The words since the last turn: pieces that are settled, and what is said of the rest."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.begins = 0.0
        """The position before which nothing belongs to it."""
        self.onset: float | None = None
        self.paused: float | None = None
        self._pauses: list[tuple[float, float]] = []
        self._pieces: list[tuple[float, str]] = []
        self._tentative = ""

    def speech_started(self, at: float) -> None:
        if self.paused is not None and at - RESUMED_SECONDS > self.paused:
            self._pauses.append((self.paused, at - RESUMED_SECONDS))
        self.paused = None
        if self.onset is None:
            self.onset = max(self.begins, at - ONSET_SECONDS)
            self.begins = max(self.begins, at - PRE_ROLL_SECONDS)
            self._pieces = [piece for piece in self._pieces if piece[0] > self.begins]

    def end(self, at: float) -> None:
        """The next segment. What is said after a pause that was not taken up again is its."""
        self.number += 1
        self.begins = at if self.paused is None else self.paused
        self.onset = self.paused = None
        self._pauses.clear()
        self._pieces.clear()
        self._tentative = ""

    def mine(self, said: str, timed: Sequence[tuple[str, float, float]], origin: float) -> str:
        """``said`` without what was said before the segment; ``timed`` are its words, if they are known."""
        if not timed or origin + timed[0][1] >= self.begins:
            return said.strip()
        return " ".join(word for word, start, end in timed if origin + (start + end) / 2 > self.begins)

    def settle(self, said: str, end: float) -> None:
        self._tentative = ""
        if said:
            self._pieces.append((end, said))

    def suppose(self, said: str) -> None:
        self._tentative = said

    @property
    def text(self) -> str:
        return " ".join([*(piece for _, piece in self._pieces), *([self._tentative] if self._tentative else [])])

    def transcript(self, covered: float, *, took: float = 0.0, over: bool = False) -> Transcript:
        """``covered``: the position up to which the text holds all that was said. Pauses are no sound that was said:
        the turn machine leaves them out, too."""
        onset = self.begins if self.onset is None else self.onset
        silent = sum(min(end, covered) - start for start, end in self._pauses if start < covered)
        return Transcript(self.number, self.text, False, max(covered - onset - silent, 0.001), max(took, 0.0), over)
