"""``/keys`` and ``/tickets``: who may come in."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Annotated

from aiohttp import web
from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from gateway.api.errors import ApiError, invalid, not_found
from gateway.api.operations import Operations, owner_of, read_body, store_of
from gateway.api.shapes import Instant, iso
from gateway.auth import FROM_SETTINGS, NOT_ROTATED, make_key
from gateway.keys import IDENTITY
from gateway.scopes import SCOPES, covers
from pipelines.agent import Problem, Strict, nearest
from pipelines.agent.strict import refuse
from store.accounts import ApiKey
from store.rows import now

operations = Operations("Keys", "keys")

TICKET_SECONDS = 30.0


def _scope(value: str) -> str:
    if value not in SCOPES:
        meant = nearest(value, SCOPES)
        raise refuse(f"is no scope; did you mean {meant}?" if meant else f"is no scope; there are {', '.join(SCOPES)}")
    return value


def _name(value: str) -> str:
    if value.upper() == FROM_SETTINGS:
        raise refuse("is that of the key in the settings; choose another")
    return value


class KeyRequest(Strict):
    """``scopes``: what the key is good for; without them everything that the one who makes it may do."""

    name: Annotated[str, AfterValidator(_name), Field(min_length=1, max_length=200, examples=["dashboard"])]
    scopes: list[Annotated[str, AfterValidator(_scope)]] | None = Field(
        default=None, max_length=len(SCOPES), examples=[["calls:read"]]
    )
    expires_at: Instant | None = None


class RotateRequest(Strict):
    """For so many seconds the old key stays good."""

    overlap: float = Field(default=86_400, ge=0, le=30 * 86_400)


class KeyView(TypedDict):
    id: str
    name: str
    scopes: list[str] | None
    createdAt: str | None
    expiresAt: str | None
    lastUsedAt: str | None


class NewKeyView(TypedDict):
    """``key`` is told this once."""

    id: str
    name: str
    key: str
    scopes: list[str] | None
    expiresAt: str | None


class KeysView(TypedDict):
    keys: list[KeyView]


class TicketView(TypedDict):
    ticket: str
    expiresAt: str


@operations.add("GET", "/keys", answer=KeysView)
async def list_keys(request: web.Request) -> web.Response:
    """List the organisation's API keys: all of them but the keys themselves."""
    keys = await store_of(request).accounts.keys(owner_of(request))
    return web.json_response(KeysView(keys=[_view(key) for key in keys]))


@operations.add("POST", "/keys", body=(KeyRequest,), answer=NewKeyView, status=201, errors=(400,))
async def create_key(request: web.Request) -> web.Response:
    """Make an API key. It is in this answer, and nowhere else afterwards."""
    body, identity = await read_body(request, KeyRequest), request[IDENTITY]
    if body.expires_at is not None and body.expires_at <= now():
        raise invalid([Problem("expiresAt", "is in the past")])
    scopes = body.scopes if body.scopes is not None else identity.scopes
    if not covers(identity.scopes, scopes):
        raise ApiError(403, "FORBIDDEN", "A key cannot give away more than it is good for itself")
    key = make_key()
    key_id = await store_of(request).accounts.add_key(identity.owner, body.name, key, body.expires_at, scopes)
    return web.json_response(_new(key_id, body.name, key, scopes, body.expires_at), status=201)


@operations.add(
    "POST", "/keys/{keyId}/rotate", body=(RotateRequest,), answer=NewKeyView, status=201, errors=(400, 404, 409)
)
async def rotate_key(request: web.Request) -> web.Response:
    """Replace a key by a new one with its name and scopes; the old one stays good for a while."""
    body, identity, key_id = await read_body(request, RotateRequest), request[IDENTITY], request.match_info["keyId"]
    accounts, key = store_of(request).accounts, make_key()
    old = next((one for one in await accounts.keys(identity.owner) if one.id == key_id), None)
    if old is None:
        raise not_found("key", key_id)
    if not covers(identity.scopes, old.scopes):
        raise ApiError(403, "FORBIDDEN", "A key cannot renew one that is good for more than it is itself")
    if old.name == FROM_SETTINGS:
        raise ApiError(409, "IN_USE", NOT_ROTATED)
    new = await accounts.replace_key(identity.owner, key_id, key, timedelta(seconds=body.overlap))
    if new is None:
        raise not_found("key", key_id)
    return web.json_response(_new(new.id, new.name, key, new.scopes, new.expires_at), status=201)


@operations.add("DELETE", "/keys/{keyId}", errors=(404,))
async def delete_key(request: web.Request) -> web.Response:
    """Delete a key: it is good for nothing from now on."""
    key_id = request.match_info["keyId"]
    if not await store_of(request).accounts.delete_key(owner_of(request), key_id):
        raise not_found("key", key_id)
    return web.Response()


@operations.add("POST", "/tickets", answer=TicketView, status=201, scope="calls:read")
async def create_ticket(request: web.Request) -> web.Response:
    """Make a ticket: instead of the key it opens one progress socket, as ``?ticket=``, within 30 seconds."""
    ticket = secrets.token_urlsafe(32)
    expires = await store_of(request).accounts.add_ticket(request[IDENTITY], ticket, TICKET_SECONDS)
    return web.json_response(TicketView(ticket=ticket, expiresAt=expires.isoformat()), status=201)


def _view(key: ApiKey) -> KeyView:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes) if key.scopes is not None else None,
        "createdAt": iso(key.created_at),
        "expiresAt": iso(key.expires_at),
        "lastUsedAt": iso(key.last_used_at),
    }


def _new(key_id: str, name: str, key: str, scopes: Collection[str] | None, expires_at: datetime | None) -> NewKeyView:
    shown = sorted(scopes) if scopes is not None else None
    return {"id": key_id, "name": name, "key": key, "scopes": shown, "expiresAt": iso(expires_at)}
