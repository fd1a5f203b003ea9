"""Who asks: API keys and tokens of OpenID Connect issuers as bearer tokens, or one user for all where users are not
authenticated."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from base64 import b64decode
from collections.abc import Callable

import structlog
from aiohttp import hdrs, web

from gateway.issuers import IssuerAway, Issuers
from gateway.pages import refusal
from gateway.rate import RateLimit
from gateway.scopes import allows
from gateway.settings import Settings
from gateway.tokens import TokenRefused
from store import DEFAULT_OWNER, Owner, Store
from store.accounts import Identity
from store.errors import UNREACHABLE, reason
from store.listeners import ROOM_KEY

log = structlog.get_logger(__name__)

BURST_SECONDS = 10.0
"""What may come at once, in seconds of the average."""

NOTED_SECONDS = 60.0
"""Between two notes of a key's last use."""

MOST_KNOWN = 10_000
"""Users of issuers that are known to be stored, and keys whose use was noted."""

FROM_SETTINGS = "TRUNKLINE_ADMIN_KEY"
"""The name of the key that the settings have. Nothing else may have it: at the next start it would be gone."""

NOT_ROTATED = "This key is that of TRUNKLINE_ADMIN_KEY: give that setting another value, and start the service again"


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
    given = settings.admin_key.get_secret_value() if settings.admin_key is not None else None
    await store.accounts.set_key(DEFAULT_OWNER, FROM_SETTINGS, given)
    if given is not None or not settings.authenticate_users or await store.accounts.has_keys():
        return None
    key = make_key()
    await store.accounts.add_key(DEFAULT_OWNER, "first key", key)
    return key


class Forbidden(Exception):
    """Whoever asks is known, and may not do this; the message is for them."""


