"""The simulated ElevenLabs, by a client that is not ours."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from media.g711 import mulaw_to_pcm, pcm_to_mulaw
from tests.simulators.codeword import heard_words, speak
from tests.simulators.elevenlabs import ElevenLabsServer, serve_elevenlabs
from tests.simulators.elevenlabs_ears import KEY
from tests.simulators.speech_wire import Fault
from tests.steady import PATIENCE

SCRIBE = "/v1/speech-to-text/realtime?model_id=scribe_v2_realtime&audio_format=ulaw_8000"
MULTI = "/v1/text-to-speech/v/multi-stream-input?model_id=eleven_flash_v2_5&output_format=ulaw_8000"
SINGLE = MULTI.replace("multi-stream-input", "stream-input")


@asynccontextmanager
async def dial(server: ElevenLabsServer, path: str, key: str = KEY) -> AsyncGenerator[ClientWebSocketResponse, None]:
    headers = {"xi-api-key": key}
    async with ClientSession() as session, session.ws_connect(server.base_url + path, headers=headers) as socket:
        yield socket


def chunk(sound: bytes, *, commit: bool = False, **more: Any) -> dict[str, Any]:
    audio = b64encode(sound).decode()
    return {"message_type": "input_audio_chunk", "audio_base_64": audio, "commit": commit, "sample_rate": 8000} | more


async def say(socket: ClientWebSocketResponse, server: ElevenLabsServer, text: str, *, commit: bool = True) -> None:
    """A second of silence, and the text."""
    sound = b"\xff" * 8000 + pcm_to_mulaw(speak(text, code=server.code))
    for at in range(0, len(sound), 800):
        await socket.send_json(chunk(sound[at : at + 800]))
    if commit:
        await socket.send_json(chunk(b"", commit=True))


async def until(socket: ClientWebSocketResponse, field: str, value: Any) -> list[dict[str, Any]]:
    """What comes until a message that has that, which is the last."""
    found: list[dict[str, Any]] = []
    while not found or found[-1].get(field) != value:
        found.append(await socket.receive_json(timeout=PATIENCE))
    return found


async def test_scribe_supposes_and_then_commits() -> None:
    async with serve_elevenlabs() as server, dial(server, f"{SCRIBE}&include_timestamps=true") as socket:
        assert (await socket.receive_json())["message_type"] == "session_started"
        await say(socket, server, "one two three four five six")
        told = await until(socket, "message_type", "committed_transcript_with_timestamps")
        kinds = [message["message_type"] for message in told]
        assert kinds[:-2] == ["partial_transcript"] * len(kinds[:-2]) != []
        assert kinds[-2] == "committed_transcript"
        assert told[-2]["text"] == told[-1]["text"] == "One two three four five six."
        words = [word for word in told[-1]["words"] if word["type"] == "word"]
        assert [(word["text"], word["start"]) for word in words[:2]] == [("one", 1.0), ("two", 1.3)]
        await say(socket, server, "seven")
        again = await until(socket, "message_type", "committed_transcript")
        assert again[-1]["text"] == "Seven."
        assert server.mistakes == []


async def test_scribe_works_after_two_seconds_and_commits_after_ninety() -> None:
    async with serve_elevenlabs() as server, dial(server, SCRIBE) as socket:
        await say(socket, server, "one")
        await say(socket, server, "two", commit=False)
        told = await until(socket, "message_type", "committed_transcript")
        assert [message["message_type"] for message in told] == ["session_started", "committed_transcript"]
        assert told[-1]["text"] == "One."
        for _ in range(95):
            await socket.send_json(chunk(b"\xff" * 8000))
        told = await until(socket, "message_type", "committed_transcript")
        assert told[-1]["text"] == "Two."
        assert server.mistakes == []


async def test_contexts_take_turns_and_are_final() -> None:
    async with serve_elevenlabs() as server, dial(server, MULTI) as socket:
        texts = {"a": "one two three", "b": "four five"}
        for name, text in texts.items():
            await socket.send_json({"text": " ", "context_id": name, "voice_settings": {"stability": 0.5}})
            await socket.send_json({"text": f"{text} ", "context_id": name})
            await socket.send_json({"text": "", "context_id": name})
            await socket.send_json({"context_id": name, "flush": True})
            await socket.send_json({"context_id": name, "close_context": True})
        told = await until(socket, "contextId", "b") + await until(socket, "isFinal", True)
        told += await until(socket, "isFinal", True)
        for name, text in texts.items():
            mine = [message for message in told if message["contextId"] == name]
            assert "isFinal" in mine[-1]
            sound = b"".join(b64decode(message["audio"]) for message in mine[:-1])
            assert heard_words(mulaw_to_pcm(sound), code=server.code) == text.split()
            assert "".join("".join(message["alignment"]["chars"]) for message in mine[:-1]) == f"{text} "
        assert [message["contextId"] for message in told[:4]] == ["a", "b", "a", "b"] or told[0]["contextId"] == "b"
        await socket.send_json({"close_socket": True})
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert server.mistakes == []


async def test_numbers_are_read_aloud_in_the_normalized_alignment() -> None:
    async with serve_elevenlabs() as server, dial(server, SINGLE) as socket:
        await socket.send_json({"text": " ", "voice_settings": None, "generation_config": {}})
        for text in ("a table for 2 ", ""):
            await socket.send_json({"text": text, "try_trigger_generation": True})
        told = (await until(socket, "isFinal", True))[:-1]
        for name, text in (("alignment", "a table for 2 "), ("normalizedAlignment", "a table for two ")):
            assert "".join("".join(message[name]["chars"]) for message in told) == text
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == 1000
        assert server.mistakes == []


@pytest.mark.parametrize(
    ("path", "mistake"),
    [
        (f"{SCRIBE}&tempo=1", "there is no parameter tempo"),
        (f"{SCRIBE}&language_code=en&language_code=de", "language_code is there 2 times"),
        (f"{SCRIBE}&language_code=en-GB", "language_code is 'en-GB'"),
        (f"{SCRIBE}&keyterms={'x' * 21}", f"keyterms is '{'x' * 21}'"),
        (SCRIBE + "&keyterms=x" * 51, "keyterms is there 51 times"),
        (SCRIBE.replace("scribe_v2_realtime", "scribe_v2"), "model_id is 'scribe_v2'"),
        (SCRIBE.replace("&audio_format=ulaw_8000", ""), "the query has no audio_format"),
        (f"{SCRIBE}&include_timestamps=True", "include_timestamps is 'True'"),
        (f"{MULTI}&inactivity_timeout=181", "inactivity_timeout is '181'"),
        (MULTI.replace("ulaw", "mulaw"), "output_format is 'mulaw_8000'"),
        (MULTI.replace("eleven_flash_v2_5", "eleven_v3"), "model_id is 'eleven_v3'"),
        (
            f"{MULTI}&language_code=de".replace("eleven_flash_v2_5", "eleven_multilingual_v2"),
            "this model takes no language_code",
        ),
    ],
)
async def test_queries_are_checked(path: str, mistake: str) -> None:
    async with serve_elevenlabs() as server:
        with pytest.raises(WSServerHandshakeError) as caught:
            async with dial(server, path):
                pass
        assert caught.value.status == 400
        assert server.mistakes == [mistake]


BEGIN = {"text": " ", "context_id": "a"}


@pytest.mark.parametrize(
    ("path", "messages"),
    [
        (SCRIBE, [b"sound"]),
        (SCRIBE, [{"message_type": "commit"}]),
        (SCRIBE, [chunk(b"\xff" * 800, commit=True)]),
        (SCRIBE, [chunk(b"\xff" * 16_000)]),
        (SCRIBE, [chunk(b"\xff" * 800, sample_rate=16_000)]),
        (SCRIBE, [chunk(b"\xff" * 800, tempo=1)]),
        (SCRIBE, [chunk(b"\xff" * 800, previous_text="a"), chunk(b"\xff" * 800, previous_text="b")]),
        (MULTI, [b"sound"]),
        (MULTI, ["{"]),
        (MULTI, [{"text": " "}]),
        (MULTI, [{"text": "One ", "context_id": "a"}]),
        (MULTI, [{"context_id": "a", "flush": True}]),
        (MULTI, [{"context_id": "a", "close_context": True}]),
        (MULTI, [BEGIN, {"text": "One", "context_id": "a"}]),
        (MULTI, [BEGIN, {"text": "One ", "context_id": "a", "voice_settings": {}}]),
        (MULTI, [BEGIN | {"voice_settings": {"tempo": 1}}]),
        (MULTI, [BEGIN | {"contextId": "a"}]),
        (
            MULTI,
            [
                BEGIN,
                {"text": "One two three ", "context_id": "a", "flush": True},
                *[{"context_id": "a", "close_context": True}] * 2,
            ],
        ),
        (MULTI, [BEGIN | {"context_id": name} for name in "abcdef"]),
        (SINGLE, [{"text": " "}, {"text": "One ", "voice_settings": {}}]),
    ],
)
async def test_messages_are_checked(path: str, messages: list[Any]) -> None:
    async with serve_elevenlabs() as server:
        async with dial(server, path) as socket:
            for message in messages:
                if isinstance(message, bytes):
                    await socket.send_bytes(message)
                else:
                    await socket.send_str(message if isinstance(message, str) else json.dumps(message))
            if path != SINGLE:
                await socket.send_json({"close_socket": True} if path == MULTI else {})
            async for _ in socket:
                pass
        assert server.mistakes


async def test_keys_and_bad_days() -> None:
    faults = [Fault("refused", 429), None, None, Fault("drop"), Fault("error", name="quota_exceeded")]
    async with serve_elevenlabs(idle_seconds=0.05, faults=faults) as server:
        for key, status in ((KEY, 429), ("other", 401)):
            with pytest.raises(WSServerHandshakeError) as caught:
                async with dial(server, MULTI, key):
                    pass
            assert caught.value.status == status
        async with dial(server, MULTI) as socket:
            closed = await socket.receive(timeout=PATIENCE)
            assert (closed.type, closed.data, closed.extra) == (WSMsgType.CLOSE, 1008, "input_timeout_exceeded")
        async with dial(server, SCRIBE) as socket:
            assert (await socket.receive(timeout=PATIENCE)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR)
            assert socket.close_code == 1006
        async with dial(server, SCRIBE) as socket:
            assert (await socket.receive_json())["message_type"] == "quota_exceeded"
