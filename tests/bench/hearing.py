"""What hearing and turn-taking cost: the ears of many calls, fed in turn with dense speech, faster than real time.

In a process that does nothing else, and on the audio's own clock: what is measured is the work, not the waiting. Every
frame goes to the next call's ears, as in life, so that no cache holds what the next frame needs.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NoReturn

from media.audio import FRAME_SECONDS, PCM_8K
from media.echo import EchoGate
from media.levels import energies
from media.silero import load_model
from media.vad import VoiceActivity
from pipelines.ears import Ears
from pipelines.parts import ProviderError, TextToSpeech, Transcript, TranscriptListener
from pipelines.standby import Standby
from pipelines.turn_events import TurnEnded, TurnEvent
from pipelines.turns import TurnSettings
from tests.bench.parts import HEARD
from tests.bench.tape import on_the_line

SHARE = 0.6
"""Of the time in which callers of speech-dense calls speak."""

CALLS = 50
SECONDS = 18.0
ROUNDS = 3
RECOGNISED_FRAMES = 5
ANSWER_FRAMES = 50
"""The agent's answer to each turn, which the echo gate has to reckon with; callers often talk over it."""


class _Stream:
    """Answers each pause with words, 100 ms later."""

    def __init__(self, listener: TranscriptListener) -> None:
        self._listener = listener
        self._segment = 0
        self._frames = 0
        self._due = 0

    def push(self, pcm: bytes) -> None:
        self._frames += 1
        if self._due:
            self._due -= 1
            if not self._due:
                seconds = self._frames * FRAME_SECONDS
                self._listener.on_transcript(Transcript(self._segment, HEARD, final=False, audio_seconds=seconds))

    def speech_started(self) -> None:
        self._due = 0

    def speech_paused(self) -> None:
        self._due = RECOGNISED_FRAMES

    def end_segment(self) -> None:
        self._segment += 1
        self._frames = self._due = 0

    async def close(self) -> None: ...


class _Recogniser:
    name = "bench"
    format = PCM_8K

    async def prepare(self) -> None: ...

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> _Stream:
        return _Stream(listener)

    async def close(self) -> None: ...


class _Call:
    def __init__(self, answer: Sequence[float]) -> None:
        self.now = 0.0
        self.turns = 0
        self._answer = answer
        self._said = len(answer)
        self._gate = EchoGate(PCM_8K)
        self.ears = Ears(
            Standby("stt", [_Recogniser()]),
            None,
            TurnSettings(),
            language="en",
            hints=(),
            format=PCM_8K,
            detector=VoiceActivity(PCM_8K, load_model(), self._gate),
            on_turn=self._on_turn,
            on_error=_fail,
            on_usage=lambda provider, units: None,
            spawn=_spawn_nothing,
            clock=lambda: self.now,
        )

    def step(self, frame: bytes, now: float) -> None:
        self.now = now
        if self._said < len(self._answer):
            self._gate.played(self._answer[self._said], now)
            self._said += 1
            if self._said == len(self._answer):
                self.ears.floor(agent=False)
        self.ears.hear(frame)

    def _on_turn(self, event: TurnEvent, now: float) -> None:
        if isinstance(event, TurnEnded):
            self.turns += 1
            self._said = 0
            self.ears.floor(agent=True)


@dataclass(frozen=True, slots=True)
class Hearing:
    share: float
    """Of the time in which the caller speaks."""
    cpu_ms: float
    """For each second of a call."""
    turns: float
    """For each minute of a call: with none, nothing was measured."""


async def measure(voice: TextToSpeech) -> Hearing:
    """The median of some rounds."""
    speech, _, share = await on_the_line(voice, lambda frames: round(frames / SHARE))
    loudness = energies(b"".join(speech), PCM_8K.frame_samples)
    calls = [_Call(loudness[:ANSWER_FRAMES]) for _ in range(CALLS)]
    starts = [number * len(speech) // CALLS for number in range(CALLS)]
    steps, costs = round(SECONDS / FRAME_SECONDS), []
    for number in range(ROUNDS):
        began = time.process_time()
        for step in range(number * steps, (number + 1) * steps):
            now = step * FRAME_SECONDS
            for call, start in zip(calls, starts, strict=True):
                call.step(speech[(start + step) % len(speech)], now)
        costs.append(1000 * (time.process_time() - began) / (CALLS * SECONDS))
    turns = sum(call.turns for call in calls) / (CALLS * ROUNDS * SECONDS / 60)
    return Hearing(share, median(costs), turns)


def _fail(error: ProviderError) -> NoReturn:
    raise error


def _spawn_nothing(work: Coroutine[Any, Any, None]) -> NoReturn:
    work.close()
    raise AssertionError("no stream is to be renewed here")
