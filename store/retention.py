"""Calls that are deleted, with all that is known of them: one on demand, or those that are over for too long."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from store.database import Database
from store.errors import InUse
from store.rows import Owner, clock
from store.tables import call_events, calls, listener_positions, listeners, organisations

AT_ONCE = 50
"""Calls of one transaction: writers of calls under way wait for it."""


class Retention:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def delete_call(self, owner: Owner, call_id: str) -> bool:
        """Its log and what it used go with it. False if there is none; raises :class:`InUse` while it is under way."""
        mine = (calls.c.id == call_id, calls.c.organisation_id == owner.organisation_id)
        async with self._database.write() as connection:
            row = (await connection.execute(sa.select(calls.c.ended_at).where(*mine).with_for_update())).one_or_none()
            if row is None:
                return False
            if row.ended_at is None:
                raise InUse(f"The call {call_id} is under way")
            await connection.execute(sa.delete(calls).where(*mine))
        return True

    async def days(self, owner: Owner) -> float | None:
        """How long the organisation keeps its calls; None is as long as the service does."""
        query = sa.select(organisations.c.retention_days).where(organisations.c.id == owner.organisation_id)
        async with self._database.read() as connection:
            days: float | None = await connection.scalar(query)
        return days

    async def set_days(self, owner: Owner, days: float | None) -> None:
        """Also of calls that there are: the next round of :meth:`delete_old` deletes what is too old by then."""
        update = sa.update(organisations).where(organisations.c.id == owner.organisation_id)
        async with self._database.write() as connection:
            await connection.execute(update.values(retention_days=days))

    async def delete_old(self, age: timedelta | None) -> int:
        """Some of the calls that began longer than ``age`` ago (None: for ever), or than their organisation keeps them,
        whichever is less, and are over; returns how many, 0 if there are no more. Any number of processes may do it at
        once."""
        deleted = 0
        due = await self._due(age)
        if not due:
            return 0
        async with self._database.write() as connection:
            # By organisation, for the index of their calls goes by that.
            for organisation, before in due.items():
                old = (
                    sa.select(calls.c.id)
                    .where(calls.c.organisation_id == organisation, calls.c.started_at < before)
                    .where(calls.c.ended_at.is_not(None))
                    .order_by(calls.c.started_at)
                    .limit(AT_ONCE - deleted)
                    .with_for_update(skip_locked=True)
                )
                ids = (await connection.scalars(old)).all()
                if ids:
                    await connection.execute(sa.delete(calls).where(calls.c.id.in_(ids)))
                    deleted += len(ids)
                if deleted >= AT_ONCE:
                    break
        return deleted

    async def _due(self, age: timedelta | None) -> Mapping[str, datetime]:
        """Organisations with a call that may be too old, and when it began then: before that. One question, however
        many there are, and nobody waits for it."""
        oldest = (
            sa.select(sa.func.min(calls.c.started_at))
            .where(calls.c.organisation_id == organisations.c.id)
            .scalar_subquery()
        )
        due = {}
        async with self._database.read() as connection:
            at = await clock(connection)
            query = sa.select(organisations.c.id, organisations.c.retention_days, oldest.label("oldest"))
            for organisation, days, began in await connection.execute(query):
                kept = [one for one in (age, None if days is None else timedelta(days=days)) if one is not None]
                if kept and began is not None and began < at - min(kept):
                    due[organisation] = at - min(kept)
        return due

    async def forget_positions(self) -> int:
        """Of listeners that are gone, as their last events are. Returns how many."""
        one = listener_positions.c.listener_id
        async with self._database.write() as connection:
            gone = await connection.execute(
                sa.delete(listener_positions).where(
                    ~sa.select(listeners.c.id).where(listeners.c.id == one).exists(),
                    ~sa.select(call_events.c.seq).where(call_events.c.listener_id == one).exists(),
                    ~sa.select(calls.c.id).where(calls.c.listener_id == one).exists(),
                )
            )
        return gone.rowcount
