"""``trunkline listeners``: agents that are active, over the REST API."""

from __future__ import annotations

import click
from yarl import URL

from gateway.cli.rest import ID, Service, service_flags

_COLUMNS = [
    ("ID", "listenerId"), ("AGENT", "agentName"), ("AGENT ID", "agentId"), ("KIND", "kind"), ("NUMBER", "phoneNumber"),
    ("SINCE", "createdAt"), ("UNTIL", "expiresAt"),
]  # fmt: skip


@click.group(short_help="List, keep and end what agents listen on.")
def listeners() -> None:
    """Agents that are active on a number, or for browser sessions. Make one with: trunkline agents listen."""


@listeners.command("list")
@click.option("--agent", "agent_id", type=ID, help="Only those of this agent.")
@service_flags
def list_listeners(service: Service, agent_id: str | None) -> None:
    """List listeners."""
    path = str(URL("/api/listener").with_query({"agentId": agent_id} if agent_id else {}))
    rows = service.run(lambda api: api.get(path))["items"]
    service.show(rows, _COLUMNS, nothing="Nobody listens; make an agent listen with: trunkline agents listen AGENT_ID")


@listeners.command()
@click.argument("listener_id", type=ID)
@service_flags
def delete(service: Service, listener_id: str) -> None:
    """End a listener; its number is free again."""
    service.run(lambda api: api.delete(f"/api/listener/{listener_id}"))
    service.done(f"{listener_id} is deleted")


@listeners.command()
@click.argument("listener_id", type=ID)
@service_flags
def renew(service: Service, listener_id: str) -> None:
    """Renew the lease of a listener: it begins again now."""
    made = service.run(lambda api: api.post(f"/api/listener/{listener_id}/renew", {}))
    until = made["expiresAt"]
    service.done(f"{listener_id} stays until {until}" if until else f"{listener_id} has no lease: it stays", made)
