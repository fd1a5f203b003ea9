"""The OpenID Connect issuers whose tokens are believed: their keys, fetched when they are needed and kept for a while.

An issuer that is away lets those in whose keys are known, for a day. A token of an unknown key has the keys fetched
again, yet not more often than once in half a minute, whoever sends how many.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
import structlog
from yarl import URL

from gateway.tokens import Rules, SigningKey, TokenRefused, UnknownKey, Visitor, issuer_of, signing_keys, verify

log = structlog.get_logger(__name__)

FETCH_SECONDS = 5.0
"""For both documents, and the longest that a request waits for them."""

FRESH_SECONDS = 600.0
USABLE_SECONDS = 86_400.0
RETRY_SECONDS = 30.0
"""Between two fetches, whatever they gave."""

LARGEST_ANSWER = 512 * 1024

CANNOT_FETCH = (aiohttp.ClientError, TimeoutError, ValueError, RecursionError)


class IssuerAway(Exception):
    """Whether the token is good cannot be told just now; the message is for whoever sent it."""


@dataclass(slots=True)
class _Known:
    """Times are of the loop's clock."""

    keys: Sequence[SigningKey] = ()
    fetched_at: float | None = None
    asked_at: float | None = None
    asking: asyncio.Task[None] | None = field(default=None, repr=False)


class Issuers:
    """Of one process. :meth:`close` it."""

    def __init__(self, issuers: Sequence[str], rules: Rules, *, clock: Callable[[], float] | None = None) -> None:
        """``clock``: of the loop, unless a test has another."""
        self._rules = rules
        self._clock = clock
        self._known: Mapping[str, _Known] = {issuer: _Known() for issuer in issuers}
        self._session: aiohttp.ClientSession | None = None

    def issuer(self, credential: str) -> str | None:
        """The issuer whose token ``credential`` says it is; None if it is of none of ours, such as an API key."""
        issuer = issuer_of(credential) if self._known else None
        return issuer if issuer in self._known else None

    async def visitor(self, token: str, issuer: str) -> Visitor:
        """Whom ``token`` is for. Raises :class:`TokenRefused` or :class:`IssuerAway`."""
        known = self._known[issuer]
        if not self._is(known, FRESH_SECONDS):
            await self._refresh(issuer, known)
        try:
            return self._verify(token, issuer, known)
        except UnknownKey:
            await self._refresh(issuer, known)
        try:
            return self._verify(token, issuer, known)
        except UnknownKey:
            raise TokenRefused("This bearer token is signed by a key that its issuer does not publish") from None

    async def close(self) -> None:
        tasks = [known.asking for known in self._known.values() if known.asking is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _verify(self, token: str, issuer: str, known: _Known) -> Visitor:
        if not self._is(known, USABLE_SECONDS):
            raise IssuerAway(
                f"The issuer of this bearer token, {issuer}, cannot be reached just now; try again shortly"
            )
        return verify(token, issuer, known.keys, self._rules)

    async def _refresh(self, issuer: str, known: _Known) -> None:
        """Fetch the keys, with all who want them now, unless that was done lately."""
        now = self._now()
        if known.asking is None:
            if known.asked_at is not None and now - known.asked_at < RETRY_SECONDS:
                return
            known.asked_at = now
            known.asking = asyncio.create_task(self._ask(issuer, known), name=f"keys of {issuer}")
        await asyncio.wait([known.asking])

    async def _ask(self, issuer: str, known: _Known) -> None:
        try:
            if self._session is None:
                self._session = aiohttp.ClientSession()
            async with asyncio.timeout(FETCH_SECONDS):
                keys = await published_keys(self._session, issuer)
        except CANNOT_FETCH as error:
            log.warning("cannot fetch the keys of an issuer", issuer=issuer, error=str(error) or "no answer in time")
        else:
            known.keys, known.fetched_at = keys, self._now()
        finally:
            known.asking = None

    def _is(self, known: _Known, younger_than: float) -> bool:
        return known.fetched_at is not None and self._now() - known.fetched_at < younger_than

    def _now(self) -> float:
        return self._clock() if self._clock is not None else asyncio.get_running_loop().time()


async def published_keys(http: aiohttp.ClientSession, issuer: str) -> Sequence[SigningKey]:
    """By its configuration (OpenID Connect Discovery 1.0, section 4). Raises what is in :data:`CANNOT_FETCH`; takes as
    long as it takes."""
    about = await _get(http, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    told, at = (about.get("issuer"), about.get("jwks_uri")) if isinstance(about, dict) else (None, None)
    if told != issuer:
        raise ValueError("its configuration is of another issuer")
    if not isinstance(at, str) or URL(at).scheme not in {"https", URL(issuer).scheme}:
        raise ValueError("its configuration does not say by https where its keys are")
    return signing_keys(await _get(http, at))


async def _get(http: aiohttp.ClientSession, url: str) -> object:
    async with http.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            raise ValueError(f"{url} answered with status {answer.status}")
        raw = bytearray()
        async for data in answer.content.iter_any():
            raw += data
            if len(raw) > LARGEST_ANSWER:
                raise ValueError(f"{url} answered with more than {LARGEST_ANSWER} bytes")
    return json.loads(bytes(raw))
