"""When a caller's turn is taken to be over: too late keeps him waiting, too early cuts him off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipelines.turn_events import (
    Interrupted,
    PauseAgent,
    ResumeAgent,
    SpeechDropped,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    TurnEnded,
    TurnEvent,
)
from pipelines.turns import TurnMachine
from tests.turnbench.detectors import TimedRule, Voice
from tests.turnbench.recogniser import StreamingRecogniser
from tests.turnbench.recording import Recording, frame_time
from tests.turnbench.semantic import LATENCY, Semantic

PAUSES_MS = (300, 500, 700, 1000, 1200, 1500)
"""What pauses are counted as: the nearest of these."""

_UNNOTICED = 0.3
"""Whoever decides so soon after the caller went on has not noticed that he did."""

Decider = Callable[[Recording, Voice], list[float]]
"""The times at which somebody holds that the turn is over."""


def by_silence(stop_ms: int) -> Decider:
    """After so much silence."""
    rule = TimedRule(100, stop_ms)

    def decide(recording: Recording, voice: Voice) -> list[float]:
        last = frame_time(len(voice) - 1)
        return [stop for _, stop in rule(recording, voice) if stop < last]

    return decide


@dataclass(slots=True)
class Conversation:
    """A turn machine with its recogniser, driven as the cascade drives them."""

    recording: Recording
    machine: TurnMachine
    recogniser: StreamingRecogniser
    semantic: Semantic | None = None
    events: list[tuple[float, TurnEvent]] = field(default_factory=list)

    _onset: float = 0.0
    _answer: tuple[float, float] | None = None
    """Of the semantic detector: when it comes, and what it is."""

    def run(self, voice: Voice) -> None:
        for index, voiced in enumerate(voice):
            now = frame_time(index)
            if self._answer is not None and now >= self._answer[0]:
                probability, self._answer = self._answer[1], None
                self._take(self.machine.semantic(probability, now), now)
            for transcript in self.recogniser.transcripts(now):
                self._take(self.machine.transcript(transcript, now), now)
            self._take(self.machine.hear(voiced, now), now)
            self._take(self.machine.tick(now), now)

    def _take(self, events: Sequence[TurnEvent], now: float) -> None:
        for event in events:
            self.events.append((now, event))
            match event:
                case SpeechStarted(at):
                    self._onset = at
                    self.recogniser.speech_started(at)
                case SpeechPaused():
                    self.recogniser.speech_paused(now)
                    if self.semantic is not None:
                        probability = self.semantic.probability(self.recording, self._onset, now)
                        self._answer = now + LATENCY, probability
                case SpeechResumed():
                    self._answer = None
                case TurnEnded() | SpeechDropped():
                    self._answer = None
                    self.recogniser.end_segment(now)
                case _:
                    pass


def by_machine(*, told: bool = True, semantic: Semantic | None = None) -> Decider:
    """What ships: the turn machine, with a streaming recogniser at hand, or with one that understands nothing."""

    def decide(recording: Recording, voice: Voice) -> list[float]:
        recogniser = StreamingRecogniser(recording.name, recording.words, told=told)
        machine = TurnMachine()
        machine.expect(recording.expects)
        conversation = Conversation(recording, machine, recogniser, semantic)
        conversation.run(voice)
        return [now for now, event in conversation.events if isinstance(event, TurnEnded)]

    return decide


@dataclass(slots=True)
class Ends:
    """Of one decider, under one condition."""

    delays: list[float] = field(default_factory=list)
    never: int = 0
    cut_in_speech: int = 0
    pauses: dict[int, list[bool]] = field(default_factory=dict)
    """For each nominal length in ms, whether each such pause was cut."""

    @property
    def turns(self) -> int:
        return len(self.delays) + self.never

    def cut_rate(self, pause_ms: int) -> float:
        """nan where there was no such pause."""
        cut = self.pauses.get(pause_ms)
        return sum(cut) / len(cut) if cut else float("nan")

    def add(self, recording: Recording, decisions: Sequence[float]) -> None:
        begin, end = recording.speech[0][0], recording.speech[-1][1]
        delay = next((at - end for at in decisions if at >= end), None)
        if delay is None:
            self.never += 1
        else:
            self.delays.append(delay)
        windows = [(pause, resumed + _UNNOTICED) for pause, resumed in recording.pauses]
        for (pause, resumed), (first, last) in zip(recording.pauses, windows, strict=True):
            nominal = min(PAUSES_MS, key=lambda ms: abs(ms - 1000 * (resumed - pause)))
            self.pauses.setdefault(nominal, []).append(any(first <= at < last for at in decisions))
        self.cut_in_speech += any(
            begin <= at < end and not any(first <= at < last for first, last in windows) for at in decisions
        )


@dataclass(slots=True)
class Overs:
    """Sounds of one kind while the agent speaks: a pause each, and then?"""

    count: int = 0
    paused: int = 0
    interrupted: int = 0
    taken: int = 0
    """How many became a turn of the caller: after the others the agent goes on, interrupted or not."""
    resumed: int = 0
    pauses: list[float] = field(default_factory=list)
    """How long the agent was silent before he went on, in seconds."""
    confirmed: list[float] = field(default_factory=list)
    """From the true onset of speech to the decision that it is an interruption."""

    def add(self, recording: Recording, voice: Voice) -> None:
        machine = TurnMachine()
        machine.floor(agent=True)
        conversation = Conversation(recording, machine, StreamingRecogniser(recording.name, recording.words))
        conversation.run(voice)
        self.count += 1
        since: float | None = None
        for now, event in conversation.events:
            match event:
                case PauseAgent() if since is None:
                    since = now
                    self.paused += 1
                case ResumeAgent() if since is not None:
                    self.resumed += 1
                    self.pauses.append(now - since)
                case Interrupted():
                    self.interrupted += 1
                    if recording.speech:
                        self.confirmed.append(now - recording.speech[0][0])
                case TurnEnded():
                    self.taken += 1
                    break
                case _:
                    continue
