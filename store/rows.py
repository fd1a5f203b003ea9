"""What every query module needs: the owner that queries are scoped by, ids, and the time that rows are stamped with."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Owner:
    """A tenant (the organisation), and the user of it who acts, or who made something (None: that user is gone)."""

    organisation_id: str
    user_id: str | None


DEFAULT_OWNER = Owner("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002")
"""Who everything belongs to when users are not authenticated, and whom the first API key is for."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows of a list: ``limit`` of them, after the first ``offset``."""

    limit: int = 50
    offset: int = 0


def new_id() -> str:
    return str(uuid.uuid4())


def now() -> datetime:
    return datetime.now(UTC)


async def clock(connection: AsyncConnection) -> datetime:
    """The time that leases go by: PostgreSQL's own, the same for all processes; with SQLite there is one process."""
    if connection.dialect.name == "postgresql":
        at: datetime = (await connection.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
        return at
    return now()


def insert_if_absent(connection: AsyncConnection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that has ``on_conflict_do_nothing``, in the dialect of ``connection``."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
