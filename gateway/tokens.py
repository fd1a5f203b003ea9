"""Bearer tokens of OpenID Connect issuers: who says so, whether it is true, and whom they are for. Pure.

Who signs is decided by the key that the issuer publishes, never by what the token says of itself (RFC 8725, 3.1): a key
has its algorithms, and only asymmetric ones are taken.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from gateway.scopes import SCOPES
from store import DEFAULT_OWNER, Owner

LEEWAY_SECONDS = 30
"""How far the clocks of an issuer and of this host may be apart."""

_LATEST = 253_000_000_000
"""Some time of the year 9987, in seconds: what comes later is no time for Python."""

MAX_TOKEN = 16 * 1024

_ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""By the type of a key (RFC 7518, 6.1). A shared secret ("oct") is no key here."""

_NAMES = uuid.UUID("6f6e9a0e-8d0c-4a55-9d64-5a0b1d2f0f5a")
"""The space of the ids that are made of an issuer's names: the same ones in every process, so that nothing has to be
agreed on when a user comes for the first time."""


class TokenRefused(Exception):
    """The token lets nobody in; the message is for whoever sent it."""


class UnknownKey(Exception):
    """It may be signed by a key that the issuer has published since."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """``key`` is of the package cryptography; ``algorithms`` are those that it may have signed with."""

    id: str | None
    key: Any
    algorithms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whom a token is for, ``until`` when. ``scopes``: None is everything."""

    owner: Owner
    name: str
    scopes: frozenset[str] | None
    until: datetime


@dataclass(frozen=True, slots=True)
class Rules:
    """``organisation`` says to which tenant users belong: "own" (each to one of his own), "shared" (all to that of the
    first API key), or the name of the claim that says it, of which each value of each issuer is a tenant.
    ``scope_claim`` is the claim that has our scopes, a text or a list; without it a token is good for everything."""

    audiences: Sequence[str]
    organisation: str = "own"
    scope_claim: str | None = None


def issuer_of(token: str) -> str | None:
    """Who ``token`` says that it is of, which is not proved yet; None if it is no token of this kind."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > MAX_TOKEN:
        return None
    try:
        claims = json.loads(jwt.utils.base64url_decode(parts[1]))
    except (ValueError, RecursionError):
        return None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else None


def signing_keys(published: object) -> list[SigningKey]:
    """Those of a JWK set (RFC 7517) that can be used here. Raises ValueError if it is none, or has no such key."""
    listed = published.get("keys") if isinstance(published, dict) else None
    if not isinstance(listed, list):
        raise ValueError("what it publishes is no set of keys")  # noqa: TRY004 - it is data
    keys = []
    for one in listed:
        if not isinstance(one, dict) or one.get("use", "sig") != "sig":
            continue
        kind, algorithm, key_id = one.get("kty"), one.get("alg"), one.get("kid")
        of_kind = _ALGORITHMS.get(kind, ()) if isinstance(kind, str) else ()
        algorithms = tuple(name for name in of_kind if algorithm in (None, name))
        try:
            key = jwt.PyJWK(one, algorithm=algorithms[0]).key if algorithms else None
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if key is not None:
            keys.append(SigningKey(key_id if isinstance(key_id, str) else None, key, algorithms))
    if not keys:
        raise ValueError("it publishes no key that tokens could be signed with")
    return keys


def verify(token: str, issuer: str, keys: Sequence[SigningKey], rules: Rules) -> Visitor:
    """Raises :class:`TokenRefused` or :class:`UnknownKey`."""
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError:
        raise TokenRefused("This bearer token cannot be read") from None
    fitting = [key for key in keys if key_id is None or key.id == key_id]
    if not fitting:
        raise UnknownKey
    if len(fitting) > 1:
        raise TokenRefused("This bearer token does not say by which of its issuer's keys it is signed")
    try:
        claims = jwt.decode(
            token,
            fitting[0].key,
            algorithms=list(fitting[0].algorithms),
            audience=list(rules.audiences),
            issuer=issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
    except jwt.ExpiredSignatureError:
        raise TokenRefused("This bearer token has expired") from None
    except jwt.InvalidAudienceError:
        raise TokenRefused("This bearer token is for somebody else: its audience is not this service") from None
    except jwt.MissingRequiredClaimError as error:
        raise TokenRefused(f"This bearer token has no {error.claim}") from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        raise TokenRefused("This bearer token is not good: it is changed, not yet valid, or not its issuer's") from None
    return _visitor(claims, issuer, rules)


def _visitor(claims: Mapping[str, Any], issuer: str, rules: Rules) -> Visitor:
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject:
        raise TokenRefused("This bearer token does not say whom it is for")
    name = next((claims[n] for n in ("name", "email") if isinstance(claims.get(n), str) and claims[n]), subject)
    match rules.organisation:
        case "own":
            organisation = _id(issuer, "organisation of", subject)
        case "shared":
            organisation = DEFAULT_OWNER.organisation_id
        case claim:
            value = claims.get(claim)
            if not isinstance(value, str) or not value:
                raise TokenRefused(
                    f"This bearer token does not say of which organisation its user is: {claim} is missing"
                )
            organisation = _id(issuer, "organisation", value)
    # A user who changes his organisation is another user: what he had stays where it was.
    owner = Owner(organisation, _id(issuer, "user", organisation, subject))
    until = datetime.fromtimestamp(min(int(claims["exp"]), _LATEST) + LEEWAY_SECONDS, UTC)
    return Visitor(owner, "".join(filter(str.isprintable, name[:200])), _scopes(claims, rules.scope_claim), until)


def _scopes(claims: Mapping[str, Any], claim: str | None) -> frozenset[str] | None:
    if claim is None:
        return None
    given = claims.get(claim)
    names = given.split() if isinstance(given, str) else given if isinstance(given, list) else []
    return frozenset(scope for scope in SCOPES if scope in names)


def _id(*names: str) -> str:
    return str(uuid.uuid5(_NAMES, json.dumps(names)))
