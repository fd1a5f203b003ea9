"""``trunkline serve`` and ``trunkline call``, with real speech, against each simulated vendor of realtime models.

In real time, and marked so: three processes have no clock that could be handed in, and recognisers no other sound than
that of speech. What the caller heard is transcribed offline, and has to be what the call's log says, and what the model
holds for said, word by word, and to within one word where it was interrupted.
"""

from __future__ import annotations

import asyncio
import ssl
import wave
from collections import deque
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
import trustme

from tests.gateway.realtime_service import (
    ASKS,
    BREAKS_IN,
    FOUND,
    GOODBYE,
    GREETING,
    HOURS,
    LOOK_UP,
    Outcome,
    Voice,
    answer,
    hold_a_conversation,
)
from tests.simulators import gemini_live, gpt_live, openai_realtime
from tests.simulators.live_wire import Reply, Turn
from tests.simulators.openai_realtime_scene import History
from tests.simulators.ultravox import KEY as ULTRAVOX_KEY
from tests.simulators.ultravox import serve_ultravox
from tests.simulators.ultravox_call import Answer, Heard, UseTool
from tests.steady import undisturbed

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.timeout(360),
    pytest.mark.skipif(not find_spec("moonshine_voice"), reason="the recogniser, Moonshine, is not installed"),
    pytest.mark.skipif(not find_spec("ttspico"), reason="the voice, Pico, could not be built here"),
]

SAID = (ASKS, BREAKS_IN)


def judge(outcome: Outcome) -> str:
    """That the call went as it should. Returns what the log says that was heard of the answer that was interrupted."""
    assert (outcome.status, outcome.errors, outcome.service_errors) == (0, "", ""), outcome.printed
    assert outcome.said("error") == []
    assert outcome.said("user") == list(SAID)
    assert [(call["name"], call["result"]) for [call] in outcome.said("function_results")] == [
        (LOOK_UP, FOUND),
        ("hangup", "OK"),
    ]
    greeting, cut, goodbye = outcome.said("agent")
    assert (greeting, goodbye) == (GREETING, GOODBYE)
    assert HOURS.startswith(cut)
    assert 3 <= len(cut.split()) <= 8
    assert [hangup["reason"] for hangup in outcome.said("hangup")] == ["agent"]
    assert ["interrupted" in status for status in outcome.said("status")].count(True) == 1
    assert [found for found in outcome.against_log() if not found.agrees] == []
    assert len(outcome.ear) == 3, "the caller heard something else, too"
    assert outcome.metric('trunkline_barge_ins_total{outcome="confirmed"}') == 1
    assert outcome.metric("trunkline_tool_calls_total") == 2
    assert outcome.metric('trunkline_calls_ended_total{reason="agent"}') == 1
    assert outcome.metric("trunkline_calls_active") == 0
    assert "trunkline_provider_errors_total{" not in outcome.metrics
    return str(cut)


def the_model_knows_what_was_heard(outcome: Outcome, history: Sequence[str]) -> None:
    assert [found for found in outcome.against(history) if not found.agrees] == []
    assert len(history) == 3


def rate_of(path: Path) -> int:
    with wave.open(str(path)) as file:
        return int(file.getframerate())


@pytest.mark.parametrize("wideband", [False, True], ids=["G.711", "24 kHz"])
@undisturbed
async def test_openai_realtime(tmp_path: Path, wideband: bool) -> None:
    def reply(heard: str, history: History) -> openai_realtime.Reply:
        text, tools = answer(heard or history[-1][1])
        return openai_realtime.Reply(text, [(tool, {}) for tool in tools])

    voice = await Voice.make()
    async with openai_realtime.serve_realtime(reply=reply, voice=voice.sentence, said=deque(SAID)) as server:
        outcome = await hold_a_conversation(
            tmp_path,
            "openai/gpt-realtime-2.1",
            wideband=wideband,
            OPENAI_API_KEY=openai_realtime.KEY,
            OPENAI_BASE_URL=server.base_url,
        )
    judge(outcome)
    [session] = server.sessions
    sound = {"type": "audio/pcm", "rate": 24000} if wideband else {"type": "audio/pcmu"}
    assert [session.session["audio"][side]["format"] for side in ("input", "output")] == [sound, sound]
    assert await asyncio.to_thread(rate_of, tmp_path / "heard.wav") == (16000 if wideband else 8000)
    the_model_knows_what_was_heard(outcome, [text for role, text in session.history() if role == "assistant"])
    [cut] = [item.truncated_ms for item in session.items if item.truncated_ms is not None]
    [heard] = [status["interrupted"]["seconds"] for status in outcome.said("status") if "interrupted" in status]
    assert cut / 1000 == pytest.approx(heard, abs=0.05)
    assert server.mistakes == []


