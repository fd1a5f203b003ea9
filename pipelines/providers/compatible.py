"""OpenAI's API over HTTP, and the servers that are compatible with it: where they are, what refusals and usage mean.

Sources: openai-python 3.52, groq-python, and the sources of speaches and of Kokoro-FastAPI. Nothing of it was tried
against the services themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pipelines.parts import ProviderFault
from pipelines.providers.http_account import HttpAccount


@dataclass(frozen=True, slots=True)
class Home:
    """Where a vendor is unless the settings say otherwise, and whether it asks for a key."""

    url: str
    wants_key: bool = False


HOMES: Mapping[str, Home] = {
    "openai": Home("https://api.openai.com/v1", wants_key=True),
    "groq": Home("https://api.groq.com/openai/v1", wants_key=True),
    "ollama": Home("http://127.0.0.1:11434/v1"),
    "speaches": Home("http://127.0.0.1:8000/v1"),
    "kokoro": Home("http://127.0.0.1:8880/v1"),
}


OTHER_PARTS = frozenset({"speech", "transcription"})
"""Under a vendor's name in ``vendorSpecific``: what is its voices' and its recognisers', and not its models'."""


def compatible_base_url(vendor: str, base_url: str | None) -> str | None:
    """Where ``vendor``'s API is; None if it has none of this kind. A base URL without a path gets the vendor's."""
    home = HOMES.get(vendor)
    if home is None:
        return None
    if not base_url:
        return home.url
    return base_url.rstrip("/") + urlsplit(home.url).path if urlsplit(base_url).path in ("", "/") else base_url


class CompatibleRules:
    """Of refusals. By their status other vendors say the same."""

    def refused(self, status: int, error: Mapping[str, Any]) -> ProviderFault:
        match status:
            case 401 | 403:
                return "auth"
            case 402 | 429:
                return "rate_limit"
            case 408:
                return "timeout"
            case _:
                return "server" if status >= 500 else "bad_request"

    def retry_after(self, error: Mapping[str, Any]) -> str | None:
        return None


def bearer(api_key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def speech_account(vendor: str, *, api_key: str, base_url: str) -> HttpAccount:
    """For requests whose answers are sound or the words of a sound."""
    return HttpAccount(vendor, CompatibleRules(), api_key=api_key, base_url=base_url, headers=bearer(api_key))


def transcription_units(usage: Any, seconds: float) -> dict[str, float]:
    """What a transcription of ``seconds`` of sound cost, as the vendor reports it: in tokens, in seconds, or not."""
    reported = usage if isinstance(usage, dict) else {}
    units = {"input_tokens": reported.get("input_tokens"), "output_tokens": reported.get("output_tokens")}
    units["audio_seconds"] = reported.get("seconds")
    counted = {
        unit: float(count) for unit, count in units.items() if isinstance(count, int | float) and 0 < count < 1e9
    }
    return counted or {"audio_seconds": seconds}
