"""The simulated OpenAI Realtime, judged by the official SDK: its client, and its types for each event."""

from __future__ import annotations

import asyncio
import base64
import math
import platform
import typing
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import aiohttp
import pytest
import websockets.asyncio.client  # noqa: F401  the SDK imports it in the middle of a test
from openai import AsyncOpenAI
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter, ValidationError

from media.audio import MULAW_8K, PCM_24K
from media.g711 import pcm_to_mulaw
from pipelines.providers.pico import PicoTextToSpeech
from tests.simulators.openai_realtime import (
    KEY,
    Behaviour,
    Faults,
    History,
    RealtimeServer,
    RealtimeSimulation,
    Reply,
    serve_realtime,
    spoken,
    tones,
)
from tests.simulators.openai_realtime_scene import Sent

platform.processor()  # asked by the SDK, too, which would start a process for it in the middle of a test

QUICK = Behaviour(speed=math.inf, think=0.0, transcribe=0.0)
SPEECH = pcm_to_mulaw(bytes(range(1, 255, 2)) * 160)  # 1.27 s, loud
TOOL = {"type": "function", "name": "book", "description": "Books", "parameters": {"type": "object"}}


def _types() -> dict[str, type[BaseModel]]:
    union = typing.get_args(typing.get_args(RealtimeServerEvent)[0])
    return {typing.get_args(each.model_fields["type"].annotation)[0]: each for each in union}


TYPES = _types()


def judge(event: dict[str, Any]) -> None:
    """Raises unless the event is what the SDK says that one of its type is, with no field that it does not know."""
    known = TYPES[event["type"]]
    TypeAdapter(known).validate_python(event)
    unknown = set(event) - set(known.model_fields)
    assert not unknown, f"{event['type']} has {unknown}"


def session(**audio_input: Any) -> dict[str, Any]:
    audio = {"input": {"format": {"type": "audio/pcmu"}, **audio_input}, "output": {"format": {"type": "audio/pcmu"}}}
    return {"type": "realtime", "audio": audio, "tools": [TOOL], "instructions": "Be brief."}


class Told(list[dict[str, Any]]):
    """Events of a simulation, each of them judged."""

    def read(self, sent: list[Sent]) -> Told:
        for message in sent:
            assert isinstance(message, str)
            self.append(TypeAdapter(dict[str, Any]).validate_json(message))
            judge(self[-1])
        return self

    def kinds(self) -> list[str]:
        return [event["type"] for event in self]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self if event["type"] == kind]


class Client:
    """Drives a simulation on a clock of its own, and judges whatever it says."""

    def __init__(self, simulation: RealtimeSimulation | None = None, **update: Any) -> None:
        self.simulation = simulation or RealtimeSimulation(behaviour=QUICK)
        self.now = 0.0
        self.told = Told().read(self.simulation.opened(0.0))
        self.send({"type": "session.update", "session": {**session(), **update}})

    def send(self, event: dict[str, Any]) -> Told:
        return self._read(self.simulation.receive(TypeAdapter(Any).dump_json(event).decode(), self.now))

    def hear(self, sound: bytes) -> Told:
        new = Told()
        for at in range(0, len(sound), 160):
            audio = base64.b64encode(sound[at : at + 160]).decode()
            new += self.send({"type": "input_audio_buffer.append", "audio": audio})
            new += self.wait(0.02)
        return new

    def wait(self, seconds: float) -> Told:
        self.now += seconds
        return self._read(self.simulation.tick(self.now))

    def _read(self, sent: list[Sent]) -> Told:
        new = Told().read(sent)
        self.told += new
        return new


def test_the_judge_can_say_no() -> None:
    good = {"type": "input_audio_buffer.speech_started", "event_id": "e", "audio_start_ms": 1, "item_id": "i"}
    judge(good)
    for bad in ({"audio_start_ms": "soon"}, {"item_id": None}):
        with pytest.raises(ValidationError):
            judge(good | bad)
    with pytest.raises(ValidationError):
        judge({name: value for name, value in good.items() if name != "item_id"})
    with pytest.raises(AssertionError):
        judge(good | {"mood": "good"})
    assert len(TYPES) == 46


