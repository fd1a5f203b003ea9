"""What became of somebody who was rung, by the words of Jambonz and of SIP: one reading for calls that are placed and
for transfers. Pure."""

from __future__ import annotations

from typing import Literal

Ending = Literal["answered", "busy", "no_answer", "declined", "failed"]

_BUSY = frozenset({486, 600})
_UNANSWERED = frozenset({408, 480, 487})
_DECLINED = frozenset({403, 433, 603, 607, 608})
"""403 is what gateways to the telephone network make of a call that was rejected there (Q.850 cause 21, RFC 3398
7.2.4.1), and 433 of one who takes no anonymous calls (RFC 5079)."""


def ending_of(call_status: str, sip_status: int | None) -> Ending:
    """``call_status`` is one that is final. Jambonz calls busy who has declined, and failed much that SIP has better
    words for: so the SIP status decides, as far as it tells."""
    if call_status == "completed":
        return "answered"
    if sip_status in _DECLINED:
        return "declined"
    if sip_status in _BUSY:
        return "busy"
    if sip_status in _UNANSWERED:
        return "no_answer"
    match call_status:
        case "busy":
            return "busy"
        case "no-answer":
            return "no_answer"
        case _:
            return "failed"
