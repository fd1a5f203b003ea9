"""The simulated Deepgram, by a client that is not ours."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from tests.simulators.deepgram import DeepgramServer, serve_deepgram
from tests.simulators.deepgram_ears import KEY
from tests.simulators.deepgram_voices import voice
from tests.simulators.speech_wire import Fault
from tests.steady import PATIENCE

NOVA = "/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000&interim_results=true"
FLUX = "/v2/listen?model=flux-general-en&encoding=mulaw&sample_rate=8000"
AURA = "/v1/speak?model=aura-2-thalia-en&encoding=mulaw&sample_rate=8000"
FLUX_VOICE = "/v2/speak?model=flux-alexis-en&encoding=mulaw&sample_rate=8000"

LOUD, QUIET = b"\x10" * 160, b"\xff" * 160


@asynccontextmanager
async def dial(
    server: DeepgramServer, path: str, key: str = f"Token {KEY}"
) -> AsyncGenerator[ClientWebSocketResponse, None]:
    headers = {"Authorization": key}
    async with ClientSession() as session, session.ws_connect(server.base_url + path, headers=headers) as socket:
        yield socket


async def until(socket: ClientWebSocketResponse, kind: str) -> list[Any]:
    """What comes until a message of that type, which is the last."""
    found: list[Any] = []
    while not found or isinstance(found[-1], bytes) or found[-1]["type"] != kind:
        message = await socket.receive(timeout=PATIENCE)
        assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), message
        found.append(message.data if message.type is WSMsgType.BINARY else json.loads(message.data))
    return found


async def test_nova_supposes_and_then_finalizes() -> None:
    async with serve_deepgram(texts=["I want a table."]) as server, dial(server, NOVA) as socket:
        for frame in [QUIET] * 5 + [LOUD] * 30:
            await socket.send_bytes(frame)
        supposed = (await until(socket, "Results"))[-1]
        assert supposed["is_final"] is False
        assert supposed["channel"]["alternatives"][0]["transcript"] == "I want"
        await socket.send_str('{"type":"Finalize"}')
        final = (await until(socket, "Results"))[-1]
        assert final["from_finalize"] is True
        assert final["channel"]["alternatives"][0]["transcript"] == "I want a table."
        assert final["channel"]["alternatives"][0]["words"][0]["start"] == pytest.approx(0.1)
        assert (final["start"], final["duration"]) == (0.0, pytest.approx(0.7))
        await socket.send_str('{"type":"CloseStream"}')
        assert (await until(socket, "Metadata"))[-1]["duration"] == pytest.approx(0.7)
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert server.mistakes == []


async def test_flux_tells_turns() -> None:
    async with serve_deepgram(texts=["I want a table.", "Please."]) as server, dial(server, FLUX) as socket:
        for frame in [LOUD] * 30 + [QUIET] * 30 + [LOUD] * 10:
            await socket.send_bytes(frame)
        await socket.send_str('{"type":"ForceEndTurn"}')
        await socket.send_str('{"type":"CloseStream"}')
        told = [json.loads(message.data) async for message in socket]
        assert told[0]["type"] == "Connected"
        assert [message["sequence_id"] for message in told] == list(range(len(told)))
        ends = [message for message in told[1:] if message["event"] == "EndOfTurn"]
        assert [(end["turn_index"], end["trigger"], end["transcript"]) for end in ends] == [
            (0, "model", "I want a table."),
            (1, "manual", "Please."),
        ]
        assert server.mistakes == []


async def test_aura_speaks_and_forgets() -> None:
    async with serve_deepgram() as server, dial(server, AURA) as socket:
        for text in ("Good", " evening."):
            await socket.send_json({"type": "Speak", "text": text})
        await socket.send_json({"type": "Flush"})
        spoken = await until(socket, "Flushed")
        assert b"".join(data for data in spoken if isinstance(data, bytes)) == voice("Good evening.")
        await socket.send_json({"type": "Speak", "text": "never " * 50})
        await socket.send_json({"type": "Flush"})
        await socket.send_json({"type": "Clear"})
        assert len(await until(socket, "Cleared")) < 50
        assert server.spoken[0] == "Good evening."
        assert server.mistakes == []


@pytest.mark.parametrize(
    ("path", "mistake"),
    [
        (NOVA + "&tempo=1", "there is no parameter tempo"),
        (NOVA + "&language=en&language=de", "language is repeated"),
        (NOVA.replace("mulaw", "mp3"), "encoding is 'mp3'"),
        (NOVA.replace("true", "True"), "interim_results is 'True'"),
        (NOVA.replace("model=nova-3&", ""), "the query has no model"),
        (FLUX + "&interim_results=true", "there is no parameter interim_results"),
        (FLUX + "&eager_eot_threshold=0.1", "eager_eot_threshold is '0.1'"),
        (FLUX + "&eager_eot_threshold=high", "eager_eot_threshold is 'high'"),
        (FLUX + "&eager_eot_threshold=0.8", "eager_eot_threshold is above eot_threshold"),
        (FLUX.replace("flux-general-en", "nova-3"), "model is 'nova-3'"),
        (AURA + "&container=none", "there is no parameter container"),
        (AURA.replace("aura-2-thalia-en", "flux-alexis-en"), "model is 'flux-alexis-en'"),
        (FLUX_VOICE.replace("flux-alexis-en", "aura-2-thalia-en"), "model is 'aura-2-thalia-en'"),
        (FLUX_VOICE + "&container=none", "there is no parameter container"),
    ],
)
async def test_queries_are_checked(path: str, mistake: str) -> None:
    async with serve_deepgram() as server:
        with pytest.raises(WSServerHandshakeError) as caught:
            async with dial(server, path):
                pass
        assert caught.value.status == 400
        assert server.mistakes == [mistake]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (NOVA, '{"type":"ForceEndTurn"}'),
        (NOVA, '{"type":"KeepAlive","now":1}'),
        (NOVA, "{"),
        (FLUX, '{"type":"KeepAlive"}'),
        (FLUX, '{"type":"Finalize"}'),
        (AURA, '{"type":"Speak"}'),
        (AURA, '{"type":"Speak","text":""}'),
        (AURA, b"sound"),
        (FLUX_VOICE, b"sound"),
        (FLUX_VOICE, '{"type":"Clear"}'),
        (FLUX_VOICE, '{"type":"Flush"}'),
        (FLUX_VOICE, '{"type":"Interrupt","playback_offset":5}'),
        (FLUX_VOICE, '{"type":"Interrupt","turn":1}'),
        (NOVA, b""),
    ],
)
async def test_messages_are_checked(path: str, message: str | bytes) -> None:
    async with serve_deepgram() as server:
        async with dial(server, path) as socket:
            await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
            await socket.send_str('{"type":"CloseStream"}' if "listen" in path else '{"type":"Close"}')
            async for _ in socket:
                pass
        assert server.mistakes


async def test_keys_and_bad_days() -> None:
    async with serve_deepgram(idle_seconds=0.05, faults=[Fault("refused", 429), None, None, Fault("drop")]) as server:
        for key, status in ((f"Token {KEY}", 429), ("Token other", 401)):
            with pytest.raises(WSServerHandshakeError) as caught:
                async with dial(server, NOVA, key):
                    pass
            assert caught.value.status == status
        for code in (1011, 1006):
            async with dial(server, NOVA, f"Bearer {KEY}") as socket:
                message = await socket.receive(timeout=PATIENCE)
                assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR)
                assert socket.close_code == code
