"""``trunkline calls``: what was called and said, and calls that are placed, over the REST API."""

from __future__ import annotations

import json
import math
from typing import Any

import click

from gateway.cli.client import Client
from gateway.cli.rest import ID, Service, json_of, pages, print_json, service_flags

_COLUMNS = [
    ("ID", "id"), ("STARTED", "startedAt"), ("FROM", "callerId"), ("TO", "calledId"), ("MODEL", "modelName"),
    ("STATUS", "status"), ("ENDED BY", "endReason"), ("MS", "durationMs"),
]  # fmt: skip


@click.group(short_help="List calls, read them back, and place some.")
def calls() -> None:
    """Calls, those under way and those that are over."""


@calls.command("list")
@click.option("--agent", "agent_id", type=ID, help="Only those of this agent, the newest first.")
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
@click.argument("listener_id", type=ID)
@click.option("--to", "called", required=True, metavar="NUMBER", help="Whom to ring, in E.164.")
@click.option(
    "--from", "caller", required=True, metavar="NUMBER", help="Your number that rings, or a registration's id."
)
@click.option("--metadata", default="{}", metavar="JSON", help="What functions can read, over that of the listener.")
@click.option("--once", metavar="KEY", help="A second request with this key rings nobody.")
@service_flags
def originate(service: Service, listener_id: str, called: str, caller: str, metadata: str, once: str | None) -> None:
    """Ring somebody, for a listener's agent; prints the call's id."""
    body = {"calledId": called, "callerId": caller, "metadata": json_of(metadata, "--metadata")}
    headers = {"Idempotency-Key": once} if once is not None else {}
    path = f"/api/listener/{listener_id}/originate"
    answer = service.run(lambda api: api.post(path, body, headers=headers))
    service.done(answer["data"]["callId"], answer)


@calls.command()
@click.argument("call_id", type=ID)
@service_flags
def show(service: Service, call_id: str) -> None:
    """Show a call, and what it used."""
    service.show_one(service.run(lambda api: api.get(f"/api/calls/{call_id}")))


@calls.command()
@click.argument("call_id", type=ID)
@click.option("--all", "everything", is_flag=True, help="Latencies and other states, too.")
@service_flags
def log(service: Service, call_id: str, everything: bool) -> None:
    """Read what happened in a call, in order."""
    entries = service.run(lambda api: api.get(f"/api/calls/{call_id}/logs"))
    if service.as_json:
        print_json(entries)
        return
    for entry in entries:
        if everything or entry["type"] != "status":
            data = entry["data"]
            shown = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
            click.echo(f"{entry['createdAt']}  {entry['type']:<16}  {shown}")


@calls.command()
@click.argument("call_id", type=ID)
@click.argument("words")
@click.option("--urgency", type=click.Choice(["now", "soon", "later"]), default="soon", show_default=True)
@service_flags
def text(service: Service, call_id: str, words: str, urgency: str) -> None:
    """Say something to the agent of a call, as the caller, in text."""
    _send(service, call_id, "text", {"text": words, "urgency": urgency})


@calls.command()
@click.argument("call_id", type=ID)
@click.argument("words")
@click.option("--now", is_flag=True, help="Interrupt what the agent says.")
@click.option("--to-its-end", is_flag=True, help="Whatever the caller says meanwhile.")
@service_flags
def say(service: Service, call_id: str, words: str, now: bool, to_its_end: bool) -> None:
    """Have the agent of a call say something, word for word."""
    body = {"text": words, "urgency": "now" if now else "soon", "interruptible": not to_its_end}
    _send(service, call_id, "say", body)


@calls.command()
@click.argument("call_id", type=ID)
@service_flags
def cancel(service: Service, call_id: str) -> None:
    """Cancel what the agent of a call says and does at the moment."""
    _send(service, call_id, "cancel", {})


@calls.command()
@click.argument("call_id", type=ID)
@click.argument("digits")
@service_flags
def dtmf(service: Service, call_id: str, digits: str) -> None:
    """Press keys for the other end of a call: 0-9, *, #, A-D; w and p are pauses."""
    _send(service, call_id, "dtmf", {"digits": digits})


@calls.command()
@click.argument("call_id", type=ID)
@click.option("--text", help="What the agent says before; without it the call ends at once.")
@click.option("--reason", help="For the call's log.")
@service_flags
def hangup(service: Service, call_id: str, text: str | None, reason: str | None) -> None:
    """Hang up a call that is under way."""
    _send(service, call_id, "hangup", {name: one for name, one in (("text", text), ("reason", reason)) if one})


def _send(service: Service, call_id: str, command: str, body: dict[str, Any]) -> None:
    taken = service.run(lambda api: api.post(f"/api/calls/{call_id}/{command}", body))
    service.done(f"{call_id} has taken it", taken)


@calls.command()
@click.argument("call_id", type=ID)
@service_flags
def delete(service: Service, call_id: str) -> None:
    """Delete a call that is over, with its log: nothing of it is left."""
    service.run(lambda api: api.delete(f"/api/calls/{call_id}"))
    service.done(f"{call_id} is deleted")


@calls.command()
@click.option("--days", metavar="N|none", help="Keep calls for so many days; none: as long as the service does.")
@service_flags
def retention(service: Service, days: str | None) -> None:
    """Show, and set, how long the organisation's calls are kept."""
    body = None if days is None else {"days": _days(days)}
    service.show_one(
        service.run(lambda api: api.put("/api/retention", body) if body is not None else api.get("/api/retention"))
    )


def _days(text: str) -> float | None:
    if text == "none":
        return None
    try:
        if math.isfinite(days := float(text)):
            return days
    except ValueError:
        pass
    raise click.BadParameter(f"{text!r} is no number of days; write one, or none", param_hint="--days")
