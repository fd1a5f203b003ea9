"""What the wires of vendors have in common: where a vendor is, JSON, what it says of a caller, and faults. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from pipelines.json_text import json_object
from pipelines.parts import ProviderError, ProviderFault, Transcript

MOST_DESCRIPTION = 300


@dataclass(frozen=True, slots=True)
class Place:
    """Where a vendor is, and the key to it. ``base_url`` begins with http or https; without a key none is sent.

    The key goes into ``header``, after ``scheme`` if there is one; ``headers_besides`` go with every request.
    """

    api_key: str = field(repr=False)
    base_url: str
    header: str = "Authorization"
    scheme: str = "Bearer"
    headers_besides: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"the base URL {self.base_url!r} of a provider has to begin with http:// or https://")

    def url(self, path: str, query: Sequence[tuple[str, str]] = ()) -> str:
        """Of a WebSocket: ws follows from http, and wss from https."""
        asked = f"?{urlencode(query)}" if query else ""
        return f"ws{self.base_url.rstrip('/').removeprefix('http')}{path}{asked}"

    @property
    def headers(self) -> dict[str, str]:
        key = {self.header: f"{self.scheme} {self.api_key}".strip()} if self.api_key else {}
        return {**self.headers_besides, **key}


@dataclass(frozen=True, slots=True)
class Failed:
    """The vendor says that this socket is of no use any more."""

    kind: ProviderFault
    message: str


@dataclass(frozen=True, slots=True)
class Strange:
    """A message that is none of the wire's; it is passed over."""

    what: str


@dataclass(frozen=True, slots=True)
class Consumed:
    """What the vendor says that it used: ``units`` as in :class:`pipelines.events.UsageReported`."""

    units: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Renew:
    """Another socket is wanted, for this one will not last: no fault."""


HearingEvent = Transcript | Failed | Strange | Consumed | Renew


class HearingProtocol(Protocol):
    """One call's recognition over a socket. Positions are seconds of the caller's sound, from the beginning of the
    stream; they go on over sockets, the time of the vendor does not. What the methods return is to be sent."""

    path: str
    settled: float
    """Sound up to here is transcribed for good: another socket need not hear it again."""
    idle: str | bytes | None
    """What is sent while there is no sound: a message, or (as bytes) sound; None is nothing."""
    goodbye: str | None
    """What ends the stream, so that the vendor closes."""
    reports_usage: bool
    """It sends :class:`Consumed`. Otherwise the seconds of sound that were sent count."""

    def query(self) -> list[tuple[str, str]]: ...

    def connected(self, origin: float) -> Sequence[str]:
        """Another socket, whose time begins at ``origin``: what is sent before any sound."""
        ...

    def audio(self, pcm: bytes) -> str | bytes:
        """The message that carries this sound; an empty one is not sent. On the audio path."""
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


def parse(message: str | bytes, kind: str | None = "type") -> dict[str, Any]:
    """A JSON object, whose ``kind`` is text."""
    if isinstance(message, bytes):
        raise Malformed("binary data")
    data = json_object(message)
    if data is None:
        raise Malformed("what is no JSON object")
    if kind is not None and not isinstance(data.get(kind), str):
        raise Malformed(f"a message without a {kind}")
    return data


def text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise Malformed(f"a message {data.get('type', '')!s:.40} without the text {name}")
    return value


def number(data: Mapping[str, Any], name: str) -> float:
    """Not negative."""
    value = data.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e9:
        raise Malformed(f"a message {data.get('type', '')!s:.40} without the number {name}")
    return float(value)


def failure(error: Failed, place: Place, name: str) -> ProviderError:
    return ProviderError(name, error.kind, fit_for_log(error.message, place.api_key))


def fit_for_log(said: str, api_key: str) -> str:
    """What a vendor wrote: in one line, not too long, and without the key, even if that is in it."""
    line = " ".join(said.split())
    return (line.replace(api_key, "…") if api_key else line)[:MOST_DESCRIPTION]  # cut last: half a key is not found


def kind_of_close(code: int, reason: str) -> ProviderFault:
    """Of a socket that was closed with ``code``, where the vendor's reasons are not known."""
    return "bad_request" if code in (1003, 1007, 1008, 1009) else "unavailable"
