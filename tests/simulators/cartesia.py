"""A simulated Cartesia on loopback: ``/tts/websocket``.

Strict about headers and requests: what was sent and should not have been is noted in ``mistakes``. What it says is in
:mod:`tests.simulators.cartesia_voices`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.simulators.cartesia_voices import KEY, CartesiaSession, Spoken
from tests.simulators.speech_wire import Sockets, drive, serving

VERSIONS = ("2026-08-14", "2026-03-01", "2025-04-16")


@dataclass
class CartesiaServer(Sockets, Spoken):
    key: str = KEY
    opened: int = 0
    """Upgrades that were asked for."""


@asynccontextmanager
async def serve_cartesia(**settings: Any) -> AsyncGenerator[CartesiaServer, None]:
    """``settings`` are :class:`CartesiaServer`'s."""
    server = CartesiaServer(**settings)

    async def answer(request: web.Request) -> web.StreamResponse:
        server.opened += 1
        fault = server.faults.pop(0) if server.faults else None
        if fault is not None and fault.what == "refused":
            return web.Response(status=fault.code)
        if request.headers.get("cartesia-version", request.query.get("cartesia_version")) not in VERSIONS:
            server.wrong("the version of the interface is not told")
            return web.Response(status=400)
        keys = request.headers.get("Authorization"), request.headers.get("X-API-Key"), request.query.get("api_key")
        if keys not in ((f"Bearer {server.key}", None, None), (None, server.key, None), (None, None, server.key)):
            return web.Response(status=401)
        if unknown := set(request.query) - {"api_key", "cartesia_version"}:
            server.wrong(f"there is no parameter {', '.join(sorted(unknown))}")
            return web.Response(status=400)
        session = CartesiaSession(server, request.query)
        try:
            return await drive(request, server, session, fault)
        finally:
            session.gone()

    async with serving(server, {"/tts/websocket": answer}):
        yield server
