"""How vendors list the models and voices they have: where, and who reads their answers. Pure.

Sources: the vendors' SDKs (openai 3.52, anthropic, groq, google-genai 3.4, deepgram 7.17, elevenlabs 2.78, cartesia
4.2), the sources of Kokoro-FastAPI and speaches, and Ultravox's OpenAPI. Nothing of it was tried against the services.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.catalogue import model_lists, voice_lists
from pipelines.catalogue.entries import Model, Voice
from pipelines.catalogue.reading import cursor_of
from pipelines.providers import anthropic, google
from pipelines.providers.cartesia_wire import HOME as CARTESIA_HOME
from pipelines.providers.cartesia_wire import VERSION as CARTESIA_VERSION
from pipelines.providers.compatible import HOMES, bearer, compatible_base_url
from pipelines.providers.deepgram_wire import HOME as DEEPGRAM_HOME
from pipelines.providers.elevenlabs_wire import HOME as ELEVENLABS_HOME

Entry = Model | Voice


@dataclass(frozen=True, slots=True)
class Listing:
    """One question to a vendor, ``GET`` ``path``, of which ``read`` understands the answer: it raises ValueError where
    that is none, and passes over single entries that cannot be used. ``more`` gives the path of the next page.

    ``vendor`` is the X of ``X_API_KEY``; ``replaces`` are the providers (of models) or vendors (of voices) of which the
    answer tells all there is.
    """

    vendor: str
    of: type[Entry]
    replaces: tuple[str, ...]
    home: str
    path: str
    headers: Callable[[str], Mapping[str, str]]
    read: Callable[[Any], Iterator[Entry]]
    more: Callable[[Any], str | None] = lambda answer: None

    def base_url(self, base_url: str | None) -> str:
        """Where it is: ``base_url`` of the settings, however much of the vendor's path it has."""
        if self.vendor in HOMES:
            return (compatible_base_url(self.vendor, base_url) or self.home).rstrip("/")
        return (base_url or self.home).rstrip("/").removesuffix("/v1").removesuffix("/v1beta")


def _header(name: str, scheme: str = "") -> Callable[[str], Mapping[str, str]]:
    return lambda key: {name: scheme + key} if key else {}


ULTRAVOX_HOME = "https://api.ultravox.ai"
_ULTRAVOX_MODELS, _ULTRAVOX_VOICES = "/api/models?pageSize=100", "/api/voices?pageSize=100"

LISTINGS: tuple[Listing, ...] = (
    *(
        Listing(vendor, Model, (vendor,), HOMES[vendor].url, "/models", bearer, model_lists.chat_models(vendor))
        for vendor in ("openai", "groq", "ollama")
    ),
    Listing(
        "anthropic",
        Model,
        ("anthropic",),
        anthropic.BASE_URL,
        "/v1/models?limit=1000",
        lambda key: {**bearer(key), "anthropic-version": anthropic.VERSION},
        model_lists.anthropic_models,
        model_lists.anthropic_more,
    ),
    Listing(
        "gemini",
        Model,
        ("google",),
        google.BASE_URL,
        "/v1beta/models?pageSize=1000",
        _header("x-goog-api-key"),
        model_lists.gemini_models,
        model_lists.gemini_more,
    ),
    Listing(
        "ultravox",
        Model,
        ("ultravox", "fixie-ai"),
        ULTRAVOX_HOME,
        _ULTRAVOX_MODELS,
        _header("X-API-Key"),
        model_lists.ultravox_models,
        cursor_of(_ULTRAVOX_MODELS),
    ),
    Listing(
        "ultravox",
        Voice,
        ("ultravox",),
        ULTRAVOX_HOME,
        _ULTRAVOX_VOICES,
        _header("X-API-Key"),
        voice_lists.ultravox_voices,
        cursor_of(_ULTRAVOX_VOICES),
    ),
    Listing(
        "deepgram",
        Voice,
        ("deepgram",),
        DEEPGRAM_HOME,
        "/v1/models",
        _header("Authorization", "Token "),
        voice_lists.deepgram_voices,
    ),
    Listing(
        "elevenlabs",
        Voice,
        ("elevenlabs",),
        ELEVENLABS_HOME,
        "/v1/voices",
        _header("xi-api-key"),
        voice_lists.elevenlabs_voices,
    ),
    Listing(
        "cartesia",
        Voice,
        ("cartesia",),
        CARTESIA_HOME,
        f"/voices?limit={voice_lists.CARTESIA_PAGE}",
        lambda key: {**bearer(key), "cartesia-version": CARTESIA_VERSION},
        voice_lists.cartesia_voices,
        voice_lists.cartesia_more,
    ),
    *(
        Listing(vendor, Voice, (vendor,), HOMES[vendor].url, "/audio/voices", bearer, voice_lists.served_voices(vendor))
        for vendor in ("speaches", "kokoro")
    ),
)
