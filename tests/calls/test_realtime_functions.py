"""Functions that take their time, with realtime models: the action happens when it should, once, and the model is told
each result once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.messages import SayMessage, perform
from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, Cough, HangUp, Speak, Step, Wait
from pipelines.parts import ToolCall
from pipelines.realtime.errands import MOST_ROUNDS
from pipelines.realtime.model import ToolsAsked
from pipelines.realtime.pipeline import MAX_FAILURES
from pipelines.tools.results import NOT_DONE, STILL_RUNNING, TOO_MANY_ROUNDS
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel, Reply
from tests.simulators.services import Services, function

pytestmark = pytest.mark.usefixtures("by_both")

ASK: list[Step] = [AwaitAgentSilence(), Speak(speak("look"))]
OVER_FILLER: list[Step] = [*ASK, Wait(4.5), Speak(speak("stop it now please")), Wait(8), HangUp()]
"""The caller interrupts a filler that is long."""

FILLER = "looking " * 30


def model(*calls: str) -> MemoryModel:
    def reply(heard: str, history: Sequence[tuple[str, str]]) -> Reply:
        if heard == "look":
            return "", tuple(ToolCall(f"c{n}", name) for n, name in enumerate(calls))
        return f"alright {heard}", ()

    return MemoryModel(reply)


def office(services: Services, *functions: dict[str, Any], **options: Any) -> RealtimeOffice:
    agent = {"functions": list(functions), "options": {"greeting": "Hello.", "idle": {"timeout": None}, **options}}
    return RealtimeOffice(agent, model(*(str(one["name"]) for one in functions)), http=services)


def told(office: RealtimeOffice) -> list[str]:
    """What the model was told that is not the caller's voice."""
    assert isinstance(office.realtime, MemoryModel)
    assert office.realtime.mistakes == []
    return office.realtime.commands


def test_two_at_once_each_told_once() -> None:
    async def main() -> None:
        services = Services({"red": 1.0, "blue": 1.5})
        async with office(services, function("red"), function("blue")) as here:
            report = await here.call(*ASK, Wait(6), HangUp())
            assert services.asked[0][1] == services.asked[1][1]
            assert services.done == ["red", "blue"]
            assert told(here) == ["results: done by red, done by blue"]
            assert heard_words(report.heard)[-6:] == ["done", "by", "red", "done", "by", "blue"]
            assert len(here.said("function_results")) == 2

    run_virtual(main())


def test_a_slow_one_has_fillers_and_a_failing_one_is_told_of() -> None:
    async def main() -> None:
        services = Services({"red": 12.0}, {"blue": None})
        red = function("red", timeout=30)
        async with office(services, red, function("blue"), fillers={"phrases": ["looking"]}) as here:
            report = await here.call(*ASK, Wait(18), HangUp())
            assert heard_words(report.heard).count("looking") >= 3
            assert told(here) == ['results: done by red, {"error": "the service could not be reached"}']
            assert len(here.realtime.sessions) == 1  # type: ignore[attr-defined]  # it is not taken for gone

    run_virtual(main())


def test_interrupted_while_it_runs() -> None:
    async def main() -> None:
        services = Services({"red": 9.0})
        async with office(services, function("red"), fillers={"phrases": [FILLER]}) as here:
            await here.call(*OVER_FILLER)
            assert (services.done, services.stopped) == ([], ["red"])
            [result] = told(here)
            assert "it may have been done or not" in result
            assert len(here.said("function_results")) == 1

    run_virtual(main())


def test_with_turns_of_our_own_a_caller_who_interrupts_is_not_talked_over() -> None:
    """What was stopped has a result at once: the answer to what he says is one to that, too."""

    async def main() -> None:
        services = Services({"red": 9.0})
        fillers, turns = {"phrases": [FILLER]}, {"detection": "vad"}
        async with office(services, function("red"), fillers=fillers, turns=turns) as here:
            report = await here.call(*ASK, Wait(4.5), Speak(speak("stop it now " * 4)), Wait(8), HangUp())
            began, ended = report.steps[3].speech_started or 0.0, report.steps[3].speech_ended or 0.0
            after = [span.start for span in report.ear.utterances() if span.end > began + 0.3]
            assert min(after) > ended > began
            assert heard_words(report.heard)[-12:] == ["stop", "it", "now"] * 4
            assert len(told(here)) == 1

    run_virtual(main())


