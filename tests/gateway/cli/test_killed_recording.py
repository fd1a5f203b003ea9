"""A recorded call whose service is killed."""

from __future__ import annotations

import asyncio
import io
import signal
from pathlib import Path

import aiohttp
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from yarl import URL

from gateway.cli.client import client
from jambonz.simulator.caller import Caller, Speak, Wait
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.network import AiohttpTransport
from jambonz.simulator.report import Answered, CallEvent
from tests.gateway.cli.process import KEY, NUMBER, SECONDS, SECRET, serve
from tests.steady import undisturbed

LIVES = 2.5
"""Seconds from the answer to the kill."""

LOST = 1.0
"""The most of the end that may be missing."""

STEP = 0.2
"""Seconds of each tone that the caller speaks in; each is :data:`HIGHER` than the one before, so that any of them tells
when it was spoken."""

LOWEST, HIGHER = 400, 50
"""Hz."""


def tones() -> bytes:
    at = np.arange(round(STEP * 8000)) / 8000
    each = [np.round(8000 * np.sin(2 * np.pi * (LOWEST + n * HIGHER) * at)) for n in range(50)]
    return np.concatenate(each).astype("<i2").tobytes()


def spoken_at(samples: np.ndarray) -> float:
    """When the tone began that fills most of them, in seconds from the caller's first."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8000))
    return round((float(np.argmax(spectrum)) - LOWEST) / HIGHER) * STEP


@pytest.mark.realtime
@undisturbed
async def test_a_recording_plays_up_to_the_last_second_before_the_kill(tmp_path: Path) -> None:
    """Real processes and real time: some 10 s. The file is downloaded from the next process."""
    async with serve(tmp_path) as process:
        url = await process.address()
        await add_agent(url)
        answered = asyncio.Event()

        def on_event(event: CallEvent) -> None:
            if isinstance(event, Answered):
                answered.set()

        async with AiohttpTransport() as transport:
            jambonz = SimulatedJambonz(base_url=str(url), webhook_secret=SECRET, transport=transport)
            caller = Caller([Speak(tones()), Wait(60)])
            call = asyncio.create_task(
                jambonz.place_call(to=NUMBER, from_="+447700900123", caller=caller, on_event=on_event)
            )
            async with asyncio.timeout(SECONDS):
                await answered.wait()
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(LIVES)
            process.signal(signal.SIGKILL)
            lived = asyncio.get_running_loop().time() - began
            await process.end()
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    async with serve(tmp_path) as process:
        url = await process.address()
        ogg = await downloaded(url, await recorded_call(url))
    samples, rate = soundfile.read(io.BytesIO(ogg), dtype="int16", always_2d=True)
    assert rate == 8000
    window = round(0.2 * rate)
    last = spoken_at(samples[-window:, 0])
    assert lived - (last + STEP) <= LOST + STEP, "to within a tone"
    steps = range(0, len(samples) - window, round(STEP * rate))
    heard = [spoken_at(samples[start : start + window, 0]) for start in steps]
    assert np.diff(heard) == pytest.approx(STEP), "whole up to there"


async def add_agent(url: URL) -> None:
    async with client(url, KEY) as api:
        recording = {"enabled": True, "announcement": None}
        options = {"recording": recording, "idle": {"timeout": None}}
        agent = await api.post("/api/agents", {"modelName": "scripted/echo", "prompt": "p", "options": options})
        await api.post("/api/phone-endpoints", {"type": "e164-ddi", "number": NUMBER})
        await api.post(f"/api/agents/{agent['id']}/listen", {"number": NUMBER})


async def recorded_call(url: URL) -> str:
    """The one call there was, once its recording is at its place."""
    async with client(url, KEY) as api, asyncio.timeout(SECONDS):
        while True:
            [call] = (await api.get("/api/calls"))["calls"]
            whole = await api.get(f"/api/calls/{call['id']}")
            if whole["recordingId"]:
                return str(call["id"])
            await asyncio.sleep(0.1)


async def downloaded(url: URL, call_id: str) -> bytes:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(url / f"api/calls/{call_id}/recording", headers=headers) as got,
    ):
        assert (got.status, got.content_type) == (200, "audio/ogg")
        return await got.read()
