"""Calls whose media socket is lost: the caller comes back by another, to the same agent, who knows what was said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateway import metrics
from gateway.returning import ASK_SECONDS, BACK_SECONDS, MOST
from jambonz.simulator.caller import AwaitAgentSilence, HangUp, Speak, Wait
from jambonz.simulator.outcomes import DialOutcome
from pipelines.parts import Message
from pipelines.phrasebook import phrases
from tests.calls.handover_office import silence
from tests.calls.office import Office
from tests.calls.outbound_office import Lines
from tests.calls.realtime_office import RealtimeOffice
from tests.calls.transfer_office import BACK, CONNECTING, asks, nothing_is_left, office_of, states
from tests.clock import run_virtual
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import ReplyModel, always

pytestmark = pytest.mark.usefixtures("by_both")

AGENT: dict[str, Any] = {"options": {"greeting": "Hello.", "idle": {"timeout": None}}}
COUNT = "One two three four five six seven eight."
INTERRUPTED = phrases("en").interrupted


def after(seconds: float, what: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_later(seconds, what)


def lose(office: Office, *at: float, which: int = -1) -> None:
    """A socket, by default the newest, so many seconds from now."""
    for seconds in at:
        after(seconds, lambda: office.legs[which].close(1006))


def test_a_caller_whose_socket_is_lost_comes_back_to_the_same_conversation() -> None:
    async def main() -> None:
        def count(messages: Sequence[Message]) -> list[str]:
            return [f"That was {sum(message.role == 'user' for message in messages)}."]

        async with Office(AGENT, ReplyModel(count)) as office:
            back = metrics.sockets_lost.labels("back")._value.get()
            lose(office, 6.0)
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("one")), Wait(9.0), Speak(speak("two")), AwaitAgentSilence(), HangUp()
            )
            assert heard_words(report.heard) == plain_words(f"hello that was 1 {INTERRUPTED} that was 2")
            assert office.said("user") == ["one", "two"]
            assert office.status("socket") == ["lost", "back"]
            assert office.ending() == "caller"
            assert len(office.legs) == 2
            assert metrics.sockets_lost.labels("back")._value.get() == back + 1
            nothing_is_left(office, report)

    run_virtual(main())


def test_whenever_it_is_lost_the_caller_is_answered() -> None:
    """Once in each call, from the greeting to the end of the answer. Of what is said in that moment words are lost."""

    async def main() -> None:
        async with Office(AGENT, ReplyModel(always(COUNT), first=0.3)) as office:
            for number in range(20):
                lose(office, 0.4 + 0.31 * number, which=number)
            script = (Wait(2.0), Speak(speak("count to eight")), Wait(10.0), HangUp())
            reports = await asyncio.gather(*(office.call(*script) for _ in range(20)))
            for report in reports:
                heard, said = heard_words(report.heard), plain_words(" ".join(office.said("agent", report)))
                assert abs(len(heard) - len(said)) <= 1, ("to within the word that was cut", heard, said)
                assert heard.count("eight") == 1 or heard[-2:] == ["help", "you"], heard
                assert silence(report) < 2.0, heard
                nothing_is_left(office, report)
            assert sum("eight" in heard_words(report.heard) for report in reports) >= 17

    run_virtual(main())


def test_a_realtime_model_goes_on_with_its_answer() -> None:
    async def main() -> None:
        model = MemoryModel(lambda heard, history: (COUNT, ()))
        async with RealtimeOffice(AGENT, model) as office:
            lose(office, 3.2)
            report = await office.call(AwaitAgentSilence(), Speak(speak("count")), Wait(8.0), HangUp())
            assert "eight" in heard_words(report.heard)
            assert office.status("socket") == ["lost", "back"]
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize(("code", "ending"), [(1000, "caller"), (1005, "media_lost")])
def test_nobody_waits_for_who_closes_the_socket(code: int, ending: str) -> None:
    async def main() -> None:
        async with Office(AGENT, ReplyModel(always("Yes."))) as office:
            after(4.0, lambda: office.legs[-1].on_closed(code))
            report = await office.call(Wait(8.0), HangUp())
            assert (len(office.legs), office.status("socket"), office.ending()) == (1, [], ending)
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("goodbye", [False, True], ids=["in a conversation", "saying goodbye"])
def test_what_ends_all_the_same(goodbye: bool) -> None:
    """A line that is lost again and again; and a goodbye is not said twice."""

    async def main() -> None:
        agent = {"options": {"greeting": "Hello.", "idle": {"timeout": 2.0, "prompts": [], "farewell": COUNT}}}
        async with Office(agent if goodbye else AGENT, ReplyModel(always("Yes."))) as office:
            lose(office, *((4.0,) if goodbye else (4.0 * (again + 1) for again in range(MOST + 1))))
            report = await office.call(Wait(60.0), HangUp())
            assert len(office.legs) == (1 if goodbye else MOST + 1)
            assert office.ending() == "media_lost"
            assert report.ended_by == "jambonz"
            nothing_is_left(office, report)

    run_virtual(main())


def test_a_caller_who_has_hung_up_when_the_socket_was_lost_is_gone() -> None:
    async def main() -> None:
        async with Office(AGENT, ReplyModel(always("Yes."))) as office:
            lose(office, 4.0)
            after(4.005, lambda: next(iter(office.jambonz.calls.values())).hang_up())
            report = await office.call(Wait(60.0), HangUp())
            assert office.ending() == "caller"
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("busy", [False, True])
def test_who_was_just_to_be_put_through_is(busy: bool) -> None:
    async def main() -> None:
        dial = DialOutcome("busy", 486, ring_seconds=2.0) if busy else DialOutcome(ring_seconds=2.0, talk_seconds=3.0)
        async with office_of("cascade", dials=[dial]) as office:
            lose(office, 4.1)
            report = await office.call(*asks(Wait(20.0), HangUp()))
            assert office.status("socket") == ["lost", "back"]
            assert office.said("agent")[-1].split()[0] == (BACK if busy else CONNECTING).split()[0]
            assert states(office) == ["dialling", "busy" if busy else "answered"]
            assert office.ending() == ("caller" if busy else "transferred")
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("told", [True, False], ids=["and is told", "and cannot be told"])
def test_where_jambonz_does_not_know_of_the_loss(told: bool) -> None:
    async def main() -> None:
        async with Office(AGENT, ReplyModel(always("Yes."))) as office:
            if told:
                office.switchboard._api = Lines(office)

            def half_open() -> None:
                office.legs[-1].on_binary = lambda data: None  # type: ignore[method-assign]
                office.legs[-1].on_closed(1006)
                if not told:
                    office.sessions[-1].control = None

            after(4.0, half_open)
            report = await office.call(Wait(20.0), HangUp())
            if told:
                assert heard_words(report.heard) == plain_words(f"hello {INTERRUPTED}")
                assert office.ending() == "caller"
                assert len(office.legs) == 2, "the hook of the first does not replace the verbs that it was told"
            else:
                assert office.ending() == "media_lost"
                [(_, _, milliseconds)] = office.store.ended.values()
                assert milliseconds / 1000 == pytest.approx(4.0 + ASK_SECONDS + BACK_SECONDS, abs=0.1)
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("attempts", [3, 99])
def test_a_socket_that_cannot_be_connected_is_tried_again_but_not_at_once(attempts: int) -> None:
    async def main() -> None:
        async with Office(AGENT, ReplyModel(always("Yes."))) as office:
            take, left = office.switchboard.live.take_token, [1 + attempts]

            def refuse(token: str) -> Any:
                if office.legs and left[0]:
                    left[0] -= 1
                    return None
                return take(token)

            office.switchboard.live.take_token = refuse  # type: ignore[method-assign]
            lose(office, 4.0)
            report = await office.call(Wait(30.0), HangUp())
            assert office.ending() == ("caller" if attempts == 3 else "media_lost")
            assert attempts == 3 or left[0] > 80, "one a second"
            nothing_is_left(office, report)

    run_virtual(main())


def test_a_call_whose_first_socket_cannot_be_connected_had_no_media() -> None:
    async def main() -> None:
        async with Office(AGENT, ReplyModel(always("Yes."))) as office:
            office.switchboard.live.take_token = lambda token: None  # type: ignore[method-assign]
            report = await office.call(Wait(30.0), HangUp())
            assert report.ended_by == "jambonz"
            assert office.ending() == "no_media"
            nothing_is_left(office, report)

    run_virtual(main())
