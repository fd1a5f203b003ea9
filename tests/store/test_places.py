from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from store import DEFAULT_OWNER, ListenerOptions, Owner, Store
from store.places import HeldElsewhere, LimitReached, ListenerGone, Place, Refused
from store.tables import places
from tests.store.opened import definition, opened

_numbers = count()


async def listener(store: Store, owner: Owner = DEFAULT_OWNER, limit: int | None = None) -> str:
    agent = await store.agents.create(owner, definition())
    made, _ = await store.listeners.create(owner, agent.id, number=None, options=ListenerOptions(agent_limit=limit))
    return made.id


def place(listener_id: str | None, owner: Owner = DEFAULT_OWNER) -> Place:
    return Place(f"call {next(_numbers)}", listener_id, owner)


async def take(store: Store, *wanted: Place) -> list[Refused | None]:
    """One after the other."""
    return [(await store.places.take([one])).get(one) for one in wanted]


async def taken(store: Store) -> int:
    async with store._database.read() as connection:
        return int(await connection.scalar(sa.select(sa.func.count()).select_from(places)) or 0)


@pytest.mark.parametrize(
    ("instance", "user", "organisation", "let_in", "refused_by"),
    [
        (None, None, None, 5, None),
        (0, None, None, 0, "instance"),
        (None, 0, None, 0, "user"),
        (None, None, 0, 0, "organisation"),
        (3, None, None, 3, "instance"),
        (None, 3, None, 3, "user"),
        (None, None, 3, 3, "organisation"),
        (4, 2, 3, 2, "user"),
        (4, 3, 2, 2, "organisation"),
        (2, 2, 2, 2, "instance"),
        (9, 9, 9, 5, None),
        (9, 9, 0, 0, "organisation"),
    ],
)
async def test_each_level_has_its_limit_and_the_least_holds(
    tmp_path: Path, instance: int | None, user: int | None, organisation: int | None, let_in: int, refused_by: str
) -> None:
    async with opened(tmp_path, node="a") as store:
        await store.processes.join()
        await store.accounts.set_limits(DEFAULT_OWNER, user=user, organisation=organisation)
        who = await listener(store, limit=instance)
        wanted = [place(who) for _ in range(5)]
        together = await store.places.take(wanted)
        limit = {"instance": instance, "user": user, "organisation": organisation}.get(refused_by)
        full = LimitReached(refused_by, limit, let_in) if refused_by else None  # type: ignore[arg-type]
        assert [together.get(one) for one in wanted] == [None] * let_in + [full] * (5 - let_in)
        assert await taken(store) == let_in
        await store.places.give_back([one.call_id for one in wanted])
        assert await taken(store) == 0
        assert await take(store, *wanted) == [together.get(one) for one in wanted], "one by one it is the same"


async def test_the_calls_of_others_count_where_they_share_a_level(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.processes.join()
        other = await store.accounts.create_organisation("other")
        colleague = Owner(DEFAULT_OWNER.organisation_id, None)
        first, second, theirs = await listener(store, limit=2), await listener(store), await listener(store, other)
        await store.accounts.set_limits(DEFAULT_OWNER, user=3, organisation=4)
        assert await take(store, *(place(first) for _ in range(3))) == [None, None, LimitReached("instance", 2, 2)]
        assert await take(store, place(second), place(second)) == [None, LimitReached("user", 3, 3)]
        of_colleague = [place(None, colleague), place(None, colleague)]
        assert await take(store, *of_colleague) == [None, LimitReached("organisation", 4, 4)]
        assert await take(store, *(place(theirs, other) for _ in range(9))) == [None] * 9


async def test_a_limit_that_is_changed_holds_for_the_next_call(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.processes.join()
        who = await listener(store)
        assert await take(store, place(who), place(who)) == [None, None]
        await store.accounts.set_limits(DEFAULT_OWNER, organisation=1)
        assert await take(store, place(who)) == [LimitReached("organisation", 1, 2)], "those there are go on"
        await store.accounts.set_limits(DEFAULT_OWNER)
        assert await take(store, place(who)) == [None]


async def test_never_more_than_the_limit_however_many_ask_at_once(tmp_path: Path) -> None:
    """Two processes, each of which asks one by one and in groups, for three rounds."""
    async with opened(tmp_path, node="a") as a, opened(tmp_path, node="b") as b:
        for store in (a, b):
            await store.processes.join()
        await a.accounts.set_limits(DEFAULT_OWNER, organisation=7)
        who = [await listener(a, limit=5), await listener(a)]
        for _ in range(3):
            groups = [[place(who[n % 2]) for _ in range(1 + n % 3)] for n in range(24)]
            answers = await asyncio.gather(*((a, b)[n % 2].places.take(group) for n, group in enumerate(groups)))
            let_in = [
                one for group, refused in zip(groups, answers, strict=True) for one in group if one not in refused
            ]
            assert len(let_in) == await taken(a) == 7
            assert sum(one.listener_id == who[0] for one in let_in) <= 5
            await asyncio.gather(*(store.places.give_back([one.call_id for one in let_in]) for store in (a, b)))
            assert await taken(a) == 0


async def test_a_listener_that_was_deleted_meanwhile_takes_no_call(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.processes.join()
        who = await listener(store)
        assert await take(store, place(who)) == [None]
        await store.listeners.delete(DEFAULT_OWNER, who)
        assert await take(store, place(who)) == [ListenerGone()]
        assert await taken(store) == 1, "the call under way goes on"


async def test_a_call_is_one_processes_also_where_two_ask_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path, node="a") as a, opened(tmp_path, node="b") as b:
        await a.processes.join()
        await b.processes.join()
        wanted = place(await listener(a))
        answers = await asyncio.gather(a.places.take([wanted]), b.places.take([wanted]))
        assert sorted(answers, key=len) == [{}, {wanted: HeldElsewhere()}]
        winner, loser = (a, b) if answers[0] == {} else (b, a)
        await loser.places.give_back([wanted.call_id])
        assert await taken(a) == 1, "it is the other's to give back"
        assert await winner.places.take([wanted]) == {}, "and its own it may ask for again"
        await winner.places.give_back([wanted.call_id])
        assert await taken(a) == 0


async def test_places_that_nobody_knows_of_are_free_again(tmp_path: Path) -> None:
    async with opened(tmp_path, node="a") as a, opened(tmp_path, node="b") as b:
        await a.processes.join()
        await b.processes.join()
        who = await listener(a)
        mine, lost, theirs = place(who), place(who), place(who)
        await a.places.take([mine, lost])
        await b.places.take([theirs])
        assert await a.places.settle(lambda call_id: call_id == mine.call_id) == 1
        assert await a.places.settle(lambda call_id: call_id == mine.call_id) == 0
        assert await taken(a) == 2


def test_a_refusal_says_who_has_how_many() -> None:
    assert str(LimitReached("instance", 3, 3)) == (
        "the agentLimit of this listener is reached: 3 of 3 calls are under way"
    )
    assert str(LimitReached("user", 0, 0)) == "the agentLimit of this user is 0: it takes no calls"
