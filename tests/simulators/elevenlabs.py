"""A simulated ElevenLabs on loopback: Scribe, ``…/multi-stream-input`` and ``…/stream-input``.

Strict about keys, queries and messages: what was sent and should not have been is noted in ``mistakes``. What it hears
and says is in :mod:`tests.simulators.elevenlabs_ears` and :mod:`tests.simulators.elevenlabs_voices`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

from aiohttp import web

from tests.simulators.elevenlabs_ears import KEY, ElevenLabsSession, ScribeSession
from tests.simulators.elevenlabs_voices import MultiContextSession, Spoken, StreamInputSession
from tests.simulators.speech_wire import Sockets, drive, serving

_BOOLEANS = ("true", "false")
_LANGUAGE = re.compile("[a-z]{2,3}")
_SCRIBE: Mapping[str, Any] = {
    "model_id": ("scribe_v2_realtime", "scribe_v3_live"),
    "audio_format": ("ulaw_8000",),  # of those that there are, the one that is understood here
    "commit_strategy": ("manual",),  # likewise
    "language_code": _LANGUAGE,
    "include_timestamps": _BOOLEANS,
    "include_language_detection": _BOOLEANS,
    "enable_logging": _BOOLEANS,
    "no_verbatim": _BOOLEANS,
    "filter_background_audio": _BOOLEANS,
    "keyterms": re.compile(".{1,20}"),
}
_MULTI: Mapping[str, Any] = {
    "model_id": re.compile("eleven_(flash|turbo|multilingual|monolingual)_v[12](_5)?"),
    "output_format": ("ulaw_8000",),
    "language_code": _LANGUAGE,
    "auto_mode": _BOOLEANS,
    "sync_alignment": _BOOLEANS,
    "inactivity_timeout": (1, 180),
    "enable_logging": _BOOLEANS,
    "enable_ssml_parsing": _BOOLEANS,
    "apply_text_normalization": ("auto", "on", "off"),
}
_NEEDED = {"model_id", "audio_format", "output_format"}
_MOST_KEYTERMS = 50
_TOLD_A_LANGUAGE = ("eleven_flash_v2_5", "eleven_turbo_v2_5")


@dataclass
class ElevenLabsServer(Sockets, Spoken):
    """What it was asked, and what it heard and said."""

    key: str = KEY
    queries: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    """Of each upgrade, with its path."""


@asynccontextmanager
async def serve_elevenlabs(tls: SSLContext | None = None, **settings: Any) -> AsyncGenerator[ElevenLabsServer, None]:
    """``settings`` are :class:`ElevenLabsServer`'s. With ``tls`` it is at https."""
    server = ElevenLabsServer(**{"pace": 0.005} | settings)
    voice = "/v1/text-to-speech/{voice}/"
    routes = {
        "/v1/speech-to-text/realtime": _answer(server, ScribeSession, _SCRIBE),
        f"{voice}multi-stream-input": _answer(server, MultiContextSession, _MULTI),
        f"{voice}stream-input": _answer(server, StreamInputSession, _MULTI),
    }
    async with serving(server, routes, tls):
        yield server


def _answer(
    server: ElevenLabsServer,
    make: Callable[[ElevenLabsServer, Mapping[str, str]], ElevenLabsSession],
    allowed: Mapping[str, Any],
) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        query = [(name, value) for name, value in request.query.items()]
        server.queries.append((request.path, query))
        fault = server.faults.pop(0) if server.faults else None
        if fault is not None and fault.what == "refused":
            return web.Response(status=fault.code)
        if request.headers.get("xi-api-key") != server.key:
            return web.Response(status=401)
        wrong = list(_wrong(query, allowed))
        if wrong:
            server.mistakes += wrong
            return web.Response(status=400)
        session = make(server, dict(query))
        if fault is not None:
            session.error_name = fault.name
        return await drive(request, server, session, fault)

    return answer


def _wrong(query: Sequence[tuple[str, str]], allowed: Mapping[str, Any]) -> Iterator[str]:
    names = [name for name, _ in query]
    for name in sorted(_NEEDED & set(allowed)):
        if name not in names:
            yield f"the query has no {name}"
    for name in set(names):
        if names.count(name) > (_MOST_KEYTERMS if name == "keyterms" else 1):
            yield f"{name} is there {names.count(name)} times"
    for name, value in query:
        if name not in allowed:
            yield f"there is no parameter {name}"
        elif not _may_be(value, allowed[name]):
            yield f"{name} is {value!r}"
    if "language_code" in names and allowed is _MULTI and dict(query).get("model_id") not in _TOLD_A_LANGUAGE:
        yield "this model takes no language_code"


def _may_be(value: str, allowed: Any) -> bool:
    match allowed:
        case re.Pattern():
            return allowed.fullmatch(value) is not None
        case (int() as least, int() as most):
            return value.isdecimal() and least <= int(value) <= most
        case _:
            return value in allowed
