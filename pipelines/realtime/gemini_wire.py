"""What Gemini Live's messages mean, as far as that needs no memory: fields in either spelling, counts, faults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pipelines.parts import ProviderFault
from pipelines.realtime.model import ModelFault


def camel(key: str) -> str:
    return re.sub("_([a-z])", lambda found: found[1].upper(), key)


@cache
def _snake(key: str) -> str:
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key)


def field(of: Mapping[str, Any], key: str) -> Any:
    """The field ``key``, in either spelling that JSON of protocol buffers may have."""
    value = of.get(key)
    return of.get(_snake(key)) if value is None else value


def mapping(of: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = field(of, key)
    return value if isinstance(value, dict) else {}


def listed(of: Mapping[str, Any], key: str) -> list[Any]:
    value = field(of, key)
    return value if isinstance(value, list) else []


def _count(of: Mapping[str, Any], key: str) -> int:
    value = field(of, key)
    return value if isinstance(value, int) and value > 0 else 0


def units_of(usage: dict[str, Any]) -> dict[str, float]:
    """What one turn used. Thoughts are paid for as output."""
    units = {
        "input_tokens": _count(usage, "promptTokenCount") + _count(usage, "toolUsePromptTokenCount"),
        "cached_tokens": _count(usage, "cachedContentTokenCount"),
        "output_tokens": _count(usage, "responseTokenCount") + _count(usage, "thoughtsTokenCount"),
    }
    for unit, key in (("input_audio_tokens", "promptTokensDetails"), ("output_audio_tokens", "responseTokensDetails")):
        units[unit] = sum(
            _count(detail, "tokenCount")
            for detail in listed(usage, key)
            if isinstance(detail, dict) and detail.get("modality") == "AUDIO"
        )
    return {unit: float(count) for unit, count in units.items() if 0 < count < 2**53}


_FAULTS: Final[dict[object, ProviderFault]] = {
    "INVALID_ARGUMENT": "bad_request",
    "PERMISSION_DENIED": "auth",
    "UNAUTHENTICATED": "auth",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "UNAVAILABLE": "unavailable",
    "DEADLINE_EXCEEDED": "timeout",
}


def fault_of(error: object) -> ModelFault:
    status, message = "", ""
    if isinstance(error, dict):
        status, message = str(error.get("status", "")), str(error.get("message", ""))
    kind = _FAULTS.get(status, "server")
    said = " ".join(f"{status} {message}".split())[:200]
    return ModelFault(kind, said or "the model reports an error", fatal=kind in ("auth", "bad_request"))
