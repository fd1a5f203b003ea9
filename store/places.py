"""Places of calls: what the limits of listeners, users and organisations count, exactly, over all processes.

A place is taken before its call begins. It belongs to the process that has the call, and is free again when the call
is over, or the lease of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database import Database
from store.rows import Owner, clock, insert_if_absent
from store.tables import listeners, organisations, places, users

Scope = Literal["instance", "user", "organisation"]
"""Where a limit is; the reference calls a listener an instance."""

_ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Place:
    """Of one call. ``listener_id`` is None where no listener was asked."""

    call_id: str
    listener_id: str | None
    owner: Owner


@dataclass(frozen=True, slots=True)
class LimitReached:
    """``current`` calls were under way where ``limit`` may be."""

    scope: Scope
    limit: int
    current: int

    def __str__(self) -> str:
        who = "listener" if self.scope == "instance" else self.scope
        if self.limit == 0:
            return f"the agentLimit of this {who} is 0: it takes no calls"
        return f"the agentLimit of this {who} is reached: {self.current} of {self.limit} calls are under way"


@dataclass(frozen=True, slots=True)
class ListenerGone:
    """It was deleted since it was looked up."""


@dataclass(frozen=True, slots=True)
class HeldElsewhere:
    """Another process has this very call."""


Refused = LimitReached | ListenerGone | HeldElsewhere


@dataclass(slots=True)
class _Level:
    limit: int | None
    current: int


class Places:
    """``node`` is the process that takes them; it has to have joined (:class:`store.processes.Processes`)."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node

    async def take(self, wanted: Sequence[Place]) -> dict[Place, Refused]:
        """In their order, in one transaction. Those that are not in the answer have their place."""
        async with self._database.write() as connection:
            # Who counts waits for whoever counts in the same organisation. What is read after that is as they left it.
            lock = sa.select(organisations.c.id).where(organisations.c.id.in_(_organisations(wanted)))
            await connection.execute(lock.order_by(organisations.c.id).with_for_update(key_share=True))
            rows = await connection.execute(self._counted(wanted))
            refused = _admit(wanted, {(row[0], row[1]): _Level(row[2], row[3]) for row in rows})
            await self.insert(connection, [place for place in wanted if place not in refused])
        return refused

    async def enter(self, taken: Collection[Place]) -> None:
        """As :meth:`insert`, in a transaction of its own."""
        async with self._database.write() as connection:
            await self.insert(connection, taken)

    async def insert(self, connection: AsyncConnection, taken: Collection[Place]) -> None:
        """Whatever the limits say: for calls that are under way already."""
        if not taken:
            return
        at = await clock(connection)
        rows = [
            {"call_id": place.call_id, "process_id": self._node, "organisation_id": place.owner.organisation_id,
             "user_id": place.owner.user_id, "listener_id": place.listener_id, "created_at": at}
            for place in taken
        ]  # fmt: skip
        await connection.execute(insert_if_absent(connection, places).on_conflict_do_nothing(), rows)

    async def give_back(self, call_ids: Collection[str]) -> None:
        if call_ids:
            async with self._database.write() as connection:
                mine = places.c.process_id == self._node
                await connection.execute(sa.delete(places).where(places.c.call_id.in_(call_ids), mine))

    async def settle(self, is_known: Callable[[str], bool]) -> int:
        """Give back the places of this process whose calls it does not know (any more): returns how many."""
        async with self._database.read() as connection:
            mine = sa.select(places.c.call_id).where(places.c.process_id == self._node)
            held = (await connection.scalars(mine)).all()
        lost = [call_id for call_id in held if not is_known(call_id)]
        await self.give_back(lost)
        return len(lost)

    def _counted(self, wanted: Sequence[Place]) -> sa.CompoundSelect[Any]:
        """Rows as :func:`_levels` gives them, and one for each call that another process has."""
        theirs = sa.and_(places.c.call_id.in_([place.call_id for place in wanted]), places.c.process_id != self._node)
        return sa.union_all(
            *_levels(wanted),
            sa.select(sa.literal(_ELSEWHERE), places.c.call_id, sa.null(), sa.literal(1)).where(theirs),
        )


def _organisations(wanted: Sequence[Place]) -> set[str]:
    return {place.owner.organisation_id for place in wanted}


def _levels(wanted: Sequence[Place]) -> Iterator[sa.Select[Any]]:
    """Rows of scope, id, limit, and how many places are taken; not counted where there is no limit."""

    def level(scope: Scope, table: sa.Table, ids: set[str], counted_by: sa.Column[Any]) -> sa.Select[Any]:
        taken = sa.select(sa.func.count()).where(counted_by == table.c.id).scalar_subquery()
        current = sa.case((table.c.agent_limit.is_(None), 0), else_=taken)
        return sa.select(sa.literal(scope), table.c.id, table.c.agent_limit, current).where(table.c.id.in_(ids))

    of_listeners = {place.listener_id for place in wanted if place.listener_id is not None}
    of_users = {place.owner.user_id for place in wanted if place.owner.user_id is not None}
    yield level("instance", listeners, of_listeners, places.c.listener_id)
    yield level("user", users, of_users, places.c.user_id)
    yield level("organisation", organisations, _organisations(wanted), places.c.organisation_id)


def _admit(wanted: Sequence[Place], levels: dict[tuple[str, str], _Level]) -> dict[Place, Refused]:
    """Who is refused, and why; counts those who are not."""
    refused: dict[Place, Refused] = {}
    for place in wanted:
        if (_ELSEWHERE, place.call_id) in levels:
            refused[place] = HeldElsewhere()
            continue
        if place.listener_id is not None and ("instance", place.listener_id) not in levels:
            refused[place] = ListenerGone()
            continue
        mine = [(scope, levels[scope, one]) for scope, one in _ids(place) if (scope, one) in levels]
        for scope, level in mine:
            if level.limit is not None and level.current >= level.limit:
                refused[place] = LimitReached(scope, level.limit, level.current)
                break
        else:
            for _, level in mine:
                level.current += 1
    return refused


def _ids(place: Place) -> Iterator[tuple[Scope, str]]:
    if place.listener_id is not None:
        yield "instance", place.listener_id
    if place.owner.user_id is not None:
        yield "user", place.owner.user_id
    yield "organisation", place.owner.organisation_id
