"""The real Smart Turn; collected only where TRUNKLINE_SMART_TURN_MODEL names its weights.

A synthetic voice is hard for it: its sentences are read, not said. Of forty sentences like these, as a telephone passes
them on, it takes 80 % of the finished ones for complete, and 42 % of those that were broken off.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from media.audio import MULAW_8K, PCM_16K, Clip
from media.convert import Converter
from media.levels import sounding
from media.recent import RecentAudio
from pipelines.providers.pico import RATE, VOLUME
from pipelines.providers.smart_turn import DEADLINE, SmartTurn, find_smart_turn
from tests.media.speech import frames

WEIGHTS = Path(os.environ["TRUNKLINE_SMART_TURN_MODEL"])

SENTENCES = (
    "I would like to book an appointment for next Tuesday.",
    "Can you tell me when you are open on Saturday?",
    "Could you please repeat the last part?",
    "I am calling about the order that I placed last week.",
    "What does it cost to change the flight?",
    "I need to speak to somebody in the sales department.",
    "Is there anything available in the afternoon?",
    "The parcel arrived, but the box was empty.",
    "How long will the repair take?",
    "I paid with my credit card on Friday morning.",
    "Could I have the invoice in German as well?",
    "Please put me through to the front desk.",
)


@pytest.fixture
async def detector() -> AsyncGenerator[SmartTurn, None]:
    detector = await asyncio.to_thread(find_smart_turn, WEIGHTS)
    assert detector is not None
    await detector.prepare()
    yield detector
    await detector.close()


@pytest.fixture(scope="module")
def finished() -> list[Clip]:
    return [on_the_line(pcm) for pcm in speak()]


@pytest.fixture(scope="module")
def broken() -> list[Clip]:
    return [on_the_line(pcm[: round(0.55 * len(pcm))]) for pcm in speak()]


@cache
def speak() -> tuple[NDArray[np.int16], ...]:
    """The sentences from their first to their last sound, at 16 kHz."""
    engine = import_module("ttspico").TtsEngine("en-US")
    engine.rate, engine.volume = RATE, VOLUME
    spoken = []
    for sentence in SENTENCES:
        pcm = bytes(engine.speak(sentence))
        parts = sounding(pcm, PCM_16K.rate)
        spoken.append(np.frombuffer(pcm, np.int16)[int(parts[0][0] * 16000) : int(parts[-1][1] * 16000)])
    return tuple(spoken)


def on_the_line(speech: NDArray[np.int16]) -> Clip:
    """After and before 200 ms of silence, in line noise, as the telephone passes it on."""
    quiet = np.zeros(3200)
    sound = np.concatenate([quiet, speech, quiet])
    sound += np.random.default_rng(1).normal(0, 30, len(sound))
    whole = sound[: len(sound) // PCM_16K.frame_samples * PCM_16K.frame_samples].astype(np.int16).tobytes()
    return Clip(MULAW_8K, Converter(PCM_16K, MULAW_8K).process(whole))


async def ask(detector: SmartTurn, turn: Clip, within: float = 5.0) -> float:
    answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    detector.ask(turn, answer.set_result, within=within)
    return await asyncio.wait_for(answer, 6)


async def test_it_tells_finished_sentences_from_those_broken_off(
    detector: SmartTurn, finished: list[Clip], broken: list[Clip]
) -> None:
    whole = np.array([await ask(detector, turn) for turn in finished])
    part = np.array([await ask(detector, turn) for turn in broken])
    print(f"complete: finished {whole.round(2)}, broken off {part.round(2)}")
    assert (whole > 0.5).mean() >= 0.6
    assert (part > 0.5).mean() <= 0.5
    assert np.median(whole) > np.median(part) + 0.3


async def test_what_was_said_before_does_not_matter_once_it_is_cut_off(
    detector: SmartTurn, finished: list[Clip], broken: list[Clip]
) -> None:
    turn = finished[0]
    recent = RecentAudio(MULAW_8K)
    for frame in frames(broken[1].data + turn.data, MULAW_8K.frame_bytes):
        recent.push(frame)
    assert await ask(detector, recent.last(turn.seconds)) == await ask(detector, turn)


async def test_answers_come_in_time(detector: SmartTurn, finished: list[Clip]) -> None:
    loop = asyncio.get_running_loop()
    took = []
    for turn in finished:
        asked = loop.time()
        await ask(detector, turn)
        took.append(loop.time() - asked)
    print(f"an answer takes {np.median(took) * 1000:.0f} ms")
    assert np.median(took) < DEADLINE
