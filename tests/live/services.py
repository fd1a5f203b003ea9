"""Which services there are to talk to, what each needs, and the agent in which it has its part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal

from pipelines.providers.compatible import HOMES
from pipelines.providers.defaults import GOOGLE_CREDENTIALS, GOOGLE_ENDPOINTS
from pipelines.providers.language_models import LANGUAGE_MODELS
from pipelines.providers.registry import OFFLINE_VOICES, SPEECH_TO_TEXT, TEXT_TO_SPEECH
from tests.live.office import QUESTION_WORDS, SAID, WRITTEN

Does = Literal["hears", "thinks", "speaks", "talks"]

MODELS: Mapping[str, str] = {
    "openai": "gpt-5.6-luna",
    "anthropic": "claude-haiku-5-5",
    "google": "gemini-3.5-flash-lite",
    "groq": "openai/gpt-oss-20b",
    "ollama": "llama3.1",
}
"""Small ones that call functions; ``--model`` names others."""

REALTIME: Mapping[str, str] = {
    "openai-realtime": "openai/gpt-realtime-2.1",
    "gpt-live": "openai/gpt-live-1",
    "gemini-live": "google/gemini-3.8-live",
    "ultravox": "ultravox:ultravox/ultravox-v0.7",
}

_MAKERS = {"google": "gemini"}
"""Whose models have settings under another name."""

SCRIPT: dict[str, Any] = {
    "rules": [
        {
            "said": list(QUESTION_WORDS),
            "call": {"tool": "opening_hours", "arguments": {}},
            "after": [{"result": WRITTEN, "say": SAID}],
        }
    ],
    "otherwise": "I did not understand that.",
}
"""The model beside parts that are tried: always the same, and offline."""

_OFFLINE: dict[str, Any] = {
    "stt": {"vendor": "moonshine", "language": "en-US"},
    "tts": {"vendor": "pico" if find_spec("ttspico") else "espeak", "language": "en-US"},
    "script": SCRIPT,
}


@dataclass(frozen=True, slots=True)
class Service:
    """One to talk to. ``needs`` are variables of which one has to be there; ``part`` and ``provider`` are how its usage
    is reported."""

    vendor: str
    does: Does
    needs: tuple[str, ...]
    part: Literal["stt", "llm", "tts"]
    provider: str
    model_name: str = "scripted/live"
    options: Mapping[str, Any] = field(default_factory=lambda: _OFFLINE)

    @property
    def name(self) -> str:
        return f"{self.vendor} {self.does}"

    def missing(self, env: Mapping[str, str]) -> str | None:
        """Why it cannot be talked to."""
        return None if any(env.get(name) for name in self.needs) else f"{' or '.join(self.needs)} is not set"


def services(models: Mapping[str, str] = MODELS) -> list[Service]:
    """All that the registry of providers has, and the realtime models. ``models`` are by their provider."""
    found = [
        Service(vendor, "hears", _needs(vendor, "stt"), "stt", vendor, options=_with("stt", vendor))
        for vendor in SPEECH_TO_TEXT
        if vendor != "moonshine"
    ]
    found += [
        Service(vendor, "thinks", _needs(_MAKERS.get(vendor, vendor)), "llm", vendor, f"{vendor}/{models[vendor]}")
        for vendor in LANGUAGE_MODELS
        if vendor != "scripted"
    ]
    found += [
        Service(vendor, "speaks", _needs(vendor, "tts"), "tts", vendor, options=_with("tts", vendor))
        for vendor in TEXT_TO_SPEECH
        if vendor not in OFFLINE_VOICES
    ]
    for vendor, model_name in REALTIME.items():
        maker = model_name.rpartition(":")[2].partition("/")[0]
        needs = _needs(_MAKERS.get(maker, maker))
        provider = {"openai-realtime": "openai", "gemini-live": "gemini"}.get(vendor, vendor)
        found.append(Service(vendor, "talks", needs, "llm", provider, models.get(vendor, model_name), {}))
    return found


def _with(part: str, vendor: str) -> dict[str, Any]:
    return {**_OFFLINE, part: {"vendor": vendor, "language": "en-US"}}


def _needs(vendor: str, part: str = "llm") -> tuple[str, ...]:
    if vendor == "google":
        return (GOOGLE_CREDENTIALS, GOOGLE_ENDPOINTS[part])
    name = vendor.split("-")[0].upper()
    home = HOMES.get(vendor)
    keyless = home is not None and not home.wants_key
    return (f"{name}_API_KEY", f"{name}_BASE_URL") if keyless else (f"{name}_API_KEY",)
