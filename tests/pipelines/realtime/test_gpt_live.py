"""The adapter for GPT-Live: message by message, and in whole conversations with the simulated one, on a clock that is
stepped by hand."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.g711 import mulaw_to_pcm, pcm_to_mulaw
from pipelines.parts import Message, ProviderError, ToolCall, ToolSpec
from pipelines.realtime.connection import RealtimeConnection
from pipelines.realtime.gpt_live import NOTHING_KNOWN, GptLiveModel, GptLiveProtocol
from pipelines.realtime.gpt_live_setup import session_config
from pipelines.realtime.model import (
    AudioCame,
    CallerSaid,
    ModelFault,
    NotUnderstood,
    RealtimeEvent,
    SessionOver,
    SessionReady,
    Setup,
    ToolOutput,
    ToolsAsked,
    Used,
    WordsCame,
)
from tests.pipelines.realtime.stepped import Stepped, told
from tests.simulators.gpt_live import KEY, GptLiveServer, GptLiveSession, serve_gpt_live
from tests.simulators.live_wire import Fault, Hangup, Reply, Stall, Turn, obedient, tones

MODEL, BEHIND = "gpt-live-1", "gpt-5.4-mini"
TABLE = ToolSpec("book_table", "Books a table.", {"type": "object", "properties": {"seats": {"type": "integer"}}})


class Line(Stepped):
    rate = 8000

    def __init__(self, setup: Setup, server: GptLiveServer | None = None) -> None:
        self.server = server or GptLiveServer()
        self.session = GptLiveSession(self.server)
        self.protocol = GptLiveProtocol(MODEL, BEHIND, setup)
        super().__init__(self.protocol, self.session)

    def encode(self, pcm: bytes) -> bytes:
        return pcm_to_mulaw(pcm)

    @property
    def words(self) -> list[str]:
        return self.text.split()


def book(history: list[Turn]) -> Reply:
    match history[-1]:
        case Turn("tool", text):
            return Reply(f"Done {text}")
        case Turn("user", text) if "table" in text:
            return Reply("Wait", (("book_table", {"seats": 4}), ("book_table", {"seats": 2})))
        case _:
            return obedient(history)


# Conversations


def test_the_stream_has_the_greeting_and_its_silence() -> None:
    line = Line(Setup("Be brief.", greeting="Welcome back"), GptLiveServer(usage_every=1.0))
    line.pass_(2.0)
    assert line.events[0] == SessionReady()
    assert line.words == ["Welcome", "back"]
    assert {(event.response, event.item) for event in line.of(AudioCame)} == {("live", "live")}
    stream = b"".join(event.data for event in line.of(AudioCame))
    assert len(stream) == 2 * 8000
    start = round(0.2 * 8000)
    spoken = pcm_to_mulaw(tones("Welcome back", 8000))
    assert stream == b"\xff" * start + spoken + b"\xff" * (len(stream) - start - len(spoken))
    assert line.of(Used) == [Used({"seconds": 1.0}), Used({"seconds": 1.0})]
    line.send(*line.protocol.closing())
    assert line.of(SessionOver) == [SessionOver("the session was closed")]
    assert line.ended == [Hangup(1000)]
    assert line.protocol.closing() == ()
    assert line.server.mistakes == []


def test_it_falls_silent_by_itself_when_it_is_talked_over() -> None:
    line = Line(Setup("", greeting="la " * 20))
    line.server.said.append("stop that")
    line.pass_(1.5)
    line.speak("stop that")
    line.pass_(0.4)
    assert line.session.stopped == 1
    assert line.session.history[0] == Turn("assistant", "la la la la la")
    assert not any(mulaw_to_pcm(line.of(AudioCame)[-1].data))
    line.pass_(3.0)
    assert line.of(CallerSaid)[-1] == CallerSaid("c1", "stop that")
    assert line.words[-4:] == ["You", "said", "stop", "that"]


def test_tools_are_asked_for_together_and_answered_together() -> None:
    line = Line(Setup("", [TABLE]), GptLiveServer(reply=book))
    line.server.said.append("a table")
    line.speak("a table")
    line.pass_(1.5)
    [asked] = line.of(ToolsAsked)
    assert [(call.name, call.arguments) for call in asked.calls] == [
        ("book_table", {"seats": 4}),
        ("book_table", {"seats": 2}),
    ]
    line.send(*line.protocol.results([ToolOutput(asked.response, call, call.id) for call in asked.calls]))
    line.pass_(2.0)
    assert line.words == ["Wait", "Done", asked.calls[1].id]
    assert line.of(Used)[0] == Used({"input_tokens": 100.0, "cached_tokens": 60.0, "output_tokens": 20.0})
    assert line.server.mistakes == []


def test_without_tools_a_question_to_us_is_answered_at_once() -> None:
    line = Line(Setup(""), GptLiveServer(reply=book))
    line.server.said.append("a table")
    line.speak("a table")
    line.pass_(1.5)
    assert [(one["content"], one["delegation_id"]) for one in line.session.messages[1:]] == [(NOTHING_KNOWN, "dlg_4")]
    assert line.server.mistakes == []


def test_keys_are_answered_and_long_texts_are_taken_apart() -> None:
    line = Line(Setup(""))
    line.send(*line.protocol.tell("1234"))
    line.pass_(1.0)
    assert line.words == ["1234"]
    long = " ".join(str(number) for number in range(1000))
    line.send(*line.protocol.say(long))
    line.pass_(310.0)
    assert line.words[1:] == long.split()
    assert line.server.mistakes == []


def test_the_history_goes_along() -> None:
    history = [
        Message("user", "I am Ann."),
        Message("assistant", "", (ToolCall("1", "free"),)),
        Message("tool", "4", tool_call_id="1", name="free"),
        Message("assistant", "Hello Ann."),
    ]
    line = Line(Setup("", history=history))
    assert line.session.history == [
        Turn("user", "I am Ann."),
        Turn("developer", "The tool free returned: 4"),
        Turn("assistant", "Hello Ann."),
    ]
    long = [Message("user", f"{number} " + "x" * 500) for number in range(200)]
    line = Line(Setup("", history=long))
    assert line.session.history[-1].text.startswith("199 ")
    assert 30 < len(line.session.history) <= 128
    assert line.server.mistakes == []


def test_the_session_expires() -> None:
    line = Line(Setup(""), GptLiveServer(expires_after=1.0))
    line.pass_(1.1)
    assert line.events[-2:] == [Used({"seconds": 1.0}), SessionOver("the session has lasted as long as it may")]


@pytest.mark.parametrize("what", ["garbage", "huge"])
def test_what_is_no_message_does_no_harm(what: Any) -> None:
    line = Line(Setup("", greeting="one two"), GptLiveServer(fault=Fault(what, after=2)))
    line.pass_(1.0)
    assert line.words == ["one", "two"]
    assert line.of(NotUnderstood)


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        (Fault("close", 1006), [Hangup(None, "simulated")]),
        (Fault("close", 1000), [Hangup(1000, "simulated")]),
        (Fault("half_open"), [Stall()]),
        (Fault("silence"), []),
    ],
)
def test_the_end_in_the_middle(fault: Fault, end: list[Hangup | Stall]) -> None:
    line = Line(Setup("", greeting="one two three four"), GptLiveServer(fault=fault))
    line.pass_(0.5)
    assert line.ended[:1] == end
    assert len(line.of(AudioCame)) >= 2


# The setup


def test_the_setup() -> None:
    vendor = {"openai": {"delegation": {"model": "gpt-5.6-luna", "reasoning": {"effort": "low"}}}}
    setup = Setup("Be brief.", [TABLE], voice="cedar", language="de", hints=["Ann"], temperature=0.3, vendor=vendor)
    instructions = "Be brief.\n\nThe language of this conversation is de.\n\nWords that are likely to be said: Ann."
    assert session_config(MODEL, BEHIND, setup) == {
        "model": MODEL,
        "audio": {"format": {"type": "audio/pcmu", "rate": 8000}, "output": {"voice": "cedar"}},
        "instructions": instructions,
        "delegation": {
            "type": "responses",
            "responses": {
                "model": "gpt-5.6-luna",
                "instructions": "Be brief.",
                "tools": [
                    {
                        "type": "function",
                        "name": "book_table",
                        "description": "Books a table.",
                        "parameters": TABLE.parameters,
                    }
                ],
                "reasoning": {"effort": "low"},
            },
        },
    }


@pytest.mark.parametrize(
    ("vendor", "message"),
    [
        ({"openai": {"colour": 1}}, "colour is not known; known here: delegation"),
        (
            {"openai": {"delegation": {"tools": []}}},
            "tools is set by the service itself; write it as functions",
        ),
        ({"openai": 1}, "has to be an object"),
    ],
)
async def test_options_that_there_are_not(vendor: dict[str, Any], message: str) -> None:
    with pytest.raises(ProviderError, match=message):
        await GptLiveModel(MODEL, api_key="k").dial(Setup("", vendor=vendor))


async def test_the_address() -> None:
    address = await GptLiveModel(MODEL, api_key="k").dial(Setup(""))
    assert (address.url, address.headers) == ("wss://api.openai.com/v1/live/sessions", {"Authorization": "Bearer k"})
    local = await GptLiveModel(MODEL, api_key="", base_url="http://127.0.0.1:1/v1/").dial(Setup(""))
    assert (local.url, local.headers) == ("ws://127.0.0.1:1/v1/live/sessions", {})


# Message by message


def ready() -> GptLiveProtocol:
    protocol = GptLiveProtocol(MODEL, BEHIND, Setup("", [TABLE]))
    protocol.receive('{"type":"session.started"}')
    return protocol


def sound_message(data: bytes) -> dict[str, Any]:
    return {"type": "session.output_audio.delta", "delta": b64encode(data).decode()}


def heard(delta: str, start_ms: int, end_ms: int) -> dict[str, Any]:
    return {"type": "session.input_transcript.delta", "delta": delta, "start_ms": start_ms, "end_ms": end_ms}


def test_sound_is_read_in_every_spelling() -> None:
    plain = sound_message(b"\1\2")
    for message in (plain, dict(reversed(plain.items())), {**plain, "start_ms": 1}):
        for text in (json.dumps(message), json.dumps(message, separators=(",", ":"), indent=1)):
            for wire in (text, text.encode(), text.replace("=", "\\u003d")):
                assert ready().receive(wire)[0] == [AudioCame("live", "live", b"\1\2")]
    assert ready().receive(json.dumps(sound_message(b"")))[0] == []


def test_on_a_wideband_leg_sound_is_pcm_in_whole_samples() -> None:
    model = GptLiveModel(MODEL, api_key=KEY, wideband=True)
    protocol = model.protocol(Setup(""))
    [start] = protocol.opened()
    assert json.loads(start)["session"]["audio"]["format"] == {"type": "audio/pcm", "rate": 16000}
    came = [event for odd in (b"\1\2\3", b"\4\5\6\7", b"\0") for event in told(protocol, sound_message(odd))]
    assert came == [AudioCame("live", "live", data) for data in (b"\1\2", b"\3\4\5\6", b"\7\0")]


def test_on_a_wideband_leg_the_time_of_the_stream_is_the_same() -> None:
    protocol = GptLiveModel(MODEL, api_key=KEY, wideband=True).protocol(Setup(""))
    told(protocol, {"type": "session.started", "session": {}}, heard("Yes", 0, 200))
    silence = sound_message(bytes(3200))  # 100 ms
    assert not any(isinstance(event, CallerSaid) for event in told(protocol, *[silence] * 17))
    assert told(protocol, silence)[0] == CallerSaid("c1", "Yes")


def test_a_gap_ends_the_callers_turn() -> None:
    assert told(ready(), heard(" I", 0, 200), heard(" want", 800, 1000), heard(" Yes", 1800, 2000)) == [
        CallerSaid("c1", "I", final=False),
        CallerSaid("c1", "I want", final=False),
        CallerSaid("c1", "I want"),
        CallerSaid("c2", "Yes", final=False),
    ]


def test_the_time_of_the_stream_ends_the_callers_turn() -> None:
    events = told(ready(), heard("Yes", 0, 200), *[sound_message(b"\xff" * 800)] * 18)
    assert [event for event in events if isinstance(event, CallerSaid)] == [
        CallerSaid("c1", "Yes", final=False),
        CallerSaid("c1", "Yes"),
    ]
    assert isinstance(events[-2], CallerSaid)


def test_the_end_of_the_session_ends_the_callers_turn() -> None:
    assert told(ready(), heard("Yes", 0, 200), {"type": "session.closed", "reason": "remote_hangup"})[1:] == [
        CallerSaid("c1", "Yes"),
        SessionOver("the other end hung up"),
    ]


def nested(kind: str, delegation: str = "d", **fields: Any) -> dict[str, Any]:
    return {"type": "response.event", "delegation_id": delegation, "event": {"type": kind, **fields}}


def call(number: int, arguments: str = "{}", delegation: str = "d") -> dict[str, Any]:
    item = {"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": arguments}
    return nested("response.output_item.done", delegation, item=item)


def done(delegation: str = "d") -> dict[str, Any]:
    return nested("response.completed", delegation, response={"id": f"r{delegation}", "output": []})


def test_the_model_behind_goes_on_when_every_call_is_answered() -> None:
    protocol = ready()
    assert told(protocol, call(1, delegation="a"), call(2, delegation="b")) == []
    asked = [ToolsAsked("a", (ToolCall("c1", "f"),)), ToolsAsked("b", (ToolCall("c2", "f"),))]
    assert told(protocol, done("a"), done("b")) == asked
    first, second = (protocol.results([ToolOutput(one.response, one.calls[0], "x")]) for one in asked)
    assert [json.loads(message)["type"] for message in first] == ["response.item.create"]
    assert [json.loads(message)["type"] for message in second] == ["response.item.create", "response.create"]
    assert protocol.results([ToolOutput("a", asked[0].calls[0], "again")]) == []


def test_a_call_that_cannot_be_read_is_answered_at_once() -> None:
    protocol = ready()
    assert told(protocol, call(1, "{")) == []
    events, replies = protocol.receive(json.dumps(done()))
    assert events == [NotUnderstood("the arguments of a call of a tool")]
    assert [json.loads(reply)["type"] for reply in replies] == ["response.item.create", "response.create"]


def test_no_call_is_made_of_an_answer_that_failed() -> None:
    failed = nested("response.failed", response={"id": "r", "error": {"code": "x", "message": "out of\nluck"}})
    assert told(ready(), call(1), failed, done()) == [ModelFault("server", "the model behind failed: out of luck")]


def error(kind: str, code: str = "x", **more: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "code": code, "message": "No.", **more}}


@pytest.mark.parametrize(
    ("message", "events"),
    [
        (error("invalid_request_error", param="content"), [ModelFault("bad_request", "No. (content)")]),
        (error("authentication_error"), [ModelFault("auth", "No.", fatal=True)]),
        (error("rate_limit_error"), [ModelFault("rate_limit", "No.")]),
        (error("insufficient_quota"), [ModelFault("rate_limit", "No.", fatal=True)]),
        (error("server_error"), [ModelFault("server", "No.")]),
        ({"type": "info", "code": "x", "message": "y"}, []),
        ({"type": "session.updated"}, []),
        ({"type": "session.commentary.appended"}, []),
        ({"type": "session.input_audio.muted"}, []),
        ({"type": "transport.ringing"}, []),
        ({"type": "session.delegation.created", "delegation": {"id": "d", "target": "responses"}}, []),
        ({"type": "session.output_transcript.delta", "delta": " hi"}, [WordsCame("live", "live", " hi")]),
        ({"type": "session.usage.updated", "usage": {"seconds": 2.5}}, [Used({"seconds": 2.5})]),
        ({"type": "session.usage.updated", "usage": {"seconds": "2.5"}}, []),
        (
            {"type": "session.closed", "reason": "content", "usage": {"seconds": 1}},
            [Used({"seconds": 1.0}), SessionOver("the vendor's safety filter ended the session")],
        ),
        ({"type": "brand.new"}, [NotUnderstood("a message of the type brand.new")]),
        ({"kind": 1}, [NotUnderstood("a message of the type None")]),
    ],
)
def test_what_a_message_means(message: dict[str, Any], events: list[RealtimeEvent]) -> None:
    assert told(ready(), message) == events


def test_a_setup_that_is_refused_is_fatal() -> None:
    protocol = GptLiveProtocol(MODEL, BEHIND, Setup(""))
    assert told(protocol, error("invalid_request_error")) == [ModelFault("bad_request", "No.", fatal=True)]


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
TYPES = (
    "session.started session.output_audio.delta session.output_transcript.delta session.input_transcript.delta "
    "session.delegation.created response.event session.usage.updated session.closed error info response.created "
    "response.output_item.done response.completed response.failed function_call client"
)
NAMES = (
    "type delta start_ms end_ms delegation delegation_id event response item id call_id name arguments usage seconds "
    "input_tokens error code message reason target"
)
trees = st.recursive(
    leaves | st.sampled_from(TYPES.split()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=5),
)
events = st.builds(lambda kind, rest: {**rest, "type": kind}, st.sampled_from(TYPES.split()), st.dictionaries(
    st.sampled_from(NAMES.split()), trees, max_size=5))  # fmt: skip


@given(st.lists((trees | events).map(json.dumps) | st.text() | st.binary(), max_size=8))
def test_receive_never_raises(messages: list[str | bytes]) -> None:
    protocol = ready()
    for message in messages:
        came, replies = protocol.receive(message)
        assert all(json.loads(reply)["type"] for reply in replies)
        assert all(event.data for event in came if isinstance(event, AudioCame))


# On a socket


class Listener:
    def on_model_event(self, connection: RealtimeConnection, event: RealtimeEvent) -> None: ...

    def on_model_lost(self, connection: RealtimeConnection, reason: str) -> None: ...


async def test_a_session_on_a_socket() -> None:
    async with serve_gpt_live() as server:
        model = GptLiveModel(MODEL, api_key=KEY, base_url=f"{server.url}/v1")
        connection = await RealtimeConnection.open(model, Setup(""), Listener(), on_fault=lambda error: None)
        assert await connection.close(model) is None
        refused = GptLiveModel(MODEL, api_key="wrong", base_url=f"{server.url}/v1")
        with pytest.raises(ProviderError) as caught:
            await RealtimeConnection.open(refused, Setup(""), Listener(), on_fault=lambda error: None)
        assert caught.value.kind == "auth"
    assert server.mistakes == []
