from __future__ import annotations

import asyncio
from pathlib import Path

from store import DEFAULT_OWNER, CallEvent, Store
from store.calls import ABANDONED, IN_PROGRESS
from store.orphans import ABANDONED_STATUS
from store.places import LimitReached, Place
from store.processes import LEASE_SECONDS, Reaped
from tests.store.opened import at, new_call, opened, pass_time
from tests.store.test_places import listener, place, take, taken


async def begin(store: Store, who: str) -> Place:
    """A call with its place and two lines in its log."""
    call = new_call(listener_id=who)
    mine = Place(call.id, who, call.owner)
    assert await take(store, mine) == [None]
    await store.calls.start(call, started_at=at(0))
    await store.calls.append_events(call.id, [CallEvent(0, "call", {}, at(0)), CallEvent(1, "user", "Hi.", at(1))])
    return mine


async def log(store: Store, one: Place) -> list[tuple[int, str]]:
    return [(event.seq, event.type) for event in await store.calls.events(DEFAULT_OWNER, one.call_id) or ()]


async def ending(store: Store, one: Place) -> tuple[str, str | None]:
    call = await store.calls.get(DEFAULT_OWNER, one.call_id)
    assert call is not None
    return call.status, call.end_reason


async def test_what_a_killed_process_held_is_free_when_its_lease_is_over(tmp_path: Path) -> None:
    async with opened(tmp_path, node="a") as a, opened(tmp_path, node="b") as b:
        await a.processes.join()
        await b.processes.join()
        who = await listener(b, limit=3)
        dead = [await begin(a, who), await begin(a, who)]
        live = await begin(b, who)
        await a.calls.end(dead[1].call_id, "ended normally", "caller", at(2), 2000)  # and killed before it gave back
        await pass_time(b, LEASE_SECONDS - 5)
        assert await b.processes.renew()
        assert await b.processes.reap() == Reaped(0, 0, 0)
        assert await take(b, place(who)) == [LimitReached("instance", 3, 3)]
        await pass_time(b, 6)
        assert await b.processes.reap() == Reaped(1, 1, 0)
        assert await ending(b, dead[0]) == (ABANDONED_STATUS, ABANDONED)
        assert await log(b, dead[0]) == [(0, "call"), (1, "user"), (2, "hangup")]
        assert await ending(b, dead[1]) == ("ended normally", "caller")
        assert await ending(b, live) == (IN_PROGRESS, None)
        assert await taken(b) == 1
        assert await take(b, place(who), place(who), place(who)) == [None, None, LimitReached("instance", 3, 3)]
        assert await b.processes.reap() == Reaped(0, 0, 0)


async def test_many_reapers_free_everything_once(tmp_path: Path) -> None:
    async with opened(tmp_path, node="a") as a, opened(tmp_path, node="b") as b:
        await a.processes.join()
        who = await listener(a)
        dead = [await begin(a, who) for _ in range(3)]
        await pass_time(a, LEASE_SECONDS + 1)
        await b.processes.join()
        reaped = await asyncio.gather(*(b.processes.reap() for _ in range(5)))
        assert sum(one.processes for one in reaped) == 1
        assert sum(one.calls for one in reaped) == 3
        assert [await log(b, one) for one in dead] == [[(0, "call"), (1, "user"), (2, "hangup")]] * 3


