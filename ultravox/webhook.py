"""Ultravox's webhooks: is one genuine and fresh, and what does it say of a call that ended? Pure.

``X-Ultravox-Webhook-Signature`` is a list of hex HMAC-SHA256, parted by commas, each under one of the webhook's secrets
over the raw body and, right after it, the text of ``X-Ultravox-Webhook-Timestamp`` (ISO 8601).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from pipelines.json_text import duration_seconds

TIMESTAMP_HEADER = "X-Ultravox-Webhook-Timestamp"
SIGNATURE_HEADER = "X-Ultravox-Webhook-Signature"

MAX_AGE = 60.0
"""Seconds, as in Ultravox's own example."""

MAX_AHEAD = 5.0
"""Seconds that Ultravox's clock may be ahead of ours."""

_MAX_HEADER = 2048
_HEX = re.compile(r"[0-9a-fA-F]{64}")


class Reason(Enum):
    """Why a webhook was refused: a closed list, fit to be a metric's label."""

    MISSING = "missing"
    MALFORMED = "malformed"
    FORGED = "forged"
    STALE = "stale"
    FUTURE = "future"


_SENTENCES = {
    Reason.MISSING: f"The request lacks {TIMESTAMP_HEADER} or {SIGNATURE_HEADER}; Ultravox sends both.",
    Reason.MALFORMED: f"{TIMESTAMP_HEADER} is not a time, or {SIGNATURE_HEADER} is not a list of SHA-256 in hex.",
    Reason.FORGED: f"{SIGNATURE_HEADER} was not made for this body and time with the webhook's secret.",
    Reason.STALE: f"{TIMESTAMP_HEADER} is more than {MAX_AGE:.0f} seconds old.",
    Reason.FUTURE: f"{TIMESTAMP_HEADER} is more than {MAX_AHEAD:.0f} seconds in the future.",
}


class WebhookRefused(Exception):
    """A webhook that is not to be believed."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(_SENTENCES[reason])
        self.reason = reason


def sign(body: bytes, timestamp: str, secret: str) -> str:
    """One signature, as Ultravox makes it."""
    return hmac.new(secret.encode(), body + timestamp.encode(), hashlib.sha256).hexdigest()


def verify(timestamp: str | None, signature: str | None, body: bytes, secrets: Sequence[str], now: float) -> None:
    """Raise :class:`WebhookRefused` unless one of ``secrets`` signed ``body``, not long ago.

    The first two are the headers; ``now`` is wall time, in Unix seconds. Without secrets every signature is forged.
    The age is judged last: ``stale`` and ``future`` are said only of what a holder of a secret signed.
    """
    if not timestamp or not signature:
        raise WebhookRefused(Reason.MISSING)
    sent = _time(timestamp)
    given = [part.strip() for part in signature.split(",")] if len(signature) <= _MAX_HEADER else []
    if sent is None or not given or not all(_HEX.fullmatch(part) for part in given):
        raise WebhookRefused(Reason.MALFORMED)
    genuine = False
    for secret in secrets:
        expected = sign(body, timestamp, secret)
        for candidate in given:  # no early way out: the time taken tells nothing
            genuine |= hmac.compare_digest(expected, candidate.lower())
    if not genuine:
        raise WebhookRefused(Reason.FORGED)
    if now - sent > MAX_AGE:
        raise WebhookRefused(Reason.STALE)
    if sent - now > MAX_AHEAD:
        raise WebhookRefused(Reason.FUTURE)


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call is over. ``billed_seconds`` is None until Ultravox has worked it out."""

    call_id: str
    end_reason: str | None = None
    billed_seconds: float | None = None

    @classmethod
    def parse(cls, body: bytes) -> CallEnded | None:
        """None: an event other than ``call.ended``. Fields that are not known are left alone. Raises ValueError with
        a sentence where the body is not an event of a call."""
        try:
            event = json.loads(body)
        except (ValueError, RecursionError):
            raise ValueError("the webhook's body is not JSON") from None
        call = event.get("call") if isinstance(event, dict) else None
        call_id = call.get("callId") if isinstance(call, dict) else None
        if not isinstance(call, dict) or not isinstance(call_id, str) or not call_id:
            raise ValueError("the webhook's body does not tell of a call: it has no call.callId")
        if event.get("event", "call.ended") != "call.ended":
            return None
        reason = call.get("endReason")
        return cls(call_id, reason if isinstance(reason, str) else None, duration_seconds(call.get("billedDuration")))


def _time(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text) if len(text) <= 64 and text.isascii() else None
    except ValueError:
        return None
    if moment is None:
        return None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        return None
