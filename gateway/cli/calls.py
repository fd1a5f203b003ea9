"""``trunkline calls``: what was called and said, over the REST API."""

from __future__ import annotations

import json
from typing import Any

import click

from gateway.cli.client import Client
from gateway.cli.rest import Service, pages, service_flags

_COLUMNS = [
    ("ID", "id"), ("STARTED", "startedAt"), ("FROM", "callerId"), ("TO", "calledId"), ("MODEL", "modelName"),
    ("STATUS", "status"), ("ENDED BY", "endReason"), ("MS", "durationMs"),
]  # fmt: skip


@click.group(short_help="List calls and read them back.")
def calls() -> None:
    """Calls, those under way and those that are over."""


@calls.command("list")
@click.option("--agent", "agent_id", help="Only those of this agent, the newest first.")
@click.option("--after", "last_index", default=0, type=click.IntRange(min=0), help="Only those after this index.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000))
@service_flags
def list_calls(service: Service, agent_id: str | None, last_index: int, limit: int) -> None:
    """List calls in the order in which they came."""

    async def rows(api: Client) -> list[Any]:
        if agent_id is not None:
            return await pages(api, f"/api/agents/{agent_id}/calls", "calls", "next", "offset", limit)
        start = f"/api/calls?lastIndex={last_index}" if last_index else "/api/calls"
        return await pages(api, start, "calls", "next", "lastIndex", limit)

    service.show(service.run(rows), _COLUMNS, nothing="There are no calls.")


@calls.command()
@click.argument("call_id")
@service_flags
def show(service: Service, call_id: str) -> None:
    """Show a call, and what it used."""
    service.show_one(service.run(lambda api: api.get(f"/api/calls/{call_id}")))


@calls.command()
@click.argument("call_id")
@click.option("--all", "everything", is_flag=True, help="Latencies and other states, too.")
@service_flags
def log(service: Service, call_id: str, everything: bool) -> None:
    """Read what happened in a call, in order."""
    entries = service.run(lambda api: api.get(f"/api/calls/{call_id}/logs"))
    if service.as_json:
        click.echo(json.dumps(entries, indent=2, ensure_ascii=False))
        return
    for entry in entries:
        if everything or entry["type"] != "status":
            data = entry["data"]
            shown = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
            click.echo(f"{entry['createdAt']}  {entry['type']:<16}  {shown}")


@calls.command()
@click.argument("call_id")
@service_flags
def delete(service: Service, call_id: str) -> None:
    """Delete a call that is over, with its log: nothing of it is left."""
    service.run(lambda api: api.delete(f"/api/calls/{call_id}"))
    service.done(f"{call_id} is deleted")
