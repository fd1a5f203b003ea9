"""The official SDK is the judge: unchanged, it talks to the simulated Cartesia, whose messages are those it knows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cartesia import AsyncCartesia
from cartesia.types import websocket_response
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.simulators.cartesia import CartesiaServer, serve_cartesia
from tests.simulators.cartesia_voices import KEY, WORD_SECONDS
from tests.simulators.speech_wire import Fault
from tests.steady import PATIENCE

TYPES: dict[str, Any] = {
    "chunk": websocket_response.Chunk,
    "timestamps": websocket_response.Timestamps,
    "flush_done": websocket_response.FlushDone,
    "done": websocket_response.Done,
    "error": websocket_response.Error,
}
MULAW: Any = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}
_ = AsyncCartesia(api_key="").tts, AsyncCartesia(api_key="").default_headers  # what is found out once, and blocks
REQUEST: dict[str, Any] = {
    "context_id": "c",
    "model_id": "sonic-3",
    "transcript": "Good evening.",
    "voice": {"mode": "id", "id": "v"},
    "output_format": MULAW,
}


@pytest.fixture
async def server() -> AsyncIterator[CartesiaServer]:
    async with serve_cartesia() as server:
        yield server


def client(server: CartesiaServer, key: str = KEY) -> AsyncCartesia:
    return AsyncCartesia(api_key=key, websocket_base_url=server.base_url.replace("http", "ws"))


def context(socket: Any, **more: Any) -> Any:
    return socket.context(
        timeout=5,
        model_id="sonic-3",
        voice={"mode": "id", "id": "v"},
        output_format=MULAW,
        add_timestamps=True,
        max_buffer_delay_ms=0,
        **more,
    )


async def all_of(context: Any) -> list[Any]:
    """What comes of a context, each message one of its type, to the last field."""
    found = []
    async for event in context.receive():
        model = TYPES[event.type].model_validate(event.to_dict())
        assert not model.model_extra, event
        found.append(event)
    return found


async def test_contexts_speak_at_once_over_one_socket(server: CartesiaServer) -> None:
    texts = ["Good evening.", "What can I do for you?", "Yes."]
    async with client(server).tts.websocket_connect() as socket:
        contexts = [context(socket, language="en") for _ in texts]
        for one, text in zip(contexts, texts, strict=True):
            await one.push(text, continue_=False)
        for one, text in zip(contexts, texts, strict=True):
            events = await all_of(one)
            assert b"".join(event.audio for event in events if event.type == "chunk") == server.voice(text)
            told = [event.word_timestamps for event in events if event.type == "timestamps"]
            words = [word for part in told for word in part.words]
            assert words == [word.strip(".?").lower() for word in text.split()]
            ends = [end for part in told for end in part.end]
            assert ends == pytest.approx([WORD_SECONDS * (number + 1) for number in range(len(words))])
            assert [event.type for event in events[-2:]] == ["flush_done", "done"]
    assert server.opened == 1
    assert server.spoken == texts
    assert server.mistakes == []
    assert server.active == 0


async def test_a_context_that_is_cancelled_falls_silent(server: CartesiaServer) -> None:
    server.late_pieces = 2
    async with client(server).tts.websocket_connect() as socket:
        long, short = context(socket), context(socket)
        await long.push("never heard " * 50, continue_=False)
        async for _event in long.receive():
            break
        await long.cancel()
        await short.push("Yes.", continue_=False)
        events = await all_of(short)
        assert b"".join(event.audio for event in events if event.type == "chunk") == server.voice("Yes.")
    assert len(server.cancelled) == 1
    assert server.mistakes == []
    assert server.active == 0


async def test_what_it_does_not_take(server: CartesiaServer) -> None:
    server.most_contexts = 0
    async with client(server).tts.websocket_connect() as socket:
        full = context(socket)
        await full.push("Good evening.", continue_=False)
        [error] = await all_of(full)
        assert (error.status_code, error.error_code) == (429, "concurrency_limited")
        assert server.mistakes == []
        voice: Any = {"mode": "id", "id": "v"}
        again = socket.context(full._context_id, model_id="sonic-3", voice=voice)
        await again.push("Good evening.", output_format={**MULAW, "encoding": "pcm_f32le"}, continue_=False)
        [error] = await all_of(again)
        assert error.status_code == 400
    assert server.mistakes == [
        "request.output_format.encoding is 'pcm_f32le', none of ['pcm_mulaw']",
        f"the context {full._context_id} is used twice",
    ]


@pytest.mark.parametrize(
    "request_",
    [
        "{",
        "[]",
        '{"cancel": true}',
        {name: value for name, value in REQUEST.items() if name != "voice"},
        REQUEST | {"tempo": 1},
        REQUEST | {"max_buffer_delay_ms": 6000},
        REQUEST | {"transcript": "…"},
        REQUEST | {"voice": "v"},
        REQUEST | {"continue": "false"},
    ],
)
async def test_requests_are_checked(server: CartesiaServer, request_: Any) -> None:
    async with client(server).tts.websocket_connect() as socket:
        await socket._connection.send(request_ if isinstance(request_, str) else json.dumps(request_))
        await socket._connection.send(json.dumps(REQUEST | {"context_id": "good"}))
        async with asyncio.timeout(PATIENCE):
            while (await socket.recv()).type != "done":
                pass
    assert server.mistakes
    assert server.spoken == ["Good evening."]


async def test_keys_and_bad_days() -> None:
    async with serve_cartesia(idle_seconds=0.05, faults=[Fault("refused", 429)]) as server:
        for key, status in ((KEY, 429), ("other", 401)):
            with pytest.raises(InvalidStatus) as caught:
                async with client(server, key).tts.websocket_connect():
                    pass
            assert caught.value.response.status_code == status
        server.faults = [None, Fault("drop"), Fault("error")]
        for code in (1000, 1006):
            async with client(server).tts.websocket_connect() as socket:
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
            assert closed.value.rcvd is None if code == 1006 else closed.value.rcvd is not None
        async with client(server).tts.websocket_connect() as socket:
            await context(socket).push("Yes.", continue_=False)
            error = TYPES["error"].model_validate_json(await socket.recv_bytes())
            assert error.status_code == 500
        assert server.mistakes == []
