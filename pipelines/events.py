"""What a pipeline tells the call it runs in: a closed union, to be matched exhaustively."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

EndReason = Literal[
    "agent", "caller", "idle", "max_duration", "transferred", "failed", "no_media", "media_lost", "shutdown", "api",
    "busy", "no_answer", "declined", "cancelled", "voicemail", "unavailable",
]  # fmt: skip
"""Why a call ended: a closed list, so that it can be a metric's label."""


@dataclass(frozen=True, slots=True)
class UserSaid:
    """The caller's turn, as it was understood. ``hides``: keys for which ``text`` has stars, and which no log of the
    call may have from here on."""

    text: str
    hides: str | None = None


@dataclass(frozen=True, slots=True)
class AgentSaid:
    """What the caller heard of a generation; ``interrupted`` if that is not all of it."""

    text: str
    generation: int
    interrupted: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnTimings:
    """The parts of an answer's latency, in seconds from the end of the caller's speech; None where there was none."""

    transcript: float
    decision: float
    first_token: float | None
    first_audio: float | None
    """The first sound of the synthesis."""
    heard: float
    """The first sound at the caller's ear."""


@dataclass(frozen=True, slots=True)
class BargedIn:
    """The caller spoke over the agent. ``confirmed`` says whether it was an interruption, ``silent_after`` how long
    after the caller's onset the agent was told to be silent; None where only the model heard the onset."""

    confirmed: bool
    silent_after: float | None


@dataclass(frozen=True, slots=True)
class Guessed:
    """An answer was prepared before the turn was certainly over; ``right``: it could be used."""

    right: bool


@dataclass(frozen=True, slots=True)
class ToolCalled:
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolReturned:
    name: str
    arguments: Mapping[str, Any]
    result: str


@dataclass(frozen=True, slots=True)
class ToolRan:
    """For the audit: what this service did for a call of a function. ``kind`` is its implementation, ``digest`` the
    SHA-256 of its name and the values that it was given, in hex; ``refused`` ones did nothing, and of ``stopped`` ones
    it is not known."""

    name: str
    kind: str
    digest: str
    outcome: Literal["done", "failed", "refused", "stopped"]
    seconds: float


@dataclass(frozen=True, slots=True)
class RestCalled:
    """A function asks a URL: ``request`` has ``url``, ``method``, ``headers`` and ``body``, without its key."""

    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Underran:
    """The caller heard a gap in the middle of a phrase."""

    cause: str
    seconds: float


@dataclass(frozen=True, slots=True)
class PartFailed:
    """A provider failed. ``part`` is ``stt``, ``llm`` or ``tts``."""

    part: Literal["stt", "llm", "tts"]
    provider: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class WatchdogFired:
    """Silence where there should not have been any: what was missing."""

    what: Literal["transcript", "audio"]


@dataclass(frozen=True, slots=True)
class UsageReported:
    """What a part used: ``units`` such as ``input_tokens``, ``characters``, ``audio_seconds``."""

    part: Literal["stt", "llm", "tts"]
    provider: str
    units: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelNoted:
    """Something that a realtime model did, or that was done for it, which is worth counting and no more."""

    what: Literal["late_audio", "not_understood", "fault", "rate_limited", "reconnected", "renewed", "too_much_audio"]
    detail: str = ""


PipelineEvent = (
    UserSaid
    | AgentSaid
    | TurnTimings
    | BargedIn
    | Guessed
    | ToolCalled
    | ToolReturned
    | ToolRan
    | RestCalled
    | Underran
    | PartFailed
    | WatchdogFired
    | UsageReported
    | ModelNoted
)


class PipelineHost(Protocol):
    """The call, as its pipeline sees it. Called on the event loop, and never to wait."""

    @property
    def relief(self) -> bool:
        """Whether somebody goes on with the call where this pipeline cannot. It then ends with ``failed`` at the first
        answer that it owes, and does not apologise."""
        ...

    @property
    def agent_first(self) -> bool:
        """Whether, at set-up, another agent comes before other models of this one."""
        ...

    @property
    def answered_at(self) -> float | None:
        """When the caller was there for the first time, by the event loop's clock: perhaps before this pipeline was.
        None before."""
        ...

    @property
    def caller_holds(self) -> bool:
        """Somebody is asked on the caller's behalf just now: his silence is none."""
        ...

    def on_event(self, event: PipelineEvent) -> None: ...

    def on_saying(self, text: str) -> None:
        """A phrase is about to be spoken: for whoever watches, not for the record."""
        ...

    def wake(self) -> None:
        """Things have changed: a tick is wanted, whatever the last one said of when the next would be."""
        ...

    def end_call(self, reason: EndReason) -> None:
        """There is nothing more to say, and all of it was heard: hang up."""
        ...
