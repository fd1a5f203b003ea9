"""Trunks: what numbers come over. One is Jambonz's carrier of the same name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database import Database
from store.errors import InUse
from store.rows import Owner, Page, new_id, now
from store.tables import phone_numbers, trunk_organisations, trunks


@dataclass(frozen=True, slots=True)
class Trunk:
    id: str
    name: str
    handler: str
    outbound: bool
    flags: dict[str, Any]


class Trunks:
    """A trunk may serve several organisations; then none of them changes it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, owner: Owner, name: str, *, handler: str, outbound: bool, flags: dict[str, Any]) -> Trunk:
        trunk = Trunk(new_id(), name, handler, outbound, flags)
        async with self._database.write() as connection:
            await connection.execute(
                sa.insert(trunks).values(
                    id=trunk.id, name=name, handler=handler, outbound=outbound, flags=flags, created_at=now()
                )
            )
            await connection.execute(
                sa.insert(trunk_organisations).values(trunk_id=trunk.id, organisation_id=owner.organisation_id)
            )
        return trunk

    async def get(self, owner: Owner, trunk_id: str) -> Trunk | None:
        async with self._database.read() as connection:
            row = (await connection.execute(_select(owner).where(trunks.c.id == trunk_id))).one_or_none()
        return Trunk(*row) if row else None

    async def list(self, owner: Owner, page: Page) -> list[Trunk]:
        query = _select(owner).order_by(trunks.c.name, trunks.c.id).limit(page.limit).offset(page.offset)
        async with self._database.read() as connection:
            return [Trunk(*row) for row in await connection.execute(query)]

    async def update(self, owner: Owner, trunk_id: str, changes: dict[str, Any]) -> bool:
        """Raises :class:`InUse` where other organisations have the trunk, too."""
        async with self._database.write() as connection:
            if not await _mine_alone(connection, owner, trunk_id):
                return False
            await connection.execute(
                sa.update(trunks).where(trunks.c.id == trunk_id).values(changes or {"id": trunk_id})
            )
        return True

    async def delete(self, owner: Owner, trunk_id: str) -> bool:
        """Raises :class:`InUse` likewise, and while a number is on it."""
        async with self._database.write() as connection:
            if not await _mine_alone(connection, owner, trunk_id):
                return False
            number = await connection.scalar(
                sa.select(phone_numbers.c.number).where(phone_numbers.c.trunk_id == trunk_id).limit(1)
            )
            if number is not None:
                raise InUse(f"In use: the number {number} is on the trunk; delete it first")
            await connection.execute(sa.delete(trunks).where(trunks.c.id == trunk_id))
        return True


async def _mine_alone(connection: AsyncConnection, owner: Owner, trunk_id: str) -> bool:
    """False: the owner has no such trunk. Locks it, against a number that is just being put on it."""
    await connection.execute(sa.select(trunks.c.id).where(trunks.c.id == trunk_id).with_for_update())
    theirs = (
        await connection.scalars(
            sa.select(trunk_organisations.c.organisation_id).where(trunk_organisations.c.trunk_id == trunk_id)
        )
    ).all()
    if owner.organisation_id not in theirs:
        return False
    if len(theirs) > 1:
        raise InUse("In use: other organisations have this trunk, too; whoever runs the service can change it")
    return True


def _select(owner: Owner) -> sa.Select[Any]:
    return (
        sa.select(trunks.c.id, trunks.c.name, trunks.c.handler, trunks.c.outbound, trunks.c.flags)
        .join(trunk_organisations, trunk_organisations.c.trunk_id == trunks.c.id)
        .where(trunk_organisations.c.organisation_id == owner.organisation_id)
    )
