"""Half a minute of sound in one burst, and the caller breaks in: how soon the ear is silent, and what is kept."""

from __future__ import annotations

import asyncio
import math

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak, Wait
from tests.calls.test_realtime_openai import GREETING, always
from tests.calls.vendor_offices import OpenAIOffice
from tests.clock import run_virtual
from tests.simulators.codeword import speak
from tests.simulators.openai_realtime import Behaviour
from tests.simulators.realtime_wire import WireSession

HALF_A_MINUTE = " ".join(["word"] * 100)


@pytest.mark.parametrize("after", [0.5, 1.13, 2.0, 4.57, 8.0])
def test_the_ear_is_silent_within_100_ms_of_the_models_word(after: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The media module's own buffers counted in. Our ears pause the agent sooner: the model's word comes to silence."""
    told: list[float] = []
    deliver = WireSession._deliver

    def watch(self: WireSession, message: object) -> None:
        if "input_audio_buffer.speech_started" in str(message):
            told.append(asyncio.get_running_loop().time())
        deliver(self, message)

    monkeypatch.setattr(WireSession, "_deliver", watch)

    async def main() -> None:
        async with OpenAIOffice(
            GREETING, always(HALF_A_MINUTE), ["count", "stop"], behaviour=Behaviour(speed=math.inf)
        ) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("count")),
                BargeIn(speak("stop it now"), after=after),
                Wait(1),
                HangUp(),
            )
            barged_at = report.steps[2].speech_started
            assert barged_at is not None
            [word] = [at for at in told if at > barged_at]
            heard = [span.end for span in report.ear.utterances() if span.start < word + 0.1]
            assert max(heard) - word <= 0.1
            assert max(heard) > barged_at, "it was speaking when the caller broke in"
            assert office.mistakes == []

    run_virtual(main())
