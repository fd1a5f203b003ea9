"""``trunkline agents``: definitions, over the REST API."""

from __future__ import annotations

from typing import Any

import click
from yarl import URL

from gateway.cli.rest import ID, Service, json_of, pages, read_json, service_flags

_COLUMNS = [("ID", "id"), ("NAME", "name"), ("MODEL", "modelName"), ("CHANGED", "updatedAt")]


@click.group(short_help="List, make, change and delete agents.")
def agents() -> None:
    """Agents: definitions as JSON, in a running service."""


@agents.command("list")
@click.option("--search", default="", help="Only those whose name or model has this text.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@service_flags
def list_agents(service: Service, search: str, limit: int) -> None:
    """List agents, the one changed last first."""
    path = str(URL("/api/agents").with_query({"search": search} if search else {}))
    rows = service.run(lambda api: pages(api, path, "agents", "next", "offset", limit))
    service.show(rows, _COLUMNS, nothing="There are no agents; make one with: trunkline agents create FILE")


@agents.command()
@click.argument("agent_id", type=ID)
@service_flags
def show(service: Service, agent_id: str) -> None:
    """Show an agent and its listeners."""
    service.show_one(service.run(lambda api: api.get(f"/api/agents/{agent_id}")))


@agents.command()
@click.argument("file")
@service_flags
def create(service: Service, file: str) -> None:
    """Make an agent of the JSON in FILE, or of standard input ("-")."""
    definition = read_json(file)
    made = service.run(lambda api: api.post("/api/agents", definition))
    service.done(made["id"], made)


@agents.command()
@click.argument("agent_id", type=ID)
@click.argument("file")
@service_flags
def update(service: Service, agent_id: str, file: str) -> None:
    """Replace those fields of an agent that the JSON in FILE has."""
    changes = read_json(file)
    changed = service.run(lambda api: api.put(f"/api/agents/{agent_id}", changes))
    service.done(f"{agent_id} is changed", changed)


@agents.command()
@click.argument("agent_id", type=ID)
@service_flags
def delete(service: Service, agent_id: str) -> None:
    """Delete an agent and its listeners; their numbers are free again."""
    service.run(lambda api: api.delete(f"/api/agents/{agent_id}"))
    service.done(f"{agent_id} is deleted")


@agents.command()
@click.argument("agent_id", type=ID)
@click.option("--number", help='The number to listen on; "*" is any free one. Without it: browser sessions.')
@click.option("--registration", "registration_id", metavar="ID", help="The registration to listen on, instead.")
@click.option("--websocket", is_flag=True, help="Browser sessions over a socket here, also of agents of Ultravox.")
@click.option("--stream-log", is_flag=True, help="Keep what the service logs of its calls with them.")
@click.option("--limit", "agent_limit", type=click.IntRange(min=0), help="Calls at once.")
@click.option("--metadata", metavar="JSON", help="What functions can read in its calls.")
@click.option("--ttl", type=click.IntRange(min=1), help="Seconds until it goes, unless its lease is renewed.")
@click.option("--tied", is_flag=True, help="Open progress sockets renew its lease.")
@service_flags
def listen(
    service: Service,
    agent_id: str,
    number: str | None,
    registration_id: str | None,
    websocket: bool,
    stream_log: bool,
    agent_limit: int | None,
    metadata: str | None,
    ttl: int | None,
    tied: bool,
) -> None:
    """Activate an agent on a number, on a registration, or for browser sessions."""
    where = {"number": number, "id": registration_id, "websocket": websocket or None}
    body: dict[str, Any] = {name: value for name, value in where.items() if value is not None}
    given = json_of(metadata, "--metadata") if metadata is not None else None
    options = {"agentLimit": agent_limit, "metadata": given, "ttl": ttl}
    options |= {"tied": tied or None, "streamLog": stream_log or None}
    body["options"] = {name: value for name, value in options.items() if value is not None}
    made = service.run(lambda api: api.post(f"/api/agents/{agent_id}/listen", body))
    on = made["number"] or made["registrationId"] or "browser sessions"
    service.done(f"{made['id']} listens on {on}", made)
