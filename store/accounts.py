"""Organisations, their users, and the API keys that speak for them."""

from __future__ import annotations

import hashlib
from datetime import datetime

import sqlalchemy as sa

from store.database import Database
from store.rows import Owner, insert_if_absent, new_id, now
from store.tables import api_keys, organisations, users


def key_hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class Accounts:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_organisation(self, name: str) -> Owner:
        """A new tenant with one user."""
        owner, at = Owner(new_id(), new_id()), now()
        async with self._database.write() as connection:
            await connection.execute(
                sa.insert(organisations).values(id=owner.organisation_id, name=name, created_at=at)
            )
            await connection.execute(
                sa.insert(users).values(
                    id=owner.user_id, organisation_id=owner.organisation_id, name=name, created_at=at
                )
            )
        return owner

    async def add_key(self, owner: Owner, name: str, key: str, expires_at: datetime | None = None) -> None:
        """Let ``key`` speak for ``owner``. Only its hash is kept. A key that is there already stays as it is."""
        async with self._database.write() as connection:
            await connection.execute(
                insert_if_absent(connection, api_keys)
                .values(
                    id=new_id(),
                    user_id=owner.user_id,
                    name=name,
                    hash=key_hash(key),
                    expires_at=expires_at,
                    created_at=now(),
                )
                .on_conflict_do_nothing()
            )

    async def drop_keys(self, name: str, *, but: str | None = None) -> None:
        """Take away the keys of this name, except the key ``but``."""
        statement = sa.delete(api_keys).where(api_keys.c.name == name)
        if but is not None:
            statement = statement.where(api_keys.c.hash != key_hash(but))
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def has_keys(self) -> bool:
        async with self._database.read() as connection:
            return bool(await connection.scalar(sa.select(sa.exists().select_from(api_keys))))

    async def owner_of_key(self, key: str) -> Owner | None:
        """Whom ``key`` speaks for; None if it is unknown or has expired."""
        query = (
            sa.select(users.c.organisation_id, users.c.id)
            .join(api_keys, api_keys.c.user_id == users.c.id)
            .where(api_keys.c.hash == key_hash(key))
            .where(sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now()))
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return Owner(*row) if row else None
