"""``Jambonz-Signature``: is a webhook genuine, and is it fresh?

The header reads ``t=<unix seconds>,v1=<hex>``, where the hex is HMAC-SHA256 under the account's webhook secret (the
whole string, ``wh_secret_`` included) over ``<t>.`` and the raw bytes of the body. It has to be checked over the bytes
as they came: parsed and serialised again, the same JSON has another signature.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from enum import Enum

SIGNATURE_HEADER = "Jambonz-Signature"

REFUSED_STATUS = 403
"""What a webhook is answered whose signature is refused, whatever the reason."""

MAX_AGE = 300.0
"""Seconds; the tolerance of Jambonz's own SDK."""

MAX_AHEAD = 60.0
"""Seconds that Jambonz's clock may be ahead of ours."""

_MAX_HEADER = 1024
_MAX_STAMP_DIGITS = 12


class Reason(Enum):
    """Why a signature was refused: a closed list, fit to be a metric's label."""

    MISSING = "missing"
    MALFORMED = "malformed"
    FORGED = "forged"
    STALE = "stale"
    FUTURE = "future"


_SENTENCES = {
    Reason.MISSING: f"The request has no {SIGNATURE_HEADER} header; Jambonz signs every webhook that it posts.",
    Reason.MALFORMED: f"The {SIGNATURE_HEADER} header does not read t=<unix seconds>,v1=<hex>.",
    Reason.FORGED: f"The {SIGNATURE_HEADER} header was not made for this body with the account's webhook secret.",
    Reason.STALE: f"The {SIGNATURE_HEADER} header is more than {MAX_AGE:.0f} seconds old.",
    Reason.FUTURE: f"The {SIGNATURE_HEADER} header is from more than {MAX_AHEAD:.0f} seconds in the future.",
}


class SignatureRefused(Exception):
    """A webhook that is not to be believed."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(_SENTENCES[reason])
        self.reason = reason


def sign(body: bytes, secret: str, now: float) -> str:
    """The header's value, as Jambonz makes it."""
    stamp = str(int(now))
    return f"t={stamp},v1={_digest(stamp, body, secret)}"


def verify(header: str | None, body: bytes, secrets: Sequence[str], now: float) -> None:
    """Raise :class:`SignatureRefused` unless one of ``secrets`` signed ``body``, at most a few minutes ago.

    Several secrets are active while one is being rotated; with none, every signature is forged. ``now`` is wall time.
    The age is judged last: ``stale`` and ``future`` are said only of what a holder of the secret signed.
    """
    if not header:
        raise SignatureRefused(Reason.MISSING)
    stamp, given = _parse(header)
    genuine = False
    for secret in secrets:
        expected = _digest(stamp, body, secret).encode()
        for signature in given:  # no early way out: the time taken tells nothing
            genuine |= hmac.compare_digest(expected, signature)
    if not genuine:
        raise SignatureRefused(Reason.FORGED)
    age = now - int(stamp)
    if age > MAX_AGE:
        raise SignatureRefused(Reason.STALE)
    if age < -MAX_AHEAD:
        raise SignatureRefused(Reason.FUTURE)


def _parse(header: str) -> tuple[str, list[bytes]]:
    """The one ``t``, as it was written, and every ``v1``."""
    stamps: list[str] = []
    signatures: list[bytes] = []
    for part in header.split(",") if len(header) <= _MAX_HEADER else ():
        key, _, value = part.strip().partition("=")
        if key == "t":
            stamps.append(value)
        elif key == "v1" and value:
            signatures.append(value.encode(errors="replace"))
    if len(stamps) != 1 or not signatures:
        raise SignatureRefused(Reason.MALFORMED)
    stamp = stamps[0]
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= _MAX_STAMP_DIGITS):
        raise SignatureRefused(Reason.MALFORMED)
    return stamp, signatures


def _digest(stamp: str, body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
