"""Whole calls with realtime models over real sockets on loopback: what only a socket can do wrong.

In real time, for sockets know no other; the vendors' bad days are gone through at the same time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from jambonz.simulator.caller import HangUp, Speak, Step, Wait
from jambonz.simulator.report import CallReport
from pipelines.phrasebook import phrases
from pipelines.realtime.connection import RealtimeConnection
from pipelines.realtime.gemini import GeminiLiveModel
from pipelines.realtime.gpt_live import GptLiveModel
from pipelines.realtime.model import RealtimeModel
from pipelines.realtime.openai import OpenAIRealtimeModel
from tests.calls.realtime_office import RealtimeOffice, silences
from tests.calls.vendor_offices import HELLO, coarse_voice, openai_scripted
from tests.simulators import gemini_live, gpt_live, openai_realtime, ultravox
from tests.simulators.coarse import read_coarsely
from tests.simulators.codeword import CodewordVoice, heard_words, plain_words, speak
from tests.simulators.live_wire import Fault
from ultravox.model import UltravoxModel
from ultravox.rest import UltravoxRest

pytestmark = pytest.mark.realtime

AGENT: dict[str, Any] = {"options": {"greeting": HELLO, "idle": {"timeout": None}}}
TIMES = 9
"""As often as anybody may try."""


class SocketOffice(RealtimeOffice):
    """Sessions are opened over sockets, and ``opened`` counts how often that was tried."""

    def __init__(self, model: RealtimeModel) -> None:
        self.opened = 0
        super().__init__(AGENT, model, opener=self._open)
        self.own_voice = CodewordVoice(first=0.2)

    async def _open(self, *arguments: Any, **options: Any) -> RealtimeConnection:
        self.opened += 1
        return await RealtimeConnection.open(*arguments, **options)


async def ring(model: RealtimeModel, *steps: Step) -> tuple[SocketOffice, CallReport]:
    async with SocketOffice(model) as office:
        report = await office.call(*steps, patience=20)
    return office, report


# A socket that is half open


async def test_a_short_word_into_a_socket_that_is_half_open() -> None:
    """It went dead a moment before, and it is a real one: it takes what it is sent, and answers no ping."""
    faults = deque([openai_realtime.Faults(half_open_after_ms=2500, counted="caller")])
    settings: dict[str, Any] = {"reply": openai_scripted, "voice": coarse_voice, "said": deque(["hello"])}
    async with openai_realtime.serve_realtime(faults=faults, **settings) as server:
        model = OpenAIRealtimeModel("gpt-realtime-2.1", api_key=openai_realtime.KEY, base_url=server.base_url)
        office, report = await ring(
            model, Wait(2.6), Speak(speak("yes")), Wait(5.5), Speak(speak("hello")), Wait(2), HangUp()
        )
    [said, again] = [step.speech_ended for step in report.steps if step.speech_ended is not None]
    assert max(silences(report, said, again)) <= 3.0
    onset = report.ear.sound_onset_after(said)
    assert onset is not None
    assert onset - said <= 3.0
    assert read_coarsely(report.heard)[-3:] == ["you", "said", "hello"]
    assert [data for kind, data in office.log() if kind == "error"] == ["openai: it answers no ping"]
    assert office.opened == 2
    assert office.ending() == "caller"


# A key that is refused, and too many calls


@asynccontextmanager
async def openai(status: int) -> AsyncIterator[RealtimeModel]:
    faults = deque([openai_realtime.Faults(refuse=status)] * TIMES)
    async with openai_realtime.serve_realtime(faults=faults) as server:
        yield OpenAIRealtimeModel("gpt-realtime-2.1", api_key=openai_realtime.KEY, base_url=server.base_url)


@asynccontextmanager
async def live(status: int) -> AsyncIterator[RealtimeModel]:
    fault = Fault("refused", code=status)
    async with gpt_live.serve_gpt_live(gpt_live.GptLiveServer(fault=fault)) as server:
        yield GptLiveModel("gpt-live-1", api_key=gpt_live.KEY, base_url=f"{server.url}/v1")


@asynccontextmanager
async def gemini(status: int) -> AsyncIterator[RealtimeModel]:
    fault = Fault("refused", code=status)
    async with gemini_live.serve_gemini(gemini_live.GeminiServer(fault=fault)) as server:
        yield GeminiLiveModel("gemini-3.8-live", api_key=gemini_live.KEY, base_url=server.url)


@asynccontextmanager
async def ultravox_rest(status: int) -> AsyncIterator[RealtimeModel]:
    async with ultravox.serve_ultravox(refuse=[status] * TIMES) as server:
        rest = UltravoxRest(ultravox.KEY, server.base_url)
        yield UltravoxModel(rest, "ultravox-v0.7")
        await rest.close()


@asynccontextmanager
async def ultravox_join(status: int) -> AsyncIterator[RealtimeModel]:
    """The call is made, and its socket refused."""
    async with ultravox.serve_ultravox(refuse_join=[status] * TIMES) as server:
        rest = UltravoxRest(ultravox.KEY, server.base_url)
        yield UltravoxModel(rest, "ultravox-v0.7")
        await rest.close()


VENDORS: list[Callable[[int], AbstractAsyncContextManager[RealtimeModel]]] = [
    openai,
    live,
    gemini,
    ultravox_rest,
    ultravox_join,
]


@pytest.mark.parametrize(("status", "kind", "attempts"), [(401, "auth", 1), (429, "rate_limit", 2)])
async def test_a_session_that_is_refused_ends_the_call_in_words(status: int, kind: str, attempts: int) -> None:
    apology = plain_words(phrases("en").cannot_go_on)

    async def call(vendor: Callable[[int], AbstractAsyncContextManager[RealtimeModel]]) -> str:
        async with vendor(status) as model:
            office, report = await ring(model)
        assert heard_words(report.heard)[-len(apology) :] == apology
        assert report.answered is not None
        assert max(silences(report, report.answered)) <= 3.0
        log = office.log()
        [error] = [data for type, data in log if type == "error"]
        assert error.startswith(f"{model.name}: ")
        assert f"status {status}" in error
        assert [data["reason"] for type, data in log if type == "hangup"] == ["failed"]
        assert log[-1][0] == "hangup"
        assert report.ended_by == "jambonz"
        assert office.opened == attempts
        return model.name

    with capture_logs() as logged:
        names = await asyncio.gather(*(call(vendor) for vendor in VENDORS))
    failed = [(line["part"], line["provider"], line["kind"]) for line in logged if line["event"] == "a provider failed"]
    assert sorted(failed) == sorted(("llm", name, kind) for name in names)
