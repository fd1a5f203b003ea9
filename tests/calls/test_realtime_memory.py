"""How much memory calls with a realtime model hold, on virtual time: what the service's own code has allocated, and
nothing of the simulations'."""

from __future__ import annotations

import asyncio
import gc
import math
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak, Wait
from media.audio import PCM_24K, AudioFormat, Encoding
from media.playout import Playout
from pipelines.realtime.answers import MOST_FRAMES, MOST_UNHEARD_SECONDS, Item
from tests.calls.test_realtime_openai import always
from tests.calls.vendor_offices import OpenAIOffice
from tests.clock import run_virtual
from tests.media.line import Line
from tests.simulators.codeword import speak
from tests.simulators.openai_realtime import Behaviour, History, Reply

ROOT = Path(__file__).parents[2]
OURS = [tracemalloc.Filter(True, f"{ROOT}/{room}/*") for room in ("gateway", "jambonz", "media", "pipelines")]
NOT_OURS = [tracemalloc.Filter(False, f"{ROOT}/jambonz/simulator/*")]

SECONDS_OF_A_WORD = 0.3
MB = 1_000_000


def agent(rate: int) -> dict[str, Any]:
    return {"options": {"greeting": "Hello.", "idle": {"timeout": None}, "audio": {"sampleRate": rate}}}


def held() -> int:
    """Bytes."""
    gc.collect()
    traces = tracemalloc.take_snapshot().filter_traces([*OURS, *NOT_OURS]).statistics("filename")
    return sum(trace.size for trace in traces)


@asynccontextmanager
async def tracing() -> AsyncIterator[None]:
    tracemalloc.start(1)
    try:
        yield
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("seconds", "rate"), [(30, 8000), (30, 16000), (600, 8000)])
def test_a_burst_is_held_once_and_no_more_of_it_than_anybody_hears(seconds: int, rate: int) -> None:
    """All of an answer comes at once. After an interruption nothing of it is left."""

    def reply(user: str, history: History) -> Reply:
        return Reply(" ".join(["word"] * round(seconds / SECONDS_OF_A_WORD)) if user == "count" else "Alright.")

    async def main() -> None:
        async with (
            tracing(),
            OpenAIOffice(agent(rate), reply, ["count", "stop"], behaviour=Behaviour(speed=math.inf)) as office,
        ):
            talk = (AwaitAgentSilence(), Speak(speak("count")), BargeIn(speak("stop it"), after=3.0), Wait(3.0))
            call = asyncio.create_task(office.call(*talk, HangUp()))
            await asyncio.sleep(1.0)
            before = held()
            await asyncio.sleep(3.0)  # the answer is under way
            sound = AudioFormat(Encoding.PCM16, rate).bytes_per_second
            kept = min(seconds, MOST_UNHEARD_SECONDS + 1.0) * sound
            assert kept * 0.9 <= held() - before <= kept * 1.15 + 0.2 * MB
            await asyncio.sleep(4.0)
            assert held() - before <= 0.2 * MB
            assert len(office.switchboard.calls) == 1, "it is the call that holds no more"
            report = await call
            assert report.barge_in_latencies[0] <= 0.25
            assert held() - before <= 0.2 * MB
            assert office.mistakes == []

    run_virtual(main())


def test_a_call_takes_less_than_a_megabyte() -> None:
    """Twenty at once, each in the middle of an answer of 6 s that came faster than it is spoken."""
    calls, words = 20, " ".join(["word"] * 20)

    async def main() -> None:
        async with tracing(), OpenAIOffice(agent(16000), always(words), ["count"] * 2) as office:
            before = held()
            talk = (AwaitAgentSilence(), Speak(speak("count")), Wait(5.0), HangUp())
            under_way = [asyncio.create_task(office.call(*talk)) for _ in range(calls)]
            await asyncio.sleep(5.0)
            assert len(office.switchboard.calls) == calls
            each = (held() - before) / calls
            assert 0.05 * MB <= each <= MB, "less than its sound: nothing was measured"
            await asyncio.gather(*under_way)
            assert office.mistakes == []

    run_virtual(main())


def test_a_conversation_keeps_no_sound_of_what_was_said() -> None:
    """Six answers of 6 s each, 1.2 MB of sound, half of them interrupted."""

    async def main() -> None:
        async with tracing(), OpenAIOffice(agent(16000), always(" ".join(["word"] * 20)), ["count"] * 9) as office:
            turn = (AwaitAgentSilence(), Speak(speak("count")), BargeIn(speak("stop it"), after=2.0))
            call = asyncio.create_task(office.call(*(turn * 3), AwaitAgentSilence(), Wait(20.0), HangUp()))
            await asyncio.sleep(1.0)
            before = held()
            await asyncio.sleep(50.0)
            assert len(office.said("agent")) == 7
            assert held() - before <= 0.35 * MB
            await call
            assert office.mistakes == []

    run_virtual(main())


def test_a_large_message_is_converted_in_small_pieces() -> None:
    """A minute of sound in one message, as large as most that come from anybody."""
    line = Line()
    line.playout.begin(1)
    item = Item(line.playout.segment(1, "words"), PCM_24K, line.format)
    sound = bytes(60 * PCM_24K.bytes_per_second)
    assert item.write(bytes(2 * PCM_24K.frame_bytes), PCM_24K)
    tracemalloc.start(1)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    assert item.write(sound, PCM_24K)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    frames_cut = 1.1 * len(sound)
    piece = 20 * MOST_FRAMES * PCM_24K.frame_bytes
    assert after - before <= 1.2 * 60 * line.format.bytes_per_second + piece
    assert peak - before <= 1.2 * 60 * line.format.bytes_per_second + frames_cut + piece
    assert isinstance(line.playout, Playout)
    assert item.segment.frames == 60 * 50 + 2
