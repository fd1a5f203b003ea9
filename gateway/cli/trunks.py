"""``trunkline trunks``: carriers that numbers are on, over the REST API."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.rest import ID, Service, pages, service_flags

_COLUMNS = [
    ("ID", "id"), ("NAME", "name"), ("HANDLER", "handler"), ("OUTBOUND", "outbound"), ("REFER", "flags.canRefer"),
]  # fmt: skip


@click.group(short_help="List, make, change and delete trunks.")
def trunks() -> None:
    """Trunks: the carriers of Jambonz that numbers are on."""


@trunks.command("list")
@click.option("--limit", default=200, show_default=True, type=click.IntRange(1, 100_000))
@service_flags
def list_trunks(service: Service, limit: int) -> None:
    """List trunks."""
    rows = service.run(lambda api: pages(api, "/api/trunks", "items", "nextOffset", "offset", limit))
    service.show(rows, _COLUMNS, nothing="There are no trunks; make one with: trunkline trunks create NAME")


@trunks.command()
@click.argument("trunk_id", type=ID)
@service_flags
def show(service: Service, trunk_id: str) -> None:
    """Show a trunk."""
    service.show_one(service.run(lambda api: api.get(f"/api/trunks/{trunk_id}")))


@trunks.command()
@click.argument("name")
@click.option("--outbound", is_flag=True, help="Calls may be placed over it.")
@click.option("--can-refer", is_flag=True, help="The carrier takes SIP REFER.")
@service_flags
def create(service: Service, name: str, outbound: bool, can_refer: bool) -> None:
    """Make a trunk. NAME is that of a carrier in Jambonz, exactly."""
    body = {"name": name, "outbound": outbound, "flags": {"canRefer": can_refer}}
    made = service.run(lambda api: api.post("/api/trunks", body))
    service.done(made["id"], made)


@trunks.command()
@click.argument("trunk_id", type=ID)
@click.option("--name", help="That of another carrier in Jambonz: its numbers move there.")
@click.option("--outbound/--no-outbound", default=None, help="Whether calls may be placed over it.")
@click.option("--can-refer/--no-refer", default=None, help="Whether the carrier takes SIP REFER.")
@service_flags
def update(service: Service, trunk_id: str, name: str | None, outbound: bool | None, can_refer: bool | None) -> None:
    """Change a trunk; what is not given stays."""
    given: dict[str, Any] = {"name": name, "outbound": outbound}
    given["flags"] = None if can_refer is None else {"canRefer": can_refer}
    changes = {field: value for field, value in given.items() if value is not None}
    changed = service.run(lambda api: api.put(f"/api/trunks/{trunk_id}", changes))
    service.done(f"{trunk_id} is changed", changed)


@trunks.command()
@click.argument("trunk_id", type=ID)
@service_flags
def delete(service: Service, trunk_id: str) -> None:
    """Delete a trunk that no number is on."""
    answer = service.run(lambda api: api.delete(f"/api/trunks/{trunk_id}"))
    service.done(f"{trunk_id} is deleted", answer)
