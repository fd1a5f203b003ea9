"""Invocation logs: what the service logged of a call, for whoever looks into how it went; compressed."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from store.database import Database
from store.rows import Owner, insert_if_absent, now
from store.tables import calls, invocation_logs


@dataclass(frozen=True, slots=True)
class InvocationLog:
    """``text`` is one JSON object a line."""

    subsystem: str
    owner: Owner
    text: str
    created_at: datetime
    updated_at: datetime


class InvocationLogs:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, call_id: str, subsystem: str, text: str) -> None:
        """In place of one that is there."""
        packed, at = await asyncio.to_thread(gzip.compress, text.encode()), now()
        async with self._database.write() as connection:
            insert = insert_if_absent(connection, invocation_logs).values(
                call_id=call_id, subsystem=subsystem, log=packed, created_at=at, updated_at=at
            )
            await connection.execute(
                insert.on_conflict_do_update(
                    index_elements=["call_id", "subsystem"], set_={"log": packed, "updated_at": at}
                )
            )

    async def of_call(self, owner: Owner, call_id: str) -> list[InvocationLog] | None:
        """None if there is no such call."""
        mine = sa.select(calls.c.user_id).where(calls.c.id == call_id, calls.c.organisation_id == owner.organisation_id)
        query = (
            sa.select(invocation_logs)
            .where(invocation_logs.c.call_id == call_id)
            .order_by(invocation_logs.c.created_at, invocation_logs.c.subsystem)
        )
        async with self._database.read() as connection:
            call = (await connection.execute(mine)).one_or_none()
            if call is None:
                return None
            rows = (await connection.execute(query)).all()
        whose = Owner(owner.organisation_id, call.user_id)
        texts = await asyncio.to_thread(lambda: [gzip.decompress(row.log).decode() for row in rows])
        return [
            InvocationLog(row.subsystem, whose, text, row.created_at, row.updated_at)
            for row, text in zip(rows, texts, strict=True)
        ]
