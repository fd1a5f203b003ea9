"""What ElevenLabs' wires have in common: where they are, languages, models, and faults. Pure.

The vendor's package is not needed: what it has of these wires blocks, or is less than they can do. Sources: elevenlabs
2.78.0 and the vendor's documentation. Nothing of it was tried against the service itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipelines.parts import ProviderFault
from pipelines.providers.wire import Failed, Place

HOME = "https://api.elevenlabs.io"

# What codes, and reasons of closed sockets, say; the first that is found counts. An account without credits is closed
# to us as one without a key is. A policy that was violated (1008) is told of everything, an idle socket included.
_KINDS: tuple[tuple[re.Pattern[str], ProviderFault], ...] = (
    (re.compile(r"time_limit|timeout|inactiv|insufficient_audio|max_active|simultaneous contexts"), "unavailable"),
    (re.compile(r"auth|api.?key|quota|credit|payment|subscription|permission|forbidden|unaccepted_terms"), "auth"),
    (re.compile(r"rate.?limit|throttl|too.?many|concurren|busy|overflow|exhausted|overload"), "rate_limit"),
    (re.compile(r"invalid|input_error|chunk_size|voice_|model_|unsupported|not_found|not_exist"), "bad_request"),
)


def elevenlabs_at(api_key: str, base_url: str = HOME) -> Place:
    return Place(api_key, base_url, header="xi-api-key", scheme="")


def bare(language: str) -> str:
    """The language of a tag, without its region: ``en`` of ``en-GB``. The vendor refuses regions."""
    return language.replace("_", "-").split("-")[0].lower()


def needs_dialogue(model: str) -> bool:
    """Whether a model of speech is to be had on another wire only: those from Eleven v3 on."""
    found = re.match(r"eleven_v(\d+)", model)
    return found is not None and int(found[1]) >= 3


def kind_of(code: str) -> ProviderFault:
    """The kind of what ElevenLabs calls ``quota_exceeded``, ``rate_limited``, ``input_error`` and so on."""
    return _told(code) or "server"


def kind_of_close(code: int, reason: str) -> ProviderFault:
    """Of a socket that was closed with ``code``."""
    return _told(reason) or ("bad_request" if code in (1003, 1007, 1009) else "unavailable")


def fault_of(code: str, data: Mapping[str, Any]) -> Failed:
    """An error of the vendor, called ``code``, of which ``data`` has a sentence."""
    said = [data[name] for name in ("message", "error") if isinstance(data.get(name), str) and data[name] != code]
    return Failed(kind_of(code), f"{code:.60}: {said[0]}" if said else code)


def _told(text: str) -> ProviderFault | None:
    return next((kind for pattern, kind in _KINDS if pattern.search(text.lower())), None)
