"""``trunkline reseal``: secrets encrypted anew, after CREDENTIALS_KEY was changed."""

from __future__ import annotations

import sys
from typing import Any

import click

from gateway.cli.database import in_store
from gateway.cli.flags import setting_flags, settings_or_exit


@click.command(short_help="Encrypt all secrets with the new CREDENTIALS_KEY.")
@setting_flags
def reseal(**flags: Any) -> None:
    """Encrypt all secrets in the database with CREDENTIALS_KEY. Those that another key sealed are opened with
    CREDENTIALS_KEY_OTHER. The service may run meanwhile."""
    done = in_store(settings_or_exit(flags), lambda store: store.sealed.reseal())
    click.echo(f"{done.anew} encrypted anew, {done.already} were already")
    for one in done.unreadable:
        click.echo(f"The secrets of {one} open with neither key", err=True)
    if done.unreadable:
        sys.exit(1)
