"""OpenAI Realtime's protocol: tables, whatever may come, and two judges of what it sends: the SDK's types, and the
simulated server."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import math
import typing
from collections import deque
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import ClientSession
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime.realtime_client_event_param import RealtimeClientEventParam
from pydantic import TypeAdapter

from media.audio import MULAW_8K, PCM_24K
from media.g711 import pcm_to_mulaw
from pipelines.parts import Message, ProviderError, ToolCall, ToolSpec
from pipelines.realtime.model import (
    AudioCame,
    CallerSaid,
    CallerSilent,
    CallerSpeaks,
    ItemHeard,
    ModelFault,
    NotUnderstood,
    Outgoing,
    RateLimited,
    RealtimeEvent,
    ResponseBegan,
    ResponseEnded,
    SessionEnding,
    SessionReady,
    Setup,
    ToolOutput,
    ToolsAsked,
    Used,
    WordsCame,
)
from pipelines.realtime.openai import OpenAIRealtimeModel, OpenAIRealtimeProtocol
from pipelines.realtime.openai_session import session_fields
from pipelines.realtime.openai_turns import Request, Responses, State
from pipelines.realtime.openai_wire import IGNORED, read_sound
from tests.simulators.openai_realtime import KEY, Behaviour, Faults, History, RealtimeSimulation, Reply, serve_realtime
from tests.simulators.openai_realtime_rules import problem_of
from tests.simulators.test_openai_realtime import TYPES

MODEL = OpenAIRealtimeModel("gpt-realtime-2.1", api_key="sk-secret")
TOOL = ToolSpec("book", "Books a table", {"type": "object", "properties": {"day": {"type": "string"}}})
SETUP = Setup("Be brief.", tools=[TOOL], voice="marin", language="en-GB", hints=["Trunkline"])
CLIENT_EVENTS = {
    typing.get_args(typing.get_args(typing.get_type_hints(each, include_extras=True)["type"])[0])[0]: TypeAdapter(each)
    for each in typing.get_args(RealtimeClientEventParam)
}


def judged(messages: typing.Sequence[Outgoing]) -> list[dict[str, Any]]:
    """Messages as JSON, once the SDK's types and the simulated server have found nothing wrong with them."""
    events = []
    for message in messages:
        assert isinstance(message, str), "the vendor takes text frames alone"
        event = json.loads(message)
        problem = problem_of(event)
        assert problem is None, problem
        kind = CLIENT_EVENTS[event["type"]]
        kind.validate_python(event)
        events.append(event)
    return events


def kinds(messages: typing.Sequence[Outgoing]) -> list[str]:
    return [event["type"] for event in judged(messages)]


def protocol(setup: Setup = SETUP, model: OpenAIRealtimeModel = MODEL) -> OpenAIRealtimeProtocol:
    return model.protocol(setup)


def told(event: Mapping[str, Any], on: OpenAIRealtimeProtocol | None = None) -> list[RealtimeEvent]:
    return list((on or protocol()).receive(json.dumps(event))[0])


def created(id: str) -> str:
    return json.dumps({"type": "response.created", "response": {"id": id}})


def done(id: str, status: str = "completed", **more: Any) -> str:
    return json.dumps({"type": "response.done", "response": {"id": id, "status": status, **more}})


def delta(item: str, sound: bytes, response: str = "r") -> str:
    start = f'{{"type":"response.output_audio.delta","event_id":"e","response_id":"{response}","item_id":"{item}",'
    return start + f'"output_index":0,"content_index":0,"delta":"{base64.b64encode(sound).decode()}"}}'


# Where it is


@pytest.mark.parametrize(
    ("base_url", "url", "header"),
    [
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?model=m%2F1", "Authorization"),
        ("http://127.0.0.1:80/v1/", "ws://127.0.0.1:80/v1/realtime?model=m%2F1", "Authorization"),
        ("wss://h/v1/realtime?x=1", "wss://h/v1/realtime?x=1&model=m%2F1", "Authorization"),
        ("https://a.openai.azure.com", "wss://a.openai.azure.com/openai/v1/realtime?model=m%2F1", "api-key"),
        (
            "https://a.cognitiveservices.azure.com/openai/v1",
            "wss://a.cognitiveservices.azure.com/openai/v1/realtime?model=m%2F1",
            "api-key",
        ),
        (
            "https://proxy/openai?api-version=2026-01-01",
            "wss://proxy/openai/realtime?api-version=2026-01-01&deployment=m%2F1",
            "api-key",
        ),
        ("https://h/?api-version=1&deployment=d", "wss://h/realtime?api-version=1&deployment=d", "api-key"),
        ("https://api.groq.com/openai/v1", "wss://api.groq.com/openai/v1/realtime?model=m%2F1", "Authorization"),
        ("https://h/openai", "wss://h/openai/realtime?model=m%2F1", "Authorization"),
        (
            "https://azure.com.example/openai/v1",
            "wss://azure.com.example/openai/v1/realtime?model=m%2F1",
            "Authorization",
        ),
        ("https://a.services.ai.azure.com", "wss://a.services.ai.azure.com/openai/v1/realtime?model=m%2F1", "api-key"),
    ],
)
def test_addresses(base_url: str, url: str, header: str) -> None:
    address = asyncio.run(OpenAIRealtimeModel("m/1", api_key="k", base_url=base_url).dial(SETUP))
    assert address.url == url
    assert address.headers == {header: "k" if header == "api-key" else "Bearer k"}


