"""``trunkline numbers``: the pool of telephone numbers, over the REST API; and Jambonz brought to it, directly."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.flags import setting_flags, settings_or_exit
from gateway.cli.rest import ID, Service, pages, service_flags

_COLUMNS = [
    ("NUMBER", "number"), ("NAME", "name"), ("HANDLER", "handler"), ("TRUNK", "trunkId"), ("OUTBOUND", "outbound"),
    ("PROVISIONED", "provisioned"), ("AGENT", "agentName"),
]  # fmt: skip


@click.group(short_help="List, add and delete telephone numbers, and tell Jambonz.")
def numbers() -> None:
    """Telephone numbers that agents can listen on."""


@numbers.command("list")
@click.option("--limit", default=200, show_default=True, type=click.IntRange(1, 100_000))
@service_flags
def list_numbers(service: Service, limit: int) -> None:
    """List numbers, and who listens on them."""
    path = "/api/phone-endpoints?type=e164-ddi"
    rows = service.run(lambda api: pages(api, path, "items", "nextOffset", "offset", limit))
    service.show(rows, _COLUMNS, nothing="There are no numbers; add one with: trunkline numbers add NUMBER")


@numbers.command()
@click.argument("number")
@click.option("--trunk", "trunk_id", help="The trunk that it comes in on.")
@click.option("--name", help="For people.")
@click.option("--outbound", is_flag=True, help="Calls may be placed from it.")
@service_flags
def add(service: Service, number: str, trunk_id: str | None, name: str | None, outbound: bool) -> None:
    """Add a number (E.164) to the pool."""
    body: dict[str, Any] = {"type": "e164-ddi", "number": number, "outbound": outbound}
    body |= {key: value for key, value in {"trunkId": trunk_id, "name": name}.items() if value is not None}
    made = service.run(lambda api: api.post("/api/phone-endpoints", body))
    service.done(f"{made['number']} is in the pool", made)


@numbers.command()
@click.argument("number", type=ID)
@service_flags
def delete(service: Service, number: str) -> None:
    """Take a number out of the pool."""
    answer = service.run(lambda api: api.delete(f"/api/phone-endpoints/{number}"))
    service.done(f"{number} is no longer in the pool", answer)


@numbers.command()
@click.option("--dry-run", is_flag=True, help="Print what it would do, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@setting_flags
def sync(dry_run: bool, as_json: bool, **flags: Any) -> None:
    """Bring Jambonz to what the database wants: the application with its webhooks, the numbers, and the carriers of
    registrations. The service does the same by itself; this needs its settings, and not the service. The exit status
    is 1 if anything could not be done."""
    from gateway.cli.sync import synchronise

    synchronise(settings_or_exit(flags), dry_run=dry_run, as_json=as_json)
