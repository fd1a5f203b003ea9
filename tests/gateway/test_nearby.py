from __future__ import annotations

from pathlib import Path

import pytest

from gateway.api.nearby import nearby
from tests.gateway.api_service import serving

PATTERNS = (
    "/api/agents",
    "/api/agents/{agentId}",
    "/api/agents/{agentId}/calls",
    "/api/calls/{callId}",
    "/api/listener",
)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("/api/agents/", "/api/agents"),
        ("/api//agents", "/api/agents"),
        ("/api/agent", "/api/agents"),
        ("/api/Agents/A%20b/", "/api/agents/A%20b"),
        ("/api/agents/a/call", "/api/agents/a/calls"),
        ("/api/call/c-1", "/api/calls/c-1"),
        ("/api/listeners", "/api/listener"),
        ("/api/weather", None),
        ("/api/agents/a/b/c", None),
        ("", None),
    ],
)
def test_what_was_probably_meant(asked: str, meant: str | None) -> None:
    assert nearby(asked, PATTERNS) == meant


async def test_it_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        for path, told in (
            ("/api/listeners", "There is nothing at /api/listeners; did you mean /api/listener?"),
            ("/api//agents", "There is nothing at /api//agents; did you mean /api/agents?"),
            ("/api/nowhere", "There is nothing at /api/nowhere; /api/docs tells what there is"),
        ):
            async with api.client.get(path) as answer:
                assert answer.status == 404
                assert (await answer.json())["error"] == told
