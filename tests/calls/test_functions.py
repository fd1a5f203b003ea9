"""Functions that take their time, in a cascade: the action happens when it should, once, and the model is told each
result once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import structlog

from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak, Wait
from pipelines.parts import Message, ToolCall
from pipelines.tools.audit import digest_of
from pipelines.tools.results import STILL_RUNNING, UNKNOWN_OUTCOME
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.codeword import heard_words, speak
from tests.simulators.replies import Answer, ReplyModel
from tests.simulators.services import Services, function

pytestmark = pytest.mark.usefixtures("by_both")

ASK = "please book it"
BREAK_IN = "wait stop one moment please"


def asks(*calls: str) -> Callable[[Sequence[Message]], Sequence[Answer]]:
    """Calls the functions when the caller first asks, and then tells what it was told last."""

    def script(messages: Sequence[Message]) -> Sequence[Answer]:
        if not any(message.role == "tool" for message in messages) and messages[-1].content == ASK:
            return [ToolCall(f"c{n}", name, {}) for n, name in enumerate(calls)]
        results = [message.content for message in messages if message.role == "tool"]
        return [" and ".join(results) if messages[-1].role == "tool" else f"heard {messages[-1].content}"]

    return script


def office(services: Services, *functions: dict[str, Any], **options: Any) -> Office:
    names = [str(one["name"]) for one in functions]
    agent = {"functions": list(functions), "options": {"greeting": "Hello.", "idle": {"timeout": None}, **options}}
    return Office(agent, ReplyModel(asks(*names)), http=services)


def results(office: Office) -> list[str]:
    """All that the model was told of functions at last, each by its own message."""
    return [message.content for message in office.model.told[-1] if message.role == "tool"]


def test_two_at_once_each_told_once() -> None:
    async def main() -> None:
        services = Services({"red": 1.0, "blue": 1.0})
        async with office(services, function("red"), function("blue")) as here:
            report = await here.call(
                AwaitAgentSilence(), Speak(speak(ASK)), AwaitAgentSilence(), AwaitAgentSilence(), HangUp()
            )
            assert {host for host, _ in services.asked} == {"red", "blue"}
            assert services.asked[0][1] == services.asked[1][1]
            assert sorted(services.done) == ["blue", "red"]
            assert results(here) == ["done by red", "done by blue"]
            assert len(here.said("function_results")) == 2
            assert heard_words(report.heard)[-7:] == ["done", "by", "red", "and", "done", "by", "blue"]
            assert len(set(services.keys)) == 2

    run_virtual(main())


@pytest.mark.parametrize(
    "second",
    [
        {"sequential": True},
        {"input_schema": {"properties": {"x": {"source": "metadata", "from": "toolsCalls.red.result"}}}},
    ],
    ids=["says so", "takes what the first returned"],
)
def test_one_after_the_other(second: dict[str, Any]) -> None:
    async def main() -> None:
        services = Services({"red": 1.0})
        async with office(services, function("red"), function("blue", **second)) as here:
            await here.call(AwaitAgentSilence(), Speak(speak(ASK)), AwaitAgentSilence(), AwaitAgentSilence(), HangUp())
            assert services.asked[1][1] - services.asked[0][1] == pytest.approx(1.0)
            assert results(here) == ["done by red", "done by blue"]

    run_virtual(main())


def test_a_slow_one_has_a_filler_and_a_failing_one_is_told_of() -> None:
    async def main() -> None:
        services = Services({"red": 4.0}, {"blue": None})
        fillers = {"phrases": ["looking"], "delay": 1.0}
        async with office(services, function("red"), function("blue"), fillers=fillers) as here:
            report = await here.call(AwaitAgentSilence(), Speak(speak(ASK)), Wait(8.0), AwaitAgentSilence(), HangUp())
            assert "looking" in heard_words(report.heard)
            assert results(here) == ["done by red", '{"error": "the service could not be reached"}']

    run_virtual(main())


@pytest.mark.parametrize("order", [("red", "bye"), ("bye", "red"), ("bye", "stub")])
def test_what_is_called_with_a_hangup_is_done_in_whatever_order(order: tuple[str, str]) -> None:
    async def main() -> None:
        services = Services({"red": 2.0})
        kinds: dict[str, dict[str, Any]] = {
            "red": function("red"),
            "bye": {"name": "bye", "implementation": "builtin", "platform": "hangup"},
            "stub": {"name": "stub", "implementation": "stub", "result": "noted"},
        }
        async with office(services, *(kinds[name] for name in order), ending={"farewell": "Goodbye."}) as here:
            report = await here.call(AwaitAgentSilence(), Speak(speak(ASK)), Wait(12.0), HangUp())
            assert (here.ending(), report.ended_by) == ("agent", "jambonz")
            assert services.done == (["red"] if "red" in order else [])
            ran = [one["name"] for one in here.status("function")]
            assert sorted(ran) == sorted(order)
            assert ran[-1] == "bye"
            assert heard_words(report.heard)[-1] == "goodbye"

    run_virtual(main())


def test_interrupted_before_it_runs() -> None:
    """The model has not said to its end what it wants, or it is not certain that the caller lets it."""

    async def main() -> None:
        services = Services({"red": 1.0})
        long = "let me see what there is for you on that day in the evening or before"

        def script(messages: Sequence[Message]) -> Sequence[Answer]:
            return [long, ToolCall("c0", "red", {})] if messages[-1].content == ASK else ["heard it"]

        async with office(services, function("red")) as here:
            here.model.script, here.model.per_word = script, 0.2
            await here.call(
                AwaitAgentSilence(), Speak(speak(ASK)), Wait(1.5), Speak(speak(BREAK_IN)), Wait(5.0), HangUp()
            )
            assert services.asked == []
            assert here.said("function_calls") == here.said("function_results") == here.status("function") == []
            assert results(here) == []

    run_virtual(main())


@pytest.mark.parametrize("words", [BREAK_IN, "uh-huh"], ids=["interrupts", "agrees"])
def test_what_is_called_while_the_caller_may_be_interrupting(words: str) -> None:
    """It waits until that is decided: then it is done, or it is not."""

    async def main() -> None:
        services = Services()
        text = "one two three four five six. let me see what there is"  # its first words are heard meanwhile

        def script(messages: Sequence[Message]) -> Sequence[Answer]:
            return [text, ToolCall("c0", "red", {})] if messages[-1].content == ASK else ["heard it"]

        async with office(services, function("red")) as here:
            here.model.script, here.model.per_word = script, 0.2
            report = await here.call(
                AwaitAgentSilence(), Speak(speak(ASK)), BargeIn(speak(words), after=0.8), Wait(5.0), HangUp()
            )
            interrupts = words == BREAK_IN
            assert [barge_in["confirmed"] for barge_in in here.status("bargeIn")] == [interrupts]
            assert [host for host, _ in services.asked] == ([] if interrupts else ["red"])
            assert len(here.status("function")) == len(services.asked)
            called = report.ear.utterances()[1].start + 1.0
            assert all(at > called + 0.3 for _, at in services.asked), "not before it was decided"

    run_virtual(main())


def test_interrupted_while_it_runs() -> None:
    async def main() -> None:
        services = Services({"red": 6.0})
        async with office(services, function("red"), fillers={"phrases": ["looking " * 20], "delay": 0.5}) as here:
            await here.call(
                AwaitAgentSilence(), Speak(speak(ASK)), Wait(2.0), Speak(speak(BREAK_IN)), Wait(9.0), HangUp()
            )
            assert (services.done, services.stopped) == ([], ["red"])
            [told] = results(here)
            assert UNKNOWN_OUTCOME in told
            assert here.model.told[-1][-1].content == BREAK_IN

    run_virtual(main())


def test_one_that_goes_on_is_done_once_and_told_once() -> None:
    async def main() -> None:
        services = Services({"red": 6.0})
        red = function("red", survivesInterruption=True)
        async with office(services, red, fillers={"phrases": ["looking " * 20], "delay": 0.5}) as here:
            await here.call(
                AwaitAgentSilence(), Speak(speak(ASK)), Wait(2.0), Speak(speak(BREAK_IN)), Wait(9.0), HangUp()
            )
            assert (services.done, services.stopped) == (["red"], [])
            assert results(here) == [STILL_RUNNING]
            told = [m.content for m in here.model.told[-1] if m.role == "user" and "has returned" in m.content]
            assert told == ["[The tool red has returned: done by red]"]
            assert sum("has returned" in text for text in here.said("agent")) == 1
            assert len(here.said("function_results")) == 1  # when it returned

    run_virtual(main())


def test_interrupted_after_it_ran() -> None:
    async def main() -> None:
        services = Services({"red": 0.2}, {"red": "booked " * 30})
        async with office(services, function("red")) as here:
            await here.call(
                AwaitAgentSilence(), Speak(speak(ASK)), Wait(4.0), Speak(speak(BREAK_IN)), Wait(4.0), HangUp()
            )
            assert services.done == ["red"]
            assert results(here) == ["booked " * 30]
            assert here.model.told[-1][-1].content == BREAK_IN

    run_virtual(main())


def test_a_caller_who_hangs_up_leaves_nothing_running() -> None:
    async def main() -> None:
        services = Services({"red": 60.0})
        async with office(services, function("red", timeout=60, survivesInterruption=True)) as here:
            await here.call(AwaitAgentSilence(), Speak(speak(ASK)), Wait(2.0), HangUp())
            assert (services.done, services.stopped) == ([], ["red"])
            assert here.ending() == "caller"

    run_virtual(main())


SECRET = "canary-4711"


def test_what_is_redacted_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor in what another function is asked with it, as far as that is shown."""

    async def main() -> None:
        services = Services({}, {"red": SECRET, "fails": None})
        chained = {"properties": {"x": {"source": "metadata", "from": "toolsCalls.red.result", "in": "body"}}}
        functions = [
            function("red", redact=True),
            function("blue", input_schema=chained),
            function("fails", redact=True),
        ]
        with structlog.testing.capture_logs() as lines:
            async with office(services, *functions) as here:
                watched: list[Any] = []
                monkeypatch.setattr(here.progress, "publish", lambda _, event: watched.append(event))
                await here.call(
                    AwaitAgentSilence(), Speak(speak(ASK)), AwaitAgentSilence(), AwaitAgentSilence(), HangUp()
                )
                assert services.done == ["red", "blue"]
                assert services.bodies[1] == {"x": SECRET}
                assert results(here) == ["OK - function completed", "done by blue", "FAILED - invocation failed"]
                everything = [here.log(), watched, here.model.told, here.store.started, lines]
        assert "***" in str(here.said("rest_callout"))
        assert SECRET not in str(everything)

    run_virtual(main())


def test_each_run_is_in_the_audit() -> None:
    async def main() -> None:
        services = Services({"red": 6.0, "blue": 1.5}, {"fails": None})
        functions = [function("red"), function("blue", maxCalls=1), function("fails", timeout=1)]
        async with office(services, *functions) as here:
            await here.call(
                AwaitAgentSilence(), Speak(speak(ASK)), Wait(3.0), Speak(speak(BREAK_IN)), Wait(4.0), HangUp()
            )
            ran = {one["name"]: one for one in here.status("function")}
            assert {name: one["outcome"] for name, one in ran.items()} == {
                "red": "stopped",
                "blue": "done",
                "fails": "failed",
            }
            blue = {"kind": "rest", "arguments": digest_of("blue", {}), "outcome": "done", "seconds": 1.5}
            assert ran["blue"] == {"name": "blue", **blue}
            [line] = [one for one in lines if one["event"] == "a function was run" and one["function"] == "blue"]
            assert {name: line[name] for name in blue} == blue
            assert "name" not in line

    with structlog.testing.capture_logs() as lines:
        run_virtual(main())
