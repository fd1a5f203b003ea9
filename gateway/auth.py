"""Who asks: API keys as bearer tokens, or one user for all where users are not authenticated."""

from __future__ import annotations

import secrets

from aiohttp import hdrs, web

from gateway.keys import SETTINGS, STORE
from gateway.settings import Settings
from store import DEFAULT_OWNER, Owner, Store

_FROM_SETTINGS, _FIRST = "TRUNKLINE_ADMIN_KEY", "first key"


class Unauthenticated(Exception):
    """Nobody known asks; the message is for them."""


def make_key() -> str:
    """A new API key: 256 random bits behind a mark by which leaked ones are found."""
    return f"trk_{secrets.token_urlsafe(32)}"


async def ensure_admin_key(store: Store, settings: Settings) -> str | None:
    """See to it that there is a way in. Returns a key that was made just now, for printing it this once.

    TRUNKLINE_ADMIN_KEY speaks for the default user, and its former value no longer does. Without it, and with no key
    there at all, one is made.
    """
    if settings.admin_key is not None:
        key = settings.admin_key.get_secret_value()
        await store.accounts.add_key(DEFAULT_OWNER, _FROM_SETTINGS, key)
        await store.accounts.drop_keys(_FROM_SETTINGS, but=key)
        return None
    await store.accounts.drop_keys(_FROM_SETTINGS)
    if not settings.authenticate_users or await store.accounts.has_keys():
        return None
    key = make_key()
    await store.accounts.add_key(DEFAULT_OWNER, _FIRST, key)
    return key


async def authenticate(request: web.Request, query_key: str | None = None) -> Owner:
    """Whom the request acts for. ``query_key`` stands in for the header, which browsers cannot send with a WebSocket.
    Raises :class:`Unauthenticated`."""
    if not request.config_dict[SETTINGS].authenticate_users:
        return DEFAULT_OWNER
    header = request.headers.get(hdrs.AUTHORIZATION) or (f"Bearer {query_key}" if query_key else "")
    scheme, _, key = header.partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthenticated("This needs an API key: send the header Authorization: Bearer <key>")
    owner = await request.config_dict[STORE].accounts.owner_of_key(key.strip())
    if owner is None:
        raise Unauthenticated("This API key is not known, or has expired")
    return owner
