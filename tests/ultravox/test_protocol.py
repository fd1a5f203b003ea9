"""Ultravox's messages as events, by tables and against the simulated other end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.parts import ToolCall, ToolSpec
from pipelines.realtime.model import (
    AudioCame,
    CallerSaid,
    CallerSilent,
    CallerSpeaks,
    ItemHeard,
    NotUnderstood,
    Outgoing,
    OutputCleared,
    RealtimeEvent,
    RealtimeProtocol,
    ResponseBegan,
    ResponseEnded,
    SessionReady,
    Setup,
    ToolOutput,
    ToolsAsked,
    WordsCame,
)
from tests.simulators.codeword import heard_words, speak
from tests.simulators.ultravox_call import Heard, UseTool
from tests.simulators.ultravox_line import Line
from ultravox.protocol import PLACEHOLDER, UltravoxProtocol

SOUND = b"\x01\x02" * 80
SILENCE = bytes(160)


def state(name: str) -> dict[str, Any]:
    return {"type": "state", "state": name}


def agent(ordinal: int | None = 2, **what: Any) -> dict[str, Any]:
    told = {} if ordinal is None else {"ordinal": ordinal}
    return {"type": "transcript", "role": "agent", "medium": "voice", "final": False, **told, **what}


def caller(text: str, **what: Any) -> dict[str, Any]:
    return {"type": "transcript", "role": "user", "medium": "voice", "final": True, "ordinal": 1, "text": text, **what}


def invocation(**what: Any) -> dict[str, Any]:
    base = {
        "type": "client_tool_invocation",
        "toolName": "hours",
        "invocationId": "t1",
        "parameters": {"day": "Monday"},
    }
    return {**base, **what}


STARTED = {"type": "call_started", "callId": "c"}
CLEAR = {"type": "playback_clear_buffer"}
TOOL = ToolCall("t1", "hours", {"day": "Monday"})
BEGAN, ENDED, CANCELLED = ResponseBegan("c-1"), ResponseEnded("c-1"), ResponseEnded("c-1", "cancelled")
AUDIO = AudioCame("c-1", "c-1", SOUND)


def words(text: str, response: str = "c-1") -> WordsCame:
    return WordsCame(response, response, text)


def receive(protocol: UltravoxProtocol, *messages: Any) -> tuple[list[RealtimeEvent], list[Outgoing]]:
    events: list[RealtimeEvent] = []
    replies: list[Outgoing] = []
    for message in messages:
        came, sent = protocol.receive(json.dumps(message) if isinstance(message, dict) else message)
        events += came
        replies += sent
    return events, replies


TABLE: list[tuple[str, list[Any], list[RealtimeEvent]]] = [
    ("ready once", [STARTED, STARTED, state("listening")], []),
    (
        "an answer",
        [
            state("speaking"),
            SOUND,
            agent(delta="Hi"),
            agent(delta=" you."),
            agent(text="Hi you.", final=True),
            state("listening"),
        ],
        [BEGAN, AUDIO, words("Hi"), words(" you."), ENDED],
    ),
    ("words before sound", [state("thinking"), agent(delta="Hi"), SOUND], [BEGAN, words("Hi"), AUDIO]),
    ("sound before its state", [state("thinking"), SOUND, state("speaking"), SOUND], [BEGAN, AUDIO, AUDIO]),
    (
        "a whole text after a part",
        [state("speaking"), agent(delta="Hi"), agent(text="Hi you.")],
        [BEGAN, words("Hi"), words(" you.")],
    ),
    (
        "a revised text",
        [state("speaking"), agent(delta="Hi, yu"), agent(text="Hi you there.", final=True)],
        [BEGAN, words("Hi, yu"), words(" there.")],
    ),
    (
        "two utterances in one answer",
        [state("speaking"), agent(delta="One."), agent(3, delta="Two.")],
        [BEGAN, words("One."), words("Two.")],
    ),
    (
        "two answers",
        [state("speaking"), SOUND, state("listening"), state("speaking"), agent(4, delta="Two")],
        [BEGAN, AUDIO, ENDED, ResponseBegan("c-2"), words("Two", "c-2")],
    ),
    (
        "words that come after the end, while the next answer is said",
        [state("speaking"), agent(delta="Hi"), state("listening"), state("speaking"), SOUND, agent(text="Hi you")],
        [BEGAN, words("Hi"), ENDED, ResponseBegan("c-2"), AudioCame("c-2", "c-2", SOUND)],
    ),
    (
        "half a sample at the end",
        [state("speaking"), SOUND[:5], state("listening"), state("speaking"), SOUND],
        [
            BEGAN,
            AudioCame("c-1", "c-1", SOUND[:4]),
            ENDED,
            ResponseBegan("c-2"),
            AudioCame("c-2", "c-2", SOUND),
        ],
    ),
    ("an answer that leaves to think", [state("speaking"), SOUND, state("thinking")], [BEGAN, AUDIO, ENDED]),
    (
        "silence between answers",
        [state("listening"), SILENCE, state("speaking"), SILENCE],
        [BEGAN, AudioCame("c-1", "c-1", SILENCE)],
    ),
    (
        "half a sample",
        [state("speaking"), SOUND[:5], SOUND[5:]],
        [BEGAN, AudioCame("c-1", "c-1", SOUND[:4]), AudioCame("c-1", "c-1", SOUND[4:])],
    ),
    (
        "barge-in, with words that come late",
        [state("speaking"), SOUND, agent(delta="Hi"), CLEAR, agent(text="Hi you", final=True), state("listening")],
        [BEGAN, AUDIO, words("Hi"), CallerSpeaks(), OutputCleared(), CANCELLED],
    ),
    (
        "barge-in before any word",
        [state("speaking"), SOUND, CLEAR, agent(text="Hi", final=True), state("listening"), agent(delta="Hi")],
        [BEGAN, AUDIO, CallerSpeaks(), OutputCleared(), CANCELLED],
    ),
    (
        "what comes after a barge-in is another answer",
        [state("speaking"), SOUND, CLEAR, SOUND],
        [
            BEGAN,
            AUDIO,
            CallerSpeaks(),
            OutputCleared(),
            CANCELLED,
            ResponseBegan("c-2"),
            AudioCame("c-2", "c-2", SOUND),
        ],
    ),
    ("nothing to clear", [CLEAR], [CallerSpeaks(), OutputCleared()]),
    (
        "the caller's turn",
        [state("listening"), state("thinking"), caller("Hello.")],
        [CallerSpeaks(), CallerSilent(), CallerSaid("c-caller-1", "Hello.")],
    ),
    (
        "the caller's turn after a barge-in is the same speech",
        [state("speaking"), SOUND, CLEAR, state("listening"), state("thinking")],
        [BEGAN, AUDIO, CallerSpeaks(), OutputCleared(), CANCELLED, CallerSilent()],
    ),
    (
        "the caller's words in parts",
        [caller("Hel", final=False), {**caller("", final=False), "text": None, "delta": "lo"}, caller("Hello.")],
        [
            CallerSaid("c-caller-1", "Hel", final=False),
            CallerSaid("c-caller-1", "Hello", final=False),
            CallerSaid("c-caller-1", "Hello."),
        ],
    ),
    ("what we told it is not the caller's", [caller("1234#", medium="text")], []),
    ("a tool", [state("thinking"), invocation()], [BEGAN, ToolsAsked("c-1", (TOOL,)), ENDED]),
    (
        "a tool without parameters",
        [invocation(parameters=None)],
        [BEGAN, ToolsAsked("c-1", (ToolCall("t1", "hours"),)), ENDED],
    ),
    (
        "a tool while something is said",
        [state("speaking"), SOUND, invocation(), SOUND, state("thinking")],
        [BEGAN, AUDIO, ToolsAsked("c-1", (TOOL,)), AUDIO, ENDED],
    ),
    ("a tool asked for twice", [invocation(), invocation()], [BEGAN, ToolsAsked("c-1", (TOOL,)), ENDED]),
    ("of no interest", [{"type": t} for t in ("pong", "debug", "tool_used", "user_started_speaking")], []),
    ("unknown", [{"type": "new_kind"}], [NotUnderstood("a message of type new_kind")]),
    ("no type", [{}], [NotUnderstood("a message of type None")]),
    ("no JSON object", ["{", "[" * 100_000, "[]", "7"], [NotUnderstood("text that is no JSON object")] * 4),
    ("far too long", ['"' + 5_000_000 * "x" + '"'], [NotUnderstood("a message of 5000002 characters")]),
    (
        "an unknown state",
        [state("dancing"), {"type": "state"}],
        [NotUnderstood("a state dancing"), NotUnderstood("a state None")],
    ),
    ("a transcript of nothing", [agent(), agent(text=7)], [NotUnderstood("a transcript without text")] * 2),
    (
        "a transcript of nobody",
        [{**agent(delta="x"), "role": "bot"}],
        [NotUnderstood("a transcript of nobody's words")],
    ),
    ("a tool without an id", [invocation(invocationId=None)], [NotUnderstood("a tool invocation without an id")]),
]


@pytest.mark.parametrize(("messages", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_messages(messages: list[Any], expected: list[RealtimeEvent]) -> None:
    events, replies = receive(UltravoxProtocol(), STARTED, *messages)
    assert events == [SessionReady(), *expected]
    assert replies == []


def test_it_is_ready_without_being_told() -> None:
    assert receive(UltravoxProtocol(), state("listening"))[0] == [SessionReady()]
    assert receive(UltravoxProtocol(), SOUND)[0][:2] == [SessionReady(), ResponseBegan("ultravox-1")]


def test_an_invocation_that_makes_no_sense_is_answered_all_the_same() -> None:
    """For the conversation is frozen until it is."""
    protocol = UltravoxProtocol()
    odd_ones: list[dict[str, Any]] = [{"toolName": 7}, {"parameters": "day"}]
    for number, odd in enumerate(odd_ones):
        _, (reply,) = receive(protocol, invocation(**odd, invocationId=f"t{number}"))
        assert isinstance(reply, str)
        sent = json.loads(reply)
        assert (sent["type"], sent["invocationId"]) == ("client_tool_result", f"t{number}")
        assert sent["errorType"] == "implementation-error"


def one(messages: Sequence[Outgoing]) -> dict[str, Any]:
    (message,) = messages
    assert isinstance(message, str)
    sent: dict[str, Any] = json.loads(message)
    return sent


def test_what_is_sent() -> None:
    protocol = UltravoxProtocol()
    assert protocol.opened() == ()
    assert protocol.audio(SOUND) is SOUND
    assert one(protocol.tell("12#")) == {"type": "user_text_message", "text": "12#", "urgency": "immediate"}
    said = {"type": "forced_agent_message", "content": "Grüezi", "urgency": "immediate", "uninterruptible": False}
    assert one(protocol.say("Grüezi")) == said
    assert one(UltravoxProtocol(interruptible=False).say("Hi"))["uninterruptible"] is True
    assert [*protocol.answer(), *protocol.interrupt(), *protocol.heard([ItemHeard("c-1", 20)])] == []
    assert one(protocol.closing()) == {"type": "hang_up"}
    assert protocol.closing() == ()


def output(text: str, call: ToolCall = TOOL) -> ToolOutput:
    return ToolOutput("c-1", call, text)


RESULT = {
    "type": "client_tool_result",
    "invocationId": "t1",
    "responseType": "tool-response",
    "agentReaction": "speaks",
}


def test_a_result() -> None:
    protocol = UltravoxProtocol()
    receive(protocol, invocation())
    assert one(protocol.results([output("9 to 5")])) == {**RESULT, "result": "9 to 5"}
    assert protocol.results([output("9 to 5")]) == [], "a second result would be ignored"
    assert protocol.placeholder(TOOL) == ()


def test_a_slow_tool() -> None:
    protocol = UltravoxProtocol()
    receive(protocol, invocation())
    assert one(protocol.placeholder(TOOL)) == {**RESULT, "result": PLACEHOLDER}
    assert protocol.placeholder(TOOL) == ()
    late = one(protocol.results([output("9 to 5")]))
    assert (late["type"], late["urgency"]) == ("user_text_message", "soon")
    assert "hours" in late["text"]
    assert "9 to 5" in late["text"]
    assert protocol.results([output("9 to 5")]) == []


def test_an_answer_after_a_result_is_another_one() -> None:
    """Even if the state was speaking all the time."""
    protocol = UltravoxProtocol()
    receive(protocol, STARTED, state("speaking"), SOUND, invocation())
    protocol.results([output("9 to 5")])
    events, _ = receive(protocol, SOUND, state("listening"))
    assert events == [ENDED, ResponseBegan("c-2"), AudioCame("c-2", "c-2", SOUND), ResponseEnded("c-2")]


def test_that_it_thinks_about_what_we_said_is_no_turn_of_the_caller() -> None:
    protocol = UltravoxProtocol()
    receive(protocol, STARTED, state("listening"))
    protocol.tell("12#")
    assert receive(protocol, state("thinking"), state("speaking"), state("listening"))[0] == []
    assert receive(protocol, state("thinking"))[0] == [CallerSpeaks(), CallerSilent()]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KINDS = ("call_started", "state", "transcript", "client_tool_invocation", "playback_clear_buffer", "pong", "room_info")
messages = st.one_of(
    st.binary(max_size=9),
    st.text(max_size=20),
    json_values.map(json.dumps),
    st.builds(
        lambda kind, more: json.dumps({**more, "type": kind}),
        st.sampled_from(KINDS),
        st.fixed_dictionaries(
            {},
            optional={
                "state": st.sampled_from(["idle", "listening", "thinking", "speaking"]) | json_values,
                "role": st.sampled_from(["user", "agent"]) | json_values,
                "text": st.text(max_size=9) | json_values,
                "delta": st.text(max_size=9) | json_values,
                "ordinal": st.integers(0, 5) | json_values,
                "final": st.booleans() | json_values,
                "medium": st.sampled_from(["voice", "text"]) | json_values,
                "invocationId": st.sampled_from(["a", "b"]) | json_values,
                "toolName": st.just("hours") | json_values,
                "parameters": st.just({}) | json_values,
                "callId": st.just("c") | json_values,
            },
        ),
    ),
)


@settings(deadline=None)
@given(st.lists(messages | st.sampled_from(["result", "late", "say", "tell"]), max_size=25))
def test_whatever_comes(steps: list[str | bytes]) -> None:
    """Nothing is raised, and every answer begins once, ends once, and has its sound and words in between."""
    protocol = UltravoxProtocol()
    open_: str | None = None
    names: set[str] = set()
    ready = 0
    asked: list[ToolCall] = []
    for step in steps:
        if step in ("result", "late") and asked:
            protocol.placeholder(asked[-1]) if step == "late" else protocol.results([output("x", asked[-1])])
        elif step in ("say", "tell"):
            protocol.say("x") if step == "say" else protocol.tell("x")
        events, replies = protocol.receive(step)
        for reply in replies:
            assert isinstance(reply, str)
            json.loads(reply)
        for event in events:
            match event:
                case SessionReady():
                    ready += 1
                case ResponseBegan(response):
                    assert open_ is None
                    assert response not in names
                    open_ = response
                    names.add(response)
                case ResponseEnded(response):
                    assert open_ == response
                    open_ = None
                case AudioCame(response, _, data):
                    assert open_ == response
                    assert data
                    assert len(data) % 2 == 0
                case WordsCame(response, _, text):
                    assert open_ == response
                    assert text
                case ToolsAsked(response, calls):
                    assert open_ == response
                    asked += calls
                case _:
                    pass
    assert ready <= 1


# Against the simulated other end


def test_a_call_from_greeting_to_barge_in() -> None:
    line = Line(
        Setup("", greeting="hello there"), reply=lambda heard: "one two three four five", heard=["i want a table"]
    )
    line.silence(1.0)
    line.speak(speak("i want a table"))
    line.silence(1.2)
    line.speak(speak("stop"))
    line.silence(0.1)
    assert line.kinds == [
        "SessionReady",
        *("ResponseBegan", "WordsCame", "ResponseEnded"),
        *("CallerSpeaks", "CallerSilent", "CallerSaid"),
        *("ResponseBegan", "WordsCame", "CallerSpeaks", "OutputCleared", "ResponseEnded"),
    ]
    assert heard_words(line.sound("call-1")) == ["hello", "there"]
    assert line.words("call-1") == "hello there"
    assert line.words("call-2") == "one two three four five"
    assert line.of(ResponseEnded)[1].status == "cancelled"
    assert line.call.mistakes == line.call.warnings == []


@pytest.mark.parametrize("early", [False, True])
def test_a_slow_tool_over_the_line(early: bool) -> None:
    """The conversation goes on meanwhile, and the result is told when there is one."""

    def reply(heard: Heard) -> list[str | UseTool]:
        match heard.kind:
            case "voice":
                return ["one moment please", UseTool("hours", {"day": "Monday"}, early=early)]
            case "result":
                return ["it takes a while"]
            case _:
                return ["nine to five"]

    tool = ToolSpec("hours", "", {"type": "object", "properties": {"day": {"type": "string"}}})
    line = Line(Setup("", tools=[tool]), reply=reply, heard=["is it open"])
    line.speak(speak("is it open"))
    line.silence(2.0)
    (asked,) = line.of(ToolsAsked)
    assert asked.calls[0].arguments == {"day": "Monday"}
    line.send(line.protocol.placeholder(asked.calls[0]))
    line.silence(2.5)
    line.send(line.protocol.results([ToolOutput(asked.response, asked.calls[0], "9 to 5")]))
    line.silence(2.0)
    assert line.call.said == ["one moment please", "it takes a while", "nine to five"]
    assert len(line.call.results) == 1
    assert line.call.mistakes == line.call.warnings == []
    assert {event.status for event in line.of(ResponseEnded)} == {"completed"}
    assert len(line.of(ResponseBegan)) == len(line.of(ResponseEnded))


def test_something_is_said_over_an_answer() -> None:
    line = Line(Setup("", greeting="one two three four five"), reply=lambda heard: None)
    line.silence(0.5)
    line.send(line.protocol.say("the line is closing"))
    line.silence(2.0)
    assert line.call.said == ["one two", "the line is closing"]
    assert line.words("call-2") == "the line is closing"
    assert line.of(CallerSpeaks) == []


def test_hanging_up() -> None:
    line = Line(Setup("", greeting="one two three"), reply=lambda heard: None)
    line.silence(0.3)
    line.send(line.protocol.closing())
    assert line.closed == 1000


def test_it_is_a_protocol() -> None:
    protocol: RealtimeProtocol = UltravoxProtocol()
    assert protocol.opened() == ()
