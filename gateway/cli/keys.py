"""``trunkline keys``: API keys, straight into the database."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from gateway.auth import make_key
from gateway.cli.flags import setting_flags, settings_or_exit
from gateway.settings import Settings
from store import DEFAULT_OWNER, Store
from store.errors import UNREACHABLE


@click.group(short_help="Make API keys.")
def keys() -> None:
    """API keys, which clients send as "Authorization: Bearer <key>"."""


@keys.command()
@click.option("--name", default="made by trunkline keys", help="What it is for.", show_default=True)
@setting_flags
def new(name: str, **flags: Any) -> None:
    """Make an API key, and print it: this once, for the database keeps only its hash."""
    settings = settings_or_exit(flags)
    if name.upper() in ("TRUNKLINE_ADMIN_KEY", "FIRST KEY"):
        raise click.BadParameter("this name is the service's own; choose another", param_hint="--name")
    try:
        click.echo(asyncio.run(_make(settings, name)))
    except UNREACHABLE as error:
        click.echo(f"The database cannot be reached: {error}", err=True)
        sys.exit(1)


async def _make(settings: Settings, name: str) -> str:
    secret = settings.credentials_key.get_secret_value() if settings.credentials_key else None
    store = await Store.open(settings.database, data_dir=settings.data_dir, credentials_key=secret)
    try:
        key = make_key()
        await store.accounts.add_key(DEFAULT_OWNER, name, key)
        return key
    finally:
        await store.close()
