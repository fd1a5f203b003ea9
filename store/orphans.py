"""Calls whose process is gone: they are ended by others, and are not over after all should it come back."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.calls import ABANDONED, IN_PROGRESS
from store.events import CallEvent, insert_events
from store.tables import call_events, calls, processes

ABANDONED_STATUS = "failed: the service stopped during the call"


async def end_orphans(connection: AsyncConnection, at: datetime) -> int:
    """End the calls that no process has, with a last line in their logs. Returns how many there were."""
    theirs = sa.select(processes.c.id).where(processes.c.id == calls.c.node)
    ended = await connection.scalars(
        sa.update(calls)
        .where(calls.c.ended_at.is_(None), ~theirs.exists())
        .values(status=ABANDONED_STATUS, end_reason=ABANDONED, ended_at=at)
        .returning(calls.c.id)
    )
    orphans = ended.all()
    if orphans:
        last = sa.select(call_events.c.call_id, sa.func.max(call_events.c.seq)).group_by(call_events.c.call_id)
        rows = await connection.execute(last.where(call_events.c.call_id.in_(orphans)))
        seqs = {row[0]: row[1] for row in rows}
        data = {"reason": ABANDONED, "usage": []}
        hangups = {one: [CallEvent(seqs.get(one, -1) + 1, "hangup", data, at)] for one in orphans}
        await insert_events(connection, hangups)
    return len(orphans)


async def reopen(connection: AsyncConnection, call_ids: Collection[str]) -> None:
    """Of these calls, those that were taken for abandoned are not over."""
    if call_ids:
        await connection.execute(
            sa.update(calls)
            .where(calls.c.id == sa.bindparam("call_id"), calls.c.end_reason == ABANDONED)
            .values(status=IN_PROGRESS, end_reason=None, ended_at=None),
            [{"call_id": one} for one in call_ids],
        )