@asynccontextmanager
async def connected(server: RealtimeServer) -> AsyncGenerator[Any, None]:
    client = await asyncio.to_thread(AsyncOpenAI, api_key=KEY, base_url=server.base_url, max_retries=0)  # reads files
    async with client, client.realtime.connect(model="gpt-realtime-2.1") as connection:
        yield connection


async def test_a_conversation_by_the_official_sdk_with_a_tool() -> None:
    def reply(said: str, history: History) -> Reply:
        role, latest = history[-1]
        return Reply(f"It is {latest}.") if role == "tool" else Reply("One moment.", [("book", {"day": said})])

    kinds: list[str] = []
    async with serve_realtime(reply=reply, behaviour=QUICK) as server, connected(server) as connection:
        server.said.append("tuesday")
        await connection.session.update(session=session(transcription={"model": "gpt-transcribe"}))
        for sound in (SPEECH, MULAW_8K.silence(600)):
            await connection.input_audio_buffer.append(audio=base64.b64encode(sound).decode())
        sound = b""
        async for event in connection:
            judge(event.to_dict())
            kinds.append(event.type)
            match event.type:
                case "response.output_audio.delta":
                    sound += base64.b64decode(event.delta)
                case "response.done" if event.response.output[-1].type == "function_call":
                    call = event.response.output[-1]
                    assert (call.name, call.arguments) == ("book", '{"day": "tuesday"}')
                    output = {"type": "function_call_output", "call_id": call.call_id, "output": "booked"}
                    await connection.conversation.item.create(item=output)
                    await connection.response.create()
                case "response.done":
                    assert event.response.usage.output_token_details.audio_tokens == 18
                    break
                case _:
                    pass
        assert server.mistakes == []
        assert server.sessions[0].history() == [
            ("user", "tuesday"),
            ("assistant", "One moment."),
            ("assistant", "It is booked."),
        ]
    assert MULAW_8K.seconds(sound) == pytest.approx(5 * 0.3)
    started = kinds.index("input_audio_buffer.speech_started")
    assert [kind for kind in kinds[started:] if "transcription" not in kind][:9] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
    ]
    assert "conversation.item.input_audio_transcription.completed" in kinds


def test_an_answer_comes_in_its_order_and_faster_than_it_is_spoken() -> None:
    client = Client(RealtimeSimulation(behaviour=Behaviour(speed=5.0, think=0.3)))
    client.send({"type": "response.create", "response": {"instructions": "Say:\n\n" + "one two three four " * 5}})
    client.wait(0.29)
    assert client.told.of("response.output_audio.delta") == []
    client.wait(0.31)
    assert len(client.told.of("response.output_audio.delta")) == 16  # 0.3 s at 5 times, in pieces of 100 ms
    client.wait(1.0)
    order = list(
        dict.fromkeys(kind for kind in client.told.kinds() if kind.startswith(("response", "conversation.item")))
    )
    assert order == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert len(client.told.of("response.output_audio.delta")) == 60


def test_all_of_a_long_answer_can_come_at_once() -> None:
    client = Client()
    client.send({"type": "response.create", "response": {"instructions": "word " * 100}})
    told = client.wait(0.0)
    assert len(told.of("response.output_audio.delta")) == 300
    assert told[-1]["type"] == "response.done"


def test_speech_cancels_the_answer_and_late_sound_still_comes() -> None:
    client = Client(RealtimeSimulation(behaviour=Behaviour(think=0.0, speed=5.0)))
    client.send({"type": "response.create", "response": {"instructions": "word " * 40}})
    told = client.hear(SPEECH[: 160 * 20])
    done = next(event for event in told if event["type"] == "response.done")
    assert (done["response"]["status"], done["response"]["status_details"]["reason"]) == ("cancelled", "turn_detected")
    kinds = told.kinds()
    assert kinds.index("input_audio_buffer.speech_started") < kinds.index("response.done")
    assert kinds[kinds.index("response.done") :].count("response.output_audio.delta") == 3


