"""Organisations, their users, and the API keys that speak for them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from store.database import Database
from store.rows import Owner, insert_if_absent, new_id, now
from store.tables import api_keys, organisations, tickets, users


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a credential speaks for, and what it may do (``scopes``; None is everything). ``id`` is the credential's, or
    that of what a ticket was made with; ``until`` is when a token is over."""

    owner: Owner
    scopes: frozenset[str] | None = None
    id: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """All of a key but the key."""

    id: str
    name: str
    scopes: Sequence[str] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls at once of an organisation and of a user of it; None is no limit, 0 is none at all."""

    organisation: int | None
    user: int | None


NO_LIMITS = Limits(None, None)


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

    async def ensure(self, owner: Owner, name: str) -> None:
        """That there is this organisation, and this user in it; both are called ``name`` if they are new."""
        at = now()
        async with self._database.write() as connection:
            for table, row in (
                (organisations, {"id": owner.organisation_id}),
                (users, {"id": owner.user_id, "organisation_id": owner.organisation_id}),
            ):
                values = {**row, "name": name, "created_at": at}
                await connection.execute(insert_if_absent(connection, table).values(values).on_conflict_do_nothing())

    async def add_key(
        self,
        owner: Owner,
        name: str,
        key: str,
        expires_at: datetime | None = None,
        scopes: Collection[str] | None = None,
    ) -> str:
        """Let ``key`` speak for ``owner``, as far as ``scopes`` go (None: in everything). Only its hash is kept. A key
        that is there already stays as it is. Returns the id that it would have."""
        key_id = new_id()
        async with self._database.write() as connection:
            await connection.execute(
                insert_if_absent(connection, api_keys)
                .values(
                    id=key_id,
                    user_id=owner.user_id,
                    name=name,
                    hash=key_hash(key),
                    expires_at=expires_at,
                    scopes=sorted(scopes) if scopes is not None else None,
                    created_at=now(),
                )
                .on_conflict_do_nothing()
            )
        return key_id

    async def keys(self, owner: Owner) -> list[ApiKey]:
        """Those of the owner's organisation, the oldest first; expired ones, too."""
        query = _OF_ORGANISATION.where(users.c.organisation_id == owner.organisation_id).order_by(
            api_keys.c.created_at, api_keys.c.id
        )
        async with self._database.read() as connection:
            return [ApiKey(*row) for row in await connection.execute(query)]

    async def replace_key(self, owner: Owner, key_id: str, key: str, overlap: timedelta) -> ApiKey | None:
        """A new ``key`` with the name and the scopes of an old one, which stays good for ``overlap``. None if there is
        no such key."""
        at = now()
        async with self._database.write() as connection:
            mine = _OF_ORGANISATION.where(
                users.c.organisation_id == owner.organisation_id, api_keys.c.id == key_id, _not_expired(at)
            )
            row = (await connection.execute(mine)).one_or_none()
            if row is None:
                return None
            old = ApiKey(*row)
            user_id = await connection.scalar(sa.select(api_keys.c.user_id).where(api_keys.c.id == key_id))
            new = ApiKey(new_id(), old.name, old.scopes, at, old.expires_at, None)
            await connection.execute(
                sa.insert(api_keys).values(
                    id=new.id,
                    user_id=user_id,
                    name=new.name,
                    hash=key_hash(key),
                    scopes=new.scopes,
                    expires_at=new.expires_at,
                    created_at=at,
                )
            )
            ends = at + overlap if old.expires_at is None else min(at + overlap, old.expires_at)
            await connection.execute(sa.update(api_keys).where(api_keys.c.id == key_id).values(expires_at=ends))
        return new

    async def delete_key(self, owner: Owner, key_id: str) -> bool:
        """Whether there was one."""
        mine = sa.select(users.c.id).where(users.c.organisation_id == owner.organisation_id)
        async with self._database.write() as connection:
            done = await connection.execute(
                sa.delete(api_keys).where(api_keys.c.id == key_id, api_keys.c.user_id.in_(mine))
            )
        return done.rowcount > 0

    async def used(self, key_id: str) -> None:
        """The key was used now."""
        async with self._database.write() as connection:
            await connection.execute(sa.update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=now()))

    async def set_key(self, owner: Owner, name: str, key: str | None) -> None:
        """Let ``key``, and no other key of this name, speak for ``owner`` in everything and for good, whatever it was
        before. None: no key of this name."""
        others = [api_keys.c.user_id == owner.user_id, api_keys.c.name == name]
        if key is not None:
            others.append(api_keys.c.hash != key_hash(key))
        async with self._database.write() as connection:
            await connection.execute(sa.delete(api_keys).where(*others))
            if key is None:
                return
            is_so = {"user_id": owner.user_id, "name": name, "scopes": None, "expires_at": None}
            made = insert_if_absent(connection, api_keys).values(
                id=new_id(), hash=key_hash(key), created_at=now(), **is_so
            )
            await connection.execute(made.on_conflict_do_update(index_elements=["hash"], set_=is_so))

    async def has_keys(self) -> bool:
        async with self._database.read() as connection:
            return bool(await connection.scalar(sa.select(sa.exists().select_from(api_keys))))

    async def identify(self, key: str) -> Identity | None:
        """Whom ``key`` speaks for; None if it is unknown or has expired."""
        query = (
            sa.select(users.c.organisation_id, users.c.id, api_keys.c.scopes, api_keys.c.id)
            .join(api_keys, api_keys.c.user_id == users.c.id)
            .where(api_keys.c.hash == key_hash(key), _not_expired(now()))
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        organisation_id, user_id, scopes, key_id = row
        return Identity(Owner(organisation_id, user_id), None if scopes is None else frozenset(scopes), key_id)

    async def stands(self, identity: Identity) -> bool:
        """Whether what it came from is still good: a key that is there and not expired, a token that is not over."""
        if identity.until is not None or not identity.id:
            return identity.until is None or identity.until > now()
        query = sa.select(api_keys.c.id).where(api_keys.c.id == identity.id, _not_expired(now()))
        async with self._database.read() as connection:
            return await connection.scalar(query) is not None

    # Limits

    async def limits(self, owner: Owner) -> Limits:
        query = (
            sa.select(organisations.c.agent_limit, users.c.agent_limit)
            .outerjoin(users, users.c.id == owner.user_id)
            .where(organisations.c.id == owner.organisation_id)
        )
        async with self._database.read() as connection:
            return Limits(*(await connection.execute(query)).one())

    async def set_limits(self, owner: Owner, *, organisation: int | None = None, user: int | None = None) -> None:
        """They hold for the next call; calls under way go on."""
        async with self._database.write() as connection:
            for table, row_id, limit in (
                (organisations, owner.organisation_id, organisation),
                (users, owner.user_id, user),
            ):
                await connection.execute(sa.update(table).where(table.c.id == row_id).values(agent_limit=limit))

    # Tickets

    async def add_ticket(self, identity: Identity, ticket: str, seconds: float) -> datetime:
        """Let ``ticket`` stand in for the identity once, within ``seconds``. Returns when it expires."""
        at = now()
        expires = at + timedelta(seconds=seconds)
        async with self._database.write() as connection:
            await connection.execute(sa.delete(tickets).where(tickets.c.expires_at <= at))
            await connection.execute(
                sa.insert(tickets).values(
                    hash=key_hash(ticket),
                    organisation_id=identity.owner.organisation_id,
                    user_id=identity.owner.user_id,
                    scopes=sorted(identity.scopes) if identity.scopes is not None else None,
                    made_by=identity.id,
                    until=identity.until,
                    expires_at=expires,
                )
            )
        return expires

    async def take_ticket(self, ticket: str) -> Identity | None:
        """Whom it speaks for, this once; None if it was used, has expired, or never was one."""
        t = tickets.c
        async with self._database.write() as connection:
            taken = await connection.execute(
                sa.delete(tickets)
                .where(t.hash == key_hash(ticket), t.expires_at > now())
                .returning(*(t[name] for name in ("organisation_id", "user_id", "scopes", "made_by", "until")))
            )
            row = taken.one_or_none()
        if row is None:
            return None
        scopes = None if row.scopes is None else frozenset(row.scopes)
        return Identity(Owner(row.organisation_id, row.user_id), scopes, row.made_by or "", row.until)


def _not_expired(at: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > at)


_OF_ORGANISATION = sa.select(
    api_keys.c.id,
    api_keys.c.name,
    api_keys.c.scopes,
    api_keys.c.created_at,
    api_keys.c.expires_at,
    api_keys.c.last_used_at,
).join(users, users.c.id == api_keys.c.user_id)