def test_a_base_url_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with https"):
        OpenAIRealtimeModel("m", api_key="", base_url="api.openai.com/v1")


# Setting up


def test_the_session() -> None:
    [update] = judged(protocol().opened())
    assert update["session"] == {
        "type": "realtime",
        "instructions": "Be brief.",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "turn_detection": {"type": "server_vad", "create_response": True, "interrupt_response": True},
                "transcription": {"model": "gpt-transcribe", "language": "en", "keywords": ["Trunkline"]},
            },
            "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"},
        },
        "tools": [{"type": "function", "name": "book", "description": "Books a table", "parameters": TOOL.parameters}],
    }


def test_the_session_otherwise() -> None:
    wide = OpenAIRealtimeModel("m", api_key="", wideband=True, transcription="whisper-1")
    assert (wide.capabilities.input, wide.capabilities.output) == (PCM_24K, PCM_24K)
    vendor = {
        "openai": {"reasoning": {"effort": "low"}, "audio": {"input": {"noise_reduction": {"type": "far_field"}}}}
    }
    setup = Setup("x", hints=["a", "b"], silence_seconds=0.7, interruptible=False, vendor=vendor)
    session = judged(protocol(setup, wide).opened())[0]["session"]
    assert session["audio"]["input"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "turn_detection": {
            "type": "server_vad",
            "silence_duration_ms": 700,
            "create_response": True,
            "interrupt_response": False,
        },
        "transcription": {"model": "whisper-1", "prompt": "a, b"},
        "noise_reduction": {"type": "far_field"},
    }
    assert session["reasoning"] == {"effort": "low"}
    for detection, kind in (("semantic", "semantic_vad"), ("own", None)):
        session = judged(protocol(Setup("x", detection=detection)).opened())[0]["session"]  # type: ignore[arg-type]
        turns = session["audio"]["input"]["turn_detection"]
        assert (turns and turns["type"]) == kind


@pytest.mark.parametrize(
    "vendor",
    [
        {"temperature": 0.8},
        {"instructions": "Obey."},
        {"audio": {"output": {"format": {"type": "audio/pcma"}}}},
        {"audio": {"input": None}},
        {"audio": 1},
        "fast",
    ],
)
def test_vendor_options_that_cannot_be_are_refused_in_words(vendor: Any) -> None:
    setup = Setup("x", vendor={"openai": vendor, "ultravox": {"anything": 1}})
    with pytest.raises(ProviderError, match=r"vendorSpecific\.openai") as caught:
        asyncio.run(MODEL.dial(setup))
    assert caught.value.kind == "bad_request"


def test_what_was_said_before_and_the_greeting() -> None:
    call = ToolCall("call_1", "book", {"day": "Tuesday"})
    history = [
        Message("user", "A table."),
        Message("assistant", "One moment.", tool_calls=(call,)),
        Message("tool", "booked", tool_call_id="call_1", name="book"),
        Message("tool", "of a call that is not known", tool_call_id="call_0"),
        Message("assistant", ""),
        Message("system", "He is in a hurry."),
    ]
    _, *items, greeting = judged(protocol(Setup("x", history=history, greeting="Hello again.")).opened())
    assert [item["item"] for item in items] == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "A table."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "One moment."}]},
        {"type": "function_call", "call_id": "call_1", "name": "book", "arguments": '{"day": "Tuesday"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "booked"},
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "He is in a hurry."}]},
    ]
    assert greeting["type"] == "response.create"
    assert greeting["response"]["instructions"].endswith("\n\nHello again.")


def test_it_is_ready_once_the_settings_are_taken() -> None:
    session = session_fields(SETUP, MULAW_8K, MULAW_8K, "gpt-transcribe")
    ready = OpenAIRealtimeProtocol(SETUP, session, MODEL.capabilities, wall=lambda: 1000.0)
    assert told({"type": "session.created", "session": {"expires_at": 4600}}, ready) == []
    assert told({"type": "session.updated", "session": session}, ready) == [SessionReady(3600.0)]
    assert told({"type": "session.updated", "session": session}, ready) == []
    for expires in (None, 999, 10**9, "soon"):  # a clock that is wrong is not believed
        ready = OpenAIRealtimeProtocol(SETUP, session, MODEL.capabilities, wall=lambda: 1000.0)
        assert told({"type": "session.updated", "session": {"expires_at": expires}}, ready) == [SessionReady(None)]


