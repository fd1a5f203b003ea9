"""Calls and their events. One process writes a call; anybody of its organisation reads it, then and later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from pipelines.agent.secrets import OF_METADATA, take_out
from pipelines.events import UsageReported
from store.database import Database
from store.events import CallEvent as CallEvent
from store.events import insert_events
from store.rows import Owner, Page, new_id, now
from store.tables import call_events, call_usage, calls, organisations

IN_PROGRESS = "in progress"
ABANDONED = "abandoned"
"""The reason of a call that its process left without a word."""

OVERTAKEN = 1000
"""Calls are counted as they are written, which is nearly the order in which they began: a call that began earlier than
another and was written after it was overtaken by fewer calls than this."""


MOST_INDEX = 2**62


@dataclass(frozen=True, slots=True)
class NewCall:
    """What is known of a call when it starts. Numbers are as the network gave them."""

    owner: Owner
    agent_id: str
    listener_id: str | None
    model_name: str
    platform: str
    caller_id: str | None
    called_id: str | None
    platform_call_id: str | None = None
    parent_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Call:
    """``index`` counts the calls of the organisation, from 1."""

    id: str
    index: int
    parent_id: str | None
    listener_id: str | None
    agent_id: str
    model_name: str
    caller_id: str | None
    called_id: str | None
    recording_id: str | None
    status: str
    end_reason: str | None
    duration_ms: int | None
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start`` (included) to ``end`` (included); None is open."""

    start: datetime | None = None
    end: datetime | None = None


class Calls:
    """``node`` names this process among those on the same database."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node

    async def start(self, call: NewCall, *, started_at: datetime) -> Call:
        """Write a call that has begun; gives it the next index of its organisation."""
        count = (
            sa.update(organisations)
            .where(organisations.c.id == call.owner.organisation_id)
            .values(call_count=organisations.c.call_count + 1)
            .returning(organisations.c.call_count)
        )
        async with self._database.write() as connection:
            index = (await connection.execute(count)).scalar_one()
            await connection.execute(
                sa.insert(calls).values(
                    id=call.id,
                    organisation_id=call.owner.organisation_id,
                    user_id=call.owner.user_id,
                    index=index,
                    parent_id=call.parent_id,
                    listener_id=call.listener_id,
                    agent_id=call.agent_id,
                    platform=call.platform,
                    platform_call_id=call.platform_call_id,
                    model_name=call.model_name,
                    caller_id=call.caller_id,
                    called_id=call.called_id,
                    metadata=take_out(call.metadata, OF_METADATA)[0],
                    status=IN_PROGRESS,
                    node=self._node,
                    created_at=now(),
                    started_at=started_at,
                )
            )
        return Call(
            id=call.id,
            index=index,
            parent_id=call.parent_id,
            listener_id=call.listener_id,
            agent_id=call.agent_id,
            model_name=call.model_name,
            caller_id=call.caller_id,
            called_id=call.called_id,
            recording_id=None,
            status=IN_PROGRESS,
            end_reason=None,
            duration_ms=None,
            started_at=started_at,
            ended_at=None,
        )

    async def end(
        self,
        call_id: str,
        status: str,
        reason: str,
        ended_at: datetime,
        duration_ms: int,
        usage: Sequence[UsageReported] = (),
    ) -> bool:
        """Write how a call ended, and what it used: one report for each part and provider. The first ending stays
        (False then), unless the call was only thought to be abandoned."""
        used = [
            {"call_id": call_id, "part": one.part, "provider": one.provider, "unit": unit, "amount": amount}
            for one in usage
            for unit, amount in one.units.items()
        ]
        async with self._database.write() as connection:
            done = await connection.execute(
                sa.update(calls)
                .where(calls.c.id == call_id, sa.or_(calls.c.ended_at.is_(None), calls.c.end_reason == ABANDONED))
                .values(status=status, end_reason=reason, ended_at=ended_at, duration_ms=duration_ms)
            )
            if done.rowcount > 0 and used:
                await connection.execute(sa.insert(call_usage), used)
        return done.rowcount > 0

    async def append_events(self, call_id: str, events: Sequence[CallEvent]) -> None:
        """Write events, all or none. Those whose ``seq`` is there already are passed over: a batch whose fate is
        unknown may be sent again."""
        await self.append_batch({call_id: events})

    async def append_batch(self, batch: Mapping[str, Sequence[CallEvent]]) -> None:
        """As :meth:`append_events`, for several calls in one transaction: all or none of all of them."""
        if any(batch.values()):
            async with self._database.one_statement() as connection:
                await insert_events(connection, batch, by=self._node)

    async def get(self, owner: Owner, call_id: str) -> Call | None:
        async with self._database.read() as connection:
            row = (await connection.execute(_select(owner).where(calls.c.id == call_id))).one_or_none()
        return Call(*row) if row else None

    async def other_process(self, call_id: str, owner: Owner | None = None) -> str | None:
        """Which other process has the call, while it is under way. Without ``owner``, of any: for who proves otherwise
        that it is theirs."""
        if self._database.file is not None:
            return None  # there is one process
        query = sa.select(calls.c.node).where(
            calls.c.id == call_id, calls.c.ended_at.is_(None), calls.c.node != self._node
        )
        if owner is not None:
            query = query.where(calls.c.organisation_id == owner.organisation_id)
        async with self._database.read() as connection:
            node: str | None = await connection.scalar(query)
        return node

    async def usage(self, owner: Owner, call_id: str) -> list[UsageReported]:
        """What a call used: one report for each part and provider. Nothing before it has ended."""
        query = (
            sa.select(call_usage.c.part, call_usage.c.provider, call_usage.c.unit, call_usage.c.amount)
            .join(calls, calls.c.id == call_usage.c.call_id)
            .where(call_usage.c.call_id == call_id, calls.c.organisation_id == owner.organisation_id)
            .order_by(call_usage.c.part, call_usage.c.provider, call_usage.c.unit)
        )
        found: dict[tuple[Any, str], dict[str, float]] = {}
        async with self._database.read() as connection:
            for part, provider, unit, amount in await connection.execute(query):
                found.setdefault((part, provider), {})[unit] = amount
        return [UsageReported(part, provider, units) for (part, provider), units in found.items()]

    async def of_organisation(self, owner: Owner, *, after_index: int, limit: int, period: Period) -> list[Call]:
        """The organisation's calls in the order of their index."""
        async with self._database.read() as connection:
            stretch = await _stretch(connection, owner, period)
            query = _select(owner).where(calls.c.index > max(after_index, stretch.start - 1)).order_by(calls.c.index)
            return [Call(*row) for row in await connection.execute(_within(query, period, stretch).limit(limit))]

    async def of_agent(self, owner: Owner, agent_id: str, page: Page, period: Period) -> list[Call]:
        """The newest first."""
        async with self._database.read() as connection:
            stretch = await _stretch(connection, owner, period)
            query = _select(owner).where(calls.c.agent_id == agent_id, calls.c.index >= stretch.start)
            query = query.order_by(calls.c.index.desc()).limit(page.limit).offset(page.offset)
            return [Call(*row) for row in await connection.execute(_within(query, period, stretch))]

    async def events(
        self, owner: Owner, call_id: str, *, after_seq: int = -1, limit: int | None = None
    ) -> list[CallEvent] | None:
        """A call's events in their order, those after ``after_seq``; None if there is no such call."""
        query = (
            sa.select(call_events)
            .where(call_events.c.call_id == call_id, call_events.c.seq > after_seq)
            .order_by(call_events.c.seq)
            .limit(limit)
        )
        mine = sa.select(calls.c.id).where(calls.c.id == call_id, calls.c.organisation_id == owner.organisation_id)
        async with self._database.read() as connection:
            if await connection.scalar(mine) is None:
                return None
            return [CallEvent(r.seq, r.type, r.data, r.created_at, r.is_final) for r in await connection.execute(query)]


