"""Callers act on what they hear, and the report measures it from the caller's side."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from jambonz.simulator.caller import (
    AwaitAgentSilence,
    AwaitAgentSpeech,
    BargeIn,
    Caller,
    Cough,
    HangUp,
    LosePackets,
    Speak,
    Step,
    Until,
    Wait,
    comfort_noise,
    telephone_sound,
)
from jambonz.simulator.ear import Ear
from jambonz.simulator.report import AgentSpeech, CallReport, StepStarted
from media.audio import PCM_24K, Clip
from tests.clock import run_virtual
from tests.jambonz.simulator.service import LISTEN, Leg, Service, tone

LOUD = b"\x00\x20" * 160
QUIET = bytes(320)


class Nobody:
    def __init__(self) -> None:
        self.did: list[tuple[str, ...]] = []

    def press(self, digit: str, duration_ms: int) -> None:
        self.did.append(("press", digit, str(duration_ms)))

    def hang_up(self) -> None:
        self.did.append(("hang up",))


def perform(steps: list[Step], agent: str, frames: int | None = None, **options: Any) -> tuple[Caller, list[Any]]:
    """Run a script against an agent's speech drawn as ``#`` and ``.``, a character for each 100 ms."""
    caller, ear, phone, out = Caller(steps, **options), Ear(), Nobody(), []
    for index in range(frames or 5 * len(agent)):
        now = round(index * 0.02, 6)
        out.append(caller.frame(now, ear, phone))
        speaks = index // 5 < len(agent) and agent[index // 5] == "#"
        ear.hear(now, LOUD if speaks else QUIET, 160)
    return caller, out


def starts(caller: Caller) -> list[float]:
    return [record.started for record in caller.records]


@pytest.mark.parametrize(("turn", "goes_on", "timed_out"), [(25, 0.5, False), (200, 2.0, True)])
def test_a_caller_waits_for_what_the_script_cannot_hear_but_not_for_ever(
    turn: int, goes_on: float, timed_out: bool
) -> None:
    asked = 0

    def so() -> bool:
        nonlocal asked
        asked += 1
        return asked > turn

    caller, _ = perform([Until(so, timeout=2.0), HangUp()], "." * 30)
    assert starts(caller) == [0.0, pytest.approx(goes_on, abs=0.021)]
    assert [record.timed_out for record in caller.records] == [timed_out, False]


def test_steps_follow_each_other_in_time() -> None:
    caller, out = perform([Wait(0.2), Speak(tone(100)), Wait(0.1), HangUp()], "....." * 2)
    assert starts(caller) == pytest.approx([0.0, 0.2, 0.3, 0.4])
    assert b"".join(out[10:15]) == tone(100)
    spoken = caller.records[1]
    assert spoken.speech_started == pytest.approx(0.2)
    assert spoken.speech_ended == pytest.approx(0.3)


def test_awaiting_speech_and_silence() -> None:
    caller, _ = perform([AwaitAgentSpeech(), AwaitAgentSilence(0.5), HangUp()], "...###.##.......")
    assert starts(caller) == pytest.approx([0.0, 0.32, 1.4], abs=0.021)


def test_silence_counts_only_after_the_agent_spoke_since_the_callers_last_word() -> None:
    script: list[Step] = [Wait(1.0), Speak(tone(200)), AwaitAgentSilence(0.3), HangUp()]
    caller, _ = perform(script, "###" + "." * 17 + "##" + "." * 8)
    assert starts(caller)[-1] == pytest.approx(2.5, abs=0.021)


def test_waiting_is_bounded() -> None:
    caller, _ = perform([AwaitAgentSpeech(timeout=0.5), AwaitAgentSilence(timeout=0.5), HangUp()], "." * 20)
    assert [record.timed_out for record in caller.records] == [True, True, False]
    assert starts(caller) == pytest.approx([0.0, 0.5, 1.0], abs=0.021)


def test_barge_in_comes_so_far_into_one_stretch_of_speech() -> None:
    caller, _ = perform([BargeIn(tone(100), after=0.5), HangUp()], "###....#######...")
    assert caller.records[0].speech_started == pytest.approx(1.22, abs=0.021)


