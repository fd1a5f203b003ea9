"""What the reference has for workers of the handler ``livekit``: not here until that is installed, and said so."""

from __future__ import annotations

from aiohttp import web

from gateway.api.errors import ApiError


def routes() -> list[web.RouteDef]:
    return [web.route("*", "/agent-db", agent_db), web.route("*", "/agent-db/{tail:.*}", agent_db)]


async def agent_db(_request: web.Request) -> web.Response:
    """Where those workers keep calls; whoever asks is told no more than that."""
    raise ApiError(
        501, "NOT_IMPLEMENTED", "/api/agent-db is for workers of the handler livekit, which is not installed here"
    )
