"""Two services on one PostgreSQL, one of them a process of its own that can be killed."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from store import DEFAULT_OWNER
from store.calls import ABANDONED
from store.processes import LEASE_SECONDS
from store.tables import calls
from tests.gateway.cli.process import serve
from tests.gateway.service import KEY, SECRET, Service, call_hook, serving
from tests.steady import PATIENCE
from tests.store.opened import pass_time
from tests.store.server import SERVER
from tests.store.test_postgresql import url

__all__ = ["url"]

pytestmark = pytest.mark.skipif(not SERVER, reason="no PostgreSQL: set TEST_DATABASE_URL to test against one")

LIMIT = 4


async def test_a_limit_is_shared_and_what_a_killed_service_held_is_free_through_the_other(
    url: str,
    tmp_path: Path,
) -> None:
    """The start of a real process: some 4 s."""
    shared = {"DATABASE_URL": url, "CREDENTIALS_KEY": "c", "TRUNKLINE_ADMIN_KEY": KEY}
    async with (
        serving(tmp_path, max_calls=50, database_url=url, credentials_key="c") as b,
        serve(tmp_path, JAMBONZ_WEBHOOK_SECRET=SECRET, TRUNKLINE_MAX_CALLS="50", **shared) as process,
    ):
        a_url = str(await process.address()).rstrip("/")
        await b.store.accounts.set_limits(DEFAULT_OWNER, organisation=LIMIT)

        async def ring(base: str, call_sid: str) -> str | None:
            """The call's sid, if it is let in."""
            status, body = await b.post("/jambonz/call", call_hook(call_sid=call_sid), base=base)
            assert status == 200, body
            [first, *_] = json.loads(body)
            assert first["verb"] == "listen" or first["status"] == 486
            return call_sid if first["verb"] == "listen" else None

        async def let_in(*rings: Any) -> list[str]:
            return [sid for sid in await asyncio.gather(*rings) if sid is not None]

        at_a, at_b = await let_in(ring(a_url, "a")), await let_in(ring(b.url, "b"))
        assert (at_a, at_b) == (["a"], ["b"])
        more = await let_in(*(ring((a_url, b.url)[n % 2], f"{'ab'[n % 2]}{n}") for n in range(16)))
        assert len(more) == LIMIT - 2
        at_a += [sid for sid in more if sid.startswith("a")]
        at_b += [sid for sid in more if sid.startswith("b")]
        await until_stored(b, {*at_a, *at_b})

        process.signal(signal.SIGKILL)
        await process.end()
        assert await let_in(ring(b.url, "too soon")) == []
        await pass_time(b.store, LEASE_SECONDS + 1)
        assert await b.store.processes.renew()
        await b.store.processes.reap()
        reasons = await endings(b)
        assert {sid: reasons[sid] for sid in at_a} == dict.fromkeys(at_a, ABANDONED)
        assert {sid: reasons[sid] for sid in at_b} == dict.fromkeys(at_b)
        assert len(b.switchboard.calls) == len(at_b)
        assert len(await let_in(*(ring(b.url, f"then {n}") for n in range(8)))) == len(at_a)


async def endings(service: Service) -> dict[str, str | None]:
    """Of the calls that are stored, by Jambonz's sids."""
    async with service.store._database.read() as connection:
        rows = await connection.execute(sa.select(calls.c.platform_call_id, calls.c.end_reason))
        return {row[0]: row[1] for row in rows}


async def until_stored(service: Service, sids: set[str]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not sids <= set(await endings(service)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
