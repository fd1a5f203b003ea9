"""Connections: how a statement reaches SQLite or PostgreSQL.

``read`` gives a connection on which each statement stands alone; ``write`` gives a transaction. SQLite has one writer
at a time, so all its writes queue, in order, for one connection, and begin with the lock that they will need: nothing
is ever refused as busy half-way through.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from store.errors import CannotOpen, reason

WAIT_SECONDS = 10
"""How long a statement waits for a free connection, SQLite for its lock, and PostgreSQL's answer is waited for."""

UPGRADE_SECONDS = 600
"""How long PostgreSQL's answer is waited for when the tables are brought up to date: they may be large, and another
process may be at it."""

READERS = 4
"""Of an SQLite file at the same time; each connection is a thread."""

IDLE_SECONDS = 1.0
"""A connection to PostgreSQL that was used less than so long ago, and was not closed since, is taken to be there still.
Any other is asked first, which costs one round trip, and before a transaction three."""

_DEADLINES = {"timeout": WAIT_SECONDS, "command_timeout": WAIT_SECONDS}
"""Of PostgreSQL's driver."""

_NOT_NOW = frozenset({"57P01", "57P02", "57P03", "53300"})
"""States of PostgreSQL: it was shut down, it crashed, it starts up, it has too many connections."""

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


class Database:
    """The two pools, opened lazily. ``url`` is ``sqlite:///path`` or ``postgresql://…``."""

    def __init__(self, url: str) -> None:
        parsed = parse_url(url)
        self.shown = shown(url)
        self.file = sqlite_file(url)
        # What is stored is said in calls, and no matter of logs: errors tell the statement, and not its values.
        common: dict[str, Any] = {"pool_timeout": WAIT_SECONDS, "hide_parameters": True}
        if self.file is not None:
            self._writer = create_async_engine(parsed, pool_size=1, max_overflow=0, **common)
            self._reader = create_async_engine(
                parsed, pool_size=READERS, max_overflow=0, isolation_level="AUTOCOMMIT", **common
            )
            event.listen(self._writer.sync_engine, "connect", _sqlite_transactions_of_ours)
            event.listen(self._writer.sync_engine, "begin", _begin_immediate)
            for engine in (self._writer, self._reader):
                event.listen(engine.sync_engine, "connect", _sqlite_pragmas)
        else:
            self._writer = create_async_engine(parsed, pool_size=5, connect_args=_DEADLINES, **common)
            _ask_idle_connections(self._writer.sync_engine)
            event.listen(self._writer.sync_engine, "handle_error", _as_unreachable)
            self._reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")

    async def reach(self) -> None:
        """Raises :class:`CannotOpen` where it does not answer, in words."""
        try:
            async with self.read() as connection:
                await connection.exec_driver_sql("SELECT 1")
        except (sa.exc.SQLAlchemyError, OSError, TypeError, ValueError) as error:  # of a URL: what no driver knows
            raise CannotOpen(f"{self.shown} cannot be opened: {reason(error)}") from error

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._reader.connect()

    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._writer.begin()

    def one_statement(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """To write what is one statement on PostgreSQL, which is a transaction by itself; on SQLite it may be
        several."""
        return self.read() if self.file is None else self.write()

    @asynccontextmanager
    async def upgrading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction whose statements may take :data:`UPGRADE_SECONDS` each."""
        if self.file is not None:
            async with self.write() as connection:
                yield connection
            return
        patience = {**_DEADLINES, "command_timeout": UPGRADE_SECONDS}
        engine = create_async_engine(self._writer.url, poolclass=NullPool, connect_args=patience, hide_parameters=True)
        async with engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[Any]:
        """A connection of PostgreSQL's own driver, outside the pool: for what lasts."""
        engine = create_async_engine(self._writer.url, poolclass=NullPool, connect_args=_DEADLINES)
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            try:
                yield driver
            finally:
                # No farewell: the other end may not be there any more.
                driver.terminate()  # type: ignore[union-attr]
                await connection.invalidate()

    async def close(self) -> None:
        engines: list[AsyncEngine] = [self._writer]
        if self.file is not None:
            engines.append(self._reader)
        for engine in engines:
            await engine.dispose()


def shown(url: str) -> str:
    """``url`` for people: without what may be a password."""
    return make_url(url).set(query={}).render_as_string(hide_password=True)


def sqlite_file(url: str) -> str | None:
    """None for a server."""
    parsed = parse_url(url)
    return parsed.database if parsed.get_backend_name() == "sqlite" else None


def parse_url(url: str) -> URL:
    """``url`` with the driver that this service uses. Raises ValueError with a sentence."""
    try:
        parsed = make_url(url)
        driver = _DRIVERS[parsed.get_backend_name()]
    except (sa.exc.ArgumentError, KeyError, ValueError):  # what they say may be part of a password
        raise ValueError("has to be postgresql://user:password@host/name or sqlite:///path/to/file") from None
    if driver.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise ValueError("has to name a file: sqlite:///path/to/file")
    parsed = parsed.set(drivername=driver)
    if "sslmode" in parsed.query:  # libpq's name for it, which hosts of databases write
        mode = parsed.query["sslmode"]
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return parsed


def _ask_idle_connections(engine: sa.Engine) -> None:
    """As ``pool_pre_ping``, which asks all: one that does not answer is replaced, with all others as old."""

    def back(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["back"] = time.monotonic()

    def taken(connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object) -> None:
        driver = record.driver_connection
        if driver is None or driver.is_closed():
            raise sa.exc.InvalidatePoolError
        if time.monotonic() - record.info.get("back", math.inf) < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise sa.exc.InvalidatePoolError from error

    event.listen(engine, "checkin", back)
    event.listen(engine, "checkout", taken)


def _as_unreachable(context: ExceptionContext) -> sa.exc.OperationalError | None:
    """What a server says that starts, stops or is full, which the driver's dialect has no class for: to those who
    ask, it is not there."""
    error = context.original_exception
    if getattr(error, "sqlstate", None) not in _NOT_NOW:
        return None
    return sa.exc.OperationalError(context.statement, None, error)


def _sqlite_pragmas(connection: DBAPIConnection, _record: object) -> None:
    # SQLite's own knows no letters but A to Z: searches ask for lower ones, as PostgreSQL's do.
    connection.create_function("lower", 1, _lower, deterministic=True)
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={WAIT_SECONDS * 1000}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _lower(text: object) -> object:
    return text.lower() if isinstance(text, str) else text


def _sqlite_transactions_of_ours(connection: DBAPIConnection, _record: object) -> None:
    # The driver would begin transactions by itself, without the lock, and only before some statements.
    connection.isolation_level = None


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