_COLUMNS = [calls.c[name] for name in Call.__slots__]


def _select(owner: Owner) -> sa.Select[Any]:
    return sa.select(*_COLUMNS).where(calls.c.organisation_id == owner.organisation_id)


async def _stretch(connection: AsyncConnection, owner: Owner, period: Period) -> range:
    """The indices of a period's calls, and of a few others: pages go by the index, and without it a page would be
    looked for among all calls before the period. They are asked for first, since of two bounds SQLite seeks by one."""
    lowest, highest = 0, MOST_INDEX
    if period.start is not None:
        found = await connection.scalar(
            _nearest(owner, calls.c.started_at >= period.start, calls.c.started_at, sa.func.min)
        )
        lowest = MOST_INDEX if found is None else found
    if period.end is not None:
        latest = calls.c.started_at.desc()
        highest = await connection.scalar(_nearest(owner, calls.c.started_at <= period.end, latest, sa.func.max)) or 0
    return range(lowest, highest + 1)


def _within(query: sa.Select[Any], period: Period, stretch: range) -> sa.Select[Any]:
    if period.start is not None:
        query = query.where(_so(calls.c.started_at >= period.start))
    if period.end is not None:
        query = query.where(_so(calls.c.started_at <= period.end), calls.c.index < stretch.stop)
    return query


def _so(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """As it is, but nothing for a planner to begin with, who then might sort all calls since then."""
    return sa.case((condition, 1), else_=0) == 1


def _nearest(owner: Owner, within: sa.ColumnElement[bool], order: Any, extreme: Any) -> sa.Select[int]:
    mine = sa.select(calls.c.index).where(calls.c.organisation_id == owner.organisation_id, within)
    return sa.select(extreme(mine.order_by(order).limit(OVERTAKEN).subquery().c.index))
