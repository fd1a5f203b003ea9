"""Many callers who ring in the same instant, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.gateway.service import call_hook, serving

CALLERS = 200
SLOW_SECONDS = 0.2
"""What each question takes a database that is far away, or busy: one by one those of all callers would take it 10 s."""


@pytest.mark.realtime
async def test_all_are_answered(tmp_path: Path) -> None:
    """Real sockets: some 2 s."""
    async with serving(tmp_path, max_calls=CALLERS) as service:
        database = service.store._database
        read = database.read

        @asynccontextmanager
        async def slowly() -> AsyncIterator[AsyncConnection]:
            async with read() as connection:
                await asyncio.sleep(SLOW_SECONDS)
                yield connection

        database.read = slowly  # type: ignore[method-assign]
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as service.http:
            posts = (service.post("/jambonz/call", call_hook()) for _ in range(CALLERS))
            replies = await asyncio.gather(*posts)
        assert [status for status, _ in replies] == [200] * CALLERS
        verbs = [json.loads(body)[0]["verb"] for _, body in replies]
        assert verbs == ["listen"] * CALLERS
        assert len(service.switchboard.calls) == CALLERS