def test_a_server_that_takes_another_format_is_no_noise_in_a_call() -> None:
    effective = {"audio": {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcm"}}}}
    [fault] = told({"type": "session.updated", "session": effective})
    assert isinstance(fault, ModelFault)
    assert fault.fatal
    assert "output is audio/pcm" in fault.message


# Sound


def test_sound_to_the_model() -> None:
    [event] = judged([protocol().audio(b"\x00\xff\x80")])
    assert event == {"type": "input_audio_buffer.append", "audio": base64.b64encode(b"\x00\xff\x80").decode()}


SPELLINGS = [
    delta("i", b"abcd"),
    delta("i", b"abcd").replace("response.output_audio", "response.audio"),
    delta("i", b"abcd").replace(":", ": ").replace(",", ", "),
    delta("i", b"abcd")[:-1] + ',"obfuscation":"xyz"}',
    '{"delta":"YWJjZA==","item_id":"i","response_id":"r","type":"response.output_audio.delta"}',
    delta("i", b"abcd").replace('"item_id"', '"note":{"item_id":"other"},"item_id"'),
    delta("i", b"abcd").replace('"item_id":"i"', '"item_id":"\\u0069"'),
    delta("i", b"abcd").replace("YWJj", "\\u0059WJj"),
]


@pytest.mark.parametrize("message", SPELLINGS)
def test_sound_from_the_model_however_it_is_spelled(message: str) -> None:
    for spelled in (message, message.encode()):
        assert protocol().receive(spelled) == ([AudioCame("r", "i", b"abcd")], ())


def test_sound_is_read_the_short_way_unless_something_is_wrong_with_it() -> None:
    for message in SPELLINGS:
        sound = read_sound(message)
        assert sound is not None
        assert (sound.response_id, sound.item_id, sound.delta) == ("r", "i", b"abcd")
    wrong = [("YWJj", "Y§Jj"), ('"r"', "3"), ('"item_id"', '"item"'), ("output_audio", "other.audio"), ('"}', '"')]
    assert [read_sound(SPELLINGS[0].replace(*what)) for what in wrong] == [None] * len(wrong)


@given(st.binary(max_size=2000), st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1))
def test_any_sound_is_read_as_the_parser_would(sound: bytes, item: str) -> None:
    compact = delta(item, sound)
    spaced = json.dumps(json.loads(compact))
    read, event = read_sound(compact), json.loads(spaced)
    assert read is not None
    assert (read.delta, read.item_id) == (sound, event["item_id"])
    assert read == read_sound(spaced)
    later = json.dumps({"padding": "x" * 400, **event})  # it does not say early what it is
    assert read_sound(later) is None
    assert protocol().receive(compact) == protocol().receive(later)


def test_samples_are_never_torn() -> None:
    wide = protocol(SETUP, OpenAIRealtimeModel("m", api_key="", wideband=True))
    wide.receive(created("r"))
    came = [wide.receive(delta("i", piece))[0] for piece in (b"abc", b"d", b"e", b"fgh", b"ij")]
    assert came == [[AudioCame("r", "i", part)] if part else [] for part in (b"ab", b"cd", b"", b"efgh", b"ij")]
    wide.receive(delta("i", b"k"))
    wide.receive(created("s"))  # an answer begins with a whole sample, whatever the one before was broken off in
    assert wide.receive(delta("j", b"lm", "s"))[0] == [AudioCame("s", "j", b"lm")]


# What the server says

AT = {"event_id": "e", "response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
SAID = "conversation.item.input_audio_transcription."
TOKENS = {
    "input_tokens": 30,
    "output_tokens": 20,
    "input_token_details": {"text_tokens": 10, "audio_tokens": 20, "cached_tokens": 5},
    "output_token_details": {"text_tokens": 4, "audio_tokens": 16},
}
UNITS = {
    "input_tokens": 30,
    "cached_tokens": 5,
    "output_tokens": 20,
    "input_audio_tokens": 20,
    "output_audio_tokens": 16,
}


@pytest.mark.parametrize(
    ("event", "meant"),
    [
        ({"type": "input_audio_buffer.speech_started", "item_id": "i", "audio_start_ms": 3}, [CallerSpeaks()]),
        ({"type": "input_audio_buffer.speech_stopped", "item_id": "i", "audio_end_ms": 3}, [CallerSilent()]),
        ({"type": "response.created", "response": {"id": "r"}}, [ResponseBegan("r")]),
        ({"type": "response.output_audio_transcript.delta", **AT, "delta": "Hel"}, [WordsCame("r", "i", "Hel")]),
        ({"type": "response.audio_transcript.delta", **AT, "delta": "lo"}, [WordsCame("r", "i", "lo")]),
        ({"type": SAID + "delta", "item_id": "i", "delta": "Good"}, [CallerSaid("i", "Good", final=False)]),
        ({"type": SAID + "completed", "item_id": "i", "transcript": "Good day."}, [CallerSaid("i", "Good day.")]),
        (
            {"type": SAID + "completed", "item_id": "i", "transcript": "x", "usage": {"seconds": 2.5}},
            [CallerSaid("i", "x"), Used({"transcription_seconds": 2.5})],
        ),
        (
            {"type": SAID + "failed", "item_id": "i", "error": {"code": "server_error", "message": "no"}},
            [ModelFault("server", "the caller's words are not known: server_error: no")],
        ),
        (
            {"type": "rate_limits.updated", "rate_limits": [{"name": "tokens", "limit": 40, "remaining": 10}, {}, 3]},
            [RateLimited({"tokens": 0.25})],
        ),
        (
            {"type": "response.done", "response": {"id": "r", "status": "completed", "usage": TOKENS}},
            [Used(UNITS), ResponseEnded("r")],
        ),
        (
            {
                "type": "response.done",
                "response": {"id": "r", "status": "cancelled", "status_details": {"reason": "turn_detected"}},
            },
            [ResponseEnded("r", "cancelled", "turn_detected")],
        ),
        (
            {
                "type": "response.done",
                "response": {"id": "r", "status": "incomplete", "status_details": {"reason": "max_output_tokens"}},
            },
            [ResponseEnded("r", "incomplete", "max_output_tokens")],
        ),
        (
            {"type": "response.audio.delta", **AT, "delta": "§"},
            [NotUnderstood("response.audio.delta without base64")],
        ),
        ({"type": "response.created", "response": None}, [NotUnderstood("response.created")]),
        ({"type": "aimock.error"}, [NotUnderstood("aimock.error")]),
        ({"type": 3}, [NotUnderstood("a message without a type")]),
        ({"type": "error", "error": {"type": "invalid_request_error", "code": "session_expired"}}, [SessionEnding(0)]),
    ],
)  # fmt: skip
def test_events(event: dict[str, Any], meant: list[RealtimeEvent]) -> None:
    assert told(event) == meant


def test_words_of_the_caller_grow() -> None:
    growing = protocol()
    said = [told({"type": SAID + "delta", "item_id": "i", "delta": part}, growing) for part in ("Good ", "day")]
    assert said == [[CallerSaid("i", "Good ", final=False)], [CallerSaid("i", "Good day", final=False)]]
    failed = told({"type": SAID + "failed", "item_id": "i", "error": {}}, growing)
    assert failed[1:] == [CallerSaid("i", "Good day")]  # what is known of them is better than nothing


def test_every_event_of_the_sdk_is_known() -> None:
    """Either it means something, or it is knowingly ignored; nothing is ignored that neither SDK nor servers have."""
    minimal = {
        **AT,
        "delta": "AAAA",
        "response": {"id": "r"},
        "session": {},
        "item": {},
        "rate_limits": [],
        "error": {},
    }
    for kind in set(TYPES) - IGNORED:
        events = told({"type": kind, **minimal})
        assert not any(isinstance(event, NotUnderstood) for event in events), kind
    older = {kind for kind in IGNORED if kind.startswith(("response.audio", "response.text"))}
    assert set(TYPES) >= IGNORED - older
    assert all(told({"type": kind}) == [] for kind in IGNORED)


@pytest.mark.parametrize(
    ("error", "kind", "fatal"),
    [
        ({"code": "insufficient_quota"}, "rate_limit", True),
        ({"type": "insufficient_quota", "code": None}, "rate_limit", True),
        ({"code": "invalid_api_key", "message": "Incorrect API key: sk-secret"}, "auth", True),
        ({"code": "account_deactivated"}, "auth", True),
        ({"code": "billing_hard_limit_reached"}, "rate_limit", True),
        ({"code": "credit_balance_exhausted"}, "rate_limit", True),
        ({"code": "beta_api_shape_disabled"}, "bad_request", True),
        ({"code": "unknown_parameter", "event_id": "setup"}, "bad_request", True),
        ({"code": "rate_limit_exceeded"}, "rate_limit", False),
        ({"type": "server_error"}, "server", False),
        ({"code": "response_cancel_not_active"}, "bad_request", False),
        ({"code": "conversation_already_has_active_response"}, "bad_request", False),
        ({"code": "input_audio_buffer_commit_empty"}, "bad_request", False),
        ({"code": "item_create_duplicate_item_id"}, "bad_request", False),
        ({}, "bad_request", False),
    ],
)
def test_errors(error: dict[str, Any], kind: str, fatal: bool) -> None:
    [fault] = told({"type": "error", "error": error})
    assert isinstance(fault, ModelFault)
    assert (fault.kind, fault.fatal) == (kind, fatal)
    assert "sk-secret" not in fault.message
    assert fault.message


def test_an_answer_that_failed_for_good() -> None:
    details = {"type": "failed", "error": {"type": "insufficient_quota", "code": "insufficient_quota"}}
    fault, ended = told(json.loads(done("r", "failed", status_details=details)))
    assert isinstance(fault, ModelFault)
    assert fault.fatal
    assert ended == ResponseEnded("r", "failed", fault.message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["type", "response", "session", "item", "error", "delta", "transcript", "item_id", "call_id", "id", "status"]
FIELDS += ["usage", "rate_limits", "audio", "output", "code", "event_id"]
SHAPED = st.fixed_dictionaries(
    {"type": st.sampled_from([*sorted(TYPES), "response.audio.delta"])},
    optional=dict.fromkeys(FIELDS[1:], st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4) | JSON),
)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_whatever_comes_is_survived(message: str | bytes) -> None:
    assert protocol().receive(message) == ([NotUnderstood("not a JSON object")], ())


@given(st.lists(SHAPED, max_size=6))
def test_any_json_is_survived(events: list[Any]) -> None:
    patient = protocol()
    for event in events:
        told_events, outgoing = patient.receive(json.dumps(event))
        judged(outgoing)
        json.dumps([repr(each) for each in told_events]).encode()


@pytest.mark.parametrize(
    "message",
    ["[1]", "null", '"text"', "1" * 5000, "[" * 100_000, '{"type":', '{"type":"\\ud800"}', b"\xff\xfe{}", ""],
)
def test_messages_that_are_none(message: str | bytes) -> None:
    [event], outgoing = protocol().receive(message)
    assert isinstance(event, NotUnderstood)
    event.what.encode()
    assert outgoing == ()


@given(JSON)
def test_any_json_value_is_survived(value: Any) -> None:
    protocol().receive(json.dumps(value))


# Tools


def asked(calls: list[tuple[str, str]], status: str = "completed", where: str = "both") -> list[RealtimeEvent]:
    items = [{"type": "function_call", "call_id": id, "name": "book", "arguments": text} for id, text in calls]
    of_tools = protocol()
    of_tools.receive(created("r"))
    for item in items if where != "done" else ():
        told({"type": "response.output_item.done", "response_id": "r", "item": item}, of_tools)
    return told(json.loads(done("r", status, output=items if where != "items" else [])), of_tools)


@pytest.mark.parametrize("where", ["both", "items", "done"])
def test_tools_are_asked_for_all_at_once(where: str) -> None:
    events = asked([("a", '{"day": "Tuesday"}'), ("b", "")], where=where)
    calls = (ToolCall("a", "book", {"day": "Tuesday"}), ToolCall("b", "book", {}))
    assert events == [ToolsAsked("r", calls), ResponseEnded("r")]


def test_an_answer_that_was_interrupted_asks_for_no_tools() -> None:
    assert asked([("a", "{}")], "cancelled") == [ResponseEnded("r", "cancelled")]


@pytest.mark.parametrize("arguments", ["{", "[1]", "soon"])
def test_arguments_that_are_no_object(arguments: str) -> None:
    fault, tools, _ = asked([("a", arguments)])
    assert isinstance(fault, ModelFault)
    assert (fault.kind, fault.fatal) == ("protocol", False)
    assert tools == ToolsAsked("r", (ToolCall("a", "book", {}),))


def test_results_are_told_and_one_answer_asked_for() -> None:
    outputs = [ToolOutput("r", ToolCall(id, "book"), f"result {id}") for id in "ab"]
    events = judged(protocol().results(outputs))
    assert [event["type"] for event in events] == ["conversation.item.create"] * 2 + ["response.create"]
    assert events[1]["item"] == {"type": "function_call_output", "call_id": "b", "output": "result b"}


def test_with_turns_of_our_own_results_are_answered_when_we_say_so() -> None:
    ours = protocol(Setup("be brief", detection="own"))
    assert kinds(ours.results([ToolOutput("r", ToolCall("a", "book"), "x")])) == ["conversation.item.create"]
    assert kinds(ours.answer()) == ["response.create"]


def test_results_wait_for_an_answer_that_is_under_way() -> None:
    busy = protocol()
    busy.receive(created("r1"))
    assert kinds(busy.results([ToolOutput("r0", ToolCall("a", "book"), "x")])) == ["conversation.item.create"]
    assert kinds(busy.receive(done("r1"))[1]) == ["response.create"]
    assert kinds(busy.receive(done("r1"))[1]) == []


# When answers may be asked for: a table of what happens, and what is sent by then


def words(id: str) -> Request:
    return Request(id, id, "text")


def turn(id: str, *unseen: str) -> Request:
    return Request(id, id, "turn", set(unseen))


def results(id: str, *unseen: str) -> Request:
    return Request(id, id, "results", set(unseen))


Step = tuple[Any, ...]
BUSY: list[Step] = [("created", "r")]
NEXT: list[Step] = [("created", "s"), ("done", "s")]
MEANWHILE: list[Step] = [("caller_speaks",), ("want", results("a", "i"))]


@pytest.mark.parametrize(
    ("steps", "sent", "state"),
    [
        # one at a time
        ([("want", words("a"))], "a", State.ASKED),
        ([("want", words("a")), ("want", words("b"))], "a", State.ASKED),
        ([("want", words("a")), ("created", "r"), ("want", words("b"))], "a", State.ACTIVE),
        ([("want", words("a")), ("created", "r"), ("want", words("b")), ("done", "r")], "ab", State.ASKED),
        ([("want", words("a")), ("created", "r"), ("done", "q")], "a", State.ACTIVE),
        # the model's own answer comes first
        ([("created", "r"), ("want", turn("a", "i")), ("done", "r")], "a", State.ASKED),
        # ours was refused, because another is active; it is asked for again
        ([("want", turn("a")), ("refused", "a", True)], "a", State.ACTIVE),
        ([("want", turn("a")), ("created", "r"), ("refused", "a", True), ("done", "r")], "aa", State.ASKED),
        ([("want", turn("a")), ("refused", None, True), ("done", "r")], "aa", State.ASKED),
        ([("want", turn("a")), ("created", "r"), ("refused", None, True), ("done", "r")], "a", State.IDLE),
        ([("want", turn("a")), ("created", "r"), ("refused", "z", True), ("done", "r")], "a", State.IDLE),
        # ours was refused for another reason: the next may go
        ([("want", words("a")), ("want", words("b")), ("refused", "a", False)], "ab", State.ASKED),
        ([("want", words("a")), ("want", words("b")), ("refused", None, False)], "ab", State.ASKED),
        ([("want", words("a")), ("want", words("b")), ("refused", "item", False)], "a", State.ASKED),
        ([("want", words("a")), ("created", "r"), ("want", words("b")), ("refused", None, False)], "a", State.ACTIVE),
        # one answer is for all that wait for one
        ([*BUSY, ("want", turn("a", "i")), ("want", results("b", "j")), ("done", "r"), *NEXT], "a", State.IDLE),
        # results that come while the caller speaks are answered with his turn
        ([*MEANWHILE, ("seen", ["i"]), ("created", "r"), ("done", "r")], "", State.IDLE),
        # ... unless that answer began without them
        ([*MEANWHILE, ("created", "r"), ("seen", ["i"]), ("done", "r")], "a", State.ASKED),
        # a text does not wait for the caller
        ([("caller_speaks",), ("want", words("a"))], "a", State.ASKED),
        ([("caller_speaks",), ("want", results("b")), ("want", words("a"))], "a", State.ASKED),
        # an interrupted text is not said later; results are told
        ([*BUSY, ("want", words("a")), ("want", results("b", "i")), ("interrupt",), ("done", "r")], "b", State.ASKED),
    ],
)
def test_when_answers_are_asked_for(steps: list[Step], sent: str, state: State) -> None:
    responses = Responses(by_server=True, interrupts=True)
    found = []
    for name, *arguments in copy.deepcopy(steps):
        if name == "refused":
            found.append(responses.refused(arguments[0], active=arguments[1]))
        else:
            found.append(getattr(responses, name)(*arguments))
    assert "".join(request.id for request in found if isinstance(request, Request)) == sent
    assert responses.state is state


STEPS = ["text", "turn", "results", "created", "done", "caller_speaks", "committed", "interrupt", "refused"]


@given(st.lists(st.sampled_from(STEPS)))
def test_never_two_answers_at_a_time_and_none_is_forgotten(steps: list[str]) -> None:
    """Against a server that begins each answer, or has begun one of its own and refuses ours."""
    responses = Responses(by_server=True, interrupts=True)
    asked: Request | None = None
    active: str | None = None
    wanted_results, answered = set[str](), set[str]()

    def sent(request: Any) -> None:
        nonlocal asked
        if isinstance(request, Request):
            assert asked is None
            assert active is None
            asked = request

    def begin(id: str) -> None:
        nonlocal asked, active
        active, asked = id, None
        responses.created(id)

    for number, step in enumerate([*steps, *["created", "done"] * (len(steps) + 2)]):
        match step:
            case "text" | "turn":
                sent(responses.want(Request(f"q{number}", "", step)))
            case "results":
                wanted_results.add(f"i{number}")
                sent(responses.want(Request(f"q{number}", "", "results", {f"i{number}"})))
            case "created" if active is None and asked is not None:
                answered |= asked.unseen
                begin(f"r{number}")
            case "created" if active is None:
                begin(f"r{number}")
            case "refused" if active is None and asked is not None:  # the server's own came first
                refused, asked = asked, None
                begin(f"r{number}")
                sent(responses.refused(refused.id, active=True))
            case "done" if active is not None:
                ended, active = active, None
                sent(responses.done(ended))
            case "caller_speaks" | "interrupt":
                getattr(responses, step)()
            case "committed" if responses.committed():
                sent(responses.want(Request(f"q{number}", "", "turn")))
            case _:
                pass
    assert wanted_results == answered
    assert responses.waiting == 0


# Breaking in


def test_what_is_under_way_is_cancelled_once() -> None:
    own = protocol(Setup("x", detection="own"))
    assert own.interrupt() == []
    own.receive(created("r"))
    assert kinds(own.interrupt()) == ["response.cancel"]
    assert own.interrupt() == []
    own.receive(done("r", "cancelled"))
    assert own.interrupt() == []
    own.say("Goodbye.")  # asked for, though not begun
    assert kinds(own.interrupt()) == ["response.cancel"]


@pytest.mark.parametrize(("interruptible", "cancels"), [(True, []), (False, ["response.cancel"])])
def test_what_the_server_has_cancelled_is_not_cancelled_again(interruptible: bool, cancels: list[str]) -> None:
    served = protocol(Setup("x", interruptible=interruptible))
    served.receive(created("r"))
    told({"type": "input_audio_buffer.speech_started", "item_id": "i"}, served)
    assert kinds(served.interrupt()) == cancels


def test_how_much_was_heard() -> None:
    cut = protocol()
    cut.receive(delta("a", bytes(8000)))
    cut.receive(delta("a", bytes(4001)))
    heard = [ItemHeard("a", 400), ItemHeard("a", 9000), ItemHeard("a", 0), ItemHeard("never came", 700)]
    truncate = {"type": "conversation.item.truncate", "event_id": "heard", "item_id": "a", "content_index": 0}
    assert judged(cut.heard(heard)) == [
        {**truncate, "audio_end_ms": 400},
        {**truncate, "audio_end_ms": 1500},
        {"type": "conversation.item.delete", "event_id": "heard", "item_id": "a"},
        {"type": "conversation.item.delete", "event_id": "heard", "item_id": "never came"},
    ]


def test_our_own_detection_commits_what_there_is() -> None:
    own = protocol(Setup("x", detection="own"))
    own.audio(bytes(799))
    assert kinds(own.answer()) == ["response.create"]  # under 100 ms is refused
    own.receive(created("r"))
    own.audio(bytes(1))
    assert kinds(own.answer()) == ["input_audio_buffer.commit"]
    assert kinds(own.receive(done("r"))[1]) == ["response.create"]


def test_a_turn_that_the_server_cannot_answer_is_asked_for() -> None:
    """It makes no answer by itself while one is active that may not be interrupted."""
    served = protocol(Setup("x", interruptible=False))
    served.receive(created("r"))
    told({"type": "input_audio_buffer.speech_started", "item_id": "i"}, served)
    served.receive(json.dumps({"type": "input_audio_buffer.committed", "item_id": "i"}))
    assert kinds(served.receive(done("r"))[1]) == ["response.create"]


# With the simulated server, on a clock of our own

LOUD = pcm_to_mulaw(bytes(range(1, 255, 2)) * 4)[:160]
QUIET = MULAW_8K.silence(20)


class Call:
    """The protocol and the simulated server, ``latency`` seconds from each other."""

    def __init__(self, setup: Setup = SETUP, *, latency: float = 0.0, **simulated: Any) -> None:
        self.server = RealtimeSimulation(**simulated)
        self.protocol = MODEL.protocol(setup)
        self.now = 0.0
        self.events: list[RealtimeEvent] = []
        self.latency = latency
        self._there = deque[tuple[float, Outgoing]]()
        self._back = deque[tuple[float, Any]]()
        self._hear(self.server.opened(0.0))
        self.send(self.protocol.opened())
        self.travel()

    def send(self, messages: typing.Sequence[Outgoing]) -> None:
        judged(messages)
        self._there.extend((self.now + self.latency, message) for message in messages)

    def travel(self) -> None:
        """What has arrived by now, on both sides."""
        while (self._there and self._there[0][0] <= self.now) or (self._back and self._back[0][0] <= self.now):
            if self._there and self._there[0][0] <= self.now:
                self._hear(self.server.receive(self._there.popleft()[1], self.now))
            if self._back and self._back[0][0] <= self.now:
                self._told(self._back.popleft()[1])

    def wait(self, seconds: float, frame: bytes = QUIET) -> None:
        for _ in range(round(seconds / 0.02)):
            self.now += 0.02
            self.send([self.protocol.audio(frame)])
            self.travel()
            self._hear(self.server.tick(self.now))
            self.travel()

    def _hear(self, messages: typing.Sequence[Any]) -> None:
        self._back.extend((self.now + self.latency, message) for message in messages if isinstance(message, str))

    def _told(self, message: str) -> None:
        events, replies = self.protocol.receive(message)
        self.events += events
        self.send(replies)
        if any(isinstance(event, CallerSpeaks) for event in events):
            self.send(self.protocol.interrupt())

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def test_a_conversation() -> None:
    def reply(said: str, history: History) -> Reply:
        role, latest = history[-1]
        return Reply(f"It is {latest}.") if role == "tool" else Reply("One moment.", [("book", {"day": said})])

    call = Call(Setup("x", tools=[TOOL], greeting="Hello."), reply=reply, expires_at=None)
    call.server.said.append("tuesday")
    call.wait(2.0)
    call.wait(1.0, LOUD)
    call.wait(2.0)
    [tools] = call.of(ToolsAsked)
    assert [(each.name, each.arguments) for each in tools.calls] == [("book", {"day": "tuesday"})]
    call.send(call.protocol.results([ToolOutput(tools.response, each, "booked") for each in tools.calls]))
    call.wait(2.0)
    assert call.server.history() == [
        ("assistant", "Hello."),
        ("user", "tuesday"),
        ("assistant", "One moment."),
        ("assistant", "It is booked."),
    ]
    assert call.server.mistakes == []
    assert not call.of(NotUnderstood)
    assert not call.of(ModelFault)
    assert [said.text for said in call.of(CallerSaid) if said.final] == ["tuesday"]
    assert len(call.of(ResponseBegan)) == len(call.of(ResponseEnded)) == 3
    assert "".join(words.text for words in call.of(WordsCame)) == "Hello.One moment.It is booked."
    assert MULAW_8K.seconds(b"".join(came.data for came in call.of(AudioCame))) == pytest.approx(6 * 0.3)
    assert call.of(Used)
    assert call.of(RateLimited)


def test_breaking_in_leaves_what_was_heard_in_the_memory_of_the_model() -> None:
    call = Call(Setup("x", greeting="one two three four five six seven eight nine ten"))
    call.server.said.append("stop")
    call.wait(0.7)
    call.wait(0.1, LOUD)
    [item] = {came.item for came in call.of(AudioCame)}
    before = len(call.of(AudioCame))
    call.send(call.protocol.heard([ItemHeard(item, 620)]))
    call.wait(0.4, LOUD)
    assert len(call.of(AudioCame)) > before  # late sound, under the name of the answer that is over
    call.wait(1.5)
    assert [ended.status for ended in call.of(ResponseEnded)][:1] == ["cancelled"]
    assert call.server.history()[:2] == [("assistant", "one two"), ("user", "stop")]
    assert call.server.mistakes == []


@given(st.integers(0, 60), st.integers(1, 40), st.integers(0, 60), st.sampled_from([0.0, 0.04, 0.2]))
def test_results_are_answered_whenever_they_come(quiet: int, loud: int, more: int, latency: float) -> None:
    """Tools take their time, and the caller speaks meanwhile. The model takes the results in, says so, and after his
    own words are answered, too; what crosses on the wire is asked for again."""

    def reply(said: str, history: History) -> Reply:
        if not any(role == "tool" for role, _ in history):
            return Reply("", [("book", {})])
        return Reply("Booked, and thanks." if ("user", "thanks") in history else "Booked.")

    call = Call(Setup("x", tools=[TOOL]), latency=latency, reply=reply, behaviour=Behaviour(think=0.1))
    call.server.said.append("thanks")
    call.send(call.protocol.tell(""))
    call.wait(0.8)
    tools = call.of(ToolsAsked)[0]
    call.wait(quiet * 0.02)
    call.wait(loud * 0.02, LOUD)
    call.wait(more * 0.02)
    call.send(call.protocol.results([ToolOutput(tools.response, each, "ok") for each in tools.calls]))
    call.wait(4.0)
    said = call.of(CallerSaid)
    assert "Booked, and thanks." in [text for _, text in call.server.history()] or not said
    assert "Booked" in call.server.history()[-1][1]
    assert len(call.of(ResponseBegan)) == len(call.of(ResponseEnded))


@pytest.mark.parametrize(
    ("faults", "meant"),
    [
        (Faults(fatal="insufficient_quota"), ModelFault),
        (Faults(expire_after=0.5), SessionEnding),
        (Faults(malformed=True), NotUnderstood),
    ],
)
def test_bad_days(faults: Faults, meant: type[Any]) -> None:
    call = Call(Setup("x", greeting="Hello."), faults=faults, behaviour=Behaviour(speed=math.inf))
    call.wait(0.52)
    assert len(call.of(meant)) == 1


# Over a real socket


@pytest.mark.parametrize("path", ["/v1", "/openai/v1", "/openai?api-version=2026-01-01"])
async def test_a_real_socket(path: str) -> None:
    async with serve_realtime(behaviour=Behaviour(speed=math.inf, think=0.0)) as server, ClientSession() as http:
        base_url = server.base_url.removesuffix("/v1") + path
        model = OpenAIRealtimeModel("gpt-realtime-2.1", api_key=KEY, base_url=base_url)
        setup = Setup("x", greeting="Hello there.")
        address, session = await model.dial(setup), model.protocol(setup)
        events: list[RealtimeEvent] = []
        async with http.ws_connect(address.url, headers=address.headers) as socket:
            for message in session.opened():
                await socket.send_str(str(message))
            async for frame in socket:
                events += session.receive(frame.data)[0]
                if any(isinstance(event, ResponseEnded) for event in events):
                    break
        assert server.mistakes == []
    ready = next(event for event in events if isinstance(event, SessionReady))
    assert ready.seconds == pytest.approx(3600, abs=10)
    assert MULAW_8K.seconds(b"".join(e.data for e in events if isinstance(e, AudioCame))) == pytest.approx(0.6)
