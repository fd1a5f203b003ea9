"""The official SDK is the judge: unchanged, it holds a conversation with the simulated GPT-Live, whose every event has
to be one of the SDK's types."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, get_args

import pytest

from media.g711 import pcm_to_mulaw
from tests.simulators.gpt_live import KEY, GptLiveServer, GptLiveSession, serve_gpt_live
from tests.simulators.live_wire import Fault, Hangup, Reply, Turn, tones
from tests.steady import PATIENCE

TOOL = {"type": "function", "name": "book_table", "description": "Books.", "parameters": {"type": "object"}}
SESSION = {
    "model": "gpt-live-1",
    "instructions": "Be brief.",
    "audio": {"format": {"type": "audio/pcmu", "rate": 8000}, "output": {"voice": "marin"}},
    "delegation": {"type": "responses", "responses": {"model": "gpt-5.4-mini", "tools": [TOOL]}},
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "I am Ann."}]}],
}


def events_by_type() -> dict[str, Any]:
    from openai.types.live import server_event

    union = get_args(server_event.ServerEvent)[0]
    return {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(union)}


@pytest.fixture(scope="module")
def types() -> dict[str, Any]:
    return events_by_type()


@pytest.fixture
def client() -> Any:
    import openai
    import openai.lib._websocket
    import openai.resources.live.live
    import websockets.asyncio.client  # noqa: F401 - all of it is imported outside the loop

    return openai.AsyncOpenAI(api_key=KEY, base_url="http://127.0.0.1/v1", max_retries=0)


def book(history: list[Turn]) -> Reply:
    match history[-1]:
        case Turn("tool", text):
            return Reply(f"Done {text}", after=0.0)
        case Turn("user", text) if "table" in text:
            return Reply("Wait", (("book_table", {"seats": 4}), ("book_table", {"seats": 2})), after=0.0)
        case Turn("commentary", text):
            return Reply(text, after=0.0)
        case _:
            return Reply("Hello", after=0.0)


class Judge:
    """Reads events, each of which has to be what its type says."""

    def __init__(self, connection: Any, types: dict[str, Any]) -> None:
        self._connection = connection
        self._types = types
        self.seen: list[dict[str, Any]] = []

    async def until(self, kind: str, nested: str | None = None) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while True:
                raw: dict[str, Any] = json.loads(await self._connection.recv_bytes())
                event = self._types[raw["type"]].model_validate(raw)
                assert not event.model_extra
                self.seen.append(raw)
                if raw["type"] == kind and (nested is None or raw["event"]["type"] == nested):
                    return raw

    def text(self, kind: str) -> str:
        return "".join(event["delta"] for event in self.seen if event["type"] == kind)


@asynccontextmanager
async def connected(client: Any, server: GptLiveServer, types: dict[str, Any]) -> AsyncIterator[tuple[Any, Judge]]:
    async with serve_gpt_live(server):
        client.base_url = f"{server.url}/v1"
        try:
            async with client.live.connect() as connection:
                yield connection, Judge(connection, types)
        finally:
            await client.close()


async def speak(connection: Any, words: str) -> None:
    """A stretch of speech and the silence after it, as fast as it goes."""
    sound = pcm_to_mulaw(tones(words, 8000) + bytes(16000))
    for start in range(0, len(sound), 1600):
        await connection.session.input_audio.append(audio=base64.b64encode(sound[start : start + 1600]).decode())


async def test_the_sdk_talks_over_it_and_answers_for_tools(client: Any, types: dict[str, Any]) -> None:
    server = GptLiveServer(reply=book, usage_every=0.2)
    server.said.extend(["stop it", "a table please"])
    async with connected(client, server, types) as (connection, judge):
        await connection.session.start(session=SESSION)
        started = await judge.until("session.started")
        assert started["session"]["model"] == "gpt-live-1"

        await connection.session.commentary.append(content="la " * 30 + "six", delegation_id=None)
        await judge.until("session.commentary.appended")
        await judge.until("session.output_transcript.delta")
        await speak(connection, "stop it")
        await judge.until("session.input_transcript.delta")
        assert judge.text("session.input_transcript.delta") == " stop it"
        assert server.sessions[0].stopped == 1
        assert "six" not in server.sessions[0].history[1].text
        assert server.sessions[0].history[0] == Turn("user", "I am Ann.")

        await speak(connection, "table")
        await judge.until("session.delegation.created")
        await judge.until("response.event", "response.completed")
        calls = [
            event["event"]["item"]
            for event in judge.seen
            if event["type"] == "response.event" and event["event"]["type"] == "response.output_item.done"
        ]
        assert [json.loads(call["arguments"]) for call in calls] == [{"seats": 4}, {"seats": 2}]
        for number, call in enumerate(calls):
            item = {"type": "function_call_output", "call_id": call["call_id"], "output": f"table-{number}"}
            await connection.response.item.create(item=item)
        await connection.response.create()
        while "table-1" not in judge.text("session.output_transcript.delta"):
            await judge.until("session.output_transcript.delta")
        await judge.until("session.usage.updated")
        await connection.session.close()
        closed = await judge.until("session.closed")
        assert closed["reason"] == "close_requested"
        assert closed["usage"]["seconds"] > 0.5
    assert server.mistakes == []


@pytest.mark.parametrize("code", [401, 429])
async def test_the_sdk_is_refused(client: Any, types: dict[str, Any], code: int) -> None:
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus) as caught:
        async with connected(client, GptLiveServer(fault=Fault("refused", code)), types):
            pass
    assert caught.value.response.status_code == code


async def test_the_connection_is_cut(client: Any, types: dict[str, Any]) -> None:
    from websockets.exceptions import ConnectionClosedError

    async with connected(client, GptLiveServer(fault=Fault("close", 1006, after=2)), types) as (connection, judge):
        await connection.session.start(session=SESSION)
        with pytest.raises(ConnectionClosedError):
            await judge.until("session.closed")
    assert [event["type"] for event in judge.seen].count("session.output_audio.delta") == 1


def start(**changes: Any) -> str:
    return json.dumps({"type": "session.start", "session": {**SESSION, **changes}})


@pytest.mark.parametrize(
    ("messages", "mistake"),
    [
        (["{"], "no JSON"),
        (['{"type":"session.begin"}'], "no event is 'session.begin'"),
        (['{"type":"session.input_audio.append","audio":""}'], "before session.start"),
        ([start(temperature=1)], "has no field 'temperature'"),
        ([start(audio={"format": {"type": "audio/pcmu"}})], "lacks 'rate'"),
        ([start(audio={"format": {"type": "audio/pcmu", "rate": 24000}})], "with a rate of 24000"),
        ([start(input=[{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}])], "of the assistant"),
        ([start(), start()], "second session.start"),
        ([start(), '{"type":"session.commentary.append","content":"x"}'], "lacks 'delegation_id'"),
        ([start(), '{"type":"session.commentary.append","content":"x","delegation_id":"d"}'], "no delegation of the"),
        ([start(), '{"type":"response.create"}'], "no result of anything"),
        ([start(), '{"type":"session.input_audio.append","audio":"?"}'], "no base64"),
    ],
)
def test_what_is_wrong_is_refused(types: dict[str, Any], messages: list[str], mistake: str) -> None:
    server = GptLiveServer()
    session = GptLiveSession(server)
    outs = [session.receive(message, 0.0) for message in messages][-1]
    assert any(mistake in one for one in server.mistakes)
    assert isinstance(outs[0], str)
    types["error"].model_validate_json(outs[0])
    assert isinstance(outs[-1], Hangup) == (len(messages) == 1)


def test_a_partial_batch_of_results_is_refused() -> None:
    server = GptLiveServer(reply=book)
    session = GptLiveSession(server)
    session.receive(start(), 0.0)
    session._begin(book([Turn("user", "table")]))
    first = next(iter(session._calls))
    item = {"type": "function_call_output", "call_id": first, "output": "7"}
    session.receive(json.dumps({"type": "response.item.create", "item": item}), 0.0)
    session.receive('{"type":"response.create"}', 0.0)
    assert len(server.mistakes) == 1
