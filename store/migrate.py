"""Brings a database to the schema of this version: Alembic's scripts, run at start.

Reading the scripts is work of a thread (it reads files); running them goes through the same driver as every other
statement, so that no second one is needed for PostgreSQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from store.database import Database
from store.errors import CannotOpen

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

MIGRATIONS = Path(__file__).parent / "migrations"


_LOCK = 0x7472756E6B6C696E
"""An advisory lock of PostgreSQL, by a number of our own ("trunklin"): processes that start together take turns."""


async def migrate(database: Database) -> None:
    """Upgrade to the newest revision, in one transaction."""
    upgrade = await asyncio.to_thread(load_upgrade)
    async with database.upgrading() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        await connection.run_sync(upgrade)


def load_upgrade() -> Callable[[sa.Connection], None]:
    """Read the scripts; gives what upgrades a connection to the newest one. Blocking.

    Raises :class:`CannotOpen` when it is run on a database that is ahead of the scripts: a newer version has used it.
    """
    # Alembic takes half a second to import, and is needed once.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(MIGRATIONS))
    known = {script.revision for script in scripts.walk_revisions()}

    def steps(revision: Any, _context: MigrationContext) -> Any:
        current = set(revision) if isinstance(revision, tuple) else {revision} - {None}
        if not current <= known:
            raise CannotOpen(
                f"the database has the schema {', '.join(sorted(current))}, which this version does not know; "
                "run the version that wrote it, or a newer one"
            )
        return scripts._upgrade_revs("head", revision)  # noqa: SLF001  (how Alembic's own commands do it)

    def upgrade(connection: sa.Connection) -> None:
        context = MigrationContext.configure(connection, opts={"fn": steps, "transactional_ddl": True})
        with Operations.context(context):
            context.run_migrations()

    return upgrade
