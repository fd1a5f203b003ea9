"""Keys that the agent's side presses, for a machine at the other end: in the agent's silence, by a message or by the
function ``dtmf``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.keypad import NO_CONTROL
from gateway.messages import CallCommand, DtmfMessage, SayMessage, TextMessage, perform
from gateway.session import CallSession
from jambonz.simulator.caller import AwaitAgentSilence, Dtmf, HangUp, Wait
from jambonz.simulator.report import CallReport
from jambonz.simulator.transport import SocketRefused
from pipelines.agent import AgentDefinition
from pipelines.messages import NotNow, NotPossible
from pipelines.parts import Message, ToolCall
from pipelines.tools.audit import digest_of
from pipelines.tools.results import STILL_RUNNING
from tests.calls import messages
from tests.calls.messages import KINDS, LONG, OPTIONS, Meanwhile, at, cascade, echo, injected, office_of
from tests.calls.office import Office
from tests.calls.outbound_office import Lines
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.simulators.codeword import heard_words, plain_words
from tests.simulators.realtime_memory import MemoryModel, Reply
from tests.simulators.replies import Answer, ReplyModel


def pressed(report: CallReport) -> list[tuple[float, str]]:
    """When, and which: told alike, whichever way Jambonz was commanded."""
    return [(time, data["dtmf"]["digit"]) for time, command, data in report.commands if command == "dtmf"]


def silent_at(report: CallReport, times: list[float]) -> bool:
    """Whether the caller heard nothing of the agent at these moments, and until 0.25 s after."""
    spans = report.ear.utterances()
    return not any(span.start < time + 0.25 and time < span.end for time in times for span in spans)


def run(here: Office, meanwhile: Meanwhile, *steps: Any) -> CallReport:
    """Jambonz can be commanded by its REST API where the call does not come by its socket."""
    Lines(here)
    return messages.run(here, meanwhile, *steps)


@pytest.mark.usefixtures("by_both")
def test_keys_and_pauses() -> None:
    here = cascade()
    report = run(here, at(2, DtmfMessage(digits="1w2p#")), Wait(7), HangUp())
    times = [time for time, _ in pressed(report)]
    assert [digit for _, digit in pressed(report)] == ["1", "2", "#"]
    assert times[1] - times[0] == pytest.approx(0.35 + 0.5, abs=0.015)
    assert times[2] - times[1] == pytest.approx(0.35 + 2.0, abs=0.015)
    assert injected(here) == [{"dtmf": "1w2p#"}]
    assert here.status("keys") == [{"digits": "1w2p#", "outcome": "pressed"}]


@pytest.mark.usefixtures("by_both")
@pytest.mark.parametrize("kind", KINDS)
def test_nobody_talks_over_keys(kind: str) -> None:
    """They wait for what is said, and what is to be said waits for them: in whole, and without a hole."""

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1)
        await perform(call, DtmfMessage(digits="12ww34"))
        with pytest.raises(NotNow, match="Keys are being pressed"):
            await perform(call, DtmfMessage(digits="5"))
        await asyncio.sleep(3)
        await perform(call, SayMessage(text="Are you there?"))

    here = office_of(kind, greeting=LONG)
    report = run(here, meanwhile, Wait(12), HangUp())
    assert [digit for _, digit in pressed(report)] == list("1234")
    assert heard_words(report.heard) == plain_words(f"{LONG} are you there")
    assert silent_at(report, [time for time, _ in pressed(report)])
    assert here.status("underrun") == []


@pytest.mark.usefixtures("by_both")
def test_an_agent_that_does_not_fall_silent_is_waited_for_with_a_bound() -> None:
    here = cascade(greeting=" ".join([LONG] * 12))
    report = run(here, at(1, DtmfMessage(digits="1")), Wait(26), HangUp())
    assert pressed(report) == []
    assert here.status("keys") == [{"digits": "1", "outcome": "failed"}]


@pytest.mark.usefixtures("by_both")
def test_a_call_that_ends_meanwhile() -> None:
    here = cascade()
    report = run(here, at(2, DtmfMessage(digits="1p2p3p4")), Wait(4), HangUp())
    assert [digit for _, digit in pressed(report)] == ["1"]


@pytest.mark.usefixtures("by_both")
def test_an_idle_caller_is_not_asked_for_while_keys_are_pressed() -> None:
    here = cascade(idle={"timeout": 3, "prompts": ["Anybody there?"]})
    report = run(here, at(2, DtmfMessage(digits="1pp2")), Wait(8), HangUp())
    assert len(pressed(report)) == 2
    first = next((span.start for span in report.ear.utterances()[1:]), 99.0)
    assert first > pressed(report)[-1][0] + 3


@pytest.mark.parametrize("kind", KINDS)
def test_who_keys_in_a_long_number_is_not_idle(kind: str) -> None:
    here = office_of(kind, idle={"timeout": 2, "prompts": ["Anybody there?"], "farewell": "Bye."}, dtmf={"timeout": 1})
    card = [step for digit in "42424242" for step in (Dtmf(digit), Wait(0.4))]

    async def main() -> None:
        async with here:
            report = await here.call(AwaitAgentSilence(), *card, Wait(4), HangUp())
            assert heard_words(report.heard)[:3] == ["hello", "you", "said"]

    run_virtual(main())


# The function


def keys(**digits: Any) -> dict[str, Any]:
    properties = {"digits": {"type": "string", "required": True, **digits}}
    return {
        "name": "press", "implementation": "builtin", "platform": "dtmf", "input_schema": {"properties": properties},
    }  # fmt: skip


def presses(digits: str | None) -> Any:
    """Says so, presses, and then tells what it was told."""

    def script(messages: Sequence[Message]) -> Sequence[Answer]:
        if messages[-1].role == "tool":
            return [f"told {messages[-1].content}"]
        return ["I press it now for you.", ToolCall("c1", "press", {} if digits is None else {"digits": digits})]

    return script


@pytest.mark.usefixtures("by_both")
@pytest.mark.parametrize(
    ("parameter", "said", "expected"),
    [
        ({}, "1w2#", ["1", "2", "#"]),
        ({"source": "static", "from": "99#"}, None, ["9", "9", "#"]),
        ({"source": "static", "from": "99#"}, "1234", ["9", "9", "#"]),
        ({}, "12x", []),
        ({"enum": ["1", "2"]}, "3", []),
    ],
)
def test_the_model_presses_what_the_definition_lets_it(
    parameter: dict[str, Any], said: str | None, expected: list[str]
) -> None:
    options = {**OPTIONS, "fillers": {"phrases": ["One moment."], "delay": 0.5}}
    here = Office({"options": options, "functions": [keys(**parameter)]}, ReplyModel(presses(said)))
    report = run(here, at(1.5, TextMessage(text="go")), Wait(9), HangUp())
    assert [digit for _, digit in pressed(report)] == expected
    heard = heard_words(report.heard)
    assert heard[1:7] == plain_words("I press it now for you"), "and then the keys"
    assert heard[7] == "told"
    assert "moment" not in heard
    times = [time for time, _ in pressed(report)]
    assert silent_at(report, times)
    if times:
        [words, told] = report.ear.utterances()[1:]
        assert words.end < times[0] < times[-1] < told.start
        assert heard[8] == "ok"


@pytest.mark.usefixtures("by_both")
def test_a_realtime_model_presses_keys() -> None:
    """Its words are heard before, and what it says of it comes after."""

    def reply(heard: str, history: Sequence[tuple[str, str]]) -> Reply:
        if heard == "go":
            return "I press it now for you.", (ToolCall("c1", "press", {"digits": "1w2#"}),)
        return f"told {heard}", ()

    model = MemoryModel(reply)
    here = RealtimeOffice({"options": OPTIONS, "functions": [keys()]}, model)
    report = run(here, at(1.5, TextMessage(text="go")), Wait(9), HangUp())
    times = [time for time, _ in pressed(report)]
    assert [digit for _, digit in pressed(report)] == ["1", "2", "#"]
    assert heard_words(report.heard)[1:] == plain_words("I press it now for you. told OK")
    [words, told] = report.ear.utterances()[1:]
    assert words.end < times[0] < times[-1] < told.start
    assert model.mistakes == []


@pytest.mark.usefixtures("by_both")
def test_keys_are_pressed_to_the_end_though_who_wanted_them_is_gone() -> None:
    """As a model is that fails meanwhile."""

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        wanting = asyncio.create_task(call.keypad.press("1p2"))
        await asyncio.sleep(1)
        wanting.cancel()

    here = Office({"options": OPTIONS}, ReplyModel(echo))
    report = run(here, meanwhile, Wait(8), HangUp())
    assert [digit for _, digit in pressed(report)] == ["1", "2"]
    assert here.status("keys") == [{"digits": "1p2", "outcome": "pressed"}]


def test_keys_of_a_function_are_pressed_to_the_end() -> None:
    """Whoever is interrupted: half a number is worse than none."""

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        await perform(call, TextMessage(text="go"))
        await asyncio.sleep(3.5)
        await perform(call, TextMessage(text="stop", urgency="now"))

    def script(messages: Sequence[Message]) -> Sequence[Answer]:
        if messages[-1].content == "go":
            return [ToolCall("c1", "press", {"digits": "1p2p3"})]
        return [f"heard {messages[-1].content}"]

    here = Office({"options": OPTIONS, "functions": [keys()]}, ReplyModel(script))
    report = run(here, meanwhile, Wait(12), HangUp())
    assert [digit for _, digit in pressed(report)] == ["1", "2", "3"]
    assert silent_at(report, [time for time, _ in pressed(report)])
    told = [message.content for message in here.model.told[-1]]
    assert STILL_RUNNING in told, "nobody believes that it was stopped"
    assert "[The tool press has returned: OK]" in told


@pytest.mark.usefixtures("by_both")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("said", "is_pressed"), [("4917", True), ("49170", False)])
def test_with_the_mask_no_log_has_the_keys_of_a_function(kind: str, said: str, is_pressed: bool) -> None:
    """Nor what is wrong with them, nor a digest that they could be found by."""

    def reply(heard: str, history: object) -> Reply:
        return ("", (ToolCall("c1", "press", {"digits": said}),)) if heard == "go" else ("Done.", ())

    def script(messages: Sequence[Message]) -> Sequence[Answer]:
        return ["Done."] if messages[-1].role == "tool" else [ToolCall("c1", "press", {"digits": said})]

    agent = {"options": {**OPTIONS, "dtmf": {"mask": True}}, "functions": [keys(maxLength=4)]}
    here = Office(agent, ReplyModel(script)) if kind == "cascade" else RealtimeOffice(agent, MemoryModel(reply))
    report = run(here, at(1.5, TextMessage(text="go")), Wait(7), HangUp())
    assert [digit for _, digit in pressed(report)] == (list(said) if is_pressed else [])
    stars = {"digits": "*" * len(said)}
    calls: list[Any] = here.said("function_calls")
    results: list[Any] = here.said("function_results")
    [[called]], [[returned]] = calls, results
    assert (called["arguments"], returned["input"]) == (stars, stars)
    assert "*****" in returned["result"] or is_pressed
    [ran] = here.status("function")
    assert ran["arguments"] == digest_of("press", stars)
    assert said not in json.dumps(here.log())


@pytest.mark.usefixtures("by_both")
@pytest.mark.parametrize("kind", KINDS)
def test_with_the_mask_no_log_has_what_the_caller_keyed_in(kind: str) -> None:
    """The model knows it, says it again, and gives it to a function: so it is with the number of a card."""
    card = "4917484589897107"
    pay = {
        "name": "pay", "implementation": "stub", "result": "{card} is charged",
        "input_schema": {"properties": {"card": {"type": "string", "required": True}}},
    }  # fmt: skip

    def reply(heard: str, history: object) -> Reply:
        return ("", (ToolCall("c1", "pay", {"card": heard}),)) if heard == card else (f"It was {heard}", ())

    def script(messages: Sequence[Message]) -> Sequence[Answer]:
        text, calls = reply(messages[-1].content, ())
        return [*([text] if text else []), *calls]

    agent = {"options": {**OPTIONS, "dtmf": {"mask": True}}, "functions": [pay]}
    office = Office(agent, ReplyModel(script)) if kind == "cascade" else RealtimeOffice(agent, MemoryModel(reply))

    async def main() -> None:
        async with office:
            report = await office.call(AwaitAgentSilence(), Dtmf(f"{card}#"), Wait(12), HangUp())
            assert heard_words(report.heard)[-2:] == ["is", "charged"], "and the caller hears his number"

    run_virtual(main())
    said = [data for kind, data in office.log() if kind in ("user", "function_calls", "function_results")]
    shown = {"card": "*" * len(card)}
    result = f"{shown['card']} is charged"
    assert said == [
        shown["card"],
        [{"name": "pay", "arguments": shown}],
        [{"name": "pay", "input": shown, "result": result}],
    ]
    assert card not in json.dumps(office.log())


# Where Jambonz cannot be commanded


def goes_away(here: Office, lines: Lines) -> None:
    """Its REST API, or the call's socket, for longer than a command waits for it."""

    def refuse(*_: Any) -> None:
        raise SocketRefused("nobody is there")

    lines.faults = lambda _method, _path: "unreachable"
    if here.applications:
        here.transport._accept = refuse
        here.applications[0].close(1011)


