"""Alembic's environment for ``revision --autogenerate``: a scratch database in memory with all the migrations so far.

The service itself runs the migrations by :mod:`store.migrate`.
"""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from sqlalchemy.pool import StaticPool

from store.migrate import load_upgrade
from store.tables import Utc, metadata


def portable(kind: str, value: Any, _context: object) -> str | Literal[False]:
    """A migration does not change with the code: it names plain types."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(value, Utc) else False


with sa.create_engine("sqlite://", poolclass=StaticPool).connect() as connection:
    upgrade = load_upgrade()
    upgrade(connection)
    connection.commit()
    context.configure(connection=connection, target_metadata=metadata, render_item=portable)
    with context.begin_transaction():
        context.run_migrations()
