"""What commands do straight in the database, whether the service runs or not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from gateway.settings import Settings
from store import Store
from store.errors import UNREACHABLE, CannotOpen, reason

T = TypeVar("T")


def in_store(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    """What ``work`` returns; a database that cannot be reached is told, and ends the command."""

    async def inside() -> T:
        store = await Store.open(settings.database, data_dir=settings.data_dir, **settings.credentials)
        try:
            return await work(store)
        finally:
            await store.close()

    try:
        return asyncio.run(inside())
    except CannotOpen as error:
        click.echo(f"That cannot be done: {error}", err=True)
        sys.exit(1)
    except UNREACHABLE as error:
        click.echo(f"The database cannot be reached: {reason(error)}", err=True)
        sys.exit(1)