def test_what_the_caller_did_not_hear_is_forgotten() -> None:
    client = Client()
    client.send({"type": "response.create", "response": {"instructions": "one two three four five"}})
    [item] = {event["item_id"] for event in client.wait(0.0).of("response.output_audio.delta")}
    assert client.simulation.history() == [("assistant", "one two three four five")]
    truncate = {"type": "conversation.item.truncate", "item_id": item, "content_index": 0}
    assert client.send({**truncate, "audio_end_ms": 650}).kinds() == ["conversation.item.truncated"]
    assert client.simulation.history() == [("assistant", "one two")]
    assert client.simulation.mistakes == []
    client.send({**truncate, "audio_end_ms": 651})
    client.send({**truncate, "audio_end_ms": 0})
    client.send({**truncate, "audio_end_ms": 10, "item_id": "none"})
    codes = [event["error"]["code"] for event in client.told.of("error")]
    assert codes == ["invalid_value", "invalid_value", "item_truncate_invalid_item_id"]
    assert client.send({"type": "conversation.item.delete", "item_id": item}).kinds() == ["conversation.item.deleted"]
    assert client.simulation.history() == []


OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "x"}
AUDIO = {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 8000}}}}


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "response.creat"}, "invalid_value", "type"),
        ({"event_id": "e"}, "missing_required_parameter", "type"),
        ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
        (
            {"type": "session.update", "session": {"type": "realtime", "temperature": 0.8}},
            "unknown_parameter",
            "session.temperature",
        ),
        ({"type": "session.update", "session": AUDIO}, "invalid_value", "session.audio.input.format.rate"),
        ({"type": "input_audio_buffer.append", "audio": "§"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
        ({"type": "response.cancel"}, "response_cancel_not_active", None),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "function_call_output", "call_id": "c", "output": "x"},
            },
            "invalid_tool_call_id",
            "item.call_id",
        ),
        (
            {"type": "conversation.item.create", "item": {"type": "message", "role": "assistant", "content": [{}]}},
            "missing_required_parameter",
            "item.content[0].type",
        ),
    ],
)
def test_mistakes_are_told_and_recorded(event: dict[str, Any], code: str, param: str | None) -> None:
    client = Client()
    told = client.send({"event_id": "mine", **event})
    assert told.kinds() == ["error"]
    error = told[0]["error"]
    assert (error["code"], error["param"], error["event_id"]) == (code, param, event.get("event_id", "mine"))
    assert len(client.simulation.mistakes) == 1


def test_a_second_answer_is_refused_while_one_is_active() -> None:
    client = Client(RealtimeSimulation())
    client.send({"type": "response.create"})
    told = client.send({"type": "response.create", "event_id": "second"})
    error = told.of("error")[0]["error"]
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")


def test_sound_in_another_format_than_was_said_is_noticed() -> None:
    client = Client()
    audio = base64.b64encode(PCM_24K.silence(20)).decode()
    for _ in range(50):
        client.send({"type": "input_audio_buffer.append", "audio": audio})
        client.wait(0.02)
    assert client.simulation.mistakes == ["sound comes faster than it is spoken: is it mulaw at 8000 Hz?"]


