"""Scripted callers: people who speak, wait, interrupt, cough, press keys and hang up, by what they hear and by time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from jambonz.simulator.ear import AUDIBLE_PEAK, Ear, peak_of
from media.audio import FRAME_SECONDS, PCM_8K, AudioFormat, Clip
from media.convert import Converter

SAME_SPEECH_SECONDS = 0.3
"""Silence shorter than this is a pause within the agent's speech."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Say nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Speak:
    """Say ``clip``: PCM16 at 8 kHz as bytes, or a :class:`Clip` of any rate."""

    clip: Clip | bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AwaitAgentSpeech:
    """Wait until the agent is heard."""

    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class AwaitAgentSilence:
    """Wait until the agent has said something since the caller's last word and has then been silent for ``min_gap``."""

    min_gap: float = 0.7
    timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class Until:
    """Say nothing until something is so that the script cannot hear: ``condition`` is asked every 20 ms."""

    condition: Callable[[], bool] = field(repr=False)
    timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class BargeIn:
    """Say ``clip`` when the agent has been speaking for ``after`` seconds, whatever the agent does."""

    clip: Clip | bytes = field(repr=False)
    after: float = 1.0
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Cough:
    """A burst of noise."""

    ms: int = 150
    amplitude: int = 9000


@dataclass(frozen=True, slots=True)
class Dtmf:
    """Press keys one after the other. They travel as events (RFC 4733); the sound meanwhile is silence."""

    digits: str
    ms: int = 120
    gap_ms: int = 120


@dataclass(frozen=True, slots=True)
class LosePackets:
    """No RTP arrives from the caller at all."""

    seconds: float


@dataclass(frozen=True, slots=True)
class HangUp:
    pass


Step = Wait | Speak | AwaitAgentSpeech | AwaitAgentSilence | Until | BargeIn | Cough | Dtmf | LosePackets | HangUp


@dataclass(slots=True)
class StepRecord:
    """When a step ran, on the loop's clock. ``speech_*`` frame what the caller said, silence around it left out."""

    step: Step
    started: float
    ended: float | None = None
    speech_started: float | None = None
    speech_ended: float | None = None
    timed_out: bool = False


class Phone(Protocol):
    """What a caller can do besides making sound."""

    def press(self, digit: str, duration_ms: int) -> None: ...

    def hang_up(self) -> None: ...


