"""The whole service on loopback, with OpenAI for ears, mind and voice: sockets and streams as they are used in calls.

In real time, and marked so: what is tried is how the parts go together over real connections.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.equipment import Equipment
from gateway.realtime import RealtimeModels
from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, Speak
from media.g711 import mulaw_to_pcm
from pipelines.providers.registry import Registry
from pipelines.tools.addresses import Guard
from store import DEFAULT_OWNER
from tests.gateway.service import LoudFactory, recorded, serving
from tests.simulators.codeword import heard_words, plain_words
from tests.simulators.openai_account import serve_openai
from tests.simulators.openai_responses import response, text, tool
from tests.simulators.openai_transcription import spoken

pytestmark = pytest.mark.realtime

GREETING, GOODBYE = "Hello.", "Thank you and goodbye."
ANSWER = "well they open each noon till nine when both boys come"
"""Words of one length: where a voice does not time its words, what was heard of a phrase is reckoned by its letters."""
AGENT: dict[str, Any] = {
    "modelName": "openai/gpt-5.4",
    "prompt": "You are a front desk.",
    "options": {
        "greeting": GREETING,
        "temperature": 0.5,
        "stt": {"vendor": "openai", "hints": ["opening hours"]},
        "tts": {"vendor": "openai", "voice": "cedar"},
        "vendorSpecific": {"openai": {"speech": {"instructions": "Warm."}, "text": {"verbosity": "low"}}},
    },
    "functions": [
        {"name": "hours", "implementation": "stub", "result": "Mon-Fri 8-18", "description": "When we are open."},
        {"name": "hangup", "implementation": "builtin", "platform": "hangup", "description": "End the call."},
    ],
}


def script(body: dict[str, Any]) -> Sequence[dict[str, Any]]:
    match body["input"][-1]:
        case {"role": "user", "content": "when are you open"}:
            return response(tool("call_1", "hours"))
        case {"type": "function_call_output", "output": "Mon-Fri 8-18"}:
            return response(text(*ANSWER.partition(" ")))
        case {"role": "user", "content": "i have to go"}:
            return response(text(GOODBYE), tool("call_2", "hangup"))
        case _:
            return response(text("What?"))


def snapped(audio: bytes) -> bytes:
    """Codewords that were resampled, with their exact values again."""
    samples = np.frombuffer(audio, np.int16).astype(np.int32)
    near = 8 * np.round(np.abs(samples) / 8).astype(np.int32)
    return np.where(np.abs(samples) < 390, 0, np.sign(samples) * near).astype(np.int16).tobytes()


async def test_a_conversation_with_a_tool_and_a_barge_in(tmp_path: Path) -> None:
    """What the caller said is what log and model have; what they have of the agent is what the caller heard."""
    async with serve_openai(script) as openai:
        env = {"OPENAI_API_KEY": openai.key, "OPENAI_BASE_URL": openai.base_url}
        factory = LoudFactory(Registry(env), None, equipment=Equipment(RealtimeModels({}), Guard()))
        async with serving(tmp_path, agent=AGENT, factory=factory) as service:
            report = await service.call(
                AwaitAgentSilence(),
                Speak(mulaw_to_pcm(spoken("when are you open"))),
                BargeIn(mulaw_to_pcm(spoken("i have to go")), after=1.5),
                patience=20.0,
            )
            calls = service.store.calls
            call = await recorded(calls)
            log = [(event.type, event.data) for event in await calls.events(DEFAULT_OWNER, call.id) or ()]
            used = await calls.usage(DEFAULT_OWNER, call.id)
        assert report.ended_by == "jambonz"
        assert [data for type, data in log if type == "error"] == []
        assert [data for type, data in log if type == "user"] == ["when are you open", "i have to go"]
        greeting, cut, goodbye = [data for type, data in log if type == "agent"]
        assert (greeting, goodbye) == (GREETING, GOODBYE)
        assert ANSWER.startswith(cut)
        assert 2 <= len(cut.split()) < len(ANSWER.split())
        assert heard_words(snapped(report.heard)) == plain_words(f"{greeting} {cut} {goodbye}")
        told = openai.answers.requests[-1]["input"]
        assert [item["content"] for item in told if item.get("role") == "assistant"] == [GREETING, cut]
        assert openai.hears.transcripts == ["when are you open", "i have to go"]
        assert openai.hears.sessions[0].settings["transcription"]["keywords"] == ["opening hours"]
        assert {request["instructions"] for request in openai.speaks.requests} == {"Warm."}
        assert {request["text"]["verbosity"] for request in openai.answers.requests} == {"low"}
        assert {(one.part, one.provider) for one in used} == {(part, "openai") for part in ("stt", "llm", "tts")}
        assert openai.mistakes == []