async def test_a_process_that_was_taken_for_dead_goes_on_with_its_calls(tmp_path: Path) -> None:
    async with opened(tmp_path, node="a") as a, opened(tmp_path, node="b") as b:
        await a.processes.join()
        await b.processes.join()
        who = await listener(a, limit=1)
        mine = await begin(a, who)
        await pass_time(b, LEASE_SECONDS + 1)
        assert await b.processes.renew()
        assert await b.processes.reap() == Reaped(1, 1, 0)
        theirs = await begin(b, who)
        assert not await a.processes.renew()
        await a.processes.join([mine])
        assert await a.processes.renew()
        assert await ending(b, mine) == (IN_PROGRESS, None)
        assert await take(b, place(who)) == [LimitReached("instance", 1, 2)], "both count"
        # What it has to say stands in place of what others said for it.
        more = [CallEvent(2, "agent", "Hello.", at(2)), CallEvent(3, "hangup", {"reason": "caller"}, at(3))]
        await a.calls.append_events(mine.call_id, more)
        await a.calls.append_events(mine.call_id, more)
        assert await a.calls.events(DEFAULT_OWNER, mine.call_id, after_seq=1) == more
        assert await a.calls.end(mine.call_id, "ended normally", "caller", at(3), 3000)
        assert await ending(b, theirs) == (IN_PROGRESS, None)


async def test_the_true_ending_of_a_call_is_worth_more_than_what_was_thought(tmp_path: Path) -> None:
    async with opened(tmp_path, node="a") as a, opened(tmp_path, node="b") as b:
        await a.processes.join()
        who = await listener(a)
        mine = await begin(a, who)
        await pass_time(a, LEASE_SECONDS + 1)
        await b.processes.join()
        await b.processes.reap()
        assert await a.calls.end(mine.call_id, "ended normally", "agent", at(9), 9000)
        assert not await a.calls.end(mine.call_id, "ended normally", "agent", at(9), 9000)
        await a.processes.join()
        assert await ending(a, mine) == ("ended normally", "agent")


async def test_who_leaves_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, node="a") as a, opened(tmp_path, node="b") as b:
        await a.processes.join()
        await b.processes.join()
        who = await listener(a)
        left, live = await begin(a, who), await begin(b, who)
        assert await a.processes.leave() == 1
        assert await ending(a, left) == (ABANDONED_STATUS, ABANDONED)
        assert await ending(a, live) == (IN_PROGRESS, None)
        assert await taken(b) == 1
        assert not await a.processes.renew()


async def test_calls_that_are_nobodys_are_ended_at_the_next_start(tmp_path: Path) -> None:
    """Their process is not known at all: it left, and its last calls were written after that."""
    async with opened(tmp_path, node="a") as a:
        orphan = new_call()
        await a.calls.start(orphan, started_at=at(0))
    async with opened(tmp_path, node="b") as b:
        await b.processes.join()
        mine = await begin(b, await listener(b))
        assert await b.processes.bury_others() == 1
        assert await b.processes.bury_others() == 0
        assert await log(b, Place(orphan.id, None, DEFAULT_OWNER)) == [(0, "hangup")]
        assert await ending(b, mine) == (IN_PROGRESS, None)


async def test_the_one_process_of_a_file_finds_what_the_last_one_left(tmp_path: Path) -> None:
    async with opened(tmp_path, node="a") as a:
        await a.processes.join()
        dead = await begin(a, await listener(a))
    async with opened(tmp_path, node="b") as b:
        await b.processes.join()
        assert await b.processes.bury_others() == 1
        assert await ending(b, dead) == (ABANDONED_STATUS, ABANDONED)
        assert await taken(b) == 0


async def test_orphans_are_looked_for_among_the_calls_under_way(tmp_path: Path) -> None:
    """The plan of the query, so that the reaper costs the same however many calls there were."""
    async with opened(tmp_path) as store, store._database.read() as connection:
        plan = await connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN UPDATE calls SET status = 'x' WHERE ended_at IS NULL "
            "AND NOT EXISTS (SELECT id FROM processes WHERE processes.id = calls.node)"
        )
        assert "ix_calls_live" in next(row.detail for row in plan)


async def test_nodes_have_names_of_their_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as a, opened(tmp_path) as b:
        await a.processes.join()
        mine = await begin(a, await listener(a))
        await b.processes.join()
        assert await b.processes.leave() == 0
        assert await ending(a, mine) == (IN_PROGRESS, None)
