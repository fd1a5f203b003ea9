"""Leases of listeners: who is to go on answering says so again and again, by requests or by an open progress socket."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database import Database
from store.errors import NotFound
from store.rows import Owner, clock
from store.tables import listeners


class Leases:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def renew(self, owner: Owner, listener_id: str) -> datetime | None:
        """From now on, for its ``ttl``: returns until when; None if it has no lease. Raises :class:`NotFound`."""
        mine = sa.and_(listeners.c.id == listener_id, listeners.c.organisation_id == owner.organisation_id)
        async with self._database.write() as connection:
            row = (await connection.execute(sa.select(listeners.c.ttl).where(mine).with_for_update())).one_or_none()
            if row is None:
                raise NotFound(f"There is no listener {listener_id}")
            expires = await first_expiry(connection, row.ttl)
            if expires is not None:
                await connection.execute(sa.update(listeners).where(mine).values(expires_at=expires))
        return expires

    async def hold(self, listener_ids: Collection[str], *, at_least: float) -> None:
        """Somebody is there for these: each has its ``ttl`` from now on, or ``at_least`` seconds."""
        async with self._database.write() as connection:
            ttls = sa.select(listeners.c.id, listeners.c.ttl).where(
                listeners.c.id.in_(listener_ids), listeners.c.ttl.is_not(None)
            )
            at = await clock(connection)
            changes = [
                {"which": row.id, "until": at + timedelta(seconds=max(row.ttl, at_least))}
                for row in await connection.execute(ttls.order_by(listeners.c.id).with_for_update())
            ]
            if changes:
                await connection.execute(
                    sa.update(listeners)
                    .where(listeners.c.id == sa.bindparam("which"))
                    .values(expires_at=sa.bindparam("until")),
                    changes,
                )


async def first_expiry(connection: AsyncConnection, ttl: int | None) -> datetime | None:
    """Of a lease that begins now."""
    return None if ttl is None else await clock(connection) + timedelta(seconds=ttl)
