"""The processes on one database, each with a lease that it renews; and what is freed once a lease is over.

A lease is judged by those who have renewed their own without a gap: whoever could not reach the database himself cannot
tell a process that is dead from one that could not reach it either.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from store.database import Database
from store.orphans import end_orphans, reopen
from store.places import Place, Places
from store.rows import clock, insert_if_absent
from store.tables import listeners, processes

LEASE_SECONDS = 20.0
"""Without a renewal; a killed process's calls are over, and its places free, a few seconds after that."""


@dataclass(frozen=True, slots=True)
class Reaped:
    """How many processes were dead, calls were nobody's, and leases of listeners were over."""

    processes: int
    calls: int
    listeners: int


class Processes:
    """``node`` is this one."""

    def __init__(self, database: Database, places: Places, node: str) -> None:
        self._database = database
        self._places = places
        self._node = node

    async def join(self, under_way: Collection[Place] = ()) -> None:
        """Begin a lease. For the start; and for a process that was taken for dead, with its calls that are under way:
        they are as if nothing had been."""
        async with self._database.write() as connection:
            at = await clock(connection)
            expires = at + timedelta(seconds=LEASE_SECONDS)
            await connection.execute(
                insert_if_absent(connection, processes)
                .values(id=self._node, created_at=at, expires_at=expires)
                .on_conflict_do_update(index_elements=["id"], set_={"expires_at": expires})
            )
            await self._places.insert(connection, under_way)
            await reopen(connection, [place.call_id for place in under_way])

    async def renew(self) -> bool:
        """False: this process was taken for dead, and what it held was freed."""
        async with self._database.write() as connection:
            expires = await clock(connection) + timedelta(seconds=LEASE_SECONDS)
            renewed = await connection.execute(
                sa.update(processes).where(processes.c.id == self._node).values(expires_at=expires)
            )
        return renewed.rowcount > 0

    async def leave(self) -> int:
        """The lease is over now. Returns how many calls were not: they are ended as abandoned."""
        async with self._database.write() as connection:
            await connection.execute(sa.delete(processes).where(processes.c.id == self._node))
            return await end_orphans(connection, await clock(connection))

    async def bury_others(self) -> int:
        """With SQLite there is one process: those of before are dead, at once. With PostgreSQL nothing is known yet of
        others; calls that are nobody's are ended. Returns how many calls."""
        async with self._database.write() as connection:
            if connection.dialect.name == "sqlite":
                await connection.execute(sa.delete(processes).where(processes.c.id != self._node))
            return await end_orphans(connection, await clock(connection))

    async def reap(self) -> Reaped:
        """Free what is held by leases that are over. Any number of processes may do it at once."""
        async with self._database.write() as connection:
            at = await clock(connection)
            over = sa.select(processes.c.id).where(processes.c.expires_at < at, processes.c.id != self._node)
            dead = (await connection.scalars(over.with_for_update(skip_locked=True))).all()
            if dead:
                await connection.execute(sa.delete(processes).where(processes.c.id.in_(dead)))
            orphans = await end_orphans(connection, at)
            ended = await connection.execute(sa.delete(listeners).where(listeners.c.expires_at < at))
        return Reaped(len(dead), orphans, ended.rowcount)
