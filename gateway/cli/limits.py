"""``trunkline limits``: calls at once of the first organisation and its user, straight into the database."""

from __future__ import annotations

import json
from typing import Any

import click

from gateway.cli.database import in_store
from gateway.cli.flags import setting_flags, settings_or_exit
from store import DEFAULT_OWNER, Store
from store.accounts import Limits


def _limit(_context: click.Context, _option: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == "none":
        return value
    if not (value.isascii() and value.isdigit() and int(value) <= 1_000_000):
        raise click.BadParameter(
            f"{value!r} is no limit; write a number of calls, 0 for none at all, or none for no limit"
        )
    return int(value)


@click.command(short_help="Show and set how many calls at once there may be.")
@click.option("--organisation", metavar="N|none", callback=_limit, help="Set that of the organisation.")
@click.option("--user", metavar="N|none", callback=_limit, help="Set that of its user.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@setting_flags
def limits(organisation: int | str | None, user: int | str | None, as_json: bool, **flags: Any) -> None:
    """Show, and set, how many calls at once the first organisation and its user may have. A new limit holds for the
    next call; calls under way go on. A listener's own limit is its agentLimit."""

    async def work(store: Store) -> Limits:
        known = await store.accounts.limits(DEFAULT_OWNER)
        wanted = Limits(_changed(known.organisation, organisation), _changed(known.user, user))
        if wanted != known:
            await store.accounts.set_limits(DEFAULT_OWNER, organisation=wanted.organisation, user=wanted.user)
        return wanted

    found = in_store(settings_or_exit(flags), work)
    if as_json:
        click.echo(json.dumps({"organisation": found.organisation, "user": found.user}))
        return
    for name, limit in (("organisation", found.organisation), ("user", found.user)):
        click.echo(f"{name:14}{'no limit' if limit is None else limit}")


def _changed(known: int | None, wanted: int | str | None) -> int | None:
    if wanted is None:
        return known
    return wanted if isinstance(wanted, int) else None
