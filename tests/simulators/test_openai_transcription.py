"""The simulated transcription sessions, judged by the official SDK: its client, and its types for each event."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import websockets.asyncio.client  # noqa: F401  the SDK imports it in the middle of a test
from openai import AsyncOpenAI
from openai.types.realtime import AudioTranscription, SessionUpdateEvent
from pydantic import TypeAdapter

from pipelines.providers.openai_hearing import TranscriptionProtocol
from pipelines.providers.openai_stt import session_fields
from tests.simulators.openai_transcription import (
    KEY,
    QUIET,
    Fault,
    TranscriptionServer,
    TranscriptionSession,
    heard,
    serve_transcription,
    spoken,
)
from tests.simulators.test_openai_realtime import judge
from tests.steady import PATIENCE

MODELS = ("gpt-live-transcribe", "gpt-transcribe", "gpt-realtime-whisper")


def settings(model: str = MODELS[0], **heard: Any) -> dict[str, Any]:
    told = {"format": {"type": "audio/pcmu"}, "transcription": {"model": model}, "turn_detection": None, **heard}
    return {"type": "transcription", "audio": {"input": told}}


@asynccontextmanager
async def connected(server: TranscriptionServer, **query: str) -> AsyncGenerator[Any, None]:
    client = await asyncio.to_thread(AsyncOpenAI, api_key=KEY, base_url=server.base_url)
    query = {"intent": "transcription", **query}
    async with client, client.realtime.connect(extra_query=dict(query)) as connection, asyncio.timeout(PATIENCE):
        yield connection


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("usage", ["tokens", "duration"])
async def test_a_turn_by_the_official_sdk(model: str, usage: Any) -> None:
    async with serve_transcription(vendor=True, usage=usage) as server, connected(server) as line:
        await line.session.update(session=settings(model))
        sound = spoken("i want a table")
        for at in range(0, len(sound), 800):
            await line.input_audio_buffer.append(audio=base64.b64encode(sound[at : at + 800]).decode())
        await line.input_audio_buffer.commit()
        kinds, words = [], ""
        async for event in line:
            judge(event.to_dict())
            kinds.append(event.type.rpartition(".")[2])
            words += event.delta if kinds[-1] == "delta" else ""
            if kinds[-1] == "completed":
                assert event.transcript.strip() == words.strip() == "i want a table"
                assert event.usage.type == usage
                break
        assert kinds[:2] == ["created", "updated"]
        assert kinds.index("committed") > 1
        if model != "gpt-transcribe":
            assert kinds.index("delta") < kinds.index("committed"), "words come while they are said"
        await line.input_audio_buffer.clear()
        assert (await line.recv()).type == "input_audio_buffer.cleared"
        assert server.mistakes == []


@pytest.mark.parametrize("model", MODELS)
def test_what_we_send_is_what_the_sdk_has(model: str) -> None:
    session = session_fields(model, "en-GB", ("Acme",), {"noise_reduction": {"type": "near_field"}})
    [message] = TranscriptionProtocol(session).connected(0.0)
    event = json.loads(message)
    known = SessionUpdateEvent.model_validate(event)
    assert known.to_dict(exclude_unset=True) == event
    assert set(event["session"]["audio"]["input"]["transcription"]) <= set(AudioTranscription.model_fields)


@pytest.mark.parametrize("fault", [Fault("failed"), Fault("error"), Fault("reversed"), None])
def test_every_event_is_one_of_the_sdks(fault: Fault | None) -> None:
    session = TranscriptionSession(TranscriptionServer(vendor=True), fault)
    outs = [*session.opened(), *session.receive(json.dumps({"type": "session.update", "session": settings()}))]
    for text in ("one two", "three"):
        sound = base64.b64encode(spoken(text)).decode()
        outs += session.receive(json.dumps({"type": "input_audio_buffer.append", "audio": sound}))
        outs += session.receive('{"type":"input_audio_buffer.commit"}')
    outs += session.receive('{"type":"input_audio_buffer.commit","event_id":"e"}')
    outs += session.receive('{"type":"input_audio_buffer.clear"}')
    for out in outs:
        assert isinstance(out, str)
        judge(TypeAdapter(dict[str, Any]).validate_json(out))
    assert json.loads(str(outs[-2]))["error"]["event_id"] == "e"


@pytest.mark.parametrize(
    "wrong",
    [
        settings(format={"type": "audio/pcm", "rate": 24000}),
        settings(turn_detection={"type": "server_vad"}),
        settings("gpt-9"),
        settings(transcription={"model": "whisper-1", "keywords": ["Acme"]}),
        settings(transcription={"model": "gpt-realtime-whisper", "prompt": "Acme"}),
        settings(transcription={"model": "gpt-transcribe", "delay": "low"}),
        settings(transcription={"model": "gpt-transcribe", "language": "en-GB"}),
        settings(hotwords=["Acme"]),
        {"type": "realtime"},
    ],
)
def test_settings_that_are_refused(wrong: dict[str, Any]) -> None:
    server = TranscriptionServer()
    session = TranscriptionSession(server)
    [refusal] = session.receive(json.dumps({"type": "session.update", "session": wrong, "event_id": "setup"}))
    error = json.loads(str(refusal))["error"]
    assert (error["code"], error["event_id"]) == ("invalid_value", "setup")
    assert len(server.mistakes) == 1


@pytest.mark.parametrize(
    ("vendor", "query", "key", "status"),
    [
        (True, {"intent": "transcription"}, "wrong", 401),
        (True, {}, KEY, 400),
        (False, {"intent": "transcription"}, KEY, 400),
        (False, {"intent": "transcription", "model": "m"}, KEY, 101),
    ],
)
async def test_upgrades(vendor: bool, query: dict[str, str], key: str, status: int) -> None:
    async with serve_transcription(vendor=vendor) as server, aiohttp.ClientSession() as http:
        upgrade = {"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Version": "13"}
        headers = {**upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Authorization": f"Bearer {key}"}
        async with http.get(f"{server.base_url}/realtime", params=query, headers=headers) as answer:
            assert answer.status == status


async def test_the_vendor_takes_a_model_in_the_query_for_another_kind_of_session() -> None:
    async with serve_transcription(vendor=True) as server, connected(server, model="gpt-transcribe") as line:
        assert (await line.recv()).type == "session.created"
        await line.session.update(session=settings())
        assert (await line.recv()).error.code == "invalid_model"


def test_sound_can_be_read() -> None:
    sound = QUIET * 3 + spoken("one two") + QUIET + spoken("three")[:1000]
    assert heard(sound) == "one two"
    assert heard(sound, share=0.4) == "one two three"
