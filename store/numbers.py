"""Telephone numbers, and which listener has which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database import Database
from store.errors import InUse, NotFound, NotSupported
from store.rows import Owner, Page, insert_if_absent, now
from store.tables import agents, listeners, phone_numbers, trunks

ANY = "*"
"""Asks for any free number."""

_MOST_WAITS = 50
"""For numbers that others are at, one after the other."""


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """``number`` is E.164 digits without the ``+``; the agent is the one that answers it now."""

    number: str
    handler: str
    outbound: bool
    trunk_id: str | None
    name: str | None
    provisioned: bool
    listener_id: str | None
    agent_id: str | None
    agent_name: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """What a number can be used for besides being called. ``trunk`` is the trunk's name, where it may place calls;
    ``can_refer``: its carrier takes a call back, and rings somebody else itself."""

    number: str
    outbound: bool
    trunk_id: str | None = None
    trunk: str | None = None
    can_refer: bool = False


@dataclass(frozen=True, slots=True)
class NumberFilter:
    """Which numbers of a list; an empty field asks for nothing. ``search`` looks at their digits and names."""

    handler: str | None = None
    search: str = ""
    trunk_ids: Sequence[str] = ()
    outbound_only: bool = False


class Numbers:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        owner: Owner,
        number: str,
        *,
        handler: str,
        trunk_id: str | None = None,
        outbound: bool = False,
        name: str | None = None,
    ) -> None:
        """Raises :class:`InUse` if the number is there already, whoever has it."""
        async with self._database.write() as connection:
            made = await connection.scalar(
                insert_if_absent(connection, phone_numbers)
                .values(
                    number=number,
                    organisation_id=owner.organisation_id,
                    trunk_id=trunk_id,
                    handler=handler,
                    outbound=outbound,
                    name=name,
                    created_at=now(),
                )
                .on_conflict_do_nothing()
                .returning(phone_numbers.c.number)
            )
        if made is None:
            raise InUse(f"The number {number} exists already")

    async def get(self, owner: Owner, number: str) -> PhoneNumber | None:
        async with self._database.read() as connection:
            row = (await connection.execute(_select(owner).where(phone_numbers.c.number == number))).one_or_none()
        return PhoneNumber(*row) if row else None

    async def lines(self, owner: Owner, numbers: Sequence[str]) -> dict[str, Line]:
        """Those of ``numbers`` (digits) that the owner has, or has a listener on."""
        n = phone_numbers.c
        theirs = sa.and_(n.organisation_id.is_(None), listeners.c.organisation_id == owner.organisation_id)
        query = (
            sa.select(n.number, n.outbound, n.trunk_id, trunks.c.name, trunks.c.outbound, trunks.c.flags)
            .outerjoin(listeners, listeners.c.id == n.listener_id)
            .outerjoin(trunks, trunks.c.id == n.trunk_id)
            .where(n.number.in_(numbers), sa.or_(_owned(owner), theirs))
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return {
            number: Line(number, outbound, trunk_id, name if places else None, bool((flags or {}).get("canRefer")))
            for number, outbound, trunk_id, name, places, flags in rows
        }

    async def of_owner(self, owner: Owner, number: str) -> PhoneNumber | None:
        """A number that is the owner's, or the house's and listened to by the owner: not one that is free for all."""
        his = sa.or_(_owned(owner), phone_numbers.c.listener_id.is_not(None))
        query = _select(owner).where(phone_numbers.c.number == number, his)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return PhoneNumber(*row) if row else None

    async def list(self, owner: Owner, page: Page, wanted: NumberFilter) -> list[PhoneNumber]:
        """Own numbers and those of the house that no other organisation has taken, by their digits."""
        query = _wanted(owner, wanted).order_by(phone_numbers.c.number).limit(page.limit).offset(page.offset)
        async with self._database.read() as connection:
            return [PhoneNumber(*row) for row in await connection.execute(query)]

    async def count(self, owner: Owner, wanted: NumberFilter) -> int:
        """How many there are in the list."""
        query = sa.select(sa.func.count()).select_from(_wanted(owner, wanted).subquery())
        async with self._database.read() as connection:
            return await connection.scalar(query) or 0

    async def update(self, owner: Owner, number: str, changes: dict[str, Any]) -> bool:
        """Raises :class:`InUse` for another handler while a listener has the number: no call would reach it."""
        n = phone_numbers.c
        mine = sa.and_(n.number == number, _owned(owner))
        may = sa.or_(n.listener_id.is_(None), n.handler == changes["handler"]) if "handler" in changes else sa.true()
        async with self._database.write() as connection:
            done = await connection.execute(
                sa.update(phone_numbers).where(mine, may).values(changes or {"number": number})
            )
            if not done.rowcount and await connection.scalar(sa.select(n.number).where(mine)):
                raise InUse(f"In use: a listener has the number {number}; delete the listener first")
        return done.rowcount > 0

    async def delete(self, owner: Owner, number: str) -> bool:
        """Raises :class:`InUse` while a listener has the number: a call may be on its way to it."""
        mine = sa.and_(phone_numbers.c.number == number, _owned(owner))
        async with self._database.write() as connection:
            done = await connection.execute(sa.delete(phone_numbers).where(mine, phone_numbers.c.listener_id.is_(None)))
            if not done.rowcount and await connection.scalar(sa.select(phone_numbers.c.number).where(mine)):
                raise InUse(f"In use: a listener has the number {number}; delete the listener first")
        return done.rowcount > 0


async def take(connection: AsyncConnection, owner: Owner, listener_id: str, wanted: str, handler: str) -> str:
    """Give a number to the listener, in the transaction that makes the listener; returns its digits.

    ``wanted`` is digits or :data:`ANY`. One statement finds the number and takes it. Where transactions run side by
    side (PostgreSQL), a number that another one is just at is passed over; it is waited for only where no other is
    left, for whoever is at it may be taking it, or not.
    """
    allowed = [
        sa.or_(_owned(owner), phone_numbers.c.organisation_id.is_(None)),
        phone_numbers.c.handler == handler,
        phone_numbers.c.listener_id.is_(None),
        phone_numbers.c.number == wanted if wanted != ANY else ~phone_numbers.c.reservation,
    ]
    free = sa.select(phone_numbers.c.number).where(*allowed).order_by(phone_numbers.c.number).limit(1)
    taking = (
        sa.update(phone_numbers)
        .where(
            phone_numbers.c.number == free.with_for_update(skip_locked=True).scalar_subquery(),
            phone_numbers.c.listener_id.is_(None),
        )
        .values(listener_id=listener_id)
        .returning(phone_numbers.c.number)
    )
    for _ in range(_MOST_WAITS):
        taken: str | None = await connection.scalar(taking)
        if taken is not None:
            return taken
        busy = await connection.scalar(free)
        if busy is None:
            break
        await _wait_for(connection, busy)
    raise await _why_not(connection, owner, wanted, handler)


async def _wait_for(connection: AsyncConnection, number: str) -> None:
    """Until nobody else is at it. It is not held then: who holds one number while he waits for the next might wait for
    somebody who waits for him."""
    lock = await connection.begin_nested()
    await connection.execute(
        sa.select(phone_numbers.c.number).where(phone_numbers.c.number == number).with_for_update()
    )
    await lock.rollback()


async def _why_not(
    connection: AsyncConnection, owner: Owner, wanted: str, handler: str
) -> InUse | NotFound | NotSupported:
    mine = sa.or_(_owned(owner), phone_numbers.c.organisation_id.is_(None))
    if wanted == ANY:
        some = await connection.scalar(
            sa.select(phone_numbers.c.number).where(mine, phone_numbers.c.handler == handler)
        )
        if some is None:
            return NotFound(f"Not found: there are no numbers for {handler}; add one with POST /api/phone-endpoints")
        return InUse(f"In use: none of the numbers for {handler} is free")
    row = (
        await connection.execute(sa.select(phone_numbers.c.handler).where(mine, phone_numbers.c.number == wanted))
    ).one_or_none()
    if row is None:
        return NotFound(f"Not found: there is no number {wanted}; add it with POST /api/phone-endpoints")
    if row.handler != handler:
        return NotSupported(f"Not supported: the number {wanted} is for {row.handler}, and the agent runs on {handler}")
    return InUse(f"In use: the number {wanted} has a listener already")


def _wanted(owner: Owner, wanted: NumberFilter) -> sa.Select[Any]:
    query = _select(owner)
    if wanted.handler:
        query = query.where(phone_numbers.c.handler == wanted.handler)
    if wanted.search:
        n = phone_numbers.c
        by_name = n.name.icontains(wanted.search, autoescape=True)
        query = query.where(sa.or_(n.number.contains(wanted.search.removeprefix("+"), autoescape=True), by_name))
    if wanted.trunk_ids:
        query = query.where(phone_numbers.c.trunk_id.in_(wanted.trunk_ids))
    if wanted.outbound_only:
        query = query.where(phone_numbers.c.outbound)
    return query


def _owned(owner: Owner) -> sa.ColumnElement[bool]:
    return phone_numbers.c.organisation_id == owner.organisation_id


def _select(owner: Owner) -> sa.Select[Any]:
    n = phone_numbers.c
    in_reach = sa.and_(
        n.organisation_id.is_(None),
        sa.or_(n.listener_id.is_(None), listeners.c.organisation_id == owner.organisation_id),
    )
    columns = (n.number, n.handler, n.outbound, n.trunk_id, n.name, n.provisioned, n.listener_id)
    return (
        sa.select(*columns, agents.c.id, agents.c.name, n.created_at)
        .select_from(phone_numbers)
        .outerjoin(listeners, listeners.c.id == n.listener_id)
        .outerjoin(agents, agents.c.id == listeners.c.agent_id)
        .where(sa.or_(_owned(owner), in_reach))
    )