def test_lost_packets_are_no_frames_and_coughs_are_loud() -> None:
    _, out = perform([LosePackets(0.1), Cough(100)], "....")
    assert out[:5] == [None] * 5
    assert np.abs(np.frombuffer(b"".join(out[5:10]), "<i2").astype(int)).max() > 5000


def test_a_caller_whose_script_is_over_listens_for_a_while_and_hangs_up() -> None:
    phone, caller, ear = Nobody(), Caller([], patience=0.2), Ear()
    for index in range(11):
        assert not phone.did
        caller.frame(index * 0.02, ear, phone)
    assert phone.did == [("hang up",)]


def test_comfort_noise_is_below_what_counts_as_sound() -> None:
    noise = comfort_noise(0)
    samples = np.frombuffer(b"".join(next(noise) for _ in range(500)), "<i2")
    assert 5 < samples.std() < 15
    assert np.abs(samples).max() < 100


def test_clips_of_other_rates_are_converted_and_made_whole_frames() -> None:
    assert telephone_sound(tone(30)) == tone(30) + bytes(160)
    samples = np.rint(8000 * np.sin(2 * np.pi * 440 * np.arange(24000) / 24000)).astype("<i2")
    pcm = telephone_sound(Clip(PCM_24K, samples.tobytes()))
    assert len(pcm) == 16000
    assert np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2"))).argmax() == 440


# Measured from the caller's side


class Echo:
    """A service that answers, after ``delay``, each stretch of the caller's speech with a tone, and stops talking as
    soon as it hears the caller."""

    def __init__(self, leg: Leg, delay: float, greeting_ms: int = 0) -> None:
        self.delay = delay
        self.heard_at: float | None = None
        leg.on_frame = self.on_frame
        self.leg = leg
        if greeting_ms:
            leg.speak(tone(greeting_ms))

    def on_frame(self, leg: Leg, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        if np.abs(np.frombuffer(data, "<i2").astype(int)).max() > 1000:
            if self.heard_at is None:
                leg.command("killAudio")
            self.heard_at = loop.time()
        elif self.heard_at is not None and loop.time() - self.heard_at >= self.delay - 1e-9:
            self.heard_at = None
            leg.speak(tone(1500))


def converse(*steps: Step, delay: float = 0.5, greeting_ms: int = 0) -> CallReport:
    service = Service([LISTEN], latency=0.01)
    service.on_leg = lambda leg: setattr(leg, "on_start", lambda leg: Echo(leg, delay, greeting_ms))
    jambonz = service.jambonz(unevenness=0)
    return run_virtual(jambonz.place_call(to="1", from_="2", caller=Caller(steps)))


def test_response_latency_is_from_the_end_of_the_callers_sound_to_the_first_audible_frame() -> None:
    report = converse(Wait(0.5), Speak(tone(600) + bytes(3200)), AwaitAgentSilence(), HangUp(), delay=0.5)
    [latency] = report.response_latencies
    assert latency == pytest.approx(0.5 + 0.02 + 2 * 0.01, abs=0.03)


def test_barge_in_latency_is_from_the_callers_first_sound_to_silence_at_the_ear() -> None:
    report = converse(BargeIn(tone(600), after=1.0), AwaitAgentSilence(), HangUp(), greeting_ms=5000)
    [latency] = report.barge_in_latencies
    assert 0.02 <= latency <= 0.09
    assert len(report.response_latencies) == 1
    assert len(report.ear.utterances()) == 2


def test_events_tell_of_steps_and_of_the_agents_speech() -> None:
    events: list[Any] = []
    service = Service([LISTEN])
    service.on_leg = lambda leg: setattr(leg, "on_start", lambda leg: leg.speak(tone(500)))
    caller = Caller([AwaitAgentSilence(), HangUp()])
    report = run_virtual(service.jambonz().place_call(to="1", from_="2", caller=caller, on_event=events.append))
    assert events == report.events
    assert [type(event.record.step).__name__ for event in events if isinstance(event, StepStarted)] == [
        "AwaitAgentSilence",
        "HangUp",
    ]
    begin, end = [event for event in events if isinstance(event, AgentSpeech)]
    assert (begin.speaking, end.speaking) == (True, False)
    assert end.at - begin.at == pytest.approx(0.5, abs=0.03)
