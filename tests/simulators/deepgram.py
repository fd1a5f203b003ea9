"""A simulated Deepgram on loopback: ``/v1/listen`` (Nova), ``/v2/listen`` (Flux), ``/v1/speak``
(Aura) and ``/v2/speak`` (Flux's voices).

Strict about queries and messages: what was sent and should not have been is noted in ``mistakes``. What it hears and
says is in :mod:`tests.simulators.deepgram_ears` and :mod:`tests.simulators.deepgram_voices`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.simulators.deepgram_ears import KEY as KEY
from tests.simulators.deepgram_ears import FluxSession, NovaSession
from tests.simulators.deepgram_voices import AuraSession, FluxVoiceSession, Spoken
from tests.simulators.speech_wire import Session, Sockets, drive, serving


def _flux_voice(model: str) -> bool:
    return re.fullmatch(r"flux-[a-z]+-en", model) is not None


_BOOLEANS = ("true", "false")
_CALLERS = {"encoding": ("mulaw",), "sample_rate": ("8000",)}
_NOVA = _CALLERS | {
    "model": None,
    "language": None,
    "channels": ("1",),
    "interim_results": _BOOLEANS,
    "endpointing": None,
    "punctuate": _BOOLEANS,
    "smart_format": _BOOLEANS,
    "numerals": _BOOLEANS,
    "vad_events": _BOOLEANS,
    "utterance_end_ms": None,
    "keyterm": None,
}
_FLUX = _CALLERS | {
    "model": ("flux-general-en", "flux-general-multi"),
    "eager_eot_threshold": (0.3, 0.9),
    "eot_threshold": (0.5, 1.0),
    "eot_timeout_ms": (500, 60_000),
    "language_hint": None,
    "keyterm": None,
}
_AURA = _CALLERS | {"model": lambda model: model.startswith("aura-")}
_FLUX_VOICE = _CALLERS | {
    "model": _flux_voice,
    "speed": (0.5, 1.5),
    "expressivity": ("-2", "-1", "0", "1", "2"),
    "mip_opt_out": _BOOLEANS,
}
_REPEATED = ("keyterm", "language_hint")


@dataclass
class DeepgramServer(Sockets, Spoken):
    """What it was asked, and what it heard and said."""

    key: str = KEY
    queries: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    """Of each upgrade, with its path."""


@asynccontextmanager
async def serve_deepgram(**settings: Any) -> AsyncGenerator[DeepgramServer, None]:
    """``settings`` are :class:`DeepgramServer`'s."""
    server = DeepgramServer(**settings)
    routes = {
        "/v1/listen": _answer(server, NovaSession, _NOVA),
        "/v2/listen": _answer(server, FluxSession, _FLUX),
        "/v1/speak": _answer(server, AuraSession, _AURA),
        "/v2/speak": _answer(server, FluxVoiceSession, _FLUX_VOICE),
    }
    async with serving(server, routes):
        yield server


def _answer(
    server: DeepgramServer,
    make: Callable[[DeepgramServer, Mapping[str, str]], Session],
    allowed: Mapping[str, Any],
) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        query = [(name, value) for name, value in request.query.items()]
        server.queries.append((request.path, query))
        fault = server.faults.pop(0) if server.faults else None
        if fault is not None and fault.what == "refused":
            return web.Response(status=fault.code)
        if request.headers.get("Authorization") not in (f"Token {server.key}", f"Bearer {server.key}"):
            return web.Response(status=401)
        wrong = list(_wrong(query, allowed))
        if wrong:
            server.mistakes += wrong
            return web.Response(status=400)
        return await drive(request, server, make(server, dict(query)), fault)

    return answer


def _wrong(query: list[tuple[str, str]], allowed: Mapping[str, Any]) -> list[str]:
    names = [name for name, _ in query]
    return [
        *(f"the query has no {name}" for name in ("model", "encoding", "sample_rate") if name not in names),
        *(f"{name} is repeated" for name in set(names) if names.count(name) > 1 and name not in _REPEATED),
        *(f"there is no parameter {name}" for name in names if name not in allowed),
        *(f"{name} is {value!r}" for name, value in query if name in allowed and not _may_be(value, allowed[name])),
        *_too_eager(dict(query)),
    ]


def _too_eager(query: Mapping[str, str]) -> list[str]:
    eager, sure = query.get("eager_eot_threshold", ""), query.get("eot_threshold", "0.7")
    if not all(_may_be(value, (0.0, 1.0)) for value in (eager, sure)) or float(eager) <= float(sure):
        return []
    return ["eager_eot_threshold is above eot_threshold"]


def _may_be(value: str, allowed: Any) -> bool:
    """``allowed``: None for any text, values, two numbers that it has to be between, or what tells."""
    match allowed:
        case _ if callable(allowed):
            return bool(allowed(value))
        case (int() | float() as least, int() | float() as most):
            try:
                return bool(least <= float(value) <= most)
            except ValueError:
                return False
        case _:
            return bool(value) and (allowed is None or value in allowed)
