"""The adapter for Gemini Live: message by message, and in whole conversations with the simulated one, on a clock
that is stepped by hand."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.parts import Message, ProviderError, ToolCall, ToolSpec
from pipelines.realtime.connection import RealtimeConnection
from pipelines.realtime.gemini import GeminiLiveModel, GeminiLiveProtocol
from pipelines.realtime.gemini_setup import schema
from pipelines.realtime.model import (
    AudioCame,
    CallerSaid,
    CallerSilent,
    CallerSpeaks,
    ModelFault,
    NotUnderstood,
    OutputCleared,
    RealtimeEvent,
    ResponseBegan,
    ResponseEnded,
    Resumable,
    SessionEnding,
    SessionReady,
    Setup,
    ToolOutput,
    ToolsAsked,
    ToolsWithdrawn,
    Used,
    WordsCame,
)
from tests.pipelines.realtime.stepped import Stepped, told
from tests.simulators.gemini_live import KEY, GeminiServer, GeminiSession, serve_gemini
from tests.simulators.live_wire import Fault, Hangup, Reply, Stall, Turn, tones

OLD, NEW = "gemini-live-2.5-flash-native-audio", "gemini-3.8-live"
SEATS = {"type": "object", "properties": {"seats": {"type": "integer"}}, "additionalProperties": False}
TABLE = ToolSpec("book_table", "Books a table.", SEATS)


class Line(Stepped):
    def __init__(
        self, setup: Setup, server: GeminiServer | None = None, model: str = NEW, handle: str | None = None
    ) -> None:
        self.server = server or GeminiServer()
        self.session = GeminiSession(self.server)
        self.protocol = GeminiLiveProtocol(model, setup, handle)
        super().__init__(self.protocol, self.session)


def book(history: list[Turn]) -> Reply:
    match history[-1]:
        case Turn("tool", text):
            return Reply(f"Done {text}")
        case Turn(_, text) if "table" in text:
            return Reply("One moment.", (("book_table", {"seats": 4}),))
        case Turn(_, text) if "long" in text:
            return Reply("la " * 20)
        case _:
            return Reply("Hello there.")


def ready(model: str = NEW, setup: Setup | None = None) -> GeminiLiveProtocol:
    protocol = GeminiLiveProtocol(model, setup or Setup("Be brief."))
    protocol.opened()
    protocol.receive('{"setupComplete":{}}')
    return protocol


def sound_message(data: bytes = b"\1\0") -> dict[str, Any]:
    blob = {"mimeType": "audio/pcm;rate=24000", "data": b64encode(data).decode()}
    return {"serverContent": {"modelTurn": {"parts": [{"inlineData": blob}]}}}


# Conversations


@pytest.mark.parametrize("model", [OLD, NEW])
def test_a_conversation_with_a_greeting_and_a_tool(model: str) -> None:
    history = [Message("user", "I am Ann."), Message("assistant", ""), Message("tool", "4 free", name="free")]
    setup = Setup("Be brief.", [TABLE], greeting="Welcome back.", history=history, silence_seconds=0.3, temperature=0.5)
    line = Line(setup, GeminiServer(reply=lambda turns: obedient_or_book(turns)), model)
    line.server.said.append("a table please")
    line.pass_(2.0)
    assert line.events[0] == SessionReady()
    assert line.text == "Welcome back."
    assert [turn.text for turn in line.session.history[:1]] == ["I am Ann.[The tool free returned: 4 free]"]
    line.speak("table please now")
    line.pass_(1.5)
    assert line.of(CallerSaid)[-1] == CallerSaid("c1", "a table please")
    [asked] = line.of(ToolsAsked)
    [call] = asked.calls
    assert (call.name, call.arguments) == ("book_table", {"seats": 4})
    line.send(*line.protocol.results([ToolOutput(asked.response, call, "table 7")]))
    line.pass_(2.0)
    assert line.text.endswith('Done {"output": "table 7"}')
    assert line.of(ResponseBegan) == [ResponseBegan(f"r{number}") for number in (1, 2, 3)]
    assert line.of(ResponseEnded) == [ResponseEnded(f"r{number}") for number in (1, 2, 3)]
    assert [used.units["output_tokens"] for used in line.of(Used)] == [20, 40]
    spoken = b"".join(event.data for event in line.of(AudioCame) if event.response == "r1")
    assert spoken == tones("Welcome back.", 24000)
    assert (line.server.mistakes, line.ended, line.of(NotUnderstood)) == ([], [], [])


def obedient_or_book(history: list[Turn]) -> Reply:
    _, colon, rest = history[-1].text.partition(":\n")
    return Reply(rest) if colon else book(history)


def test_the_caller_breaks_in() -> None:
    line = Line(Setup("", silence_seconds=0.2), GeminiServer(reply=book, speed=20))
    line.server.said.extend(["a long story", "stop"])
    line.speak("tell me")
    line.pass_(1.5)
    assert line.of(ResponseEnded) == [ResponseEnded("r1")]
    before = len(line.events)
    line.speak("stop")
    assert line.events[before : before + 2] == [CallerSpeaks(), OutputCleared()]
    line.pass_(1.5)
    assert line.of(ResponseEnded) == [ResponseEnded("r1"), ResponseEnded("r2")]
    assert line.session.history[1].text.split() == ["la"] * 20


def test_the_caller_breaks_into_the_burst() -> None:
    line = Line(Setup("", silence_seconds=0.2), GeminiServer(reply=book, speed=2))
    line.server.said.extend(["a long story", "stop"])
    line.speak("tell me")
    line.pass_(1.0)
    before = len(line.events)
    line.speak("stop")
    events = [event for event in line.events[before:] if not isinstance(event, AudioCame | WordsCame | Used)]
    assert events[:3] == [CallerSpeaks(), OutputCleared(), ResponseEnded("r1", "cancelled")]
    assert line.of(ResponseEnded) == [ResponseEnded("r1", "cancelled")]


def test_a_caller_who_may_not_break_in_is_heard_afterwards() -> None:
    line = Line(Setup("", silence_seconds=0.2, interruptible=False), GeminiServer(reply=book, speed=2))
    line.server.said.extend(["a long story", "stop"])
    line.speak("tell me")
    line.pass_(1.0)
    line.speak("stop")
    line.pass_(8.0)
    assert (line.of(OutputCleared), line.session.interruptions) == ([], 0)
    assert line.of(ResponseEnded) == [ResponseEnded("r1"), ResponseEnded("r2")]


def test_a_question_to_tools_is_withdrawn() -> None:
    line = Line(Setup("", [TABLE], silence_seconds=0.2), GeminiServer(reply=book, speed=20))
    line.server.said.extend(["a table", "no, stop"])
    line.speak("table")
    line.pass_(1.0)
    [asked] = line.of(ToolsAsked)
    line.speak("no stop")
    assert line.of(ToolsWithdrawn) == [ToolsWithdrawn((asked.calls[0].id,))]
    assert line.protocol.results([ToolOutput(asked.response, asked.calls[0], "late")]) == ()
    line.pass_(1.0)
    assert line.text.endswith("Hello there.")
    assert line.server.mistakes == []


@pytest.mark.parametrize("model", [OLD, NEW])
def test_another_thing_said_is_no_caller_speaking(model: str) -> None:
    line = Line(Setup("", greeting="la " * 20), GeminiServer(speed=20), model)
    line.pass_(1.0)
    line.send(*line.protocol.say("Goodbye."))
    line.pass_(1.0)
    assert line.of(OutputCleared) == [OutputCleared()]
    assert line.of(CallerSpeaks) == []
    assert line.text.endswith("Goodbye.")


def test_keys_are_answered() -> None:
    line = Line(Setup(""))
    line.send(*line.protocol.tell("1234"))
    line.pass_(1.0)
    assert line.text == "You said 1234"


def test_the_session_goes_on_in_another_one() -> None:
    server = GeminiServer(go_away_after=2.0, go_away_left=1.5)
    first = Line(Setup("", greeting="Hello."), server)
    first.pass_(4.0)
    [handle] = first.of(Resumable)
    assert first.of(SessionEnding) == [SessionEnding(1.5)]
    assert first.ended == [Hangup(1011, "Deadline expired before operation could complete.")]
    history = [Message("assistant", "Hello.")]
    second = Line(Setup("", history=history), server, handle=handle.handle)
    second.send(*second.protocol.tell("7"))
    second.pass_(2.0)
    assert [turn.role for turn in second.session.history] == ["user", "model", "user", "model"]
    assert (second.text, server.mistakes) == ("You said 7", [])


@pytest.mark.parametrize("what", ["garbage", "huge"])
def test_what_is_no_message_does_no_harm(what: Any) -> None:
    line = Line(Setup("", greeting="one two three four"), GeminiServer(fault=Fault(what, after=2)))
    line.pass_(2.0)
    assert line.text == "one two three four"
    assert line.of(ResponseEnded) == [ResponseEnded("r1")]
    assert line.of(NotUnderstood)


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        (Fault("close", 1006), [Hangup(None, "simulated")]),
        (Fault("close", 1011), [Hangup(1011, "simulated")]),
        (Fault("half_open"), [Stall()]),
        (Fault("silence"), []),
    ],
)
def test_the_end_in_the_middle(fault: Fault, end: list[Hangup | Stall]) -> None:
    line = Line(Setup("", greeting="one two three four"), GeminiServer(fault=fault))
    line.pass_(1.0)
    assert line.ended[:1] == end
    assert len(line.of(AudioCame)) >= 2


def test_a_session_that_is_never_set_up() -> None:
    line = Line(Setup("", greeting="Hello"), GeminiServer(fault=Fault("mute")))
    line.pass_(1.0)
    assert line.events == []


# The setup


def test_the_setup() -> None:
    setup = Setup(
        "Be brief.",
        [TABLE, ToolSpec("hang_up", "Ends the call.", {"type": "object", "properties": {}})],
        voice="Kore",
        language="de-DE",
        hints=["Trunkline"],
        temperature=0.4,
        interruptible=False,
        silence_seconds=0.7,
        vendor={"google": {"thinkingConfig": {"thinkingBudget": 0}, "proactivity": {"proactiveAudio": True}}},
    )
    [message] = GeminiLiveProtocol("gemini-3.8-live", setup).opened()
    assert json.loads(message)["setup"] == {
        "model": "models/gemini-3.8-live",
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "speechConfig": {
                "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}},
                "languageCode": "de-DE",
            },
            "temperature": 0.8,
            "thinkingConfig": {"thinkingBudget": 0},
        },
        "realtimeInputConfig": {
            "activityHandling": "NO_INTERRUPTION",
            "automaticActivityDetection": {"silenceDurationMs": 700},
        },
        "inputAudioTranscription": {"languageCodes": ["de-DE"], "customVocabulary": ["Trunkline"]},
        "outputAudioTranscription": {},
        "sessionResumption": {},
        "contextWindowCompression": {"slidingWindow": {}},
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "book_table",
                        "description": "Books a table.",
                        "parameters": {"type": "object", "properties": {"seats": {"type": "integer"}}},
                    },
                    {"name": "hang_up", "description": "Ends the call."},
                ]
            }
        ],
        "proactivity": {"proactiveAudio": True},
    }


@pytest.mark.parametrize(
    ("of", "cut"),
    [
        ({"type": ["string", "null"], "$id": "x"}, {"type": "string", "nullable": True}),
        ({"const": "a"}, {"enum": ["a"]}),
        ({"type": "integer", "enum": [1, 2]}, {"type": "integer", "description": "One of [1, 2]."}),
        ({"oneOf": [{"type": "string", "x": 1}]}, {"anyOf": [{"type": "string"}]}),
        ({"type": "array", "items": {"type": "string", "x": 1}}, {"type": "array", "items": {"type": "string"}}),
        ({"properties": {"a": {"x": 1, "type": "string"}}, "required": ["a", "b"]},
         {"properties": {"a": {"type": "string"}}, "required": ["a"]}),
    ],
)  # fmt: skip
def test_a_schema_is_cut_to_what_is_known(of: dict[str, Any], cut: dict[str, Any]) -> None:
    assert schema(of) == cut


async def test_the_address() -> None:
    model = GeminiLiveModel(NEW, api_key="k")
    address = await model.dial(Setup(""))
    assert address.url == (
        "wss://generativelanguage.googleapis.com/ws/google.ai.generativelanguage.v1.GenerativeService"
        ".BidiGenerateContent"
    )
    assert address.headers == {"x-goog-api-key": "k"}
    for vendor, sentence in (
        ({"google": {"colour": 1}}, r"google\.colour is not known; known here: enableAffectiveDialog, "),
        ({"google": {"thinking": {}}}, r"google\.thinking is not known; did you mean thinkingConfig\?"),
        ({"google": 7}, r"google has to be an object"),
    ):
        with pytest.raises(ProviderError, match=rf"options\.vendorSpecific\.{sentence}") as caught:
            await model.dial(Setup("", vendor=vendor))
        assert caught.value.kind == "bad_request"
    assert (await GeminiLiveModel(NEW, api_key="", base_url="http://127.0.0.1:1").dial(Setup(""))).headers == {}


# Message by message


def test_sound_is_read_in_every_spelling() -> None:
    plain = sound_message(b"\1\0\2\0")
    snake = json.loads(
        json.dumps(plain).replace("serverContent", "server_content").replace("inlineData", "inline_data")
    )
    escaped = json.dumps(sound_message(b"\1")).replace("=", "\\u003d")
    for message in (plain, snake):
        for text in (json.dumps(message), json.dumps(message, indent=2), json.dumps(message, separators=(",", ":"))):
            for wire in (text, text.encode()):
                assert ready().receive(wire)[0][1:] == [AudioCame("r1", "r1", b"\1\0\2\0")]
    protocol = ready()
    assert told(protocol, json.loads(escaped)) == [ResponseBegan("r1")]
    assert protocol.receive(json.dumps(sound_message(b"\2\3")))[0] == [AudioCame("r1", "r1", b"\1\2")]


def test_a_message_of_many_parts() -> None:
    message = sound_message()
    message["serverContent"] |= {
        "outputTranscription": {"text": "Hi"},
        "inputTranscription": {"text": "you"},
        "generationComplete": True,
        "turnComplete": True,
    }
    message["usageMetadata"] = {"promptTokenCount": 5, "responseTokenCount": 3, "thoughtsTokenCount": 2}
    assert told(ready(), message) == [
        CallerSaid("c1", "you", final=False),
        CallerSaid("c1", "you"),
        ResponseBegan("r1"),
        AudioCame("r1", "r1", b"\1\0"),
        WordsCame("r1", "r1", "Hi"),
        ResponseEnded("r1"),
        Used({"input_tokens": 5.0, "output_tokens": 5.0}),
    ]


def content(**fields: Any) -> dict[str, Any]:
    return {"serverContent": fields}


def test_an_answer_ends_once_and_late_words_are_its_own() -> None:
    late = content(outputTranscription={"text": " late"})
    early = content(outputTranscription={"text": "Early"})
    over, complete = content(generationComplete=True), content(turnComplete=True)
    assert told(ready(), sound_message(), over, late, complete, early, sound_message()) == [
        ResponseBegan("r1"),
        AudioCame("r1", "r1", b"\1\0"),
        ResponseEnded("r1"),
        WordsCame("r1", "r1", " late"),
        ResponseBegan("r2"),
        WordsCame("r2", "r2", "Early"),
        AudioCame("r2", "r2", b"\1\0"),
    ]  # fmt: skip
    assert told(ready(), sound_message(), content(turnComplete=True))[-1] == ResponseEnded("r1")


def test_words_of_an_answer_that_was_dropped_are_not_the_next_ones() -> None:
    early, dropped = content(outputTranscription={"text": "Early"}), content(interrupted=True)
    assert told(ready(), early, dropped, sound_message())[-2:] == [
        ResponseBegan("r1"),
        AudioCame("r1", "r1", b"\1\0"),
    ]


def test_calls_without_an_id_are_told_apart_in_whichever_session_they_are() -> None:
    nameless = {"toolCall": {"functionCalls": [{"name": "f"}, {"name": "f"}]}}
    asked = [event for _ in range(2) for event in told(ready(), nameless) if isinstance(event, ToolsAsked)]
    assert len({call.id for one in asked for call in one.calls}) == 4


def test_a_call_that_is_told_again_while_it_runs_is_the_same_one() -> None:
    protocol, again = ready(), {"toolCall": {"functionCalls": [{"id": "1", "name": "f"}]}}
    assert any(isinstance(event, ToolsAsked) for event in told(protocol, again))
    assert told(protocol, again) == []


def test_words_after_the_results_of_tools_are_the_next_answers() -> None:
    protocol = ready()
    [_, asked, _] = told(protocol, {"toolCall": {"functionCalls": [{"id": "1", "name": "f"}]}})
    assert isinstance(asked, ToolsAsked)
    protocol.results([ToolOutput("r1", asked.calls[0], "x")])
    words = content(outputTranscription={"text": "Done"})
    assert told(protocol, words, sound_message())[:2] == [ResponseBegan("r2"), WordsCame("r2", "r2", "Done")]


def test_a_turn_that_was_refused_is_an_answer_that_failed() -> None:
    assert told(ready(), content(turnComplete=True, turnCompleteReason="PROHIBITED_INPUT_CONTENT")) == [
        ResponseBegan("r1"),
        ResponseEnded("r1", "failed", "PROHIBITED_INPUT_CONTENT"),
    ]
    assert told(ready(), content(turnComplete=True, turnCompleteReason="NEED_MORE_INPUT")) == []
    late = content(turnComplete=True, turnCompleteReason="GENERATED_AUDIO_SAFETY")
    assert told(ready(), sound_message(), content(generationComplete=True), late)[2:] == [ResponseEnded("r1")]


def test_the_callers_words_that_come_late_are_final_at_the_answers_end() -> None:
    late = content(inputTranscription={"text": "please"})
    assert told(ready(), sound_message(), late, content(generationComplete=True))[2:] == [
        CallerSaid("c1", "please", final=False),
        ResponseEnded("r1"),
        CallerSaid("c1", "please"),
    ]


def test_the_callers_words_grow_and_are_final() -> None:
    def words(text: str, **more: Any) -> dict[str, Any]:
        return content(inputTranscription={"text": text, **more})

    assert told(
        ready(), words("I"), words(" want"), content(interimInputTranscription={"text": " a"}), words("", finished=True)
    ) == [
        CallerSaid("c1", "I", final=False),
        CallerSaid("c1", "I want", final=False),
        CallerSaid("c1", "I want a", final=False),
        CallerSaid("c1", "I want"),
    ]


@pytest.mark.parametrize(
    ("message", "events"),
    [
        ({"goAway": {"timeLeft": "9.5s"}}, [SessionEnding(9.5)]),
        ({"go_away": {"time_left": "10s"}}, [SessionEnding(10.0)]),
        ({"goAway": {}}, [SessionEnding(0.0)]),
        ({"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}}, [Resumable("h")]),
        ({"sessionResumptionUpdate": {"newHandle": "", "resumable": False}}, []),
        ({"toolCallCancellation": {"ids": ["a", "b"]}}, [ToolsWithdrawn(("a", "b"))]),
        ({"voiceActivity": {"voiceActivityType": "ACTIVITY_START"}}, [CallerSpeaks()]),
        ({"voiceActivity": {"voiceActivityType": "ACTIVITY_END"}}, [CallerSilent()]),
        ({"setupComplete": {}}, []),
        ({"serverContent": {"waitingForInput": True, "interactionStatus": "IDLE"}}, []),
        ({"brandNew": 1}, [NotUnderstood("a message of brandNew")]),
        ({}, [NotUnderstood("a message of nothing")]),
        (
            {"error": {"status": "RESOURCE_EXHAUSTED", "message": "too\nmuch"}},
            [ModelFault("rate_limit", "RESOURCE_EXHAUSTED too much")],
        ),
        (
            {"error": {"status": "UNAUTHENTICATED", "message": "no"}},
            [ModelFault("auth", "UNAUTHENTICATED no", fatal=True)],
        ),
        (
            {"toolCall": {"functionCalls": [{"id": "8", "name": "f"}, {"id": "9"}]}},
            [
                ResponseBegan("r1"),
                NotUnderstood("a call of a tool without a name"),
                ToolsAsked("r1", (ToolCall("8", "f"),)),
                ResponseEnded("r1"),
            ],
        ),
    ],
)  # fmt: skip
def test_what_a_message_means(message: dict[str, Any], events: list[RealtimeEvent]) -> None:
    assert told(ready(), message) == events


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("audio/pcm")
NAMES = (
    "setupComplete serverContent modelTurn parts inlineData mimeType data interrupted generationComplete turnComplete "
    "turnCompleteReason inputTranscription outputTranscription text finished toolCall functionCalls id name args "
    "toolCallCancellation ids usageMetadata promptTokenCount promptTokensDetails goAway timeLeft error status "
    "sessionResumptionUpdate newHandle resumable voiceActivity tool_call server_content"
)
names = st.sampled_from(NAMES.split())
trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5))


@given(st.lists(trees.map(json.dumps) | st.text() | st.binary(), max_size=8))
def test_receive_never_raises_and_answers_are_told_of_in_order(messages: list[str | bytes]) -> None:
    protocol = ready()
    under_way = None
    for message in messages:
        for event in protocol.receive(message)[0]:
            match event:
                case ResponseBegan(response):
                    assert under_way is None
                    under_way = response
                case AudioCame(response, _, data):
                    assert response == under_way
                    assert data
                    assert not len(data) % 2
                case ResponseEnded(response):
                    assert response == under_way
                    under_way = None
                case _:
                    pass


@given(st.lists(st.binary(max_size=50), max_size=10), st.booleans())
def test_no_sample_is_lost(pieces: list[bytes], binary: bool) -> None:
    protocol = ready()
    heard = b""
    for piece in pieces:
        text = json.dumps(sound_message(piece))
        heard += b"".join(
            event.data
            for event in protocol.receive(text.encode() if binary else text)[0]
            if isinstance(event, AudioCame)
        )
    whole = b"".join(pieces)
    assert heard == whole[: len(whole) // 2 * 2]


# On a socket


class Listener:
    def __init__(self) -> None:
        self.events: list[RealtimeEvent] = []

    def on_model_event(self, connection: RealtimeConnection, event: RealtimeEvent) -> None:
        self.events.append(event)

    def on_model_lost(self, connection: RealtimeConnection, reason: str) -> None: ...


async def test_a_session_on_a_socket() -> None:
    async with serve_gemini() as server:
        model = GeminiLiveModel(NEW, api_key=KEY, base_url=server.url)
        connection = await RealtimeConnection.open(model, Setup(""), Listener(), on_fault=lambda error: None)
        assert await connection.close(model) is None
        refused = GeminiLiveModel(NEW, api_key="wrong", base_url=server.url)
        with pytest.raises(ProviderError) as caught:
            await RealtimeConnection.open(refused, Setup(""), Listener(), on_fault=lambda error: None)
        assert caught.value.kind == "auth"
    assert server.mistakes == []
