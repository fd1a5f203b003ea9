"""``trunkline keys``: API keys, straight into the database."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import Any

import click

from gateway.auth import make_key
from gateway.cli.database import in_store
from gateway.cli.flags import setting_flags, settings_or_exit
from gateway.cli.rest import table
from gateway.scopes import SCOPES
from store import DEFAULT_OWNER
from store.rows import now

_COLUMNS = [("ID", "id"), ("NAME", "name"), ("SCOPES", "scopes"), ("EXPIRES", "expiresAt"), ("LAST USED", "lastUsedAt")]


@click.group(short_help="Make, list, replace and delete API keys.")
def keys() -> None:
    """API keys of the first organisation, which clients send as "Authorization: Bearer <key>"."""


@keys.command()
@click.option("--name", default="made by trunkline keys", help="What it is for.", show_default=True)
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="What it is good for; all, without.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="How long it is good; for ever, without.")
@setting_flags
def new(name: str, scopes: tuple[str, ...], days: float | None, **flags: Any) -> None:
    """Make an API key, and print it: this once, for the database keeps only its hash."""
    settings = settings_or_exit(flags)
    if name.upper() in ("TRUNKLINE_ADMIN_KEY", "FIRST KEY"):
        raise click.BadParameter("this name is the service's own; choose another", param_hint="--name")
    key, expires = make_key(), None if days is None else now() + timedelta(days=days)
    in_store(settings, lambda store: store.accounts.add_key(DEFAULT_OWNER, name, key, expires, scopes or None))
    click.echo(key)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@setting_flags
def list_keys(as_json: bool, **flags: Any) -> None:
    """List API keys: all of them but the keys themselves."""
    found = in_store(settings_or_exit(flags), lambda store: store.accounts.keys(DEFAULT_OWNER))
    rows = [
        {
            "id": key.id,
            "name": key.name,
            "scopes": key.scopes,
            "expiresAt": key.expires_at.isoformat() if key.expires_at else None,
            "lastUsedAt": key.last_used_at.isoformat() if key.last_used_at else None,
        }
        for key in found
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    shown = [{**row, "scopes": "all" if row["scopes"] is None else " ".join(map(str, row["scopes"]))} for row in rows]
    for line in table(shown, _COLUMNS) if rows else ["There are no keys; make one with: trunkline keys new"]:
        click.echo(line)


@keys.command()
@click.argument("key_id")
@click.option("--hours", default=24.0, show_default=True, type=click.FloatRange(0, 720), help="The old one stays good.")
@setting_flags
def rotate(key_id: str, hours: float, **flags: Any) -> None:
    """Replace a key by a new one with its name and scopes, and print that: this once."""
    key, overlap = make_key(), timedelta(hours=hours)
    made = in_store(
        settings_or_exit(flags), lambda store: store.accounts.replace_key(DEFAULT_OWNER, key_id, key, overlap)
    )
    if made is None:
        _no_such_key(key_id)
    click.echo(key)


@keys.command()
@click.argument("key_id")
@setting_flags
def delete(key_id: str, **flags: Any) -> None:
    """Delete a key: it is good for nothing from now on."""
    if not in_store(settings_or_exit(flags), lambda store: store.accounts.delete_key(DEFAULT_OWNER, key_id)):
        _no_such_key(key_id)
    click.echo(f"{key_id} is deleted")


def _no_such_key(key_id: str) -> None:
    click.echo(f"There is no key {key_id}; trunkline keys list tells which there are", err=True)
    sys.exit(1)