class TooMany(Exception):
    """Too many requests: in ``seconds`` another one is served."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"There were too many requests with this key; try again in {seconds:.1f} s")
        self.seconds = seconds


class Unsure(Exception):
    """It cannot be told just now who asks; the message is for them."""


class Doorkeeper:
    """Says whom requests act for. ``store`` gives the one that is open; ``issuers`` are those whose tokens are taken as
    well as keys; as ``settings`` have it."""

    def __init__(self, store: Callable[[], Store], settings: Settings, issuers: Issuers) -> None:
        per_second = settings.requests_per_second
        self._store = store
        self._open = not settings.authenticate_users
        self._anybody = settings.insecure
        self._public_url = settings.public_url
        self._issuers = issuers
        self._limit = RateLimit(per_second, max(1.0, per_second * BURST_SECONDS)) if per_second else None
        self._noted: dict[str, float] = {}  # keys, and when their use was written down
        self._members: set[Owner] = set()
        self._writing: set[asyncio.Task[None]] = set()

    async def identify(self, request: web.Request, *, any_page: bool = False) -> Identity:
        """By the header. Raises :class:`Unauthenticated`, :class:`Forbidden`, :class:`Unsure` or :class:`TooMany`.
        ``any_page``: whatever page asks, it may."""
        if self._open:
            return self._whoever(request, any_page=any_page)
        return await self._by_bearer(request.headers.get(hdrs.AUTHORIZATION, ""))

    async def identify_room(self, request: web.Request, listener_id: str, scope: str) -> Identity:
        """Also by the key of that listener, which is good for ``scope`` only."""
        key = bearer(request.headers.get(hdrs.AUTHORIZATION, ""))
        if self._open or key is None or not _is_room_key(key):
            return await self.identify(request, any_page=True)
        room = await self._store().listeners.room(listener_id)
        if room is None or not hmac.compare_digest(room.key.encode(), key.encode()):
            raise Unauthenticated("This is not the key of that listener, or there is no such listener any more")
        self.admit(f"room {listener_id}")
        return Identity(room.listener.owner, frozenset({scope}), f"room {listener_id}")

    async def identify_socket(self, request: web.Request) -> Identity:
        """By the header, or, for browsers, which cannot send one with a WebSocket, by ``?ticket=`` or
        ``?access_token=``."""
        query = request.query
        if self._open:
            return self._whoever(request)
        if "ticket" in query:
            identity = await self._store().accounts.take_ticket(query["ticket"])
            if identity is None:
                raise Unauthenticated("This ticket is not known, was used, or has expired")
            return identity
        header = request.headers.get(hdrs.AUTHORIZATION)
        return await self._by_bearer(header or f"Bearer {query.get('access_token', '')}")

    async def stands(self, identity: Identity) -> bool:
        """Whether what a socket was opened with is still good; while that cannot be looked up, it is."""
        try:
            return await self._store().accounts.stands(identity)
        except UNREACHABLE:
            return True

    def admit(self, request_of: str) -> None:
        """Raises :class:`TooMany` if there were too many requests of that credential or user."""
        wait = self._limit.take(request_of, asyncio.get_running_loop().time()) if self._limit is not None else 0.0
        if wait:
            raise TooMany(wait)

    def _whoever(self, request: web.Request, *, any_page: bool = False) -> Identity:
        if not (any_page or self._anybody):
            refused = refusal(request.headers.get(hdrs.HOST, ""), request.headers.get(hdrs.ORIGIN), self._public_url)
            if refused is not None:
                raise Forbidden(refused)
        return Identity(DEFAULT_OWNER)

    async def _by_bearer(self, header: str) -> Identity:
        credential = bearer(header)
        if credential is None:
            raise Unauthenticated("This needs an API key: send the header Authorization: Bearer <key>")
        issuer = self._issuers.issuer(credential)
        return await (self._by_key(credential) if issuer is None else self._by_token(credential, issuer))

    async def _by_key(self, key: str) -> Identity:
        identity = await self._store().accounts.identify(key)
        if identity is None:
            raise Unauthenticated("This API key is not known, or has expired")
        self.admit(identity.id)
        now = asyncio.get_running_loop().time()
        if now - self._noted.get(identity.id, -NOTED_SECONDS) >= NOTED_SECONDS:
            if len(self._noted) >= MOST_KNOWN:
                self._noted.clear()
            self._noted[identity.id] = now
            task = asyncio.create_task(self._note_use(identity.id))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        return identity

    async def _by_token(self, token: str, issuer: str) -> Identity:
        try:
            visitor = await self._issuers.visitor(token, issuer)
        except TokenRefused as refused:
            raise Unauthenticated(str(refused)) from None
        except IssuerAway as away:
            raise Unsure(str(away)) from None
        self.admit(f"user {visitor.owner.user_id}")
        if visitor.owner not in self._members:
            await self._store().accounts.ensure(visitor.owner, visitor.name)
            if len(self._members) >= MOST_KNOWN:
                self._members.clear()
            self._members.add(visitor.owner)
        return Identity(visitor.owner, visitor.scopes, f"user {visitor.owner.user_id}", visitor.until)

    async def _note_use(self, key_id: str) -> None:
        """Beside the request, which does not wait for it."""
        try:
            await self._store().accounts.used(key_id)
        except UNREACHABLE as error:
            log.warning("the use of a key could not be written down", error=reason(error))

    async def close(self) -> None:
        await asyncio.gather(*self._writing, return_exceptions=True)
        await self._issuers.close()


def bearer(header: str) -> str | None:
    """The credential in an Authorization header; None if there is none, or none that is text: bytes that are no UTF-8
    come as surrogates."""
    scheme, _, credential = header.partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" and credential.isprintable() else None


def _is_room_key(credential: str) -> bool:
    try:
        return b64decode(credential, validate=True).startswith(f"{ROOM_KEY}:".encode())
    except ValueError:
        return False


def authorize(identity: Identity, scope: str) -> None:
    """Raises :class:`Forbidden` where the identity lacks ``scope``."""
    if not allows(identity.scopes, scope):
        has = ", ".join(sorted(identity.scopes or ())) or "nothing"
        raise Forbidden(f"This needs a key with the scope {scope}; this one has {has}")