@pytest.mark.usefixtures("by_both")
@pytest.mark.parametrize("command", [DtmfMessage(digits="12"), TextMessage(text="go")])
def test_what_jambonz_does_not_do_is_told(command: CallCommand) -> None:
    """In the log to whoever sent the message, and to the model that called the function."""
    here = Office({"options": OPTIONS, "functions": [keys()]}, ReplyModel(presses("12")))
    lines = Lines(here)

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(2)
        goes_away(here, lines)
        await perform(call, command)

    report = messages.run(here, meanwhile, Wait(15), HangUp())
    [failure] = here.said("error")
    assert failure.startswith("dtmf could not be given: ")
    assert here.status("keys") == [{"digits": "12", "outcome": "failed"}]
    assert pressed(report) == []
    if isinstance(command, TextMessage):
        assert failure in here.said("agent")[-1]


def test_without_the_rest_api_calls_by_webhooks_have_no_keys(by_both: str) -> None:
    """Whoever sends the message is told so, and the model is not offered the function."""
    there = by_both == "application"
    here = Office({"options": OPTIONS, "functions": [keys()]}, ReplyModel(echo))

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(2)
        with nullcontext() if there else pytest.raises(NotPossible, match=NO_CONTROL):
            await perform(call, DtmfMessage(digits="1"))

    report = messages.run(here, meanwhile, Wait(4), HangUp())
    assert len(pressed(report)) == len(injected(here)) == int(there)
    assert here.pipelines[0]._toolbox.unavailable == ([] if there else ["press"])


# What can be written


@pytest.mark.parametrize("digits", ["", "w", "12x", "1" * 65, "0" + "p" * 30, "a"])
def test_keys_that_there_are_not(digits: str) -> None:
    with pytest.raises(ValidationError):
        DtmfMessage(digits=digits)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (keys(source="static", **{"from": "12x"}), "cannot be pressed: '12x' takes up to 64 of"),
        (keys(enum=["1", "x"]), "cannot be pressed: 'x'"),
        (keys(type="integer"), "digits that are no string"),
        ({**keys(), "input_schema": {"properties": {}}}, "exactly one parameter, digits"),
        ({**keys(), "platform": "dtfm"}, "Input should be .*'dtmf'"),
    ],
)
def test_definitions_are_checked(function: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        AgentDefinition.model_validate({"modelName": "scripted/x", "prompt": "", "functions": [function]})