def test_a_setting_that_is_not_named_stays() -> None:
    client = Client()
    client.send(
        {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}}
    )
    effective = client.told[-1]["session"]
    assert effective["instructions"] == "Be brief."
    assert effective["audio"]["input"]["turn_detection"] is None
    assert effective["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    client.hear(SPEECH)
    assert "input_audio_buffer.speech_started" not in client.told.kinds()
    assert "input_audio_buffer.committed" in client.send({"type": "input_audio_buffer.commit"}).kinds()


# Bad days


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_the_upgrade_is_refused(status: int) -> None:
    async with serve_realtime(faults=deque([Faults(refuse=status)])) as server:
        with pytest.raises(Exception, match=str(status)):
            async with connected(server):
                pass
        async with connected(server) as connection:  # the next one is well
            assert (await connection.recv()).type == "session.created"


async def test_a_wrong_key_and_the_old_shape_are_refused() -> None:
    async with serve_realtime() as server, aiohttp.ClientSession() as session:
        url = f"{server.base_url}/realtime?model=m"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await session.ws_connect(url)
        headers = {"Authorization": f"Bearer {KEY}", "OpenAI-Beta": "realtime=v1"}
        async with session.ws_connect(url, headers=headers) as socket:
            assert (await socket.receive_json())["error"]["code"] == "beta_api_shape_disabled"
            await socket.receive()
            assert socket.close_code == 4000
        assert len(server.refusals) == 2


@asynccontextmanager
async def answering(faults: Faults) -> AsyncGenerator[aiohttp.ClientWebSocketResponse, None]:
    """A socket to a server that has been asked for a long answer."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with serve_realtime(faults=deque([faults]), behaviour=QUICK) as server, aiohttp.ClientSession() as http:
        url = f"{server.base_url}/realtime?model=m"
        async with http.ws_connect(url, headers=headers, max_msg_size=0) as socket:
            await socket.send_json({"type": "session.update", "session": session()})
            await socket.send_json({"type": "response.create", "response": {"instructions": "word " * 10}})
            yield socket


async def read(socket: aiohttp.ClientWebSocketResponse, seconds: float = 0.3) -> list[str]:
    """What comes until the socket closes, or nothing comes any more."""
    messages = []
    try:
        async with asyncio.timeout(seconds):
            async for message in socket:
                messages.append(message.data)  # noqa: PERF401
    except TimeoutError:
        pass
    return messages


def deltas(messages: list[str]) -> int:
    return sum("output_audio.delta" in message for message in messages)


async def test_a_connection_is_cut_in_the_middle_of_an_answer() -> None:
    async with answering(Faults(drop_after_ms=500)) as socket:
        assert deltas(await read(socket, 5.0)) == 5
        assert socket.close_code == 1006
    async with answering(Faults(drop_after_ms=500, drop_code=1000)) as socket:
        await read(socket, 5.0)
        assert socket.close_code == 1000


async def test_a_connection_is_half_open() -> None:
    async with answering(Faults(half_open_after_ms=500)) as socket:
        assert deltas(await read(socket)) == 5
        assert not socket.closed


async def test_nothing_is_ever_answered() -> None:
    async with answering(Faults(mute=True)) as socket:
        assert await read(socket) == []
        assert not socket.closed


async def test_messages_that_are_none_and_messages_that_are_huge() -> None:
    async with answering(Faults(malformed=True, huge=True)) as socket:
        messages = await read(socket)
    assert '{"type":"response.output_audio.delta","delta":' in messages
    assert max(map(len, messages)) > 5_000_000
    for message in messages:
        if len(message) > 5_000_000:
            judge(TypeAdapter(dict[str, Any]).validate_json(message))


async def test_a_session_expires() -> None:
    async with answering(Faults(expire_after=0.1)) as socket:
        messages = await read(socket, 5.0)
        assert "session_expired" in messages[-1]
        assert socket.close_code == 1001


async def test_an_answer_without_sound_and_a_quota_that_is_used_up() -> None:
    async with answering(Faults(silence=True)) as socket:
        messages = await read(socket)
        assert deltas(messages) == 0
        assert '"type":"response.done"' in messages[-1]
    async with answering(Faults(fatal="insufficient_quota")) as socket:
        assert "insufficient_quota" in (await read(socket))[-1]


@pytest.mark.skipif(find_spec("ttspico") is None, reason="Pico is not built")
async def test_a_real_voice() -> None:
    pico = PicoTextToSpeech()
    try:
        voice = await spoken(pico, ["You want a table for two."])
    finally:
        await pico.close()
    voiced = voice("You want a table for two.")
    mulaw = voiced.encoded(MULAW_8K)
    assert 1.0 < MULAW_8K.seconds(mulaw) < 4.0
    assert voiced.words[-1].end == pytest.approx(MULAW_8K.seconds(mulaw))
    assert PCM_24K.seconds(tones("one two").encoded(PCM_24K)) == pytest.approx(0.6)
