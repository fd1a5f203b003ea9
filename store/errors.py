"""Why the store refuses. Each message is a sentence for the one who asked."""

from __future__ import annotations

import sqlalchemy as sa


class StoreError(Exception):
    """What was asked for cannot be done; nothing was changed."""


class NotFound(StoreError):
    """There is no such thing, or it belongs to somebody else: from outside that is the same."""


class InUse(StoreError):
    """It is there, and taken."""


class NotSupported(StoreError):
    """It is there, and of the wrong kind."""


class Unreadable(StoreError):
    """Something encrypted does not open with the credentials key at hand."""


class CannotOpen(Exception):
    """The database, or the key to its secrets, cannot be used by this service; nothing is open."""


UNREACHABLE = (sa.exc.InterfaceError, sa.exc.OperationalError, sa.exc.TimeoutError, OSError)
"""What comes out of any query while the database is gone or too busy to answer."""


def reason(error: BaseException) -> str:
    """What a database, or its driver, says is wrong: without the statement and whatever else it adds."""
    said = getattr(error, "orig", None)
    said = error if said is None else said.__cause__ or said  # SQLAlchemy makes others of asyncpg's
    silent = "no answer in time" if isinstance(said, TimeoutError) else type(said).__name__
    return str(said).partition("\n")[0] or silent
