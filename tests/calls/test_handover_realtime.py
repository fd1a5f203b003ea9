"""Calls that go on from a realtime model to a cascade, another agent or a telephone, and the other way round."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.messages import CallUpdate, perform
from jambonz.simulator.caller import AwaitAgentSilence, HangUp, Wait
from pipelines.parts import ProviderError
from pipelines.phrasebook import phrases
from pipelines.realtime.pipeline import Realtime
from tests.calls.handover_office import (
    ANSWER,
    NUMBER,
    QUESTION,
    HandoverOffice,
    Unready,
    asks,
    count_on,
    parts,
)
from tests.calls.test_handover import GREETING, HELLO, OTHER, PATIENT, WORDS, agree, dying
from tests.clock import run_virtual
from tests.simulators.failing import FailingModel
from tests.simulators.realtime_memory import MemoryModel, Reply
from tests.simulators.replies import ReplyModel, always

pytestmark = pytest.mark.usefixtures("by_both")

REFUSED = ProviderError("memory", "auth", "simulated")
LIVE = "openai/gpt-realtime"


def live(greeting: str = GREETING, **fallback: Any) -> dict[str, Any]:
    return {"modelName": LIVE, "options": {"greeting": greeting, "fallback": fallback, **PATIENT}}


def answers(heard: str, history: Sequence[tuple[str, str]]) -> Reply:
    return ANSWER, ()


def lost_for_good(model: MemoryModel, after: float) -> None:
    """So many seconds from now its session is gone, and there is no other."""

    def lose() -> None:
        model.refusals += [REFUSED] * 9
        model.sessions[-1].lose("it closed the socket: 1006")

    asyncio.get_running_loop().call_later(after, lose)


@pytest.mark.parametrize("hangs", [True, False])
@pytest.mark.parametrize("who", ["agent", "model"])
def test_a_realtime_model_that_cannot_be_reached_is_followed_by_a_cascade(who: str, hangs: bool) -> None:
    async def main() -> None:
        model = MemoryModel(answers, refusals=[None, None, None] if hangs else [REFUSED] * 3)
        other, second = ReplyModel(always(ANSWER), first=0.2), ReplyModel(always(ANSWER), first=0.2)
        fallback = {"model": "scripted/second"} if who == "model" else {"agent": "other"}
        async with HandoverOffice(
            live(**fallback), model, others={"other": (OTHER, parts(other))}, by_name={"scripted/second": second}
        ) as office:
            report = await office.call(AwaitAgentSilence(min_gap=3.0), *asks())
            if hangs:  # the service's own voice greets meanwhile
                expected = GREETING, HELLO if who == "agent" else WORDS.interrupted, ANSWER
            else:
                expected = "", HELLO if who == "agent" else GREETING, ANSWER
            agree(office, report, *expected)
            assert office.gone_on() == [who]
            assert office.ending() == "caller"
        assert model.open_sessions == 0

    run_virtual(main())


@pytest.mark.parametrize("after", [3.75, 4.2, 6.0])
@pytest.mark.parametrize("who", ["agent", "model"])
def test_a_realtime_model_that_is_lost_for_good_is_followed_by_a_cascade(who: str, after: float) -> None:
    """Before it answers: then that does. While it does: then that goes on with the answer. Or while the whole of it is
    being heard: to its end, and the cascade says hello, if the caller was not greeted with these words before."""

    async def main() -> None:
        model = MemoryModel(answers)
        other, second = FailingModel(count_on, name="other"), FailingModel(count_on, name="second")
        fallback = {"model": "scripted/second"} if who == "model" else {"agent": "other"}
        async with HandoverOffice(
            live(**fallback), model, others={"other": (OTHER, parts(other))}, by_name={"scripted/second": second}
        ) as office:
            lost_for_good(model, after)
            report = await office.call(AwaitAgentSilence(), *asks(Wait(20), HangUp()))
            hello = HELLO if who == "agent" else WORDS.interrupted
            agree(office, report, GREETING, ANSWER, hello if after > 5 else "")
            assert office.gone_on() == [who]
            assert office.said("user") == [QUESTION]
        assert model.open_sessions == 0
        assert model.mistakes == []

    run_virtual(main())


def test_a_cascade_that_dies_is_followed_by_an_agent_with_a_realtime_model() -> None:
    async def main() -> None:
        model = MemoryModel(answers)
        others = {"other": (live(HELLO), parts(ReplyModel(always("unused"))))}
        own = {"options": {"greeting": GREETING, "fallback": {"agent": "other"}, **PATIENT}}
        async with HandoverOffice(own, dying(), others=others, by_name={LIVE: model}) as office:
            report = await office.call(AwaitAgentSilence(), *asks(Wait(12), HangUp()))
            agree(office, report, GREETING, ANSWER)
            assert isinstance(office.made[1], Realtime)
            assert [(entry.role, entry.content) for entry in model.setups[0].history] == [("assistant", GREETING)]
            assert model.sessions[0].said("user") == [QUESTION], "told, to be answered"
            assert office.gone_on() == ["agent"]
        assert model.open_sessions == 0
        assert model.mistakes == []

    run_virtual(main())


def test_a_realtime_model_that_takes_over_with_nothing_to_answer_says_hello() -> None:
    async def main() -> None:
        model = MemoryModel(answers)
        others = {"other": (live(HELLO), parts(ReplyModel(always("unused"))))}
        own = {"options": {"greeting": GREETING, "fallback": {"agent": "other"}, **PATIENT}}
        async with HandoverOffice(own, Unready(always("never")), others=others, by_name={LIVE: model}) as office:
            report = await office.call(AwaitAgentSilence(), *asks())
            agree(office, report, HELLO, ANSWER)
        assert model.mistakes == []

    run_virtual(main())


def test_a_realtime_model_that_is_lost_is_followed_by_its_models_in_turn_then_the_agent_then_the_telephone() -> None:
    async def main() -> None:
        first, second = MemoryModel(answers), MemoryModel(answers, refusals=[REFUSED] * 3)
        others = {"other": (OTHER, parts(dying()))}
        names = ["openai/gpt-realtime-2", "scripted/second"]
        models: dict[str, Any] = {"openai/gpt-realtime-2": second, "scripted/second": dying()}
        async with HandoverOffice(
            live(model=names, agent="other", number=NUMBER), first, others=others, by_name=models
        ) as office:
            lost_for_good(first, 3.75)
            report = await office.call(AwaitAgentSilence(), *asks(Wait(40)))
            agree(office, report, GREETING, WORDS.connecting)
            assert office.gone_on() == ["model", "model", "agent", "number"]
            assert office.ending() == "transferred"

    run_virtual(main())


def test_without_anybody_else_the_caller_is_told_by_the_service() -> None:
    async def main() -> None:
        model = MemoryModel(answers)
        async with HandoverOffice(live(agent="unknown"), model) as office:
            lost_for_good(model, 3.75)
            report = await office.call(AwaitAgentSilence(), *asks(Wait(40)))
            agree(office, report, GREETING, phrases("en").cannot_go_on)
            assert office.ending() == "failed"
            assert report.ended_by == "jambonz"

    run_virtual(main())


def test_other_models_go_on_as_the_agent_that_it_has_become() -> None:
    """What was changed of it in mid-call counts for them, too."""

    async def main() -> None:
        model, second = MemoryModel(answers), ReplyModel(always(ANSWER))
        async with HandoverOffice(live(model="scripted/second"), model, by_name={"scripted/second": second}) as office:

            async def change() -> None:
                await asyncio.sleep(1.0)
                changes = CallUpdate.model_validate({"prompt": "You are another.", "context": "Ann."})
                await perform(office.sessions[0], changes)

            changing = asyncio.create_task(change())
            lost_for_good(model, 2.0)
            await office.call(AwaitAgentSilence(), *asks(Wait(12), HangUp()))
            await changing
            assert office.gone_on() == ["model"]
            assert {told[0].content for told in second.told} == {"You are another.\n\nAnn."}

    run_virtual(main())
