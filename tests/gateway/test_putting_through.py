"""A caller who is put through, whatever the order in which the socket closes and hooks come, and however often."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from itertools import permutations
from typing import Any, cast

import pytest

from gateway.bridged import LONGEST_SECONDS
from gateway.dialling import outcome_of
from gateway.live_calls import REMEMBER_SECONDS
from gateway.putting_through import NEWS_AFTER, ORIGIN_HEADER, PuttingThrough, bridge
from gateway.relay import MEDIA_SECONDS
from gateway.session import CallSession
from gateway.webhooks import Reply
from jambonz import verbs
from jambonz.hooks import ActionHook, CallProgress, StatusHook
from jambonz.listen import Started
from jambonz.signature import sign
from jambonz.verbs import Verb
from pipelines.parts import ProviderError
from tests.calls.handover_office import HandoverOffice
from tests.calls.office import BASE, NUMBER, SECRET
from tests.clock import run_virtual
from tests.gateway.test_session import Leg
from tests.jambonz.test_endings import ENDINGS
from tests.simulators.replies import ReplyModel, always

AGENT = {"options": {"fallback": {"number": "+44 20 7946 0999"}}}
DIAL = {
    "verb": "dial",
    "target": [{"type": "phone", "number": "+442079460999"}],
    "answerOnBridge": True,
    "dialMusic": f"{BASE}/jambonz/ringback.wav",
    "headers": {"X-Aplisay-Origin-Caller-Id": "+1"},
    "callerId": "+" + NUMBER,
    "timeout": 45.0,
    "timeLimit": LONGEST_SECONDS,
}


class Desk(HandoverOffice):
    """A call that cannot be set up, whose socket and hooks tests play."""

    def __init__(self) -> None:
        super().__init__(AGENT, ReplyModel(always("never")))
        self.refusals["scripted/test"] = ProviderError("nobody", "bad_request", "simulated")
        self.leg = Leg()
        self.silent = True

    def recogniser_for(self, *_: Any) -> None: ...

    def interlude(self, *_: Any) -> None:
        return None

    async def ring(self) -> CallSession:
        body = json.dumps({"call_sid": "sid", "to": NUMBER, "from": "1"})
        reply = await self.switchboard.on_call(body.encode(), self._sign(body), BASE)
        assert [verb["verb"] for verb in reply.verbs or ()] == ["listen", "hangup"]
        [call] = self.switchboard.calls
        await asyncio.sleep(0.05)
        return call

    def connects(self, call: CallSession) -> None:
        call.attach(cast(Any, self.leg))
        call.on_started(Started("sid", 8000, {}, {}))

    def _sign(self, body: str) -> str:
        return sign(body.encode(), SECRET, self._wall_clock())

    def next(self, call: CallSession, call_status: str = "in-progress", **results: Any) -> Reply:
        body = json.dumps({"call_sid": "sid", "call_status": call_status, **results})
        return self.switchboard.on_next(call.id, body.encode(), self._sign(body))

    def tell(self, call_status: str, **fields: Any) -> None:
        body = json.dumps({"call_sid": "sid", "call_status": call_status, **fields})
        assert self.switchboard.on_status(body.encode(), self._sign(body)) == Reply(204)

    def answered(self) -> None:
        self.tell("in-progress", call_sid="child", parent_call_sid="sid")

    async def ended(self) -> tuple[str, str]:
        await asyncio.sleep(0.1)
        await self.recorder.settled()
        assert not self.switchboard.calls
        assert [type for type, _ in self.log()].count("hangup") == 1
        [call] = [call for call in self.store.started.values() if call.parent_id is None]
        status, reason, _ = self.store.ended[call.id]
        return status, reason


def at_the_desk(test: Callable[[Desk, CallSession], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with Desk() as desk:
            await test(desk, await desk.ring())

    run_virtual(main())


def dials(reply: Reply, call: CallSession) -> bool:
    if reply == Reply(200):
        return False
    verbs: list[Verb] = list(reply.verbs or ())
    assert verbs == [{**DIAL, "actionHook": f"{BASE}/jambonz/next/{call.id}"}, {"verb": "hangup"}]
    return True


def test_the_usual_order() -> None:
    async def test(desk: Desk, call: CallSession) -> None:
        desk.connects(call)
        await asyncio.sleep(0.1)
        assert desk.leg.ends == [("disconnect",)]
        call.on_closed(1000, "")
        assert dials(desk.next(call, dial_call_duration=0), call)
        await asyncio.sleep(5)
        assert desk.switchboard.calls == (call,)
        desk.tell("ringing", call_sid="child", parent_call_sid="sid")
        await asyncio.sleep(5)
        desk.answered()
        assert await desk.ended() == ("ended normally", "transferred")
        assert desk.next(call, dial_call_status="completed") == Reply(200), "an hour later"

    at_the_desk(test)


STEPS = ("closed", "hook", "hook again", "answered", "dialled")


@pytest.mark.parametrize("order", list(permutations(STEPS)), ids="-".join)
def test_any_order(order: tuple[str, ...]) -> None:
    """Of what follows our word that the socket is to close. Each time that it is asked the answer is to dial."""

    async def test(desk: Desk, call: CallSession) -> None:
        desk.connects(call)
        await asyncio.sleep(0.1)
        for step in order:
            match step:
                case "closed":
                    call.on_closed(1000, "")
                case "answered":
                    desk.answered()
                case "dialled":
                    assert desk.next(call, dial_call_status="completed", dial_sip_status=200) == Reply(200)
                case _:
                    assert dials(desk.next(call), call)
            await asyncio.sleep(0.02)
        assert await desk.ended() == ("ended normally", "transferred")
        assert desk.status("dial") == [{"number": "+442079460999", "outcome": desk.status("dial")[0]["outcome"]}]

    at_the_desk(test)


@pytest.mark.parametrize("order", list(permutations(("closed", "hook", "gone", "dialled"))), ids="-".join)
def test_a_caller_who_is_gone_is_not_put_through(order: tuple[str, ...]) -> None:
    async def test(desk: Desk, call: CallSession) -> None:
        desk.connects(call)
        await asyncio.sleep(0.1)
        gone = False
        for step in order:
            match step:
                case "closed":
                    call.on_closed(1000, "")
                case "gone":
                    gone = True
                    desk.tell("completed", call_termination_by="caller")
                case "dialled":
                    status = {"dial_call_status": "no-answer", "dial_sip_status": 487}
                    assert desk.next(call, "completed", **status) == Reply(200)
                    gone = True
                case _:
                    assert dials(desk.next(call, "completed" if gone else "in-progress"), call) == (not gone)
            await asyncio.sleep(0.02)
        assert await desk.ended() == ("ended normally", "caller")

    at_the_desk(test)


def test_a_caller_who_hangs_up_before_our_word_is_not_put_through() -> None:
    async def test(desk: Desk, call: CallSession) -> None:
        call.attach(cast(Any, desk.leg))
        call.on_closed(1000, "")
        assert dials(desk.next(call), call) is False, "or who was sent elsewhere: it would replace that"
        assert await desk.ended() == ("ended normally", "caller")

    at_the_desk(test)


@pytest.mark.parametrize("how", ["never came", "lost"])
def test_without_a_socket_the_caller_is_put_through_all_the_same(how: str) -> None:
    async def test(desk: Desk, call: CallSession) -> None:
        if how == "lost":
            call.attach(cast(Any, desk.leg))
            call.on_closed(1006, "")
        assert dials(desk.next(call), call)
        await asyncio.sleep(1)
        desk.answered()
        assert await desk.ended() == ("ended normally", "transferred")

    at_the_desk(test)


def test_what_is_told_of_the_telephone_when_it_was_not_reached() -> None:
    async def test(desk: Desk, call: CallSession) -> None:
        desk.connects(call)
        await asyncio.sleep(0.1)
        call.on_closed(1000, "")
        assert dials(desk.next(call), call)
        desk.tell("busy", call_sid="child", parent_call_sid="sid", sip_status=486)
        await asyncio.sleep(0.1)
        assert desk.switchboard.calls == (call,)
        assert desk.next(call, dial_call_status="busy", dial_sip_status=486) == Reply(200)
        assert await desk.ended() == ("failed", "failed")
        assert desk.said("error")[-1] == "+442079460999 could not be reached: busy"

    at_the_desk(test)


@pytest.mark.parametrize("asked", [True, False])
def test_news_that_never_come_are_not_waited_for(asked: bool) -> None:
    async def test(desk: Desk, call: CallSession) -> None:
        desk.connects(call)
        await asyncio.sleep(0.1)
        call.on_closed(1000, "")
        if asked:
            assert dials(desk.next(call), call)
        await asyncio.sleep(45 + NEWS_AFTER + 1)
        assert (await desk.ended())[1] == ("transferred" if asked else "failed")

    at_the_desk(test)


def test_a_hangup_of_ours_after_a_dial_of_which_nothing_was_told() -> None:
    async def test(desk: Desk, call: CallSession) -> None:
        desk.connects(call)
        await asyncio.sleep(0.1)
        call.on_closed(1000, "")
        assert dials(desk.next(call), call)
        desk.tell("completed", call_termination_by="jambonz")
        assert await desk.ended() == ("failed", "failed")

    at_the_desk(test)


def test_when_the_service_stops_meanwhile_the_hook_is_answered_all_the_same() -> None:
    async def test(desk: Desk, call: CallSession) -> None:
        desk.connects(call)
        await asyncio.sleep(0.1)
        desk.switchboard.places.draining = True
        call.shut_down()
        call.on_closed(1000, "")
        assert (await desk.ended())[1] == "shutdown"
        assert dials(desk.next(call), call)
        assert dials(desk.next(call), call)
        await asyncio.sleep(REMEMBER_SECONDS + 1)
        assert desk.next(call) == Reply(200)
        assert desk.switchboard.live._gone == {}

    at_the_desk(test)


def test_nobody_comes_to_be_put_through() -> None:
    async def test(desk: Desk, call: CallSession) -> None:
        await asyncio.sleep(MEDIA_SECONDS + 0.1)
        assert await desk.ended() == ("failed", "no_media")

    at_the_desk(test)


@pytest.mark.parametrize(
    ("called", "caller_id"),
    [("441234", "+441234"), ("+441234", "+441234"), ("reception", None), ("", None), (None, None)],
)
def test_the_telephone_sees_the_number_that_was_called(called: str | None, caller_id: str | None) -> None:
    target = verbs.phone("+44207")
    dial = bridge(target, hook="/next", caller_id=called, caller=None, music=None, ring_seconds=45, time_limit=60)
    assert dial.get("callerId") == caller_id
    assert "headers" not in dial


@pytest.mark.parametrize(
    ("caller", "told"),
    [
        ("447700900123", "+447700900123"),
        ("reception", "reception"),
        ("Zoë", None),
        ("a\r\nX-Evil: 1", None),
        ("", None),
    ],
)
def test_the_telephone_is_told_who_calls(caller: str, told: str | None) -> None:
    target = verbs.phone("+44207")
    dial = bridge(target, hook="/next", caller_id=None, caller=caller, music=None, ring_seconds=45, time_limit=60)
    assert dial.get("headers") == ({ORIGIN_HEADER: told} if told is not None else None)


def test_who_is_gone_is_not_put_through() -> None:
    through = PuttingThrough("+44207", verbs.dial([verbs.phone("+44207")], action_hook="/next"))
    assert [verb["verb"] for verb in through.next(ActionHook(call_sid="a")) or ()] == ["dial", "hangup"]
    assert through.next(ActionHook(call_sid="a", call_status="completed")) is None


@pytest.mark.parametrize(("call_status", "sip_status", "ending"), ENDINGS)
def test_it_is_the_same_of_a_call_that_is_placed_and_of_a_transfer(
    call_status: str, sip_status: int | None, ending: str
) -> None:
    placed = CallProgress("a")
    placed.update(StatusHook(call_sid="a", call_status=call_status, sip_status=sip_status))
    assert outcome_of(placed) == ending
    bridged = PuttingThrough("+44207", verbs.dial([verbs.phone("+44207")], action_hook="/next"))
    over = ActionHook(call_sid="a", call_status="in-progress", dial_call_status=call_status, dial_sip_status=sip_status)
    assert bridged.heard_of(over) == ending
    if sip_status is not None and call_status == "failed":
        referred = PuttingThrough("+44207", verbs.sip_refer("+44207", action_hook="/next", event_hook="/next"))
        refused = ActionHook(
            call_sid="a", call_status="in-progress", refer_status=202, final_referred_call_status=sip_status
        )
        assert referred.heard_of(refused) == ending


BACK = [verbs.listen("ws://service/x", action_hook="/next"), verbs.hangup()]


def returning(verb: Verb | None = None) -> PuttingThrough:
    dial = verbs.dial([verbs.phone("+44207")], action_hook="/next")
    through = PuttingThrough("+44207", verb or dial, back=BACK)
    assert through.next(ActionHook(call_sid="a")) == [verb or dial, *BACK]
    return through


def child(call_status: str, sip_status: int | None = None) -> StatusHook:
    return StatusHook(call_sid="b", parent_call_sid="a", call_status=call_status, sip_status=sip_status)


def test_who_was_answered_does_not_come_back_and_is_not_rung_again() -> None:
    through = returning()
    assert through.heard_of(child("in-progress")) == "answered"
    assert through.heard_of(ActionHook(call_sid="a", dial_call_status="completed")) is None, "it is told once"
    assert through.after() == [verbs.hangup()]
    assert through.next(ActionHook(call_sid="a")) == [verbs.hangup()], "that is the hook of the socket that was refused"


@pytest.mark.parametrize(
    ("told", "outcome"),
    [([], "failed"), ([child("busy", 486)], "busy"), ([child("ringing"), child("no-answer", 487)], "no_answer")],
    ids=["nothing", "busy", "no answer"],
)
def test_who_comes_back_without_a_word_has_what_was_told_of_the_leg(told: list[StatusHook], outcome: str) -> None:
    through = returning()
    assert [through.heard_of(hook) for hook in told] == [None] * len(told), "the verb may go on"
    through.came_back()
    assert through.outcome == outcome
    assert through.after() is None


def test_a_refer_is_done_when_its_event_says_so_or_its_end() -> None:
    refer = verbs.sip_refer("+44207", action_hook="/next")
    for hook in (
        ActionHook(event="transfer-status", call_status="200"),
        ActionHook(call_sid="a", refer_status=202, final_referred_call_status=200),
    ):
        through = returning(refer)
        assert through.heard_of(ActionHook(event="transfer-status", call_status="180")) is None
        assert through.heard_of(hook) == "answered"
        assert through.by == "refer"
