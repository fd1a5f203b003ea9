"""What a call's playout tells, on its way into the conversation and the call's log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, assert_never

from media.ledger import Heard
from media.playout import PlayoutCut, PlayoutEvent, PlayoutFinished, PlayoutStarted, PlayoutUnderrun
from pipelines.events import AgentSaid, PipelineHost, TurnTimings, Underran
from pipelines.history import History, Step


class HeardListener(Protocol):
    def on_first_sound(self, number: int, at: float) -> None:
        """The ear has the first of a generation."""
        ...

    def on_heard(self, event: PlayoutFinished | PlayoutCut) -> None:
        """Of a generation nothing more is heard."""
        ...


def follow(events: Sequence[PlayoutEvent], listener: HeardListener, host: PipelineHost) -> None:
    for event in events:
        match event:
            case PlayoutStarted(number, at):
                listener.on_first_sound(number, at)
            case PlayoutUnderrun(_, cause, seconds):
                host.on_event(Underran(cause, seconds))
            case PlayoutFinished() | PlayoutCut():
                listener.on_heard(event)
            case _:
                assert_never(event)


def enter(steps: Sequence[Step], heard: Heard, history: History, host: PipelineHost) -> None:
    """A generation is over, of which so much was heard."""
    history.agent(steps, heard.steps)
    if heard.text:
        host.on_event(AgentSaid(heard.text, heard.generation, not heard.complete, heard.seconds))


class Timed(Protocol):
    """The caller's turn: when it ended, was understood, and was held to be over."""

    @property
    def speech_ended(self) -> float: ...

    @property
    def transcribed(self) -> float: ...

    @property
    def decided(self) -> float: ...


def timings(turn: Timed, first_token: float | None, first_audio: float | None, heard: float) -> TurnTimings:
    """Of the answer to that turn, from when its parts came."""

    def after(moment: float | None) -> float | None:
        return moment - turn.speech_ended if moment is not None else None

    return TurnTimings(
        turn.transcribed - turn.speech_ended,
        turn.decided - turn.speech_ended,
        after(first_token),
        after(first_audio),
        max(heard - turn.speech_ended, 0.0),
    )
