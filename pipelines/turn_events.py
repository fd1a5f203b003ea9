"""What the turn machine says: a closed union, to be matched exhaustively. Times are seconds of one monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller speaks: tell the recogniser. ``at`` is when it began, as far as can be told."""

    at: float


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """The caller paused: a transcript is wanted now, and a semantic detector's opinion."""


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The caller goes on after a pause: tell the recogniser. What was prepared for the pause is void."""


@dataclass(frozen=True, slots=True)
class SpeechDropped:
    """It was nothing: a noise, a cough, a backchannel. ``deaf`` if there was speech enough, and no transcript came."""

    deaf: bool = False


@dataclass(frozen=True, slots=True)
class PauseAgent:
    """Somebody speaks over the agent: silence, until it is decided."""

    since: float


@dataclass(frozen=True, slots=True)
class ResumeAgent:
    """It was no interruption: the agent goes on where the caller last heard it."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """It is one: the agent's generation is over."""

    since: float


@dataclass(frozen=True, slots=True)
class TurnLikely:
    """The turn is likely over with these words: an answer may be prepared, not spoken. A :class:`TurnEnded` with the
    same text confirms it; anything else makes it void."""

    text: str


@dataclass(frozen=True, slots=True)
class TurnUnlikely:
    """It is not over after all, or not with those words: what was prepared is void."""


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The caller has said ``text``, and the agent is to answer. Times: when the speech ended, when its transcript came,
    when it was decided. ``cut``: the caller talks on, and has talked for long enough."""

    text: str
    speech_ended: float
    transcribed: float
    decided: float
    cut: bool = False


TurnEvent = (
    SpeechStarted
    | SpeechPaused
    | SpeechResumed
    | SpeechDropped
    | PauseAgent
    | ResumeAgent
    | Interrupted
    | TurnLikely
    | TurnUnlikely
    | TurnEnded
)
