"""What Jambonz should have of all tenants' numbers and registrations, what it was found to have, and whose turn it is
to bring the two together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from store.database import Database
from store.errors import Unreadable
from store.registrations import ACTIVE, DISABLED, INITIAL, REGISTERING, context
from store.rows import clock, insert_if_absent, now
from store.tables import chores, phone_numbers, phone_registrations, trunks
from store.vault import Vault

HANDLER = "jambonz"

MARKED_AT_ONCE = 500

_LONG_AGO = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class NumberRow:
    """``trunk`` is the trunk's name."""

    number: str
    trunk: str | None
    provisioned: bool


@dataclass(frozen=True, slots=True)
class RegistrationRow:
    """``password`` is None where it does not open with the credentials key."""

    id: str
    registrar: str
    username: str
    password: str | None
    options: Mapping[str, Any]
    status: str
    state: str
    error: str | None
    told_at: datetime | None
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class RegistrationChange:
    """``seen`` is the row that it was concluded from: if it is another one by now, nothing is written."""

    seen: RegistrationRow
    status: str
    state: str
    error: str | None
    last_seen_at: datetime | None


class Provisioning:
    """``node`` is this process."""

    def __init__(self, database: Database, vault: Vault, node: str) -> None:
        self._database = database
        self._vault = vault
        self._node = node

    async def numbers(self) -> list[NumberRow]:
        n = phone_numbers.c
        query = (
            sa.select(n.number, trunks.c.name, n.provisioned)
            .select_from(phone_numbers)
            .outerjoin(trunks, trunks.c.id == n.trunk_id)
            .where(n.handler == HANDLER)
            .order_by(n.number)
        )
        async with self._database.read() as connection:
            return [NumberRow(*row) for row in await connection.execute(query)]

    async def registrations(self) -> list[RegistrationRow]:
        r = phone_registrations.c
        columns = (r.id, r.registrar, r.username, r.sealed_password, r.options, r.status, r.state, r.error)
        query = sa.select(*columns, r.told_at, r.last_seen_at).where(r.handler == HANDLER).order_by(r.created_at, r.id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [
            RegistrationRow(
                row.id,
                row.registrar,
                row.username,
                self._open(row.id, row.sealed_password),
                row.options,
                row.status,
                row.state,
                row.error,
                row.told_at,
                row.last_seen_at,
            )
            for row in rows
        ]

    async def mark_numbers(self, provisioned: Sequence[str], missing: Sequence[str]) -> None:
        """Write down which numbers Jambonz has; those that are for another handler have nothing to do with it. In
        transactions of some: whoever wants to listen on one of the numbers waits for its."""
        n = phone_numbers.c
        for numbers, value in ((provisioned, True), (missing, False)):
            for start in range(0, len(numbers), MARKED_AT_ONCE):
                some = n.number.in_(numbers[start : start + MARKED_AT_ONCE])
                async with self._database.write() as connection:
                    await connection.execute(
                        sa.update(phone_numbers).where(some, n.handler == HANDLER).values(provisioned=value)
                    )
        async with self._database.write() as connection:
            await connection.execute(
                sa.update(phone_numbers).where(n.handler != HANDLER, n.provisioned).values(provisioned=False)
            )

    async def tell(self, registration_ids: Collection[str]) -> None:
        """Jambonz is about to be told of these: what it reports of them from before counts no more."""
        r = phone_registrations.c
        async with self._database.write() as connection:
            await connection.execute(
                sa.update(phone_registrations)
                .where(r.id.in_(registration_ids))
                .values(
                    told_at=now(),
                    error=None,
                    status=sa.case((r.status == DISABLED, DISABLED), else_=ACTIVE),
                    state=sa.case((r.status == DISABLED, INITIAL), else_=REGISTERING),
                )
            )

    async def mark_registrations(self, changes: Collection[RegistrationChange]) -> None:
        r = phone_registrations.c
        async with self._database.write() as connection:
            for change in changes:
                values: dict[str, Any] = {"status": change.status, "state": change.state, "error": change.error}
                if change.last_seen_at is not None:
                    values["last_seen_at"] = change.last_seen_at
                seen = change.seen
                await connection.execute(
                    sa.update(phone_registrations)
                    .where(r.id == seen.id, r.status == seen.status, r.state == seen.state)
                    .values(values)
                )

    # Whose turn it is

    async def begin(self, chore: str, seconds: float, *, rest: float = 0.0) -> bool:
        """Take the chore for ``seconds``. False: somebody has it, or has done it within the last ``rest`` seconds."""
        async with self._database.write() as connection:
            at = await clock(connection)
            await connection.execute(
                insert_if_absent(connection, chores)
                .values(name=chore, expires_at=at - _LONG_AGO)
                .on_conflict_do_nothing()
            )
            c = chores.c
            free = sa.and_(
                c.name == chore,
                c.expires_at <= at,
                sa.or_(c.done_at.is_(None), c.done_at <= at - timedelta(seconds=rest)),
            )
            taken = await connection.execute(
                sa.update(chores).where(free).values(holder=self._node, expires_at=at + timedelta(seconds=seconds))
            )
        return taken.rowcount > 0

    async def go_on(self, chore: str, seconds: float) -> bool:
        """Hold it for ``seconds`` from now. False: the lease was over before, and somebody else may have it."""
        async with self._database.write() as connection:
            at = await clock(connection)
            c = chores.c
            held = await connection.execute(
                sa.update(chores)
                .where(c.name == chore, c.holder == self._node, c.expires_at > at)
                .values(expires_at=at + timedelta(seconds=seconds))
            )
        return held.rowcount > 0

    async def end(self, chore: str, *, done: bool) -> None:
        """Give it back."""
        async with self._database.write() as connection:
            at = await clock(connection)
            values: dict[str, Any] = {"holder": None, "expires_at": at}
            if done:
                values["done_at"] = at
            await connection.execute(
                sa.update(chores).where(chores.c.name == chore, chores.c.holder == self._node).values(values)
            )

    def _open(self, registration_id: str, sealed: str) -> str | None:
        try:
            return self._vault.open(sealed, context(registration_id))
        except Unreadable:
            return None
