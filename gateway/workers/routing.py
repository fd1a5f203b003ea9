"""Which worker has a call, or is to have it: pure, so that every worker comes to the same answer.

Workers have slots, from 0. A call's sid puts them in an order of its own. The first of those that can be reached is
the call's *home*: it says who takes the call, itself or the next in the order, whichever has less to do. So whoever
hears of a call later has two to ask, and nobody has to remember anything.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import blake2b

from gateway.dialling import TAG

MARK = "."
"""Between the slot and the secret in the token of a media socket; no secret has it (they are of URL-safe base64)."""

MAX_SID = 128
"""As long as a sid may be, or an id of ours; see :class:`jambonz.hooks.Hook`."""

_SLOT = re.compile("(0|[1-9][0-9]{0,2})[.]")


def order(call_sid: str, workers: int) -> list[int]:
    """All slots, as this call goes through them. A worker that comes or goes changes nothing of the order of the
    others (rendezvous hashing)."""
    return sorted(range(workers), key=lambda slot: (_weight(call_sid, slot), slot))


def _weight(call_sid: str, slot: int) -> bytes:
    return blake2b(f"{slot} {call_sid}".encode(errors="surrogatepass"), digest_size=8).digest()


def mark(slot: int) -> str:
    """What the tokens of that worker's media sockets begin with."""
    return f"{slot}{MARK}"


def slot_of(token: str) -> int | None:
    """The worker that has made this token; None where none of ours has."""
    found = _SLOT.match(token)
    return int(found[1]) if found is not None else None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a worker says of itself. ``knows``: a call with the sid in question is under way, about to be, or over since
    not long. ``load`` is the part of its places that are taken, and ``open`` whether it takes another call."""

    knows: bool
    load: float
    open: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker tells for the probes: its calls under way, and whether it takes no others."""

    calls: int
    draining: bool


def partner_takes(home: Standing, partner: Standing) -> bool:
    """Whether a new call is for the partner. One that is known stays where it is; where nobody is open, the home says
    so to the caller."""
    if home.knows or partner.knows:
        return not home.knows
    if home.open != partner.open:
        return partner.open
    return partner.open and partner.load < home.load


@dataclass(frozen=True, slots=True)
class Told:
    """Whose a hook, or a message of an application socket, is. ``sids`` are that of its call and that of its parent;
    ``tag`` is the id of the call, where it is one that we placed."""

    sids: tuple[str, ...] = ()
    tag: str | None = None


def told_by(body: bytes | str) -> Told:
    """Nothing is said by this of whether it is a good one."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return Told()
    if not isinstance(told, dict):
        return Told()
    inner = told.get("data")
    parts = [told, inner] if isinstance(inner, dict) else [told]
    found = [part.get(name) for part in parts for name in ("call_sid", "parent_call_sid")]
    sids = [str(sid) for sid in found if isinstance(sid, str | int) and not isinstance(sid, bool)]
    tags = [data.get(TAG) for part in parts if isinstance(data := part.get("customerData"), dict)]
    return Told(
        tuple(dict.fromkeys(sid for sid in sids if 0 < len(sid) <= MAX_SID)),
        next((tag for tag in tags if isinstance(tag, str) and 0 < len(tag) <= MAX_SID), None),
    )
