"""A store on a fresh SQLite file, and things to put into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from pipelines.agent import AgentDefinition
from store import DEFAULT_OWNER, NewCall, Owner, Store
from store.tables import listeners, processes

T0 = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


@asynccontextmanager
async def opened(directory: Path, **options: Any) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{directory}/db.sqlite3", data_dir=directory, **options)
    try:
        yield store
    finally:
        await store.close()


async def pass_time(store: Store, seconds: float) -> None:
    """As far as leases go."""
    async with store._database.write() as connection:
        for table in (processes, listeners):
            for row in (await connection.execute(sa.select(table.c.id, table.c.expires_at))).all():
                if row.expires_at is not None:
                    sooner = row.expires_at - timedelta(seconds=seconds)
                    await connection.execute(sa.update(table).where(table.c.id == row.id).values(expires_at=sooner))


def definition(**changes: Any) -> AgentDefinition:
    return AgentDefinition.model_validate({"modelName": "scripted/echo", "prompt": "Echo.", **changes})


def new_call(owner: Owner = DEFAULT_OWNER, agent_id: str = "agent", **changes: Any) -> NewCall:
    values: dict[str, Any] = {
        "owner": owner,
        "agent_id": agent_id,
        "listener_id": None,
        "model_name": "scripted/echo",
        "platform": "jambonz",
        "caller_id": "441",
        "called_id": "442",
    }
    return NewCall(**(values | changes))


def statements(store: Store) -> list[str]:
    """What is asked of the database from now on."""
    asked: list[str] = []
    for engine in {store._database._reader.sync_engine, store._database._writer.sync_engine}:
        event.listen(engine, "before_cursor_execute", lambda _c, _cursor, text, *_: asked.append(text))
    return asked
