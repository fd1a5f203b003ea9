"""SIP accounts that Jambonz registers with for us, and which listener has which."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database import Database
from store.errors import InUse, NotFound, NotSupported
from store.rows import Owner, Page, new_id, now
from store.tables import agents, listeners, organisations, phone_registrations
from store.vault import Vault

ACTIVE, FAILED, DISABLED = "active", "failed", "disabled"
"""Statuses. ``failed`` is an active one that does not get through."""

INITIAL, REGISTERING, REGISTERED = "initial", "registering", "registered"
"""States, with ``failed``: what Jambonz last told."""

_BEGINS_AGAIN = frozenset({"registrar", "username", "password", "options", "handler"})
"""With another of these, what was told before counts no more."""


@dataclass(frozen=True, slots=True)
class Registration:
    """All but its password, which is written and never read. The agent is the one that answers it now."""

    id: str
    name: str | None
    handler: str
    outbound: bool
    registrar: str
    username: str
    options: dict[str, Any]
    status: str
    state: str
    error: str | None
    last_seen_at: datetime | None
    listener_id: str | None
    agent_id: str | None
    agent_name: str | None
    created_at: datetime


class Registrations:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def create(
        self,
        owner: Owner,
        *,
        registrar: str,
        username: str,
        password: str,
        handler: str,
        name: str | None = None,
        outbound: bool = False,
        options: dict[str, Any] | None = None,
    ) -> str:
        """Returns its id. Raises :class:`InUse` if the organisation has one of this account already."""
        new = new_id()
        async with self._database.write() as connection:
            await self._not_twice(connection, owner, None, registrar, username)
            await connection.execute(
                sa.insert(phone_registrations).values(
                    id=new,
                    organisation_id=owner.organisation_id,
                    user_id=owner.user_id,
                    name=name,
                    handler=handler,
                    outbound=outbound,
                    registrar=registrar,
                    username=username,
                    sealed_password=self._vault.seal(password, context(new)),
                    options=options or {},
                    status=ACTIVE,
                    state=INITIAL,
                    created_at=now(),
                )
            )
        return new

    async def get(self, owner: Owner, registration_id: str) -> Registration | None:
        query = _select(owner).where(phone_registrations.c.id == registration_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return Registration(*row) if row else None

    async def list(
        self, owner: Owner, page: Page, *, handler: str | None = None, search: str = "", outbound_only: bool = False
    ) -> list[Registration]:
        """By their creation. ``search`` looks at names, registrars and user names."""
        r = phone_registrations.c
        query = _select(owner).order_by(r.created_at, r.id).limit(page.limit).offset(page.offset)
        if handler:
            query = query.where(r.handler == handler)
        if outbound_only:
            query = query.where(r.outbound)
        if search:
            query = query.where(
                sa.or_(*(c.icontains(search, autoescape=True) for c in (r.name, r.registrar, r.username)))
            )
        async with self._database.read() as connection:
            return [Registration(*row) for row in await connection.execute(query)]

    async def update(self, owner: Owner, registration_id: str, changes: dict[str, Any]) -> bool:
        """With other credentials, or for another handler, it begins again with the state ``initial``. Raises
        :class:`InUse` as :meth:`create` does, and for another handler while a listener has it."""
        values = {name: value for name, value in changes.items() if name != "password"}
        if "password" in changes:
            values["sealed_password"] = self._vault.seal(changes["password"], context(registration_id))
        if _BEGINS_AGAIN.intersection(changes):
            again = sa.case((phone_registrations.c.status == DISABLED, DISABLED), else_=ACTIVE)
            values |= {"state": INITIAL, "error": None, "status": again}
        async with self._database.write() as connection:
            mine = _mine(owner, registration_id)
            known = (
                await connection.execute(sa.select(phone_registrations).where(mine).with_for_update())
            ).one_or_none()
            if known is None:
                return False
            if known.listener_id is not None and values.get("handler", known.handler) != known.handler:
                raise InUse("In use: a listener has this registration; delete the listener first")
            wanted = values.get("registrar", known.registrar), values.get("username", known.username)
            await self._not_twice(connection, owner, registration_id, *wanted)
            await connection.execute(sa.update(phone_registrations).where(mine).values(values or {"id": known.id}))
        return True

    async def set_status(self, owner: Owner, registration_id: str, status: str) -> bool:
        """Begins again with the state ``initial``."""
        async with self._database.write() as connection:
            done = await connection.execute(
                sa.update(phone_registrations)
                .where(_mine(owner, registration_id))
                .values(status=status, state=INITIAL, error=None)
            )
        return done.rowcount > 0

    async def delete(self, owner: Owner, registration_id: str) -> bool:
        """Raises :class:`InUse` while a listener has it."""
        mine = _mine(owner, registration_id)
        async with self._database.write() as connection:
            done = await connection.execute(
                sa.delete(phone_registrations).where(mine, phone_registrations.c.listener_id.is_(None))
            )
            if not done.rowcount and await connection.scalar(sa.select(phone_registrations.c.id).where(mine)):
                raise InUse("In use: a listener has this registration; delete the listener first")
        return done.rowcount > 0

    async def _not_twice(
        self, connection: AsyncConnection, owner: Owner, but: str | None, registrar: str, username: str
    ) -> None:
        """Whoever looks for the same organisation waits until this transaction is over."""
        lock = sa.select(organisations.c.id).where(organisations.c.id == owner.organisation_id)
        await connection.execute(lock.with_for_update(key_share=True))
        r = phone_registrations.c
        same = sa.select(r.id).where(
            r.organisation_id == owner.organisation_id, r.registrar == registrar, r.username == username
        )
        if await connection.scalar(same.where(r.id != but) if but else same):
            raise InUse(f"There is a registration of {username} at {registrar} already")


async def take_registration(
    connection: AsyncConnection, owner: Owner, listener_id: str, registration_id: str, handler: str
) -> str | None:
    """Give a registration to the listener, in the transaction that makes the listener; returns its name."""
    r = phone_registrations.c
    mine = _mine(owner, registration_id)
    taken = (
        await connection.execute(
            sa.update(phone_registrations)
            .where(mine, r.listener_id.is_(None), r.handler == handler)
            .values(listener_id=listener_id)
            .returning(r.name)
        )
    ).one_or_none()
    if taken is not None:
        name: str | None = taken.name
        return name
    row = (await connection.execute(sa.select(r.handler).where(mine))).one_or_none()
    if row is None:
        raise NotFound(f"Not found: there is no registration {registration_id}")
    if row.handler != handler:
        raise NotSupported(f"Not supported: the registration is for {row.handler}, and the agent runs on {handler}")
    raise InUse("In use: the registration has a listener already")


def context(registration_id: str) -> str:
    """Of its sealed password."""
    return f"registration {registration_id}"


def _mine(owner: Owner, registration_id: str) -> sa.ColumnElement[bool]:
    r = phone_registrations.c
    return sa.and_(r.id == registration_id, r.organisation_id == owner.organisation_id)


def _select(owner: Owner) -> sa.Select[Any]:
    r = phone_registrations.c
    columns = (r.id, r.name, r.handler, r.outbound, r.registrar, r.username, r.options, r.status, r.state, r.error)
    return (
        sa.select(*columns, r.last_seen_at, r.listener_id, agents.c.id, agents.c.name, r.created_at)
        .select_from(phone_registrations)
        .outerjoin(listeners, listeners.c.id == r.listener_id)
        .outerjoin(agents, agents.c.id == listeners.c.agent_id)
        .where(r.organisation_id == owner.organisation_id)
    )