def live_reply(history: list[Turn]) -> Reply:
    text, tools = answer(history[-1].text)
    return Reply(text, tuple((tool, {}) for tool in tools))


@undisturbed
async def test_gpt_live(tmp_path: Path) -> None:
    """It falls silent by itself, and tells nobody that it was interrupted. What it used, it tells at the end."""
    voice = await Voice.make()
    server = gpt_live.GptLiveServer(voice=voice.words(8000), reply=live_reply, said=deque(SAID))
    async with gpt_live.serve_gpt_live(server):
        outcome = await hold_a_conversation(
            tmp_path,
            "openai/gpt-live-1",
            OPENAI_API_KEY=gpt_live.KEY,
            OPENAI_BASE_URL=f"{server.url}/v1",
        )
    judge(outcome)
    assert [status for status in outcome.said("status") if "underrun" in status] == []
    [session] = server.sessions
    [used] = [one for one in outcome.said("hangup")[0]["usage"] if one["provider"] == "gpt-live"]
    assert used["units"]["seconds"] == pytest.approx(session.seconds)
    the_model_knows_what_was_heard(outcome, [turn.text for turn in session.history if turn.role == "assistant"])
    assert (server.mistakes, server.sockets) == ([], 0)


@undisturbed
async def test_gemini_live(tmp_path: Path) -> None:
    """Over TLS: whom the service trusts is what SSL_CERT_FILE says. This model forgets nothing of what it sent."""
    authority = trustme.CA()
    await asyncio.to_thread((tmp_path / "authority.pem").write_bytes, authority.cert_pem.bytes())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    await asyncio.to_thread(authority.issue_cert("127.0.0.1").configure_cert, tls)
    voice = await Voice.make()
    server = gemini_live.GeminiServer(voice=voice.words(24000), reply=live_reply, said=deque(SAID))
    async with gemini_live.serve_gemini(server, tls):
        outcome = await hold_a_conversation(
            tmp_path,
            "google/gemini-3.8-live",
            GEMINI_API_KEY=gemini_live.KEY,
            GEMINI_BASE_URL=server.url,
            SSL_CERT_FILE=str(tmp_path / "authority.pem"),
        )
    cut = judge(outcome)
    [session] = server.sessions
    history = [turn.text for turn in session.history if turn.role == "model"]
    assert (history[0], history[2:]) == (GREETING, [GOODBYE])
    assert history[1].startswith(cut)
    assert (server.mistakes, server.sockets) == ([], 0)


@undisturbed
async def test_ultravox(tmp_path: Path) -> None:
    def reply(heard: Heard) -> Sequence[Answer]:
        text, tools = answer(heard.text)
        return [*([text] if text else ()), *(UseTool(tool) for tool in tools)]

    voice = await Voice.make()
    async with serve_ultravox(reply=reply, voice=voice.sentences, heard=deque(SAID)) as server:
        outcome = await hold_a_conversation(
            tmp_path,
            "ultravox:ultravox/ultravox-v0.7",
            ULTRAVOX_API_KEY=ULTRAVOX_KEY,
            ULTRAVOX_BASE_URL=server.base_url,
        )
    judge(outcome)
    the_model_knows_what_was_heard(outcome, server.call.said)
    assert server.call.end_reason == "hangup"
    assert (server.mistakes, server.call.mistakes, server.call.warnings) == ([], [], [])
