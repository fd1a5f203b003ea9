"""Which codecs a call may use: as much of an SDP offer as tells wideband calls from others (RFC 8866, RFC 3551)."""

from __future__ import annotations

import re

WIDEBAND_RATE = 16000

_G722 = "9"
"""G.722's payload type, which needs no ``rtpmap``."""

_NO_SPEECH = frozenset({"telephone-event", "cn", "red", "rtx", "ulpfec"})

_RTPMAP = re.compile(r"rtpmap:(\d{1,3})\s+([^/\s]+)/(\d{1,6})", re.ASCII)


def offers_wideband(sdp: str) -> bool | None:
    """Whether the call's sound may be of 16 kHz or more; None where no audio is offered at all."""
    payloads: list[str] | None = None
    for line in sdp.splitlines():
        kind, _, value = line.partition("=")
        if kind == "m":
            if payloads is not None:
                break  # the next stream
            media, *rest = value.split() or [""]  # audio 4000 RTP/AVP 9 0 8 101
            if media == "audio":
                payloads = rest[2:]
        elif kind == "a" and payloads is not None and _is_wideband(value, payloads):
            return True
    return None if payloads is None else _G722 in payloads


def _is_wideband(attribute: str, payloads: list[str]) -> bool:
    """G.722's clock is said to be 8000, by a mistake that was kept; others' is their rate."""
    found = _RTPMAP.match(attribute)
    if found is None or found[1] not in payloads:
        return False
    name = found[2].lower()
    return name == "g722" or (name not in _NO_SPEECH and int(found[3]) >= WIDEBAND_RATE)