def test_with_turns_of_our_own_a_cough_does_not_keep_what_returns_meanwhile_from_being_answered() -> None:
    async def main() -> None:
        async with office(Services({"red": 1.2}), function("red"), turns={"detection": "vad"}) as here:
            report = await here.call(*ASK, Wait(2.0), Cough(), Wait(6), HangUp())
            assert told(here) == ["results: done by red"]
            assert heard_words(report.heard)[-4:] == ["alright", "done", "by", "red"]

    run_virtual(main())


def test_one_that_goes_on_is_done_once_and_told_once() -> None:
    async def main() -> None:
        services = Services({"red": 9.0})
        red = function("red", survivesInterruption=True)
        async with office(services, red, fillers={"phrases": [FILLER]}) as here:
            await here.call(*OVER_FILLER)
            assert (services.done, services.stopped) == (["red"], [])
            assert told(here) == [f"results: {STILL_RUNNING}", "tell: [The tool red has returned: done by red]"]
            assert len(here.said("function_results")) == 1

    run_virtual(main())


def test_interrupted_before_it_runs() -> None:
    """The model has not said to its end what it wants."""

    async def main() -> None:
        services = Services({"red": 1.0})
        async with office(services, function("red")) as here:
            assert isinstance(here.realtime, MemoryModel)
            long = "let me see what there is for you on that day in the evening or before " * 3
            calls = {"look": (long, (ToolCall("c0", "red"),))}
            here.realtime.reply = lambda heard, _: calls.get(heard, (f"alright {heard}", ()))
            here.realtime.speed = 1.2
            await here.call(*ASK, AwaitAgentSpeech(), Wait(0.2), Speak(speak("stop it now please")), Wait(6), HangUp())
            assert services.asked == []
            assert here.said("function_calls") == here.said("function_results") == []
            assert [text for text in told(here) if text.startswith("results")] == []

    run_virtual(main())


def test_a_session_that_is_lost_meanwhile() -> None:
    """What it asked for is done once, and the next session is told."""

    async def main() -> None:
        services = Services({"red": 4.0})
        async with office(services, function("red")) as here:
            call = here.call(*ASK, Wait(15), HangUp())

            async def cut() -> None:
                await services.is_asked.wait()
                await asyncio.sleep(0.5)
                here.realtime.sessions[0].lose("gone")  # type: ignore[attr-defined]

            await asyncio.gather(call, cut())
            assert services.done == ["red"]
            assert services.stopped == []
            assert len(services.asked) == 1
            assert [text for text in told(here) if "done by red" in text] == [
                "tell: [The tool red has returned: done by red]"
            ]

    run_virtual(main())


def test_a_caller_who_hangs_up_leaves_nothing_running() -> None:
    async def main() -> None:
        services = Services({"red": 60.0})
        async with office(services, function("red", timeout=60)) as here:
            await here.call(*ASK, Wait(2), HangUp())
            assert (services.done, services.stopped) == ([], ["red"])
            assert here.ending() == "caller"

    run_virtual(main())


