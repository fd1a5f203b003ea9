"""What happens in calls: written in batches, and read in the order in which it was written.

Each event of a listener's calls has a *position*. Whoever writes holds the listener's counter to the end of his
transaction: what is at a position is there before anything after it, whichever process wrote it. So whoever has read up
to a position has everything up to it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database import Database
from store.rows import Owner
from store.tables import call_events, calls, listener_positions
from store.wakeups import STORED


@dataclass(frozen=True, slots=True)
class CallEvent:
    """Something that happened in a call. ``seq`` counts the events of a call; its writer counts. ``data`` is JSON."""

    seq: int
    type: str
    data: Any
    at: datetime
    is_final: bool = True


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """``node`` is the process whose call it is."""

    position: int
    node: str
    call_id: str
    event: CallEvent


class ListenerEvents:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def position(self, listener_id: str) -> int:
        """Of the newest event; 0 if there is none."""
        query = sa.select(listener_positions.c.position).where(listener_positions.c.listener_id == listener_id)
        async with self._database.read() as connection:
            return await connection.scalar(query) or 0

    async def after(
        self,
        owner: Owner,
        listener_id: str,
        position: int,
        *,
        limit: int,
        call_id: str | None = None,
        not_of: str | None = None,
    ) -> list[StoredEvent]:
        """In the order of their positions: of all calls, or of one; ``not_of`` leaves out those of a process."""
        query = (
            sa.select(call_events, calls.c.node)
            .join(calls, calls.c.id == call_events.c.call_id)
            .where(call_events.c.listener_id == listener_id, call_events.c.position > position)
            .where(calls.c.organisation_id == owner.organisation_id)
            .order_by(call_events.c.position)
            .limit(limit)
        )
        if call_id is not None:
            query = query.where(calls.c.id == call_id)
        if not_of is not None:
            query = query.where(calls.c.node.is_distinct_from(not_of))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        events = [CallEvent(r.seq, r.type, r.data, r.created_at, r.is_final) for r in rows]
        return [StoredEvent(r.position, r.node or "", r.call_id, e) for r, e in zip(rows, events, strict=True)]


async def insert_events(connection: AsyncConnection, batch: Mapping[str, Sequence[CallEvent]], *, by: str = "") -> None:
    """Those that are there already are passed over; a hangup that others wrote for a writer thought to be dead gives
    way to what the writer has to say. ``by`` is the process whose calls these are, if it is this one."""
    moments = sorted(((e.at, call_id, e) for call_id, events in batch.items() for e in events), key=lambda one: one[0])
    if connection.dialect.name == "postgresql":
        await _insert_at_once(connection, [(call_id, e) for _, call_id, e in moments], by)
        return
    listeners = {row[0]: row[1] for row in await connection.execute(_LISTENERS, {"ids": list(batch)})}
    free = await _take_positions(connection, [listeners[call_id] for _, call_id, _ in moments if call_id in listeners])
    rows = []
    for _, call_id, e in moments:
        listener_id = listeners.get(call_id)
        position = None
        if listener_id is not None:
            position = free[listener_id]
            free[listener_id] += 1
        rows.append(
            {"call_id": call_id, "seq": e.seq, "type": e.type, "data": e.data, "is_final": e.is_final,
             "created_at": e.at, "listener_id": listener_id, "position": position}
        )  # fmt: skip
    await connection.execute(_STORE, rows)


# What SQLite is asked, for every batch again: made once, and of a shape that SQLAlchemy keeps compiled (it does not
# where one INSERT has so many rows). Making and compiling them took more than half of a batch's time.

_LISTENERS = sa.select(calls.c.id, calls.c.listener_id).where(
    calls.c.id.in_(sa.bindparam("ids", expanding=True)), calls.c.listener_id.is_not(None)
)


def _store() -> sqlite.Insert:
    insert = sqlite.insert(call_events)
    changed = {name: insert.excluded[name] for name in ("type", "data", "is_final", "created_at", "position")}
    of_others = sa.and_(call_events.c.type == "hangup", call_events.c.created_at != insert.excluded.created_at)
    return insert.on_conflict_do_update(index_elements=["call_id", "seq"], set_=changed, where=of_others)


_STORE = _store()

_TAKE = sa.text(
    """
    INSERT INTO listener_positions (listener_id, position)
    SELECT key, value FROM json_each(:many) WHERE true
    ON CONFLICT (listener_id) DO UPDATE SET position = listener_positions.position + excluded.position
    RETURNING listener_id, position
    """
)


_AT_ONCE = sa.text(
    """
    WITH told AS (
        SELECT one.*, calls.listener_id
        FROM unnest(:call_ids, :seqs, :types, :data, :finals, :moments)
            WITH ORDINALITY AS one (call_id, seq, type, data, is_final, created_at, n)
        LEFT JOIN calls ON calls.id = one.call_id
    ), many AS (
        SELECT listener_id, count(*) AS many FROM told WHERE listener_id IS NOT NULL GROUP BY listener_id
    ), taken AS (
        INSERT INTO listener_positions AS known (listener_id, position)
        SELECT listener_id, many FROM many ORDER BY listener_id
        ON CONFLICT (listener_id) DO UPDATE SET position = known.position + excluded.position
        RETURNING known.listener_id, known.position
    ), stored AS (
        INSERT INTO call_events AS known
            (call_id, seq, type, data, is_final, created_at, listener_id, position)
        SELECT call_id, seq, type, CAST(data AS json), is_final, created_at, listener_id,
            taken.position - many.many + row_number() OVER (PARTITION BY listener_id ORDER BY n)
        FROM told LEFT JOIN taken USING (listener_id) LEFT JOIN many USING (listener_id)
        ORDER BY n
        ON CONFLICT (call_id, seq) DO UPDATE SET type = excluded.type, data = excluded.data,
            is_final = excluded.is_final, created_at = excluded.created_at, position = excluded.position
        WHERE known.type = 'hangup' AND known.created_at <> excluded.created_at
    )
    SELECT pg_notify(:channel, concat(CAST(:by AS text), ' ', listener_id)) FROM taken
    """
).bindparams(
    sa.bindparam("call_ids", type_=ARRAY(sa.Text)),
    sa.bindparam("seqs", type_=ARRAY(sa.BigInteger)),
    sa.bindparam("types", type_=ARRAY(sa.Text)),
    sa.bindparam("data", type_=ARRAY(sa.Text)),
    sa.bindparam("finals", type_=ARRAY(sa.Boolean)),
    sa.bindparam("moments", type_=ARRAY(sa.DateTime(timezone=True))),
    sa.bindparam("channel", STORED, type_=sa.Text),
)


async def _insert_at_once(connection: AsyncConnection, told: Sequence[tuple[str, CallEvent]], by: str) -> None:
    """All of :func:`insert_events` in one statement. Who watches a call elsewhere waits for each round trip, and so do
    all who write for the same listener."""
    events = [event for _, event in told]
    await connection.execute(
        _AT_ONCE,
        {
            "call_ids": [call_id for call_id, _ in told],
            "seqs": [event.seq for event in events],
            "types": [event.type for event in events],
            "data": [json.dumps(event.data) for event in events],
            "finals": [event.is_final for event in events],
            "moments": [event.at for event in events],
            "by": by,
        },
    )


async def _take_positions(connection: AsyncConnection, listener_ids: Sequence[str]) -> dict[str, int]:
    """As many of each listener as it is there; the first of them."""
    if not listener_ids:
        return {}
    count = Counter(listener_ids)
    taken = await connection.execute(_TAKE, {"many": json.dumps(count)})
    return {row[0]: row[1] - count[row[0]] + 1 for row in taken}
