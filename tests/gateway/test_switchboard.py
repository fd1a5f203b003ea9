"""The switchboard on virtual time, without HTTP: who is let in, and what Jambonz is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from gateway import known
from gateway.live_calls import REMEMBER_SECONDS
from gateway.lookup import LOOK_UP_SECONDS
from gateway.relay import MEDIA_SECONDS
from gateway.webhooks import Reply
from jambonz.signature import sign
from store import Owner
from store.accounts import Limits
from store.batches import Batches
from store.errors import Unreadable
from store.listeners import ListenerForCall
from store.places import Place, Refused
from tests.calls.office import BASE, NUMBER, SECRET, Office
from tests.clock import run_virtual
from tests.simulators.replies import ReplyModel, always

DECLINED = {
    404: {"verb": "sip:decline", "status": 404, "reason": "Not Found"},
    480: {"verb": "sip:decline", "status": 480, "reason": "Temporarily Unavailable"},
    486: {"verb": "sip:decline", "status": 486, "reason": "Busy Here"},
}


class Desk(Office):
    """An office whose hooks tests post themselves."""

    def __init__(self, **options: Any) -> None:
        super().__init__({}, ReplyModel(always("Yes.")), **options)

    def _signed(self, payload: dict[str, Any]) -> tuple[bytes, str]:
        body = json.dumps(payload).encode()
        return body, sign(body, SECRET, self._wall_clock())

    async def ring(self, call_sid: str, to: str = NUMBER) -> Reply:
        body, signature = self._signed({"call_sid": call_sid, "to": to, "from": "1"})
        return await self.switchboard.on_call(body, signature, BASE)

    def status(self, call_sid: str, call_status: str = "completed") -> Reply:  # type: ignore[override]
        return self.switchboard.on_status(*self._signed({"call_sid": call_sid, "call_status": call_status}))

    def next(self, call_id: str, **results: Any) -> Reply:
        return self.switchboard.on_next(call_id, *self._signed({"call_sid": "x", **results}))

    async def reasons(self) -> list[str]:
        await self.recorder.settled()
        return [reason for _, reason, _ in self.store.ended.values()]


def at_the_desk(test: Any, **options: Any) -> None:
    async def main() -> None:
        async with Desk(**options) as desk:
            await test(desk)

    run_virtual(main())


def listens(reply: Reply) -> bool:
    return [verb["verb"] for verb in reply.verbs or ()] == ["listen", "hangup"]


def declined(reply: Reply) -> int:
    [verb] = reply.verbs or ()
    assert verb == DECLINED[verb["status"]]
    assert reply.status == 200
    return int(verb["status"])


async def together(*work: Coroutine[Any, Any, Reply]) -> list[Reply]:
    return list(await asyncio.gather(*work))


@pytest.mark.parametrize("seconds", [0.0, 0.5], ids=["quick", "while looking up"])
def test_the_house_is_full(seconds: float) -> None:
    """Of any number of hooks at once, exactly as many are let in as there are places."""

    async def test(desk: Desk) -> None:
        desk.store.look_up_seconds = seconds
        for group in range(3):
            replies = await together(*(desk.ring(f"{group}-{n}") for n in range(20)))
            assert [listens(reply) for reply in replies] == [True] * 7 + [False] * 13
            assert [declined(reply) for reply in replies[7:]] == [486] * 13
            assert declined(await desk.ring("one more")) == 486
            desk.status(f"{group}-3")
            await asyncio.sleep(1)
            assert listens(await desk.ring(f"{group}-another")), "the place that became free"
            for call in desk.switchboard.calls:
                desk.status(call.call_sid)
            await asyncio.sleep(1)
        assert desk.switchboard.places.taken == 0

    at_the_desk(test, max_calls=7)


def test_places_are_given_back_by_those_who_are_declined() -> None:
    async def test(desk: Desk) -> None:
        desk.store.look_up_seconds = 0.1
        for _ in range(5):
            assert [declined(reply) for reply in await together(*(desk.ring(f"c{n}", "99") for n in range(2)))] == [
                404
            ] * 2
        assert listens(await desk.ring("a"))

    at_the_desk(test, max_calls=2)


@pytest.mark.parametrize("max_calls", [1, 100])
def test_the_same_hook_again_is_answered_the_same(max_calls: int) -> None:
    """At once, while it is being answered, and later: one call, and one place."""

    async def test(desk: Desk) -> None:
        desk.store.look_up_seconds = 0.5
        replies = await together(*(desk.ring("a") for _ in range(10)))
        replies.append(await desk.ring("a"))
        assert listens(replies[0])
        assert all(reply == replies[0] for reply in replies)
        assert len(desk.switchboard.calls) == 1
        assert len(desk.store.started) <= 1
        assert desk.switchboard.places.taken == 1

    at_the_desk(test, max_calls=max_calls)


def test_who_asks_and_goes_away_does_not_undo_the_answer() -> None:
    """The connection of the hook is reset while we look up; the retry gets the answer of the first."""

    async def test(desk: Desk) -> None:
        desk.store.look_up_seconds = 0.5
        first, again = asyncio.create_task(desk.ring("a")), asyncio.create_task(desk.ring("a"))
        await asyncio.sleep(0.1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert listens(await again)
        assert len(desk.switchboard.calls) == 1

    at_the_desk(test, max_calls=1)


def test_numbers() -> None:
    async def test(desk: Desk) -> None:
        for index, to in enumerate([NUMBER, "+" + NUMBER, f"sip:+{NUMBER}@example.com"]):
            assert listens(await desk.ring(f"c{index}", to))
        for index, to in enumerate(["99", "", "anonymous", NUMBER + "0"]):
            assert declined(await desk.ring(f"d{index}", to)) == 404

    at_the_desk(test)


def test_an_agents_own_limit() -> None:
    async def test(desk: Desk) -> None:
        desk.store.look_up_seconds = 0.5
        replies = await together(*(desk.ring(f"c{n}") for n in range(5)))
        assert sum(map(listens, replies)) == 2
        assert [declined(reply) for reply in replies if not listens(reply)] == [486] * 3
        first, second = (call.call_sid for call in desk.switchboard.calls)
        desk.status(first)
        await asyncio.sleep(0.1)
        assert listens(await desk.ring("d"))
        assert listens(await desk.ring(second)), "who is in is not counted twice"

    at_the_desk(test, agent_limit=2)


def test_an_agent_that_takes_no_calls() -> None:
    async def test(desk: Desk) -> None:
        assert declined(await desk.ring("a")) == 486
        await desk.recorder.settled()
        assert list(desk.store.ended.values()) == [("failed: instance concurrency limit", "limit", 0)]
        [told] = [event.data for events in desk.store.events.values() for event in events if event.type == "error"]
        assert told == "the agentLimit of this listener is 0: it takes no calls"
        assert desk.switchboard.calls == ()

    at_the_desk(test, agent_limit=0)


def test_places_are_given_back_however_a_call_ends() -> None:
    async def test(desk: Desk) -> None:
        assert listens(await desk.ring("hung up"))
        desk.status("hung up")
        assert listens(await desk.ring("no media"))
        await asyncio.sleep(MEDIA_SECONDS + 1)
        assert declined(await desk.ring("nobody listens", "99")) == 404
        assert (await desk.switchboard.on_call(*desk._signed({"call_sid": "b", "to": NUMBER}), "http://")).status == 400
        desk.store.look_up_seconds = 0.5
        late = asyncio.create_task(desk.ring("drained"))
        await asyncio.sleep(0.1)
        desk.switchboard.places.draining = True
        assert declined(await late) == 486
        await asyncio.sleep(1)
        assert desk.store.places.taken == {}
        assert desk.admission.under_way == []

    at_the_desk(test)


def test_a_listener_that_was_deleted_while_it_rang() -> None:
    async def test(desk: Desk) -> None:
        desk.store.places.limits.clear()
        assert declined(await desk.ring("a")) == 404

    at_the_desk(test)


@pytest.mark.parametrize("how", ["slow", "away", "late"])
def test_a_database_that_does_not_say_whether_there_is_a_place(how: str) -> None:
    """What this process knows has to do; and when the database is back it has the places of the calls there are."""

    async def test(desk: Desk) -> None:
        take, answer = desk.store.places.take, asyncio.Event()

        async def taking(wanted: Sequence[Place]) -> dict[Place, Refused]:
            if how == "away":
                raise ConnectionError("refused")
            if how == "late":
                taken = await take(wanted)
                await answer.wait()
                return taken
            await answer.wait()
            return await take(wanted)

        desk.admission._asked = Batches(taking)
        start = asyncio.get_running_loop().time()
        replies = await together(*(desk.ring(f"c{n}") for n in range(4)))
        first, second = [f"c{n}" for n, reply in enumerate(replies) if listens(reply)]
        assert [declined(reply) for reply in replies if not listens(reply)] == [486, 486]
        assert asyncio.get_running_loop().time() - start <= LOOK_UP_SECONDS + 0.01
        assert desk.switchboard.places.taken == 2
        desk.status(second)
        answer.set()
        await asyncio.sleep(1)
        await desk.admission.settle()
        [call] = desk.switchboard.calls
        assert set(desk.store.places.taken) == {call.id}
        assert {place.call_id for place in desk.admission.under_way} == {call.id}
        assert await desk.admission.settle() == 0
        desk.status(first)
        await asyncio.sleep(1)
        assert desk.store.places.taken == {}

    at_the_desk(test, agent_limit=2)


@pytest.mark.parametrize("limits", [Limits(1, None), Limits(None, 1)], ids=["organisation", "user"])
def test_limits_of_the_owner_hold_while_the_database_is_away(limits: Limits) -> None:
    """As they were known last, for the calls of this process, whichever of his listeners they are for."""

    async def test(desk: Desk) -> None:
        async def away(wanted: Sequence[Place]) -> dict[Place, Refused]:
            raise ConnectionError("refused")

        desk.admission._asked = Batches(away)
        mine = replace(desk.store.listeners[NUMBER], limits=limits)
        other = replace(mine, id="of somebody else", owner=Owner("another", "another"))
        desk.store.listeners = {NUMBER: mine, "2": replace(mine, id="mine, too"), "3": other}
        assert listens(await desk.ring("a"))
        assert declined(await desk.ring("b", "2")) == 486
        assert listens(await desk.ring("c", "3"))
        desk.status("a")
        await asyncio.sleep(1)
        assert listens(await desk.ring("d", "2"))

    at_the_desk(test)


def test_who_answered_before_answers_while_the_database_is_away() -> None:
    async def test(desk: Desk) -> None:
        find = desk.store.find_listener
        desk.store.listeners = {NUMBER: desk.store.listeners[NUMBER], "2": desk.store.listeners[NUMBER]}

        async def refuse(number: str) -> ListenerForCall | None:
            raise ConnectionError("refused")

        for one in ("a", "b"):
            assert listens(await desk.ring(one, {"a": NUMBER, "b": "2"}[one]))
        desk.store.listeners = {NUMBER: desk.store.listeners[NUMBER]}
        assert declined(await desk.ring("c", "2")) == 404
        desk.store.find_listener = refuse  # type: ignore[method-assign]
        assert listens(await desk.ring("d", "+" + NUMBER))
        assert declined(await desk.ring("e", "2")) == 480, "the last that is known is that nobody answers it"
        assert declined(await desk.ring("f", "3")) == 480
        desk.store.find_listener = find  # type: ignore[method-assign]
        desk.store.listeners = {}
        assert declined(await desk.ring("g")) == 404, "for no other purpose"

    at_the_desk(test)


def test_a_definition_that_cannot_be_read_is_not_what_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(desk: Desk) -> None:
        async def unreadable(number: str) -> ListenerForCall | None:
            raise Unreadable("another key")

        assert listens(await desk.ring("a"))
        monkeypatch.setattr(desk.store, "find_listener", unreadable)
        assert declined(await desk.ring("b")) == 480

    at_the_desk(test)


def test_the_numbers_that_rang_last_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "MOST", 2)
    numbers = known.KnownListeners()
    for number in ("+1", "2", "1", "3"):
        numbers.remember(number, cast(Any, number))
    found: list[Any] = [numbers.recall(number) for number in ("1", "2", "+3")]
    assert found == ["1", None, "3"]


def test_who_drains_takes_no_more_calls() -> None:
    async def test(desk: Desk) -> None:
        desk.store.look_up_seconds = 1.0
        await desk.ring("a")
        late = asyncio.create_task(desk.ring("late"))
        await asyncio.sleep(0.5)
        draining = asyncio.create_task(desk.switchboard.live.drain(10))
        await asyncio.sleep(0)
        assert declined(await desk.ring("b")) == 486
        assert declined(await late) == 486, "not even one that was being looked up"
        assert listens(await desk.ring("a")), "those there are go on"
        assert not draining.done()
        desk.status("a")
        await asyncio.wait_for(draining, 1)

    at_the_desk(test)


def test_draining_has_an_end() -> None:
    async def test(desk: Desk) -> None:
        await desk.ring("a")
        await asyncio.sleep(1)
        start = asyncio.get_running_loop().time()
        await desk.switchboard.live.drain(5)
        assert asyncio.get_running_loop().time() - start == pytest.approx(5, abs=0.1)
        assert desk.switchboard.calls == ()
        assert await desk.reasons() == ["shutdown"]

    at_the_desk(test)


@pytest.mark.parametrize("how", ["slow", "away"])
def test_a_database_that_does_not_answer(how: str) -> None:
    async def test(desk: Desk) -> None:
        if how == "slow":
            desk.store.look_up_seconds = 60.0
        else:
            desk.store.find_listener = refuse  # type: ignore[method-assign]
        start = asyncio.get_running_loop().time()
        replies = await together(*(desk.ring(f"c{n}") for n in range(3)))
        assert [declined(reply) for reply in replies] == [480] * 3
        assert asyncio.get_running_loop().time() - start <= LOOK_UP_SECONDS + 0.01
        assert desk.switchboard.places.taken == 0
        desk.store.look_up_seconds = 0.0
        if how == "slow":
            assert listens(await desk.ring("d")), "and then it does"

    async def refuse(number: str) -> ListenerForCall | None:
        raise ConnectionError("refused")

    at_the_desk(test)


def test_a_hook_that_comes_again_after_its_call_begins_no_other() -> None:
    async def test(desk: Desk) -> None:
        await desk.ring("a")
        desk.status("a")
        await asyncio.sleep(1)
        assert declined(await desk.ring("a")) == 480
        await asyncio.sleep(REMEMBER_SECONDS - 2)
        assert declined(await desk.ring("a")) == 480, "as long as its signature may be good"
        assert desk.switchboard.calls == ()
        assert len(desk.store.started) == 1
        await asyncio.sleep(3)
        assert listens(await desk.ring("a")), "then it is another"

    at_the_desk(test)


def test_what_is_remembered_is_bounded() -> None:
    async def test(desk: Desk) -> None:
        for n in range(50):
            await desk.ring(f"c{n}")
            desk.status(f"c{n}")
            await asyncio.sleep(REMEMBER_SECONDS / 10)
        assert len(desk.switchboard.live._over) <= 12

    at_the_desk(test)


def test_hooks_of_calls_that_nobody_knows() -> None:
    async def test(desk: Desk) -> None:
        assert desk.status("nobody") == Reply(204)
        assert desk.next("nobody") == Reply(200), "nothing, so that it replaces nothing"
        assert listens(await desk.ring("nobody")), "an end that came first means nothing"

    at_the_desk(test)


def test_a_call_that_is_over_before_its_media_came() -> None:
    async def test(desk: Desk) -> None:
        await desk.ring("a")
        await asyncio.sleep(1)
        for state in ("in-progress", "trying", "ringing"):
            desk.status("a", state)
        await asyncio.sleep(1)
        assert len(desk.switchboard.calls) == 1
        token = desk.switchboard.calls[0].token
        desk.status("a", "completed")
        desk.status("a", "trying")
        await asyncio.sleep(0.1)
        assert desk.switchboard.calls == ()
        assert desk.switchboard.live.take_token(token) is None
        assert await desk.reasons() == ["caller"]

    at_the_desk(test)


@pytest.mark.parametrize("state", ["failed", "busy", "no-answer"])
def test_a_call_that_came_to_nothing(state: str) -> None:
    async def test(desk: Desk) -> None:
        await desk.ring("a")
        desk.status("a", state)
        await asyncio.sleep(0.1)
        assert desk.switchboard.calls == ()

    at_the_desk(test)


def test_media_that_never_come() -> None:
    async def test(desk: Desk) -> None:
        await desk.ring("a")
        await asyncio.sleep(MEDIA_SECONDS - 1)
        assert len(desk.switchboard.calls) == 1
        await asyncio.sleep(1.1)
        assert desk.switchboard.calls == ()
        assert await desk.reasons() == ["no_media"]

    at_the_desk(test)


def test_a_token_opens_one_socket_once() -> None:
    async def test(desk: Desk) -> None:
        await desk.ring("a")
        [call] = desk.switchboard.calls
        assert desk.switchboard.live.take_token("another") is None
        assert desk.switchboard.live.take_token(call.token) is call
        assert desk.switchboard.live.take_token(call.token) is None
        desk.switchboard.live.give_back(call)
        assert desk.switchboard.live.take_token(call.token) is call
        desk.status("a")
        await asyncio.sleep(0.1)
        desk.switchboard.live.give_back(call)
        assert desk.switchboard.live.take_token(call.token) is None, "not after the call"

    at_the_desk(test)


def test_tokens_cannot_be_guessed() -> None:
    async def test(desk: Desk) -> None:
        for n in range(20):
            await desk.ring(f"c{n}")
        tokens = {call.token for call in desk.switchboard.calls}
        assert len(tokens) == 20
        assert min(map(len, tokens)) >= 22, "128 bits and more"
        assert not any(call.id in call.token for call in desk.switchboard.calls)

    at_the_desk(test)


def test_refusals() -> None:
    async def test(desk: Desk) -> None:
        body = b'{"call_sid": "a"}'
        forged = await desk.switchboard.on_call(body, "t=1,v1=0", BASE)
        assert (forged.status, forged.verbs) == (403, None)
        assert desk.switchboard.on_status(body, None).status == 403
        assert desk.switchboard.on_next("a", body, None).status == 403
        huge = await desk.switchboard.on_call(bytes(300_000), None, BASE)
        assert huge.status == 413, "before anything is computed over it"

    at_the_desk(test)
