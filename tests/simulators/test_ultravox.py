"""The simulated Ultravox, against tables of what the vendor's reference says; there is no official client to ask."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from pipelines.parts import ToolCall, ToolSpec
from pipelines.realtime.model import (
    AudioCame,
    OutputCleared,
    ResponseBegan,
    ResponseEnded,
    Setup,
    ToolOutput,
    ToolsAsked,
)
from tests.simulators.codeword import heard_words, speak
from tests.simulators.ultravox import KEY, serve_ultravox
from tests.simulators.ultravox_call import Faults, HangUp, Heard, SimulatedCall, UseTool
from tests.simulators.ultravox_line import Line
from tests.simulators.ultravox_request import message_mistakes, mistakes
from tests.steady import PATIENCE

SOCKET: dict[str, Any] = {"inputSampleRate": 8000}
MEDIUM = {"medium": {"serverWebSocket": SOCKET}}
TOOL: dict[str, Any] = {"modelToolName": "look_up", "description": "", "client": {}}


def parameter(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "location": "PARAMETER_LOCATION_BODY", "schema": {"type": "string"}, **changes}


ACCEPTED: list[dict[str, Any]] = [
    {},
    MEDIUM,
    {"temperature": 0, "model": "m", "voice": "Mark", "languageHint": "en-GB", "maxDuration": "305s"},
    {"maxDuration": "0.123456789s", "joinTimeout": "-1s"},
    {"medium": {"webRtc": {}}},
    {"medium": {"serverWebSocket": {**SOCKET, "outputSampleRate": 16000, "clientBufferSizeMs": 30000}}},
    {"medium": {"serverWebSocket": {**SOCKET, "dataMessages": {"state": True, "debug": False}}}},
    {"firstSpeakerSettings": {"user": {"fallback": {"delay": "5s", "prompt": "Greet the user."}}}},
    {"firstSpeakerSettings": {"agent": {"text": "Hi", "uninterruptible": True, "delay": "0.5s"}}},
    {"selectedTools": [{"toolName": "hangUp"}, {"toolId": "1"}, {"temporaryTool": TOOL}]},
    {"selectedTools": [{"temporaryTool": {**TOOL, "dynamicParameters": [parameter(required=True)]}}]},
    {"inactivityMessages": [{"duration": "30s", "message": "?", "endBehavior": "END_BEHAVIOR_HANG_UP_STRICT"}]},
    {"initialMessages": [{"role": "MESSAGE_ROLE_TOOL_CALL", "text": "{}", "invocationId": "1", "toolName": "t"}]},
    {"vadSettings": {"turnEndpointDelay": "0.384s", "frameActivationThreshold": 0.1}},
    {"metadata": {"k": "v"}, "callbacks": {"ended": {"url": "https://example.com", "secrets": ["s"]}}},
]

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "Hello"}, "prompt is not known"),
    ({"temperature": 1.5}, "temperature has to be a number from 0 to 1"),
    ({"temperature": True}, "temperature has to be a number from 0 to 1"),
    ({"maxDuration": 305}, 'maxDuration has to be a duration such as "1.5s"'),
    ({"maxDuration": "305"}, 'maxDuration has to be a duration such as "1.5s"'),
    ({"maxDuration": "0.1234567891s"}, 'maxDuration has to be a duration such as "1.5s"'),
    ({"recordingEnabled": "false"}, "recordingEnabled has to be true or false"),
    ({"medium": {"webRtc": {}, "sip": {}}}, "medium takes at most one of webRtc"),
    ({"medium": {"serverWebSocket": {}}}, "medium.serverWebSocket.inputSampleRate is missing"),
    ({"medium": {"serverWebSocket": {"inputSampleRate": "8000"}}}, "inputSampleRate has to be a whole number"),
    ({"medium": {"serverWebSocket": {**SOCKET, "sampleRate": 1}}}, "serverWebSocket.sampleRate is not known"),
    ({"medium": {"serverWebSocket": {**SOCKET, "dataMessages": {"clear": True}}}}, "dataMessages.clear is not known"),
    ({"firstSpeakerSettings": {}}, "firstSpeakerSettings needs exactly one of user, agent"),
    ({"firstSpeakerSettings": {"agent": {"text": "a", "prompt": "b"}}}, "agent takes at most one of text, prompt"),
    ({"firstSpeakerSettings": {"user": {"text": "a"}}}, "firstSpeakerSettings.user.text is not known"),
    ({"selectedTools": [{}]}, "selectedTools[0] needs exactly one of toolId, toolName, temporaryTool"),
    ({"selectedTools": [{"toolName": "a", "toolId": "b"}]}, "selectedTools[0] needs exactly one of"),
    ({"selectedTools": [{"toolName": "look up"}]}, "selectedTools[0].toolName has to be a tool's name"),
    ({"selectedTools": [{"toolName": "a" * 65}]}, "selectedTools[0].toolName has to be a tool's name"),
    ({"selectedTools": [{"toolName": "a"}, {"toolName": "a"}]}, "selectedTools has 'a' twice"),
    (
        {"selectedTools": [{"temporaryTool": {**TOOL, "dataConnection": {}}}]},
        "temporaryTool needs exactly one of http, client",
    ),
    (
        {"selectedTools": [{"temporaryTool": {**TOOL, "dynamicParameters": [parameter(location="BODY")]}}]},
        "dynamicParameters[0].location has to be one of",
    ),
    (
        {
            "selectedTools": [
                {"temporaryTool": {**TOOL, "dynamicParameters": [parameter(location="PARAMETER_LOCATION_QUERY")]}}
            ]
        },
        "its parameters have to be in the BODY",
    ),
    ({"inactivityMessages": [{"duration": "30s"}]}, "inactivityMessages[0].message is missing"),
    ({"inactivityMessages": [{"duration": 30, "message": "?"}]}, "inactivityMessages[0].duration has to be a duration"),
    ({"initialMessages": [{"role": "user", "text": "a"}]}, "initialMessages[0].role has to be one of"),
    ({"vadSettings": {"turnEndpointDelay": "384ms"}}, "vadSettings.turnEndpointDelay has to be a duration"),
    ({"vadSettings": {"frameActivationThreshold": 0}}, "frameActivationThreshold has to be a number from 0.1 to 1"),
    ({"metadata": {"k": 1}}, "metadata.k has to be text"),
    ({"metadata": {"ultravox.k": "v"}}, "metadata.ultravox.k is a name kept by Ultravox"),
    ({"voice": "a", "externalVoice": {"google": {}}}, "takes at most one of voice, externalVoice"),
]


@pytest.mark.parametrize("request_", ACCEPTED)
def test_what_a_call_may_ask_for(request_: dict[str, Any]) -> None:
    assert mistakes(request_) == []


@pytest.mark.parametrize(("request_", "sentence"), REFUSED)
def test_what_a_call_may_not_ask_for(request_: dict[str, Any], sentence: str) -> None:
    (found,) = mistakes(request_)
    assert sentence in found


@pytest.mark.parametrize(
    ("message", "right"),
    [
        ({"type": "user_text_message", "text": "a", "urgency": "later"}, True),
        ({"type": "user_text_message", "text": "a", "urgency": "now"}, False),
        ({"type": "forced_agent_message", "content": "a", "uninterruptible": True, "urgency": "soon"}, True),
        ({"type": "forced_agent_message", "urgency": "later"}, False),
        ({"type": "client_tool_result", "invocationId": "1", "result": "a", "agentReaction": "listens"}, True),
        ({"type": "client_tool_result", "invocationId": "1", "errorType": "implementation-error"}, True),
        ({"type": "client_tool_result", "invocationId": "1", "result": {"a": 1}}, False),
        ({"type": "client_tool_result", "result": "a"}, False),
        ({"type": "hang_up"}, True),
        ({"type": "hang_up", "reason": "a"}, False),
        ({"type": "ping", "timestamp": 1.5}, True),
        ({"type": "set_output_medium", "medium": "MESSAGE_MEDIUM_TEXT"}, False),
        ({"type": "playback_clear_buffer"}, False),
        ({}, False),
        ([], False),
    ],
)
def test_what_a_client_may_say(message: Any, right: bool) -> None:
    assert (message_mistakes(message) == []) is right


def echo(heard: Heard) -> str:
    return f"you said {heard.text}"


def test_a_turn_and_its_answer() -> None:
    line = Line(Setup("", greeting="hello there"), reply=echo, heard=["i want a table"])
    line.silence(1.0)
    line.speak(speak("a b c"))
    line.silence(3.0)
    assert line.call.turns == ["i want a table"]
    assert line.call.said == ["hello there", "you said i want a table"]
    assert line.call.mistakes == line.call.warnings == []
    assert line.call.state == "listening"


def test_sound_comes_at_once_as_far_as_the_client_buffers() -> None:
    line = Line(Setup("", greeting="one two three four five"), reply=echo)
    line.silence(0.02)
    assert len(line.sound("call-1")) == 5 * 15 * 320
    call = SimulatedCall("call", {**MEDIUM}, reply=lambda heard: "one two three", voice=speak)
    call.join(0.0)
    sent = [sum(len(m) for m in call.tick(0.02 * i) if isinstance(m, bytes)) / 16000 for i in range(1, 11)]
    assert sum(sent) == pytest.approx(0.06 + 9 * 0.02, abs=0.041), "60 ms ahead of real time, where nothing is said"


def test_a_caller_breaks_in() -> None:
    line = Line(Setup("", greeting="one two three four five"), reply=echo, heard=["stop"])
    line.silence(0.5)
    line.speak(speak("stop", 15))
    assert line.call.state == "listening"
    assert line.call.said == ["one two"], "two of its words were played"
    line.silence(0.5)
    assert line.call.turns == ["stop"]


@pytest.mark.parametrize(("frames", "breaks_in"), [(9, False), (10, True)])
def test_a_cough_breaks_in_only_where_it_lasts(frames: int, breaks_in: bool) -> None:
    line = Line(Setup("", greeting="one two three four five"), reply=echo)
    line.silence(0.5)
    line.speak(speak("cough", frames))
    line.silence(0.1)
    assert (line.of(OutputCleared) != []) is breaks_in


def test_who_may_not_be_interrupted_is_not() -> None:
    line = Line(Setup("", greeting="one two three four five", interruptible=False), reply=echo)
    line.silence(0.5)
    line.speak(speak("stop now"))
    assert line.of(OutputCleared) == []
    assert line.call.state == "speaking"


def test_silence_is_needed_to_hear_the_end_of_a_turn() -> None:
    line = Line(Setup(""), reply=echo)
    line.speak(speak("a b"))
    line.wait(2.0)
    assert line.call.turns == []
    assert [warning.split(":")[0] for warning in line.call.warnings] == ["underflow"]
    line.silence(0.5)
    assert line.call.turns == ["something"]


def test_more_sound_than_time_is_dropped() -> None:
    line = Line(Setup(""), reply=echo)
    for _ in range(50):
        line.send([speak("a", 5)])
    assert "overflow" in line.call.warnings[0]


LOOK_UP = ToolSpec("look_up", "", {"type": "object", "properties": {}})


def test_the_conversation_is_frozen_until_a_tool_returns() -> None:
    asked: list[Heard] = []

    def reply(heard: Heard) -> list[str | UseTool]:
        asked.append(heard)
        return ["a moment", UseTool("look_up")] if heard.kind == "voice" else [f"it is {heard.text}"]

    line = Line(Setup("", tools=[LOOK_UP]), reply=reply, heard=["hello", "never heard"])
    line.speak(speak("a b"))
    line.silence(2.0)
    (tools,) = line.of(ToolsAsked)
    line.speak(speak("are you there"))
    line.silence(1.0)
    assert line.call.turns == ["hello"]
    result = ToolOutput(tools.response, tools.calls[0], "blue")
    line.send(line.protocol.results([result]))
    line.silence(2.0)
    assert line.call.said == ["a moment", "it is blue"]
    again = json.dumps({"type": "client_tool_result", "invocationId": tools.calls[0].id, "result": "red"})
    line.send([again])
    line.silence(1.0)
    assert len(asked) == 2
    assert "ignored" in line.call.warnings[-1]


def test_a_tool_that_does_not_return_is_given_up() -> None:
    def reply(heard: Heard) -> str | UseTool:
        return UseTool("look_up") if heard.kind == "voice" else f"sorry {heard.text}"

    line = Line(Setup("", tools=[LOOK_UP]), reply=reply)
    line.speak(speak("a b"))
    line.silence(14.0)
    assert line.call.said == ["sorry the tool timed out"]


def test_a_silent_caller_is_asked_and_then_left() -> None:
    setup = Setup("", idle_seconds=5, idle_prompts=["still there", "hello"], idle_farewell="goodbye")
    line = Line(setup, reply=echo)
    line.silence(16.0)
    assert line.call.said == ["still there", "hello"]
    line.silence(2.0)
    assert line.call.said == ["still there", "hello", "goodbye"]
    assert line.closed == 1000
    assert line.call.end_reason == "agent_hangup"
    assert line.when(ResponseBegan, 1) - line.when(ResponseBegan, 0) == pytest.approx(5.6, abs=0.1), (
        "each after the one before"
    )


def test_a_caller_who_speaks_in_time_is_not_left() -> None:
    line = Line(Setup("", idle_seconds=5, idle_farewell="goodbye all of you"), reply=echo, heard=["wait"])
    line.silence(5.2)
    line.speak(speak("wait wait"))
    line.silence(3.0)
    assert line.closed is None
    assert line.call.turns == ["wait"]


def test_a_caller_who_speaks_is_waited_for_anew() -> None:
    setup = Setup("", idle_seconds=5, idle_prompts=["still there", "hello"], idle_farewell="goodbye")
    line = Line(setup, reply=lambda heard: "yes")
    line.silence(8.0)
    line.speak(speak("wait wait"))
    line.silence(5.0)
    assert line.call.said == ["still there", "yes"]
    line.silence(2.0)
    assert line.call.said == ["still there", "yes", "still there"]


def test_the_longest_call() -> None:
    line = Line(Setup("", longest_seconds=10, time_exceeded="time is up"), reply=echo)
    line.silence(29.9)
    assert line.call.said == []
    line.silence(1.5)
    assert line.call.said == ["time is up"]
    assert (line.closed, line.call.end_reason) == (1000, "timeout")


def test_the_agent_hangs_up() -> None:
    line = Line(Setup(""), reply=lambda heard: ["goodbye", HangUp()])
    line.speak(speak("a b"))
    line.silence(2.0)
    assert line.call.said == ["goodbye"]
    assert (line.closed, line.call.end_reason) == (1000, "agent_hangup")


def test_a_fallback_where_the_caller_does_not_speak_first() -> None:
    first = {"user": {"fallback": {"delay": "3s", "text": "anybody there"}}}
    line = Line(Setup("", vendor={"ultravox": {"firstSpeakerSettings": first}}), reply=echo)
    line.silence(2.9)
    assert line.of(AudioCame) == []
    line.silence(1.0)
    assert line.call.said == ["anybody there"]


def test_faults() -> None:
    mute = Line(Setup("", greeting="hello"), reply=echo, faults=Faults(mute=True))
    mute.silence(2.0)
    assert mute.events == []
    silent = Line(Setup(""), reply=echo, faults=Faults(silent=True))
    silent.speak(speak("a b"))
    silent.silence(5.0)
    assert silent.call.turns == ["something"]
    assert silent.call.said == []
    cut = Line(Setup("", greeting="one two three"), reply=echo, faults=Faults(cut_speech=0.4, close_code=1006))
    cut.silence(1.0)
    assert cut.closed == 1006
    assert heard_words(cut.sound("call-1")) == ["one"]
    injected = Line(Setup(""), reply=echo, faults=Faults(inject=[(0.5, "{"), (0.5, '{"type": "new"}')]))
    injected.silence(1.0)
    assert injected.kinds == ["SessionReady", "NotUnderstood"]
    half = Line(Setup("", greeting="hello"), reply=echo, faults=Faults(half_open_after=2.0))
    half.silence(3.0)
    half.send(half.protocol.say("anything"))
    half.silence(1.0)
    assert half.call.half_open
    assert len(half.of(ResponseEnded)) == 1


async def test_over_a_socket() -> None:
    """The driver: REST, the join address with its token, sound and messages, and the reason of the end."""
    async with (
        serve_ultravox(reply=lambda heard: HangUp()) as server,
        aiohttp.ClientSession(headers={"X-API-Key": KEY}) as http,
    ):
        body = {**MEDIUM, "firstSpeakerSettings": {"agent": {"text": "hello"}}}
        async with http.post(f"{server.base_url}/api/calls", json=body) as response:
            assert response.status == 201
            call = await response.json()
        assert call["endReason"] is None
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(call["joinUrl"].replace("token=simulated", "token=other"))
        async with http.ws_connect(call["joinUrl"]) as socket:
            first = await socket.receive_json()
            assert first == {"type": "call_started", "callId": call["callId"]}
            await socket.send_json({"type": "ping", "timestamp": 7})
            kinds: list[Any] = []
            async with asyncio.timeout(PATIENCE):
                while {"type": "pong", "timestamp": 7} not in kinds:
                    message = await socket.receive()
                    kinds.append(json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else bytes)
                await socket.send_json({"type": "hang_up"})
                while not socket.closed:
                    await socket.receive()
            assert socket.close_code == 1000
        async with http.get(f"{server.base_url}/api/calls/{call['callId']}") as response:
            assert (await response.json())["endReason"] == "agent_hangup"
        async with http.post(f"{server.base_url}/api/calls", json={"model": 7}) as response:
            assert response.status == 400
            assert (await response.json())["detail"] == "model has to be text"
        assert server.mistakes == ["model has to be text"]
        server.refuse = [402, 429, 500]
        for status in (402, 429, 500, 404):
            async with http.get(f"{server.base_url}/api/calls/none") as response:
                assert response.status == status
    assert server.call.mistakes == []


def test_the_tool_call_of_the_line_has_its_id() -> None:
    """Ids are unique in a call."""
    line = Line(Setup("", tools=[LOOK_UP]), reply=lambda heard: [UseTool("look_up"), UseTool("look_up")])
    line.speak(speak("a b"))
    line.silence(1.0)
    first = line.of(ToolsAsked)[0].calls[0]
    assert first == ToolCall(first.id, "look_up", {})
