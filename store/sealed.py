"""All that is encrypted in the tables, encrypted anew: after the key was changed."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from store.database import Database
from store.errors import Unreadable
from store.tables import agents, listeners, phone_registrations, recordings
from store.vault import Vault

SEALED = (
    (agents.c.sealed_keys, "agent"),
    (listeners.c.key, "listener"),
    (listeners.c.sealed_options, "listener"),
    (phone_registrations.c.sealed_password, "registration"),
    (recordings.c.sealed_key, "recording"),
)
"""Columns, and of whom each is; with the row's id that is what the text is bound to."""

PAGE = 200


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many were encrypted anew, were already, and open with no key at hand."""

    anew: int = 0
    already: int = 0
    unreadable: tuple[str, ...] = ()


class SealedRows:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def reseal(self) -> Resealed:
        """May be broken off, and done again; and beside a service that runs: what changes meanwhile is left to it."""
        anew = already = 0
        unreadable: list[str] = []
        for column, what in SEALED:
            ids = column.table.c.id
            after = ""
            while True:
                query = sa.select(ids, column).where(ids > after, column.is_not(None)).order_by(ids).limit(PAGE)
                async with self._database.read() as connection:
                    rows = (await connection.execute(query)).all()
                for row_id, sealed in rows:
                    context = f"{what} {row_id}"
                    try:
                        fresh = self._vault.reseal(sealed, context)
                    except Unreadable:
                        unreadable.append(context)
                        continue
                    if fresh is None:
                        already += 1
                        continue
                    change = sa.update(column.table).where(ids == row_id, column == sealed).values({column.name: fresh})
                    async with self._database.write() as connection:
                        anew += (await connection.execute(change)).rowcount
                if len(rows) < PAGE:
                    break
                after = rows[-1][0]
        return Resealed(anew, already, tuple(unreadable))
