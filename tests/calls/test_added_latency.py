"""What the service itself adds to the latencies of its parts: recogniser 200 ms, model 300 ms to the first word, voice
150 ms to the first sound. Virtual time: all that is measured are the rules and the ticks, at every phase of them."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, HangUp, Speak, Step, Wait
from pipelines.turns import PAUSE_SECONDS
from tests.calls.office import MemoryLeg, Office
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, speak
from tests.simulators.replies import ReplyModel, always

RECOGNISER, MODEL, VOICE = 0.2, 0.3, 0.15
SILENCE = b"\x00\x00"
TURNS = 40


def first_sounds(leg: MemoryLeg, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the service sent the first sound after a silence of its own, of 0.3 s or more."""
    times: list[float] = []
    latest = [-1.0]
    send = leg.send_audio

    def noted(pcm: bytes) -> None:
        now = asyncio.get_running_loop().time()
        if pcm.strip(b"\x00"):
            if now - latest[0] > 0.3:
                times.append(now)
            latest[0] = now
        send(pcm)

    monkeypatch.setattr(leg, "send_audio", noted)
    return times


async def answers(turns: dict[str, Any], model: ReplyModel, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For each turn: from the end of the caller's speech to the first sound that the service sends."""
    chance = random.Random(7)
    steps: list[Step] = []
    for _ in range(TURNS):
        steps += [Wait(0.4 + chance.random()), Speak(speak("yes please")), AwaitAgentSilence()]
    voice, recogniser = CodewordVoice(first=VOICE), CodewordRecogniser(delay=RECOGNISER)
    agent = {"options": {"turns": turns, "idle": {"timeout": None}}}
    async with Office(agent, model, voice=voice, recogniser=recogniser, latency=0.0) as office:
        calling = asyncio.create_task(office.call(*steps, HangUp(), patience=600))
        while not office.legs:  # noqa: ASYNC110 - what another task does
            await asyncio.sleep(0.01)
        sounds = first_sounds(office.legs[0], monkeypatch)
        report = await calling
        ends = [step.speech_ended for step in report.steps if step.speech_ended is not None]
        assert len(ends) == len(sounds) == TURNS
        return sorted(sound - end for end, sound in zip(ends, sounds, strict=True))


def test_at_most_20_ms_are_added_to_the_sum_of_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum: 200 ms of silence until the recogniser is asked, and then one part after the other."""

    async def main() -> list[float]:
        turns = {"preemptiveGeneration": False, "endpointing": {"minDelay": 0.3}}
        return await answers(turns, ReplyModel(always("You are welcome."), first=MODEL), monkeypatch)

    taken = run_virtual(main())
    naive = PAUSE_SECONDS + RECOGNISER + MODEL + VOICE
    assert taken[0] >= naive - 0.021, "a frame ends up to 20 ms after the speech in it"
    assert taken[-1] - naive < 0.020


def test_a_guess_is_faster_than_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a pause of 0.6 s before a turn is over the sum is 1.05 s; the guess works in the meantime."""

    async def main() -> list[float]:
        turns = {"endpointing": {"minDelay": 0.6}}
        return await answers(turns, ReplyModel(always("You are welcome."), first=MODEL), monkeypatch)

    taken = run_virtual(main())
    assert taken[-1] < 0.6 + MODEL + VOICE - 0.1
