"""Recordings of calls: where the row says, and how they open. Who played or deleted one stays known."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database import Database
from store.rows import Owner, insert_if_absent, new_id, now
from store.tables import calls, recording_accesses, recordings
from store.vault import Vault

Access = Literal["download", "delete"]


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """``size`` in bytes, at rest. ``key`` opens it; None: only whoever has the agent's own key can."""

    id: str
    call_id: str
    organisation_id: str
    seconds: float
    size: int
    key: bytes | None


@dataclass(frozen=True, slots=True)
class RecordingAccess:
    """``user_id`` is None where that user is gone, or where it was the service itself."""

    recording_id: str
    action: str
    user_id: str | None
    at: datetime


class Recordings:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def seal(self, recording_id: str, key: bytes) -> str:
        return self._vault.seal(b64encode(key).decode(), f"recording {recording_id}")

    def unseal(self, recording_id: str, sealed: str) -> bytes:
        """Raises :class:`store.vault.Unreadable`."""
        return b64decode(self._vault.open(sealed, f"recording {recording_id}"))

    async def add(self, recording: StoredRecording) -> bool:
        """It is finished, and where it belongs. False if there is no such call: not yet, or no more. More than once is
        once."""
        sealed = self.seal(recording.id, recording.key) if recording.key is not None else None
        async with self._database.write() as connection:
            known = await connection.execute(
                sa.update(calls)
                .where(calls.c.id == recording.call_id, calls.c.organisation_id == recording.organisation_id)
                .values(recording_id=recording.id)
            )
            if known.rowcount == 0:
                return False
            await connection.execute(
                insert_if_absent(connection, recordings)
                .values(
                    id=recording.id,
                    call_id=recording.call_id,
                    organisation_id=recording.organisation_id,
                    seconds=recording.seconds,
                    size=recording.size,
                    sealed_key=sealed,
                    created_at=now(),
                )
                .on_conflict_do_nothing()
            )
        return True

    async def of_call(self, owner: Owner, call_id: str) -> StoredRecording | None:
        query = sa.select(recordings).where(
            recordings.c.call_id == call_id, recordings.c.organisation_id == owner.organisation_id
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        key = self.unseal(row.id, row.sealed_key) if row.sealed_key is not None else None
        return StoredRecording(row.id, row.call_id, row.organisation_id, row.seconds, row.size, key)

    async def without_call(self, limit: int, *, after: str = "") -> Sequence[StoredRecording]:
        """Those whose calls were deleted, in the order of their ids. Their keys are not needed then, and not told."""
        known = sa.exists().where(calls.c.id == recordings.c.call_id)
        async with self._database.read() as connection:
            query = sa.select(recordings).where(~known, recordings.c.id > after).order_by(recordings.c.id).limit(limit)
            rows = (await connection.execute(query)).all()
        return [StoredRecording(row.id, row.call_id, row.organisation_id, row.seconds, row.size, None) for row in rows]

    async def note(self, recording: StoredRecording, by: Owner, action: Access) -> None:
        """Who does what with it; written before it is done."""
        async with self._database.write() as connection:
            await _note(connection, recording, by, action)

    async def remove(self, recording: StoredRecording, by: Owner) -> None:
        """Its row, with its key: what may be left of the file opens no more. It is noted who did that."""
        async with self._database.write() as connection:
            gone = await connection.execute(sa.delete(recordings).where(recordings.c.id == recording.id))
            if gone.rowcount:
                await connection.execute(
                    sa.update(calls).where(calls.c.recording_id == recording.id).values(recording_id=None)
                )
                await _note(connection, recording, by, "delete")

    async def accesses(self, owner: Owner, call_id: str) -> Sequence[RecordingAccess]:
        """The oldest first; those of a recording that was deleted, too."""
        columns = recording_accesses.c
        query = (
            sa.select(columns.recording_id, columns.action, columns.user_id, columns.created_at)
            .where(columns.call_id == call_id, columns.organisation_id == owner.organisation_id)
            .order_by(columns.created_at, columns.id)
        )
        async with self._database.read() as connection:
            return [RecordingAccess(*row) for row in await connection.execute(query)]


async def _note(connection: AsyncConnection, recording: StoredRecording, by: Owner, action: Access) -> None:
    await connection.execute(
        sa.insert(recording_accesses).values(
            id=new_id(),
            recording_id=recording.id,
            call_id=recording.call_id,
            organisation_id=recording.organisation_id,
            user_id=by.user_id,
            action=action,
            created_at=now(),
        )
    )
