"""However a call ends: the goodbye is heard, the call is ended by our verb, and nothing of it is left."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest

from gateway.dispatch import Dispatcher
from gateway.session import CallSession
from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak, Step, Wait
from jambonz.simulator.memory import MemoryEnd
from jambonz.simulator.report import CallReport
from media.ledger import Segment
from media.playout import Playout
from pipelines.cascade import Cascade
from pipelines.generation import Generation
from pipelines.parts import ProviderError, ToolCall
from pipelines.realtime.ending import Ending
from pipelines.turns import TurnMachine
from tests.calls.office import APPLICATION, NUMBER, MemoryLeg, Office
from tests.clock import run_virtual
from tests.endings.scenes import ENDINGS, KINDS, play
from tests.simulators.codeword import CodewordRecogniser, heard_words, plain_words, speak
from tests.simulators.replies import ReplyModel, always

HANG_UP: dict[str, Any] = {
    "functions": [{"name": "hangup", "implementation": "builtin", "platform": "hangup", "description": "End the call."}]
}
GREETING: dict[str, Any] = {"options": {"greeting": "Hello, this is the test agent."}}


def test_every_goodbye_is_heard_and_no_call_left_up() -> None:
    """Two hundred of the thousand that ``python -m tests.endings`` plays: each kind of ending, with random timings,
    voices, models, barge-ins, coughs and keys."""
    tally = play(200)
    assert tally.problems == []
    assert tally.calls == 200
    assert set(tally.by) == set(product(KINDS, ENDINGS, (False, True)))
    assert min(tally.ended[ending] for ending in ENDINGS) >= 30


def _deaf_to_the_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Cascade, "_close_ears", lambda cascade: None)


def _cut(patch: pytest.MonkeyPatch) -> None:
    """Who ends calls does not wait until what was to be said was heard."""
    patch.setattr(Ending, "wait_until_heard", lambda ending, now, unheard: setattr(ending, "_by", now))


def _left_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CallSession, "end_call", lambda session, reason: None)


@pytest.mark.parametrize(("broken", "calls"), [(_deaf_to_the_end, 10), (_cut, 20), (_left_up, 10)])
def test_what_breaks_endings_is_seen(
    broken: Callable[[pytest.MonkeyPatch], None], calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    assert play(calls).problems


@pytest.mark.usefixtures("by_both")
def test_the_caller_cannot_talk_the_agent_out_of_its_goodbye() -> None:
    async def main() -> None:
        model = ReplyModel(always("Goodbye and thank you very much indeed.", ToolCall("1", "hangup")))
        async with Office(GREETING | HANG_UP, model) as office:
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("bye")), BargeIn(speak("no wait listen to me"), after=0.4)
            )
            assert heard_words(report.heard)[-7:] == plain_words("goodbye and thank you very much indeed")
            assert report.ended_by == "jambonz"

    run_virtual(main())


@pytest.mark.usefixtures("by_both")
def test_an_interrupted_generation_does_not_hang_up() -> None:
    async def main() -> None:
        def script(messages: Any) -> Any:
            if any("wait" in message.content for message in messages):
                return ["I am waiting."]
            return ["Thank you for calling us today. I wish you a very nice day indeed.", ToolCall("1", "hangup")]

        async with Office(GREETING | HANG_UP, ReplyModel(script, per_word=0.4)) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("bye")),
                BargeIn(speak("no wait listen to me"), after=1.0),
                AwaitAgentSilence(),
                HangUp(),
            )
            assert heard_words(report.heard)[-3:] == plain_words("I am waiting.")
            assert not any(type == "function_calls" for type, _ in office.log())
            assert report.ended_by == "caller"

    run_virtual(main())


@pytest.mark.usefixtures("by_both")
def test_a_silent_caller_is_asked_and_then_told_goodbye() -> None:
    async def main() -> None:
        idle = {"timeout": 3, "prompts": ["Are you there?"], "farewell": "Goodbye then."}
        async with Office({"options": {"greeting": "Hello.", "idle": idle}}, ReplyModel(always("Yes."))) as office:
            report = await office.call()
            assert heard_words(report.heard) == plain_words("hello are you there goodbye then")
            assert office.ending() == "idle"
            spans = report.ear.utterances()
            assert spans[1].start - spans[0].end == pytest.approx(3.0, abs=0.15), "the clock starts when it was heard"

    run_virtual(main())


@pytest.mark.usefixtures("by_both")
def test_the_longest_call_ends_with_its_words() -> None:
    async def main() -> None:
        options = {"greeting": "Hello.", "maxDuration": "6s", "timeExceededMessage": "Our time is over."}
        async with Office(
            {"options": options}, ReplyModel(always("One two three four five six seven eight."))
        ) as office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("talk")), Wait(60))
            assert heard_words(report.heard)[-4:] == plain_words("our time is over")
            assert office.ending() == "max_duration"
            assert report.ended_by == "jambonz"

    run_virtual(main())


@pytest.mark.usefixtures("by_both")
def test_a_model_that_is_broken_says_so_and_ends_the_call() -> None:
    async def main() -> None:
        broken = ReplyModel(always(ProviderError("reply-model", "server", "it is broken")))
        async with Office(GREETING, broken) as office:
            steps = [step for _ in range(4) for step in (AwaitAgentSilence(), Speak(speak("hello")))]
            report = await office.call(*steps)
            assert heard_words(report.heard).count("sorry") == 3
            assert office.ending() == "failed"
            assert report.ended_by == "jambonz"

    run_virtual(main())


def test_five_hundred_calls_leave_nothing_behind() -> None:
    """Every way of ending, by webhooks and by the application API, and then: no task, socket, timer or object of a
    call."""

    async def main() -> Counter[str]:
        baseline = len(asyncio.all_tasks())
        model = ReplyModel(
            lambda messages: (
                ["Goodbye.", ToolCall("1", "hangup")]
                if "bye" in messages[-1].content
                else [ProviderError("reply-model", "server", "broken")]
                if "break" in messages[-1].content
                else ["One two three four five six seven eight nine ten."]
            ),
            first=0.1,
            per_word=0.02,
        )
        idle = {"timeout": 2, "prompts": ["Are you there?"]}
        agent = {"options": {"greeting": "Hello.", "idle": idle, "maxDuration": 20}} | HANG_UP
        ended: Counter[str] = Counter()
        async with Office(agent, model, max_calls=60, keep_audio=False) as office:
            running = len(asyncio.all_tasks())
            for group in range(10):
                reports = await asyncio.gather(*(one(office, group * 50 + n) for n in range(50)))
                ended.update(report.ended_by or "" for report in reports if report is not None)
            await asyncio.sleep(30)
            await office.recorder.settled()
            assert len(asyncio.all_tasks()) == running
            assert office.switchboard.calls == ()
            assert len(office.ticker) == 0
            assert (model.open, office.voice.open, office.recogniser.open_streams) == (0, 0, 0)
            assert len(office.store.ended) == len(office.store.started)
            ended.update(reason for _, reason, _ in office.store.ended.values())
            office.pipelines.clear()
            office.legs.clear()
            office.transport.links.clear()
            assert all(one.task.done() for one in office.applications)
            office.applications.clear()
        assert len(asyncio.all_tasks()) == baseline
        return ended

    async def one(office: Office, number: int) -> CallReport | None:
        chance = random.Random(number)
        call = partial(office.call, application=number // 10 % 2 == 1)
        start: list[Step] = [Wait(chance.uniform(0, 1))]
        talk: list[Step] = [AwaitAgentSilence(), Speak(speak("talk to me"))]
        match number % 10:
            case 0:
                return await call(*start, HangUp())
            case 1:
                return await call(*talk, Wait(chance.uniform(0, 3)), HangUp())
            case 2:
                return await call(AwaitAgentSilence(), Speak(speak("bye")))
            case 3:
                return await call(*talk, BargeIn(speak("stop it now"), after=0.5), Wait(1), HangUp())
            case 4:
                return await call()  # idle
            case 5:
                return await call(*[step for _ in range(9) for step in talk])  # too long
            case 6:
                broken: list[Step] = [AwaitAgentSilence(), Speak(speak("break"))]
                return await call(*broken, *broken, *broken)
            case 7:
                return await call(to="+4400000")  # nobody there
            case 8:
                calling = asyncio.create_task(call(*talk, Wait(9)))
                await asyncio.sleep(chance.uniform(0.2, 6))
                calling.cancel()  # the feature server crashes
                await asyncio.gather(calling, return_exceptions=True)
                return None
            case _:
                calling = asyncio.create_task(call(*talk, Wait(9)))
                await asyncio.sleep(chance.uniform(0.5, 6))
                if office.legs:
                    chance.choice(office.legs).close(1011)
                if office.applications:
                    chance.choice(office.applications).close(1011)
                return await calling

    kinds = (CallSession, Cascade, Playout, Segment, Generation, TurnMachine, MemoryLeg, MemoryEnd, Dispatcher)
    gc.collect()
    others = {id(thing) for thing in gc.get_objects() if isinstance(thing, kinds)}  # that other tests still hold
    ended = run_virtual(main())
    assert {"caller", "jambonz", "refused", "agent", "idle", "max_duration", "failed"} <= set(ended)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, kinds) and id(thing) not in others]


@pytest.mark.usefixtures("by_both")
def test_a_call_that_never_gets_its_media_ends() -> None:
    async def main() -> None:
        async with Office(GREETING, ReplyModel(always("Yes."))) as office:
            accept = office.transport._accept
            # The media socket opens, and nothing comes of it.
            office.transport._accept = lambda url, *how: accept(url, *how) if url == APPLICATION else None
            report = await office.call(Wait(1), HangUp(), to=NUMBER)
            office.transport._accept = accept
            assert report.ended_by == "caller"
            await asyncio.sleep(30)
            await office.recorder.settled()
            assert office.ending() in ("caller", "no_media")
            assert office.switchboard.calls == ()

    run_virtual(main())


@pytest.mark.usefixtures("by_both")
def test_a_recogniser_that_cannot_be_had_is_said_and_ends_the_call() -> None:
    class Unavailable(CodewordRecogniser):
        async def prepare(self) -> None:
            await asyncio.sleep(2)
            raise ProviderError(self.name, "auth", "its key is wrong")

    async def main() -> None:
        async with Office(GREETING, ReplyModel(always("Yes.")), recogniser=Unavailable()) as office:
            report = await office.call()
            heard = heard_words(report.heard)
            assert heard[0] == "hello", "the greeting does not wait for the recogniser"
            assert heard[-1] == "goodbye"
            assert office.ending() == "failed"
            assert report.ended_by == "jambonz"

    run_virtual(main())
