"""``trunkline registrations``: SIP accounts that Jambonz registers with, over the REST API."""

from __future__ import annotations

import sys
from typing import Any

import click

from gateway.cli.rest import ID, Service, pages, service_flags

_COLUMNS = [
    ("ID", "id"), ("NAME", "name"), ("REGISTRAR", "registrar"), ("USER", "username"), ("STATUS", "status"),
    ("STATE", "state"), ("OUTBOUND", "outbound"), ("AGENT", "agentName"),
]  # fmt: skip


@click.group(short_help="List, make, change and delete SIP registrations.")
def registrations() -> None:
    """SIP accounts that Jambonz registers with, and that agents can listen on."""


@registrations.command("list")
@click.option("--limit", default=200, show_default=True, type=click.IntRange(1, 100_000))
@service_flags
def list_registrations(service: Service, limit: int) -> None:
    """List registrations, their state, and who listens on them."""
    path = "/api/phone-endpoints?type=phone-registration"
    rows = service.run(lambda api: pages(api, path, "items", "nextOffset", "offset", limit))
    nothing = "There are no registrations; make one with: trunkline registrations create REGISTRAR USERNAME"
    service.show(rows, _COLUMNS, nothing=nothing)


@registrations.command()
@click.argument("registration_id", type=ID)
@service_flags
def show(service: Service, registration_id: str) -> None:
    """Show a registration: all of it but its password."""
    service.show_one(service.run(lambda api: api.get(_path(registration_id))))


@registrations.command()
@click.argument("registrar")
@click.argument("username")
@click.option("--name", help="For people.")
@click.option("--outbound", is_flag=True, help="Calls may be placed from it.")
@click.option("--transport", type=click.Choice(("udp", "tcp", "tls")), default="udp", show_default=True)
@click.option("--auth-username", help="Where the registrar wants another name for that than USERNAME.")
@service_flags
def create(
    service: Service,
    registrar: str,
    username: str,
    name: str | None,
    outbound: bool,
    transport: str,
    auth_username: str | None,
) -> None:
    """Register with a SIP account. The password is asked for, or read from standard input."""
    options = {"transport": transport, **({"auth_username": auth_username} if auth_username is not None else {})}
    body: dict[str, Any] = {"type": "phone-registration", "registrar": registrar, "username": username}
    body |= {"password": _password(), "name": name, "outbound": outbound, "options": options}
    made = service.run(lambda api: api.post("/api/phone-endpoints", body))
    service.done(made["id"], made)


@registrations.command()
@click.argument("registration_id", type=ID)
@click.option("--registrar", help="Another host, or host:port.")
@click.option("--username", help="Another user name.")
@click.option("--password", is_flag=True, help="Ask for another password, or read it from standard input.")
@click.option("--name", help="For people.")
@click.option("--outbound/--no-outbound", default=None, help="Whether calls may be placed from it.")
@service_flags
def update(
    service: Service,
    registration_id: str,
    registrar: str | None,
    username: str | None,
    password: bool,
    name: str | None,
    outbound: bool | None,
) -> None:
    """Change a registration; what is not given stays. With other credentials Jambonz registers anew."""
    given = {"registrar": registrar, "username": username, "name": name, "outbound": outbound}
    given["password"] = _password() if password else None
    changes = {field: value for field, value in given.items() if value is not None}
    changed = service.run(lambda api: api.put(_path(registration_id), changes))
    service.done(f"{registration_id} is changed", changed)


@registrations.command()
@click.argument("registration_id", type=ID)
@service_flags
def activate(service: Service, registration_id: str) -> None:
    """Have Jambonz register with one that was disabled, or that failed."""
    state = service.run(lambda api: api.post(_path(registration_id) + "/activate", {}))
    service.done(f"{registration_id} is {state['status']}: {state['state']}", state)


@registrations.command()
@click.argument("registration_id", type=ID)
@service_flags
def disable(service: Service, registration_id: str) -> None:
    """Have Jambonz no longer register with it; it stays, with its listener."""
    state = service.run(lambda api: api.post(_path(registration_id) + "/disable", {}))
    service.done(f"{registration_id} is {state['status']}", state)


@registrations.command()
@click.argument("registration_id", type=ID)
@service_flags
def delete(service: Service, registration_id: str) -> None:
    """Delete a registration."""
    answer = service.run(lambda api: api.delete(_path(registration_id)))
    service.done(f"{registration_id} is deleted", answer)


def _path(registration_id: str) -> str:
    return f"/api/phone-endpoints/{registration_id}"


def _password() -> str:
    """Never an argument: those are seen by everybody on the machine."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True))
    return sys.stdin.readline().rstrip("\r\n")
