"""Voice detectors behind one interface, and the rules that make starts of their decisions.

What ships is :class:`Trunkline` with :class:`MachineRule`; the others are there to compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import webrtcvad

from media.audio import FRAME_SECONDS, PCM_8K
from media.echo import EchoGate
from media.silero import RATE, WINDOW_SAMPLES, SileroModel, SileroStream, load_model
from media.vad import VoiceActivity
from pipelines.parts import Transcript
from pipelines.turn_events import PauseAgent, SpeechPaused
from pipelines.turns import TurnMachine
from tests.turnbench.recording import Recording, frame_time


class Ear(Protocol):
    """For one stream: is this frame of 20 ms speech? ``played`` is what the agent sends meanwhile."""

    def hear(self, frame: bytes, played: bytes | None) -> bool: ...


class Webrtc:
    """webrtcvad alone."""

    def __init__(self, mode: int) -> None:
        self._vad = webrtcvad.Vad(mode)

    def hear(self, frame: bytes, played: bytes | None) -> bool:
        return bool(self._vad.is_speech(frame, RATE))


class Silero:
    """Silero alone, with the thresholds that its authors give, always listening, its state never reset."""

    _ENTER, _LEAVE = 0.5, 0.35

    def __init__(self, model: SileroModel) -> None:
        self._stream = SileroStream(model)
        self._waiting = np.zeros(0, np.float32)
        self._speaking = False

    def hear(self, frame: bytes, played: bytes | None) -> bool:
        waiting = np.concatenate([self._waiting, np.frombuffer(frame, np.int16).astype(np.float32)])
        if len(waiting) >= WINDOW_SAMPLES:
            (probability,) = self._stream.process(waiting[:WINDOW_SAMPLES])
            self._speaking = probability >= (self._LEAVE if self._speaking else self._ENTER)
            waiting = waiting[WINDOW_SAMPLES:]
        self._waiting = waiting
        return self._speaking


class Trunkline:
    """The product's own: its voice activity behind its echo gate, which is told what is played as playout tells it."""

    def __init__(self, model: SileroModel | None, *, gate: bool = True) -> None:
        self._vad = VoiceActivity(PCM_8K, model)
        self._gate = EchoGate(PCM_8K) if gate else None
        self._now = 0.0

    def hear(self, frame: bytes, played: bytes | None) -> bool:
        voice = self._vad.hear(frame)
        if self._gate is None:
            return voice
        if played is not None:
            self._gate.played(_energy(played), self._now)
        self._now += FRAME_SECONDS
        return self._gate.passes(_energy(frame), self._now) and voice


def _energy(frame: bytes) -> float:
    samples = np.frombuffer(frame, np.int16).astype(np.float32)
    return float(np.dot(samples, samples))


OURS = "trunkline"


def ears() -> Mapping[str, Callable[[], Ear]]:
    """All detectors by name. Without Silero's weights those that need it are left out, and ours does without."""
    model = load_model()
    detectors: dict[str, Callable[[], Ear]] = {
        "webrtc2": lambda: Webrtc(2),
        "webrtc3": lambda: Webrtc(3),
    }
    if model is not None:
        detectors["silero"] = lambda: Silero(model)
    return {**detectors, "trunkline, no gate": lambda: Trunkline(model, gate=False), OURS: lambda: Trunkline(model)}


Voice = Sequence[bool]
"""What an ear decided, frame by frame."""

Open = list[tuple[float, float]]
"""From when to when a rule had it that somebody speaks, in seconds."""


class Rule(Protocol):
    """Makes starts and stops of a detector's decisions."""

    def __call__(self, recording: Recording, voice: Voice) -> Open: ...


class TimedRule:
    """So much speech in a row is a start, so much silence a stop."""

    def __init__(self, start_ms: int = 100, stop_ms: int = 500) -> None:
        self._start, self._stop = start_ms // 20, stop_ms // 20

    def __call__(self, recording: Recording, voice: Voice) -> Open:
        intervals: Open = []
        begun: float | None = None
        run = 0
        for index, voiced in enumerate(voice):
            run = run + 1 if voiced == (begun is None) else 0
            if begun is None and run == self._start:
                begun, run = frame_time(index), 0
            elif begun is not None and run == self._stop:
                intervals.append((begun, frame_time(index)))
                begun, run = None, 0
        return intervals if begun is None else [*intervals, (begun, frame_time(len(voice)))]


class MachineRule:
    """The turn machine while the agent speaks: a start is when the agent is paused. Its recogniser finds no words, and
    the agent speaks again as soon as the machine has done with a sound."""

    _RECOGNISER = 10
    """Frames that it takes."""

    def __call__(self, recording: Recording, voice: Voice) -> Open:
        machine = TurnMachine()
        intervals: Open = []
        begun: float | None = None
        asked = -1
        machine.floor(agent=True)
        for index, voiced in enumerate(voice):
            now = frame_time(index)
            events = list(machine.hear(voiced, now))
            if index == asked:
                events += machine.transcript(Transcript(len(intervals), "", final=True), now)
            for event in events:
                if isinstance(event, PauseAgent):
                    begun = now
                elif isinstance(event, SpeechPaused):
                    asked = index + self._RECOGNISER
            if not machine.caller_speaking:
                machine.floor(agent=True)
                if begun is not None:
                    intervals.append((begun, now))
                    begun = None
        return intervals if begun is None else [*intervals, (begun, frame_time(len(voice)))]
