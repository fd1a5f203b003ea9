"""``trunkline listeners``: agents that are active, over the REST API."""

from __future__ import annotations

import click

from gateway.cli.rest import Service, service_flags

_COLUMNS = [
    ("ID", "listenerId"), ("AGENT", "agentName"), ("AGENT ID", "agentId"), ("KIND", "kind"), ("NUMBER", "phoneNumber"),
    ("SINCE", "createdAt"),
]  # fmt: skip


@click.group(short_help="List and end what agents listen on.")
def listeners() -> None:
    """Agents that are active on a number, or for browser sessions. Make one with: trunkline agents listen."""


@listeners.command("list")
@click.option("--agent", "agent_id", help="Only those of this agent.")
@service_flags
def list_listeners(service: Service, agent_id: str | None) -> None:
    """List listeners."""
    path = "/api/listener" + (f"?agentId={agent_id}" if agent_id else "")
    rows = service.run(lambda api: api.get(path))["items"]
    service.show(rows, _COLUMNS, nothing="Nobody listens; make an agent listen with: trunkline agents listen AGENT_ID")


@listeners.command()
@click.argument("listener_id")
@service_flags
def delete(service: Service, listener_id: str) -> None:
    """End a listener; its number is free again."""
    service.run(lambda api: api.delete(f"/api/listener/{listener_id}"))
    service.done(f"{listener_id} is deleted")
