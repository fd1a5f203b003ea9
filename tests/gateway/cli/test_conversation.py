from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import click
import pytest

from gateway import playground
from gateway.cli.conversation import ENDINGS, Conversation, clock, telephone_line
from jambonz.simulator import report as line
from jambonz.simulator.caller import StepRecord, Wait
from pipelines.events import EndReason
from pipelines.tools.transfer import TransferOutcome

ANSWERED = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def event(type: str, data: Any, seconds: float = 0.0, *, final: bool = True) -> dict[str, Any]:
    at = (ANSWERED + timedelta(seconds=seconds)).isoformat()
    return {type: data, "isFinal": final, "callId": "c", "timestamp": at}


def read(*events: dict[str, Any]) -> list[str]:
    conversation = Conversation()
    return [click.unstyle(text) for one in events for text in conversation.lines(one)]


def test_both_sides_with_the_time_since_the_answer() -> None:
    assert read(
        event("call", {"callId": "c"}, -1.0),
        event("answer", {"callId": "c"}),
        event("agent", "Good mor", 1.0, final=False),
        event("agent", "Good morning.", 2.04),
        event("user", "Hello.", 63.5),
    ) == ["0:02.0  agent  Good morning.", "1:03.5  caller Hello."]


def test_times_can_begin_elsewhere() -> None:
    conversation = Conversation(ANSWERED - timedelta(seconds=10))
    assert list(conversation.lines(event("answer", {}))) == []
    assert [click.unstyle(text) for text in conversation.lines(event("user", "Hello."))] == ["0:10.0  caller Hello."]


@pytest.mark.parametrize(
    ("type", "data", "text"),
    [
        ("status", {"interrupted": {"seconds": 2.18}}, "interrupted: 2.2 s of it were heard, up to here"),
        ("status", {"bargeIn": {"confirmed": False}}, "a noise over the agent: it paused, and went on"),
        ("status", {"underrun": {"cause": "starved", "seconds": 0.06}}, "a gap of 0.06 s in the agent's voice"),
        ("status", {"missing": "transcript"}, "there should have been transcript, and there was none"),
        ("status", {"fallback": {"kind": "agent", "agentId": "a", "modelName": "m"}},
         "somebody else goes on with the call: the agent a"),
        ("status", {"fallback": {"kind": "model", "modelName": "m"}},
         "somebody else goes on with the call: the model m"),
        ("status", {"fallback": {"kind": "number", "number": "+44"}},
         "somebody else goes on with the call: the number +44"),
        ("status", {"dial": {"number": "+44", "outcome": "busy"}}, "+44: busy"),
        ("status", {"transfer": {"number": "+44", "state": "no_answer"}}, "the transfer to +44: no answer"),
        ("status", {"keys": {"digits": "1w2", "outcome": "failed"}}, "the keys 1w2: failed"),
        ("hangup", {"reason": "callee"}, "the call is over: who was rung hung up"),
        ("hangup", {"reason": "agent"}, "the call is over: the agent hung up"),
        ("hangup", {"reason": "something new"}, "the call is over: something new"),
    ],
)  # fmt: skip
def test_what_happens_beside_the_words(type: str, data: Any, text: str) -> None:
    [shown] = read(event(type, data))
    assert shown == f"0:00.0         -- {text}"


def test_every_end_has_words() -> None:
    ends = {*get_args(EndReason), *get_args(TransferOutcome), "callee"} - {"answered"}
    assert ends <= set(ENDINGS)
    script = Path(playground.__file__).with_name("conversation.js").read_text()
    assert [end for end in sorted(ends) if f"\n  {end}: " not in script] == []


def test_an_error() -> None:
    assert read(event("error", "moonshine: it is not installed")) == ["0:00.0  error  moonshine: it is not installed"]


def test_tools_with_what_they_were_given_and_gave() -> None:
    called = {"name": "check_slot", "input": {"day": "Tuesday", "time": "noon"}, "result": "free"}
    assert read(event("function_results", [called, {"name": "hangup", "input": {}, "result": "OK"}])) == [
        "0:00.0  tool   check_slot(day=Tuesday, time=noon) -> free",
        "0:00.0  tool   hangup() -> OK",
    ]


def test_what_is_for_machines_is_not_shown() -> None:
    assert not read(
        event("status", {"latency": {"heard": 0.7}}),
        event("status", {"bargeIn": {"confirmed": True, "pausedAfter": 0.1}}),
        event("function_calls", [{"name": "hangup", "arguments": {}}]),
        event("something", "of a later version"),
    )


@pytest.mark.parametrize(
    ("what", "text"),
    [
        (line.VerbStarted(7.0, "listen", {"url": "ws://x"}), "0:02.0  line   the service says: listen"),
        (line.VerbStarted(7.0, "sip:decline", {"status": 486}), "0:02.0  line   the service says: sip:decline 486"),
        (line.Answered(7.0), "0:02.0  line   answered"),
        (line.SocketOpened(7.0, "ws://x/secret"), "0:02.0  line   the media socket is open"),
        (line.SocketFailed(7.0, "ws://x/secret", "refused"), "0:02.0  line   no media socket: refused"),
        (line.SocketClosed(7.0, 1000, "jambonz"), "0:02.0  line   the media socket was closed by Jambonz (1000)"),
        (line.SocketClosed(7.0, 1011, "service"), "0:02.0  line   the media socket was closed by the service (1011)"),
        (line.AgentSpeech(7.0, True), "0:02.0  line   the agent speaks"),
        (line.AgentSpeech(7.0, False), "0:02.0  line   the agent is silent"),
        (line.Note(7.0, "a note"), "0:02.0  line   a note"),
        (line.DialProgress(7.0, line.Dialled("sid", "+44", "1", {}, 6.0), "busy"), "0:02.0  line   +44: busy"),
        (line.Ended(7.0, "caller", 200, ""), "0:02.0  line   over: ended by caller"),
        (line.Ended(7.0, "refused", 404, "Not Found"), "0:02.0  line   over: 404 Not Found"),
        (line.StepStarted(7.0, StepRecord(Wait(1.0), 7.0)), None),
    ],
)
def test_the_telephone_line(what: line.CallEvent, text: str | None) -> None:
    shown = telephone_line(what, 5.0)
    assert (None if shown is None else click.unstyle(shown)) == text


def test_the_clock() -> None:
    assert [clock(seconds) for seconds in (-0.1, 0.04, 9.96, 59.96, 600.0)] == [
        "0:00.0", "0:00.0", "0:10.0", "1:00.0", "10:00.0",
    ]  # fmt: skip
