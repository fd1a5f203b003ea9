"""``trunkline keys``: API keys, straight in the database, or by the API of a running service."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn, Protocol, TypeVar

import click

from gateway.auth import FROM_SETTINGS, NOT_ROTATED, make_key
from gateway.cli.database import in_store
from gateway.cli.flags import setting_flags, settings_or_exit
from gateway.cli.rest import ID, Number, Service, print_json, service_at, table
from gateway.scopes import SCOPES
from gateway.settings import Settings
from store import DEFAULT_OWNER, Store
from store.accounts import ApiKey
from store.rows import now

F = TypeVar("F", bound=Callable[..., Any])

_COLUMNS = [("ID", "id"), ("NAME", "name"), ("SCOPES", "scopes"), ("EXPIRES", "expiresAt"), ("LAST USED", "lastUsedAt")]


class _Keys(Protocol):
    """Keys, as the API shows them."""

    def add(self, name: str, scopes: Sequence[str] | None, expires_at: datetime | None) -> Mapping[str, Any]: ...
    def all(self) -> Sequence[Mapping[str, Any]]: ...
    def rotate(self, key_id: str, overlap: timedelta) -> Mapping[str, Any]: ...
    def delete(self, key_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _InDatabase:
    """Of the first organisation. For whoever has no key yet, or has lost it."""

    settings: Settings

    def add(self, name: str, scopes: Sequence[str] | None, expires_at: datetime | None) -> Mapping[str, Any]:
        key = make_key()
        key_id = in_store(
            self.settings, lambda store: store.accounts.add_key(DEFAULT_OWNER, name, key, expires_at, scopes)
        )
        shown = sorted(scopes) if scopes is not None else None
        return {"id": key_id, "name": name, "key": key, "scopes": shown, "expiresAt": _text(expires_at)}

    def all(self) -> Sequence[Mapping[str, Any]]:
        return [
            {**_shown(key), "lastUsedAt": _text(key.last_used_at)}
            for key in in_store(self.settings, lambda store: store.accounts.keys(DEFAULT_OWNER))
        ]

    def rotate(self, key_id: str, overlap: timedelta) -> Mapping[str, Any]:
        key = make_key()

        async def replaced(store: Store) -> ApiKey | None:
            keys = await store.accounts.keys(DEFAULT_OWNER)
            if any((one.id, one.name) == (key_id, FROM_SETTINGS) for one in keys):
                _refuse(NOT_ROTATED)
            return await store.accounts.replace_key(DEFAULT_OWNER, key_id, key, overlap)

        made = in_store(self.settings, replaced)
        if made is None:
            _no_such_key(key_id)
        return {**_shown(made), "key": key}

    def delete(self, key_id: str) -> None:
        if not in_store(self.settings, lambda store: store.accounts.delete_key(DEFAULT_OWNER, key_id)):
            _no_such_key(key_id)


@dataclass(frozen=True, slots=True)
class _OverApi:
    """Of the organisation of whose key is asked with."""

    service: Service

    def add(self, name: str, scopes: Sequence[str] | None, expires_at: datetime | None) -> Mapping[str, Any]:
        body = {"name": name, "scopes": scopes, "expiresAt": _text(expires_at)}
        made: Mapping[str, Any] = self.service.run(lambda api: api.post("/api/keys", body))
        return made

    def all(self) -> Sequence[Mapping[str, Any]]:
        keys: Sequence[Mapping[str, Any]] = self.service.run(lambda api: api.get("/api/keys"))["keys"]
        return keys

    def rotate(self, key_id: str, overlap: timedelta) -> Mapping[str, Any]:
        path, body = f"/api/keys/{key_id}/rotate", {"overlap": overlap.total_seconds()}
        made: Mapping[str, Any] = self.service.run(lambda api: api.post(path, body))
        return made

    def delete(self, key_id: str) -> None:
        self.service.run(lambda api: api.delete(f"/api/keys/{key_id}"))


def _key_flags(command: F) -> F:
    """Where the keys are, which comes to the command as ``found``, and ``--json``."""

    def wrapped(url: str | None, key: str | None, as_json: bool, **rest: Any) -> Any:
        given = {name: rest.pop(name) for name in list(rest) if name in Settings.model_fields}
        found: _Keys
        if url is not None:
            found = _OverApi(service_at(url, key, as_json=as_json))
        else:
            found = _InDatabase(settings_or_exit(given))
        return command(found=found, as_json=as_json, **rest)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    wrapped = setting_flags(wrapped)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--key", envvar="TRUNKLINE_ADMIN_KEY", help="With --url: an API key. [TRUNKLINE_ADMIN_KEY]"),
        click.option("--url", help="A running service, whose API is asked in place of the database."),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


@click.group(short_help="Make, list, replace and delete API keys.")
def keys() -> None:
    """API keys, which clients send as "Authorization: Bearer <key>": those of the first organisation, straight in the
    database; or with --url, by the API of a running service, those of the organisation of --key."""


@keys.command()
@click.option("--name", default="made by trunkline keys", help="What it is for.", show_default=True)
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="What it is good for; all, without.")
@click.option("--days", type=Number(0, 36_500, min_open=True), help="How long it is good; for ever, without.")
@_key_flags
def new(found: _Keys, as_json: bool, name: str, scopes: tuple[str, ...], days: float | None) -> None:
    """Make an API key, and print it: this once, for the database keeps only its hash."""
    if name.upper() == FROM_SETTINGS:
        raise click.BadParameter("this name is that of the key in the settings; choose another", param_hint="--name")
    expires = None if days is None else now() + timedelta(days=days)
    _tell(found.add(name, scopes or None, expires), as_json=as_json)


@keys.command("list")
@_key_flags
def list_keys(found: _Keys, as_json: bool) -> None:
    """List API keys: all of them but the keys themselves."""
    rows = found.all()
    if as_json:
        print_json(rows)
        return
    shown = [{**row, "scopes": "all" if row["scopes"] is None else " ".join(row["scopes"])} for row in rows]
    for line in table(shown, _COLUMNS) if rows else ["There are no keys; make one with: trunkline keys new"]:
        click.echo(line)


@keys.command()
@click.argument("key_id", type=ID)
@click.option("--hours", default=24.0, show_default=True, type=Number(0, 720), help="The old one stays good.")
@_key_flags
def rotate(found: _Keys, as_json: bool, key_id: str, hours: float) -> None:
    """Replace a key by a new one with its name and scopes, and print that: this once."""
    _tell(found.rotate(key_id, timedelta(hours=hours)), as_json=as_json)


@keys.command()
@click.argument("key_id", type=ID)
@_key_flags
def delete(found: _Keys, as_json: bool, key_id: str) -> None:
    """Delete a key: it is good for nothing from now on."""
    found.delete(key_id)
    if as_json:
        print_json(None)
    else:
        click.echo(f"{key_id} is deleted")


def _tell(made: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(made)
    else:
        click.echo(made["key"])


def _shown(key: ApiKey) -> dict[str, Any]:
    return {"id": key.id, "name": key.name, "scopes": key.scopes, "expiresAt": _text(key.expires_at)}


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _no_such_key(key_id: str) -> NoReturn:
    _refuse(f"There is no key {key_id}; trunkline keys list tells which there are")


def _refuse(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(1)
