"""Simulated vendors that list what they have, all on one server: strict about keys, paths and queries, with bad days.

The vendors' SDKs accept what they answer. Each is at a folder of its own, with the vendor's own paths below it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

KEY = "simulated-key-for-lists"

_CREATED = 1_760_000_000
_DATE = "2026-05-01T00:00:00Z"


def _openai_models(*ids: str) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [{"id": id, "object": "model", "created": _CREATED, "owned_by": "vendor"} for id in ids],
    }


def _claude(id: str, name: str, lifecycle: str = "active") -> dict[str, Any]:
    dates = {"created_at": _DATE, "deprecated_at": None, "retires_at": None}
    return {"type": "model", "id": id, "display_name": name, "lifecycle": lifecycle, **dates}


def _gemini(id: str, name: str, *methods: str) -> dict[str, Any]:
    return {"name": f"models/{id}", "displayName": name, "version": "1", "supportedGenerationMethods": list(methods)}


def _aura(name: str, voice: str, languages: list[str], **metadata: Any) -> dict[str, Any]:
    return {"name": voice, "canonical_name": name, "architecture": "aura-2", "languages": languages, "version": "1",
            "uuid": "u", "metadata": metadata}  # fmt: skip


def _cartesia(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"cartesia-{number}", "name": f"Voice {number}", "description": "A voice", "tagline": "", "language":
            "en", "locales": [{"locale": "en-GB", "is_native": True}], "gender": "masculine", "is_owner": False,
            "access": "public", "visibility": "all", "created_at": _DATE, **more}  # fmt: skip


def _ultravox(id: str, name: str, language: str | None) -> dict[str, Any]:
    return {"voiceId": id, "name": name, "description": "calm", "primaryLanguage": language, "previewUrl": "http://x",
            "ownership": "public", "billingStyle": "VOICE_BILLING_STYLE_INCLUDED", "definition": {}}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Shop:
    """``header`` is where the key goes, ``pages`` what is answered to each query in turn."""

    path: str
    header: tuple[str, str]
    pages: tuple[tuple[Mapping[str, str], Any], ...]


def _one(answer: Any) -> tuple[tuple[Mapping[str, str], Any], ...]:
    return (({}, answer),)


_BEARER = ("Authorization", "Bearer ")
_SHOPS: Mapping[str, _Shop] = {
    "openai": _Shop(
        "/openai/v1/models",
        _BEARER,
        _one(
            _openai_models(
                "gpt-6-astra",
                "gpt-7-nova",
                "gpt-realtime-3",
                "gpt-realtime-whisper",
                "text-embedding-3-large",
                "gpt-4o-mini-tts",
                "gpt-transcribe",
                "dall-e-3",
                "omni-moderation-latest",
            )
        ),
    ),
    "groq": _Shop("/groq/openai/v1/models", _BEARER, _one(_openai_models("openai/gpt-oss-20b", "whisper-large-v3"))),
    "ollama": _Shop("/ollama/v1/models", _BEARER, _one(_openai_models("llama9:70b", "nomic-embed-text:latest"))),
    "anthropic": _Shop(
        "/anthropic/v1/models",
        _BEARER,
        (
            (
                {"limit": "1000"},
                {
                    "data": [_claude("claude-opus-9", "Claude Opus 9"), _claude("claude-1", "Claude 1", "retired")],
                    "has_more": True,
                    "first_id": "claude-opus-9",
                    "last_id": "claude-1",
                },
            ),
            (
                {"limit": "1000", "after_id": "claude-1"},
                {
                    "data": [_claude("claude-haiku-5-5", "Claude Haiku 5.5")],
                    "has_more": False,
                    "first_id": "claude-haiku-5-5",
                    "last_id": "claude-haiku-5-5",
                },
            ),
        ),
    ),
    "gemini": _Shop(
        "/gemini/v1beta/models",
        ("x-goog-api-key", ""),
        (
            (
                {"pageSize": "1000"},
                {
                    "models": [
                        _gemini("gemini-9-flash", "Gemini 9 Flash", "generateContent", "countTokens"),
                        _gemini("gemini-9-live", "Gemini 9 Live", "bidiGenerateContent"),
                        _gemini("gemini-9-native-audio", "Gemini 9 Native Audio", "bidiGenerateContent"),
                        _gemini("gemini-9-flash-image", "Gemini 9 Image", "generateContent"),
                    ],
                    "nextPageToken": "more/of=it",
                },
            ),
            (
                {"pageSize": "1000", "pageToken": "more/of=it"},
                {"models": [_gemini("gemma-9-27b", "Gemma 9", "generateContent"), _gemini("aqa", "QA", "answer")]},
            ),
        ),
    ),
    "ultravox": _Shop(
        "/ultravox/api/models",
        ("X-API-Key", ""),
        (
            (
                {"pageSize": "100"},
                {
                    "next": "https://elsewhere.example/api/models?cursor=cD0%3D&pageSize=9",
                    "results": [{"name": "ultravox-v0.9"}],
                },
            ),
            ({"pageSize": "100", "cursor": "cD0="}, {"next": None, "results": [{"name": "fixie-ai/ultravox-70B"}]}),
        ),
    ),
    "ultravox voices": _Shop(
        "/ultravox/api/voices",
        ("X-API-Key", ""),
        (
            (
                {"pageSize": "100"},
                {"next": None, "results": [_ultravox("v-1", "Mark Slow", "en"), _ultravox("v-2", "Ana", None)]},
            ),
        ),
    ),
    "deepgram": _Shop(
        "/deepgram/v1/models",
        ("Authorization", "Token "),
        _one(
            {
                "stt": [
                    {"name": "general", "canonical_name": "nova-3-general", "languages": ["en"], "streaming": True}
                ],
                "tts": [
                    _aura("aura-2-thalia-en", "thalia", ["en", "en-US"], accent="American", tags=["warm", "feminine"]),
                    _aura("aura-3-otto-de", "otto", ["de"], tags=["masculine"]),
                    _aura("flux-alexis-en", "alexis", ["en", "en-US"], accent="American"),
                ],
            }
        ),
    ),
    "elevenlabs": _Shop(
        "/elevenlabs/v1/voices",
        ("xi-api-key", ""),
        _one(
            {
                "voices": [
                    {
                        "voice_id": "eleven-1",
                        "name": "Rachel",
                        "labels": {"gender": "female", "accent": "american", "language": "en"},
                        "verified_languages": [
                            {"language": "en", "model_id": "m", "locale": "en-US"},
                            {"language": "de", "model_id": "m", "locale": "de-DE"},
                        ],
                    },
                    {"voice_id": "eleven-2", "name": "My own voice"},
                ]
            }
        ),
    ),
    "cartesia": _Shop(
        "/cartesia/voices",
        ("Authorization", "Bearer "),
        (
            ({"limit": "100"}, {"data": [_cartesia(number) for number in range(100)]}),
            ({"limit": "100", "starting_after": "cartesia-99"}, {"data": [_cartesia(100, gender=None, locales=[])]}),
        ),
    ),
    "kokoro": _Shop(
        "/kokoro/v1/audio/voices",
        _BEARER,
        _one({"voices": [{"id": "bm_new", "name": "bm_new"}, {"id": "af_heart", "name": "af_heart"}]}),
    ),
    "speaches": _Shop(
        "/speaches/v1/audio/voices",
        _BEARER,
        _one(
            {
                "object": "list",
                "voices": [
                    "ff_siwis",
                    {"name": "amy", "language": "en_GB", "gender": "female"},
                    {"name": "odd", "language": "multilingual", "gender": None},
                ],
            }
        ),
    ),
}

_BASES = {
    "openai": "/openai/v1", "groq": "/groq/openai/v1", "ollama": "/ollama/v1", "anthropic": "/anthropic",
    "gemini": "/gemini", "ultravox": "/ultravox", "deepgram": "/deepgram", "elevenlabs": "/elevenlabs",
    "cartesia": "/cartesia", "kokoro": "/kokoro/v1", "speaches": "/speaches/v1",
}  # fmt: skip
VENDORS = tuple(_BASES)

Fault = Literal["error", "refused", "silent", "garbage", "other_shape", "junk", "cut"]


@dataclass
class ListServer:
    """``faults``: a vendor's bad day, until it is taken out. ``error`` answers 500, ``refused`` 401, ``silent`` not at
    all, ``garbage`` no JSON, ``other_shape`` JSON of another shape, ``junk`` a list in which some entries are none,
    ``cut`` ends the connection in the middle."""

    url: str = ""
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """The vendors, in the order of their requests."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    mistakes: list[str] = field(default_factory=list)
    strict: bool = True
    """About queries: SDKs have their own."""

    def settings(self, *vendors: str) -> dict[str, str]:
        """The environment of a service with an account at each of ``vendors``, or at all."""
        env: dict[str, str] = {}
        for vendor in vendors or VENDORS:
            env |= {f"{vendor.upper()}_API_KEY": KEY, f"{vendor.upper()}_BASE_URL": self.url + _BASES[vendor]}
        return env

    def handler(self, name: str, shop: _Shop) -> Callable[[web.Request], Any]:
        async def answer(request: web.Request) -> web.StreamResponse:
            vendor = name.split()[0]
            self.asked.append(name)
            self.arrived.set()
            header, scheme = shop.header
            if request.headers.get(header) != scheme + KEY or self.faults.get(vendor) == "refused":
                if self.faults.get(vendor) != "refused":
                    self.mistakes.append(f"{name}: the header {header} is not {scheme}and the key")
                return web.json_response({"error": f"the key {KEY} is unknown"}, status=401)
            found = next((page for query, page in shop.pages if query == dict(request.query)), None)
            if found is None:
                if self.strict:
                    self.mistakes.append(f"{name}: the query {request.query_string!r}")
                found = shop.pages[0][1]
            return await self._misbehave(request, vendor, found)

        return answer

    async def _misbehave(self, request: web.Request, vendor: str, found: Any) -> web.StreamResponse:
        match self.faults.get(vendor):
            case "error":
                return web.json_response({"error": "on fire"}, status=500)
            case "silent":
                await asyncio.sleep(60)
                raise AssertionError("nobody waits so long")
            case "garbage":
                return web.Response(text="<html>a proxy's page</html>", content_type="application/json")
            case "other_shape":
                return web.json_response(["gpt-6-astra"])
            case "junk":
                (key,) = [key for key, value in found.items() if isinstance(value, list) and key != "stt"]
                junk = [None, 7, {}, {"id": 7, "name": ["x"], "voice_id": "with blank", "canonical_name": "\n"}]
                return web.json_response({**found, key: [*junk, *found[key]]})
            case "cut":
                response = web.StreamResponse(headers={"Content-Type": "application/json"})
                await response.prepare(request)
                await response.write(b'{"data": [')
                assert request.transport is not None
                request.transport.abort()
                return response
            case _:
                return web.json_response(found)


@asynccontextmanager
async def serve_lists() -> AsyncGenerator[ListServer, None]:
    server = ListServer()
    app = web.Application()
    for name, shop in _SHOPS.items():
        app.router.add_get(shop.path, server.handler(name, shop))
    # The SDK of Google asks another version of the same.
    app.router.add_get("/gemini/v1/models", server.handler("gemini", _SHOPS["gemini"]))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