class Caller:
    """Runs a script; pure. :meth:`frame` gives 20 ms of the caller's sound, or None for a packet that never comes.

    When the script is over, the caller stays on the line and listens until the other side hangs up, or ``patience``
    seconds have gone by. ``format`` is the telephone's sound: PCM16 at the rate of the call's codec.
    """

    def __init__(
        self, steps: Sequence[Step], *, patience: float = 60.0, seed: int = 0, format: AudioFormat = PCM_8K
    ) -> None:
        self.format = format
        self.records: list[StepRecord] = []
        self.on_step: Callable[[StepRecord], None] = lambda _: None
        self._steps = list(steps)
        self._patience = patience
        self._noise = comfort_noise(seed, format)
        self._random = np.random.default_rng(seed)
        self._run: Iterator[bytes | None] | None = None
        self._now = 0.0
        self._agent_started: float | None = None
        self._agent_ended: float | None = None
        self._last_word = 0.0

    def frame(self, now: float, ear: Ear, phone: Phone) -> bytes | None:
        """The caller's next 20 ms, after what the ear has heard so far."""
        self._listen(now, ear)
        if self._run is None:
            self._last_word = now
            self._run = self._perform(phone)
        return next(self._run)

    def _listen(self, now: float, ear: Ear) -> None:
        self._now = now
        heard = ear.last_audible
        if heard is None or heard == self._agent_ended:
            return
        if self._agent_ended is None or heard - FRAME_SECONDS - self._agent_ended >= SAME_SPEECH_SECONDS:
            self._agent_started = heard - FRAME_SECONDS
        self._agent_ended = heard

    @property
    def _agent_speaks(self) -> bool:
        return self._agent_ended is not None and self._now - self._agent_ended < SAME_SPEECH_SECONDS

    def _perform(self, phone: Phone) -> Iterator[bytes | None]:
        for step in self._steps:
            record = StepRecord(step, self._now)
            self.records.append(record)
            self.on_step(record)
            yield from self._step(step, record, phone)
            record.ended = self._now
        yield from self._silence(self._patience)
        phone.hang_up()
        while True:
            yield next(self._noise)

    def _step(self, step: Step, record: StepRecord, phone: Phone) -> Iterator[bytes | None]:
        match step:
            case Wait(seconds):
                yield from self._silence(seconds)
            case Speak(clip):
                yield from self._say(clip, record)
            case AwaitAgentSpeech(timeout):
                yield from self._until(lambda: self._agent_speaks, timeout, record)
            case AwaitAgentSilence(min_gap, timeout):
                yield from self._until(lambda: self._agent_was_silent_for(min_gap), timeout, record)
            case Until(condition, timeout):
                yield from self._until(condition, timeout, record)
            case BargeIn(clip, after, timeout):
                yield from self._until(lambda: self._agent_has_spoken_for(after), timeout, record)
                yield from self._say(clip, record)
            case Cough(ms, amplitude):
                samples = self._random.uniform(-amplitude, amplitude, self.format.rate * ms // 1000)
                yield from self._say(samples.astype("<i2").tobytes(), record)
            case Dtmf(digits, ms, gap_ms):
                for digit in digits:
                    phone.press(digit, ms)
                    for _ in range(ms // 20):
                        yield self.format.silence(20)
                    yield from self._silence(gap_ms / 1000)
            case LosePackets(seconds):
                for _ in range(round(seconds / FRAME_SECONDS)):
                    yield None
            case HangUp():
                phone.hang_up()
                while True:
                    yield next(self._noise)

    def _agent_was_silent_for(self, gap: float) -> bool:
        ended = self._agent_ended
        return ended is not None and ended > self._last_word and self._now - ended >= gap - 1e-9

    def _agent_has_spoken_for(self, seconds: float) -> bool:
        started, ended = self._agent_started, self._agent_ended
        if started is None or ended is None or self._now - ended >= SAME_SPEECH_SECONDS:
            return False
        return ended - started >= seconds - 1e-9

    def _silence(self, seconds: float) -> Iterator[bytes]:
        for _ in range(round(seconds / FRAME_SECONDS)):
            yield next(self._noise)

    def _until(self, condition: Callable[[], bool], timeout: float, record: StepRecord) -> Iterator[bytes]:
        deadline = self._now + timeout
        while not condition():
            if self._now >= deadline:
                record.timed_out = True
                return
            yield next(self._noise)

    def _say(self, clip: Clip | bytes, record: StepRecord) -> Iterator[bytes]:
        pcm, size = telephone_sound(clip, self.format), self.format.frame_bytes
        for start in range(0, len(pcm), size):
            frame = pcm[start : start + size]
            if peak_of(frame) > AUDIBLE_PEAK:
                if record.speech_started is None:
                    record.speech_started = self._now
                record.speech_ended = self._last_word = self._now + FRAME_SECONDS
            yield frame


def telephone_sound(clip: Clip | bytes, format: AudioFormat = PCM_8K) -> bytes:
    """``clip`` in ``format``, in whole frames."""
    if isinstance(clip, bytes):
        clip = Clip(PCM_8K, clip)
    frame = clip.format.frame_bytes
    padded = clip.data + (b"" if not len(clip.data) % frame else clip.format.silence(20)[len(clip.data) % frame :])
    converter = Converter(clip.format, format)
    return b"".join(converter.process(padded[start : start + frame]) for start in range(0, len(padded), frame))


def comfort_noise(seed: int, format: AudioFormat = PCM_8K) -> Iterator[bytes]:
    """The sound of a quiet room, about -70 dBFS: half a second of it, in frames of random order."""
    samples = np.random.default_rng(seed).normal(0, 10, (25, format.frame_samples))
    frames = [frame.astype("<i2").tobytes() for frame in samples]
    order = random.Random(seed)
    while True:
        yield order.choice(frames)
