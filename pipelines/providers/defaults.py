"""Who hears and who speaks where an agent names nobody: the first vendor with an account that has that part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pipelines.providers.compatible import HOMES

ORDER = ("openai", "deepgram", "elevenlabs", "groq", "cartesia", "speaches", "kokoro", "google")
"""As the settings list them, and Google's credentials, which are of another kind, last."""

GOOGLE_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"
GOOGLE_ENDPOINTS = {"stt": "GOOGLE_SPEECH_ENDPOINT", "tts": "GOOGLE_TTS_ENDPOINT"}


def with_account(env: Mapping[str, str], part: Literal["stt", "tts"]) -> Iterator[str]:
    """Vendors of :data:`ORDER` that have a key or, where no key is needed, a base URL: the address of one that needs a
    key may be that of a server which only answers in text."""
    for vendor in ORDER:
        home = HOMES.get(vendor)
        if vendor == "google":
            # An endpoint alone is enough where it is one without credentials.
            plain = env.get(GOOGLE_ENDPOINTS[part], "").startswith("http://")
            known = plain or bool(env.get(GOOGLE_CREDENTIALS))
        else:
            keyless = home is not None and not home.wants_key and env.get(f"{vendor.upper()}_BASE_URL")
            known = bool(env.get(f"{vendor.upper()}_API_KEY") or keyless)
        if known:
            yield vendor
