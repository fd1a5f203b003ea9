"""Calls that are placed: nobody hears the agent before there is an answer, and what comes of the ringing is known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.call_hooks import CallHooks
from gateway.dialler import CannotDial
from gateway.dialling import TAG
from gateway.places import NoPlace
from jambonz.simulator.caller import AwaitAgentSilence, HangUp, Speak, Wait
from jambonz.simulator.outgoing import Callee
from pipelines.parts import ProviderError
from tests.calls.office import NUMBER, Office
from tests.calls.outbound_office import CALLED, Exchange, left_nothing, ring, rung
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordVoice, heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import ReplyModel, always

pytestmark = pytest.mark.usefixtures("by_both")

AGENT: Mapping[str, Any] = {"options": {"greeting": "Hello.", "outbound": {"ringTimeout": 20}}}
TALK = (AwaitAgentSilence(), Speak(speak("yes")), AwaitAgentSilence(), HangUp())


def cascade(agent: Mapping[str, Any] = AGENT, **options: Any) -> Office:
    return Office(agent, ReplyModel(always("You want a table.")), **options)


def realtime(agent: Mapping[str, Any] = AGENT) -> Office:
    return RealtimeOffice(agent, MemoryModel(lambda heard, history: ("You want a table.", ())))


@pytest.mark.parametrize("make", [cascade, realtime])
def test_the_agent_speaks_once_there_is_an_answer(make: Any) -> None:
    """What the network plays before that (183) is no answer."""

    async def main() -> None:
        office = make()
        Exchange(office)
        async with office:
            report = await rung(office, Callee(TALK, ring_seconds=6.0, early_media=True))
            assert report.answered == pytest.approx(6.0, abs=0.2)
            assert heard_words(report.heard) == plain_words("hello you want a table")
            assert office.said("user") == ["yes"]
            [call] = office.store.started.values()
            assert (call.caller_id, call.called_id) == (NUMBER, CALLED)
            assert call.platform_call_id == report.call_sid
            assert office.ending() == "caller"
            states = [one["state"] for one in office.status("originate")]
            assert states == ["ringing", "answered"]
            kinds = [kind for kind, _ in office.log()]
            assert kinds.index("answer") > kinds.index("status") > kinds.index("call")

    run_virtual(main())


@pytest.mark.parametrize(
    ("callee", "outcome", "reason", "status", "sip_status"),
    [
        (Callee(sip_status=486), "busy", "busy", "failed: busy", 486),
        (Callee(sip_status=600), "busy", "busy", "failed: busy", 600),
        (Callee(sip_status=603), "declined", "declined", "failed: declined", 603),
        (Callee(sip_status=480), "no_answer", "no_answer", "failed: no answer", 480),
        (Callee(sip_status=None), "no_answer", "no_answer", "failed: no answer", 487),
        (Callee(ring_seconds=40.0), "no_answer", "no_answer", "failed: no answer", 487),
        (Callee(sip_status=404), "failed", "failed", "failed: the call could not be put through", 404),
        (
            Callee(sip_status=503, ring_seconds=0.0),
            "failed",
            "failed",
            "failed: the call could not be put through",
            503,
        ),
    ],
)
def test_what_comes_of_ringing(callee: Callee, outcome: str, reason: str, status: str, sip_status: int) -> None:
    async def main() -> None:
        office = cascade()
        Exchange(office)
        async with office:
            report = await rung(office, callee)
            assert report.answered is None
            [(told, ended, _)] = office.store.ended.values()
            assert (told, ended) == (status, reason)
            [failed] = [data for kind, data in office.log() if kind == "call_failed"]
            assert failed == {"outcome": outcome, "sipStatus": sip_status}
            assert office.log()[-1] == ("hangup", {"reason": reason, "usage": []})
            assert report.ended == pytest.approx(min(callee.ring_seconds if callee.sip_status else 20, 20), abs=0.2)

    run_virtual(main())


def test_hanging_up_while_it_rings_stops_the_ringing() -> None:
    async def main() -> None:
        office = cascade()
        Exchange(office)
        async with office:
            call = await ring(office, Callee(ring_seconds=15.0))
            await asyncio.sleep(3.0)
            await call.commands.hang_up("Goodbye.", "somebody asks for it")
            [report] = await office.jambonz.placed()
            await asyncio.sleep(0.5)
            assert report.ended_by == "cancelled"
            assert report.ended == pytest.approx(3.0, abs=0.2)
            await office.recorder.settled()
            [(status, reason, _)] = office.store.ended.values()
            assert (status, reason) == ("failed: cancelled", "cancelled")
            left_nothing(office)

    run_virtual(main())


def test_who_answers_as_it_is_cancelled_is_hung_up_on() -> None:
    """The word to stop ringing crosses the answer."""

    async def main() -> None:
        office = cascade()
        exchange = Exchange(office)
        async with office:
            call = await ring(office, Callee((Wait(30.0),), ring_seconds=3.0))
            exchange.seconds = 1.0
            await asyncio.sleep(2.6)
            call.end("agent")
            [report] = await office.jambonz.placed()
            assert report.answered is not None
            assert report.ended_by == "jambonz"
            assert report.ended == pytest.approx(report.answered, abs=0.1)
            assert heard_words(report.heard) == []
            await asyncio.sleep(1.0)
            left_nothing(office)

    run_virtual(main())


def test_a_service_that_stops_leaves_nobody_ringing() -> None:
    async def main() -> None:
        office = cascade()
        Exchange(office)
        async with office:
            await ring(office, Callee(ring_seconds=15.0))
            await asyncio.sleep(2.0)
        [report] = await office.jambonz.placed()
        assert report.ended_by == "cancelled"
        assert office.ending() == "shutdown"

    run_virtual(main())


def test_a_service_that_stops_while_jambonz_is_asked_leaves_nobody_ringing() -> None:
    async def main() -> None:
        office = cascade()
        exchange = Exchange(office)
        exchange.seconds = 1.0
        async with office:
            ringing = asyncio.create_task(ring(office, Callee((Wait(30.0),), ring_seconds=15.0)))
            await asyncio.sleep(2.25)
            assert office.jambonz.created == [], "it is about to get it"
        assert ringing.done()
        [report] = await office.jambonz.placed()
        assert report.ended_by == "cancelled"
        assert office.ending() == "shutdown"
        left_nothing(office)

    run_virtual(main())


def test_hooks_may_come_before_jambonz_has_said_that_it_rings() -> None:
    async def main() -> None:
        office = cascade()
        exchange = Exchange(office)
        async with office:
            exchange.seconds = 2.0
            report = await rung(office, Callee(TALK, ring_seconds=0.0))
            assert heard_words(report.heard) == plain_words("hello you want a table")
            assert office.ending() == "caller"
            exchange.seconds = 0.01

    run_virtual(main())


def test_who_is_busy_before_jambonz_has_said_that_it_rings_is_busy() -> None:
    async def main() -> None:
        office = cascade()
        exchange = Exchange(office)
        async with office:
            exchange.seconds = 2.0
            await rung(office, Callee(sip_status=486, ring_seconds=0.0))
            assert office.ending() == "busy"

    run_virtual(main())


def test_an_answer_of_jambonz_that_is_lost_leaves_nobody_in_silence() -> None:
    """Nobody knows whether it rings. Whoever answers is hung up on, and the place is free."""

    async def main() -> None:
        office = cascade()
        exchange = Exchange(office)
        async with office:
            exchange.faults = lambda method, path: "lost" if (method, path[-5:]) == ("POST", "Calls") else None
            with pytest.raises(CannotDial, match="not answered") as failed:
                await ring(office, Callee((Wait(30.0),)))
            assert failed.value.kind == "away"
            [report] = await office.jambonz.placed()
            assert report.ended == pytest.approx(report.answered or 0.0, abs=0.1)
            await asyncio.sleep(0.5)
            await office.recorder.settled()
            [(status, reason, _)] = office.store.ended.values()
            assert (status, reason) == ("failed: Jambonz did not place the call", "failed")
            left_nothing(office)

    run_virtual(main())


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        ({"faults": "unreachable"}, "away", "was not answered"),
        ({"feature_servers": 0}, "away", "no available feature servers"),
        ({"applications": {}}, "away", "no application 'Trunkline service'"),
    ],
)
def test_a_call_that_cannot_be_placed_leaves_a_record_and_no_place(wrong: Any, kind: str, said: str) -> None:
    async def main() -> None:
        office = cascade()
        exchange = Exchange(office)
        if "faults" in wrong:
            exchange.faults = lambda _method, _path: wrong["faults"]
        else:
            for name, value in wrong.items():
                setattr(exchange.server, name, value)
        async with office:
            with pytest.raises(CannotDial, match=said) as failed:
                await ring(office, Callee())
            assert failed.value.kind == kind
            await asyncio.sleep(0.5)
            await office.recorder.settled()
            [(status, _, _)] = office.store.ended.values()
            assert status == "failed: Jambonz did not place the call"
            assert office.jambonz.created == []
            left_nothing(office)

    run_virtual(main())


def test_jambonz_that_never_answers_is_not_waited_for() -> None:
    async def main() -> None:
        office = cascade()
        exchange = Exchange(office)
        exchange.seconds = 1000.0
        async with office:
            with pytest.raises(CannotDial):
                await ring(office, Callee())
            assert asyncio.get_running_loop().time() < 25
            await asyncio.sleep(0.1)
            left_nothing(office)

    run_virtual(main())


def test_an_application_that_was_made_anew_is_found_again() -> None:
    async def main() -> None:
        office = cascade()
        exchange = Exchange(office)
        async with office:
            await rung(office, Callee(sip_status=486))
            [(sid, row)] = exchange.server.applications.items()
            del exchange.server.applications[sid]
            exchange.server.applications["another"] = {**row, "application_sid": "another"}
            office.jambonz.created.clear()
            await rung(office, Callee(sip_status=486))
            assert [reason for _, reason, _ in office.store.ended.values()] == ["busy", "busy"]
            placed = [path for method, path in exchange.asked if method == "POST"]
            assert len(placed) == 3

    run_virtual(main())


def test_news_that_never_comes_is_not_waited_for() -> None:
    """Status hooks are lost: then it was no answer, and whoever rings is stopped."""

    async def main() -> None:
        office = cascade(status_delays=dict.fromkeys(("ringing", "no-answer", "failed"), 40.0))
        Exchange(office)
        async with office:
            call = await ring(office, Callee(sip_status=503, ring_seconds=1.0))
            await asyncio.sleep(36.0)
            assert office.switchboard.calls == ()
            assert call.reason == "no_answer"
            await office.jambonz.placed()
            await asyncio.sleep(0.5)
            left_nothing(office)

    run_virtual(main())


def test_limits_count_calls_that_ring() -> None:
    async def main() -> None:
        office = cascade(agent_limit=1)
        Exchange(office)
        async with office:
            await ring(office, Callee(sip_status=486, ring_seconds=4.0))
            with pytest.raises(NoPlace) as refused:
                await ring(office, Callee())
            assert (refused.value.scope, refused.value.limit, refused.value.current) == ("instance", 1, 1)
            assert len(office.jambonz.created) == 1
            inbound = await office.call(HangUp())
            assert inbound.sip_status == 486
            await office.jambonz.placed()
            await asyncio.sleep(0.5)
            left_nothing(office)
            await rung_again(office)

    async def rung_again(office: Office) -> None:
        office.jambonz.created.clear()
        await rung(office, Callee(sip_status=486))

    run_virtual(main())


def test_a_full_service_rings_nobody() -> None:
    async def main() -> None:
        office = cascade(max_calls=0)
        Exchange(office)
        async with office:
            with pytest.raises(NoPlace) as refused:
                await ring(office, Callee())
            assert refused.value.scope == "process"
            assert office.jambonz.created == []

    run_virtual(main())


def test_a_call_of_a_process_that_is_gone_is_nobodys() -> None:
    """Its hook comes to one that does not know it: which does not take the called number for one of its own."""

    async def main() -> None:
        office = cascade()
        Exchange(office)
        async with office:
            body = {
                "from": "+441",
                "to": {"type": "phone", "number": f"+{NUMBER}"},
                "tag": {TAG: "gone"},
                "call_hook": {
                    "url": "ws://service/jambonz/application" if office.application else "http://service/jambonz/call"
                },
            }
            office.jambonz.callees[f"+{NUMBER}"] = Callee((Wait(20.0),))
            office.jambonz.create_call(body, call_sid="a-sid", account_sid="account")
            [report] = await office.jambonz.placed()
            assert report.ended_by == "jambonz"
            assert report.ended == pytest.approx(report.answered or 0.0, abs=0.1)
            assert office.store.started == {}

    run_virtual(main())


def test_an_agent_that_cannot_be_set_up_stops_the_ringing() -> None:
    """It is known while the telephone rings: nobody is called to hear an apology."""

    async def main() -> None:
        office = cascade()
        Exchange(office)
        office.voice.prepare = refuse  # type: ignore[method-assign]
        async with office:
            await ring(office, Callee((Wait(30.0),), ring_seconds=15.0))
            [report] = await office.jambonz.placed()
            assert report.ended_by == "cancelled"
            await asyncio.sleep(1.0)
            await office.recorder.settled()
            assert office.ending() == "failed"
            left_nothing(office)

    async def refuse() -> None:
        raise ProviderError("voice", "auth", "it refused the key")

    run_virtual(main())


class Posted:
    def __init__(self) -> None:
        self.bodies: list[Mapping[str, Any]] = []

    async def post(self, url: str, body: Mapping[str, Any], *, seconds: float) -> int:
        self.bodies.append(body)
        return 200


def test_webhooks_tell_that_it_rings_and_what_came_of_it() -> None:
    async def main() -> None:
        posted = Posted()
        hooks = CallHooks(posted)
        office = cascade({"options": {"callHook": {"url": "https://example.com/hook"}}}, hooks=hooks)
        Exchange(office)
        async with office:
            await ring(office, Callee(sip_status=486, ring_seconds=5.0))
            await asyncio.sleep(1.0)
            assert [one["event"] for one in posted.bodies] == ["start"]
            await office.jambonz.placed()
            await asyncio.sleep(0.5)
            [start, end] = posted.bodies
            assert (start["callerId"], start["calledId"]) == (NUMBER, CALLED)
            assert (end["event"], end["reason"]) == ("end", "busy")
            await hooks.close()

    run_virtual(main())


def test_who_answers_hears_the_agent_at_once() -> None:
    """Its parts were made ready while it rang."""

    async def main() -> None:
        office = cascade(voice=CodewordVoice(first=0.1))
        Exchange(office)
        async with office:
            report = await rung(office, Callee((AwaitAgentSilence(), HangUp()), ring_seconds=4.0))
            first = report.ear.utterances()[0].start
            assert first - (report.answered or 0.0) < 0.6

    run_virtual(main())