@pytest.mark.parametrize("speaks_after", [None, 9])
def test_a_model_that_does_nothing_but_call_functions(speaks_after: int | None) -> None:
    """It is told to speak, and given up where it does not."""
    asked = 0

    def reply(heard: str, history: Sequence[tuple[str, str]]) -> Reply:
        nonlocal asked
        asked += 1
        if speaks_after is not None and asked > speaks_after:
            assert TOO_MANY_ROUNDS in heard
            return "alright", ()
        return "", (ToolCall(f"c{asked}", "red"),)

    async def main() -> None:
        services = Services({"red": 0.05})
        agent = {"functions": [function("red")], "options": {"greeting": "Hello.", "idle": {"timeout": None}}}
        async with RealtimeOffice(agent, MemoryModel(reply), http=services) as here:
            report = await here.call(*ASK, AwaitAgentSilence(min_gap=2), Wait(8), HangUp())
            assert len(services.done) == MOST_ROUNDS
            if speaks_after is None:
                assert asked == MOST_ROUNDS + MAX_FAILURES
                assert here.ending() == "failed"
                assert heard_words(report.heard)[-1] == "goodbye"
            else:
                assert here.ending() == "caller"
                assert heard_words(report.heard)[-1] == "alright"

    run_virtual(main())


@pytest.mark.parametrize(("says", "stays"), [(Speak(speak("stop it now please")), True), (Cough(60), False)])
def test_nothing_is_done_while_it_is_undecided_whether_the_caller_interrupts(says: Step, stays: bool) -> None:
    """Not even what is done at once: it may be a goodbye that he objects to."""

    async def main() -> None:
        bye = {"name": "bye", "implementation": "builtin", "platform": "hangup"}
        goodbye = "thank you for calling us today and goodbye " * 3
        replies = {"look": (goodbye, ())}
        async with RealtimeOffice(
            {"functions": [bye], "options": {"greeting": "Hello.", "idle": {"timeout": None}}},
            MemoryModel(lambda heard, _: replies.get(heard, (f"alright {heard}", ())), speed=1.2),
        ) as here:

            async def hang_up() -> None:
                """As soon as the caller is heard over the goodbye."""
                while not here.realtimes or here.realtimes[0]._interruption.paused_at is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                [answer] = here.realtimes[0]._speaking.under_way
                asked = ToolsAsked(answer.response or "", (ToolCall("c0", "bye"),))
                here.realtimes[0].on_model_event(asked)
                assert not here.said("function_calls")

            hanging_up = asyncio.create_task(hang_up())
            report = await here.call(*ASK, AwaitAgentSpeech(), Wait(0.4), says, Wait(9), HangUp())
            await hanging_up
            heard = heard_words(report.heard)
            assert (heard[-1] == "please") is stays
            assert (plain_words(goodbye) == heard[-len(plain_words(goodbye)) :]) is not stays
            assert [text for text in told(here) if text.startswith("results")] == [f"results: {NOT_DONE}"] * stays
            assert len(here.said("function_calls")) == (not stays)

    run_virtual(main())


def test_what_is_told_twice_is_done_once() -> None:
    async def main() -> None:
        services = Services({"red": 1.0})
        async with office(services, function("red")) as here:

            async def tell_again() -> None:
                while not services.asked:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.1)
                [errand] = here.realtimes[0]._errands.under_way
                here.realtimes[0].on_model_event(errand.asked)

            telling = asyncio.create_task(tell_again())
            await here.call(*ASK, Wait(6), HangUp())
            await telling
            assert services.done == ["red"]
            assert told(here) == ["results: done by red"]

    run_virtual(main())


def test_what_an_interrupted_answer_calls_later_is_not_done() -> None:
    """It was on its way when the answer was interrupted."""

    async def main() -> None:
        services = Services()
        async with office(services, function("red")) as here:
            assert isinstance(here.realtime, MemoryModel)
            here.realtime.reply = lambda heard, _: ("one two three four five six seven " * 4, ())

            async def call_late() -> None:
                await asyncio.sleep(3.5)
                [answer] = here.realtimes[0]._speaking.under_way
                await perform(here.sessions[0], SayMessage(text="Something else now.", urgency="now"))
                here.realtimes[0].on_model_event(ToolsAsked(answer.response or "", (ToolCall("c0", "red"),)))

            calling = asyncio.create_task(call_late())
            report = await here.call(*ASK, Wait(6), HangUp())
            await calling
            assert heard_words(report.heard)[-3:] == ["something", "else", "now"]
            assert (services.asked, here.said("function_calls"), here.status("function")) == ([], [], [])

    run_virtual(main())
