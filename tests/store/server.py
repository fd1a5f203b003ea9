"""The PostgreSQL that TEST_DATABASE_URL names: a database of its own for each test."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from blockbuster import BlockBuster
from sqlalchemy.ext.asyncio import create_async_engine

from store.database import parse_url

SERVER = os.environ.get("TEST_DATABASE_URL", "")


@asynccontextmanager
async def as_superuser() -> AsyncIterator[Any]:
    engine = create_async_engine(parse_url(SERVER), isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


@asynccontextmanager
async def own_database(no_blocking_calls: BlockBuster) -> AsyncIterator[str]:
    """The URL of an empty database, which is dropped in the end."""
    allow_driver(no_blocking_calls)
    name = f"trunkline_test_{uuid.uuid4().hex}"
    async with as_superuser() as connection:
        await connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield parse_url(SERVER).set(database=name).render_as_string(hide_password=False)
    finally:
        async with as_superuser() as connection:
            await connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


def allow_driver(no_blocking_calls: BlockBuster) -> None:
    for function in no_blocking_calls.functions.values():  # it looks for ~/.pgpass when it connects
        function.can_block_in("asyncpg/connect_utils.py", "_read_password_file")
        function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
