"""Leases of listeners over HTTP and real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import sqlalchemy as sa

from gateway.keys import FEEDS, LEASES
from store import DEFAULT_OWNER, Period, Store, tables
from store.places import Place
from store.processes import LEASE_SECONDS, Reaped
from store.rows import now
from tests.gateway.api_service import OTHER_KEY
from tests.gateway.api_service import serving as serving_api
from tests.gateway.service import KEY, Service, call_hook, serving
from tests.steady import PATIENCE
from tests.store.opened import new_call, pass_time


async def test_a_lease_over_the_api(tmp_path: Path) -> None:
    async with serving_api(tmp_path) as api:
        agent = await api.agent()
        kept = await api.listener(agent["id"])
        leased = await api.listener(agent["id"], options={"ttl": 600})
        tied = await api.listener(agent["id"], options={"tied": True})
        assert kept["expiresAt"] is None
        for made, seconds in ((leased, 600), (tied, 30)):
            lasts = datetime.fromisoformat(made["expiresAt"]) - now()
            assert timedelta(seconds=seconds - 5) < lasts <= timedelta(seconds=seconds)
        listed = {one["listenerId"]: one["expiresAt"] for one in (await api("GET", "/listener"))["items"]}
        assert listed == {one["id"]: one["expiresAt"] for one in (kept, leased, tied)}
        await pass_time(api.store, 300)
        renewed = await api("POST", f"/listener/{leased['id']}/renew")
        assert renewed["listenerId"] == leased["id"]
        assert renewed["expiresAt"] >= leased["expiresAt"]
        assert (await api("POST", f"/listener/{kept['id']}/renew"))["expiresAt"] is None
        await api("POST", f"/listener/{leased['id']}/renew", status=404, key=OTHER_KEY)


@pytest.mark.parametrize("ttl", [0, -1, 1e9, "soon"])
async def test_what_is_no_ttl(tmp_path: Path, ttl: object) -> None:
    async with serving_api(tmp_path) as api:
        agent = await api.agent()
        error = await api("POST", f"/agents/{agent['id']}/listen", {"options": {"ttl": ttl}}, status=400)
        assert error["error"].startswith("Options.ttl")


async def listen_tied(service: Service) -> tuple[str, str]:
    """The id and the number of a listener that is tied to its progress sockets, with a grace of 40 s."""
    [known] = await service.store.listeners.list(DEFAULT_OWNER)
    async with service.http.post(
        f"{service.url}/api/agents/{known.agent_id}/listen",
        json={"number": "*", "options": {"tied": True, "ttl": 40}},
        headers={"Authorization": f"Bearer {KEY}"},
    ) as answer:
        made = await answer.json()
    return made["id"], made["number"]


def watching(service: Service, listener_id: str) -> aiohttp.client._WSRequestContextManager:
    return service.http.ws_connect(f"{service.url}/progress/{listener_id}?access_token={KEY}")


async def let_go(service: Service) -> None:
    """Returns once no socket holds a lease, and that is written."""
    leases = service.server.app[LEASES]
    async with asyncio.timeout(PATIENCE):
        while leases._sockets or leases._writing:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_client_that_is_gone_for_its_grace_loses_its_number(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        store = service.store
        await store.numbers.create(DEFAULT_OWNER, "4420", handler="jambonz")
        listener_id, number = await listen_tied(service)

        async def passes(seconds: float) -> int:
            """So much time, with a heartbeat at its end: how many leases are over."""
            await pass_time(store, seconds)
            assert await store.processes.renew()
            await service.server.app[LEASES].renew()
            reaped = await store.processes.reap()
            assert reaped == Reaped(0, 0, reaped.listeners)
            return reaped.listeners

        for _ in range(2):  # there, gone for less than its grace, and there again
            async with watching(service, listener_id):
                for _ in range(5):
                    assert await passes(LEASE_SECONDS - 1) == 0
            await let_go(service)
            assert await passes(35) == 0
        async with watching(service, listener_id) as first:
            async with watching(service, listener_id):
                await first.close()
            await let_go(service)
        assert await store.find_listener("4420") is not None
        assert await passes(41) == 1
        assert await store.find_listener("4420") is None
        async with service.http.get(f"{service.url}/progress/{listener_id}?access_token={KEY}") as answer:
            assert answer.status == 404
        assert (await listen_tied(service))[1] == number == "4420"


@asynccontextmanager
async def its_store(directory: Path) -> AsyncIterator[Store]:
    """That of a service which does not run."""
    store = await Store.open(f"sqlite:///{directory}/trunkline.sqlite3", data_dir=directory)
    try:
        yield store
    finally:
        await store.close()


async def rows(store: Store) -> list[int]:
    async with store._database.read() as connection:
        return [
            int(await connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)
            for table in (tables.processes, tables.places)
        ]


async def test_a_service_that_stops_leaves_nothing_behind(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.ring("c-1")
        await service.ring("c-2")
        assert await rows(service.store) == [1, 2]
        await service.hang_up("c-1")
        async with asyncio.timeout(PATIENCE):
            while await rows(service.store) != [1, 1]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    async with its_store(tmp_path) as store:
        assert await rows(store) == [0, 0]
        calls = await store.calls.of_organisation(DEFAULT_OWNER, after_index=0, limit=9, period=Period())
        assert sorted(call.end_reason or "" for call in calls) == ["caller", "shutdown"]


async def test_a_service_that_was_killed_is_cleared_up_after_at_its_next_start(tmp_path: Path) -> None:
    async with its_store(tmp_path) as store:
        await store.processes.join()
        call = new_call()
        await store.calls.start(call, started_at=now())
        await store.places.take([Place(call.id, None, DEFAULT_OWNER)])
    async with serving(tmp_path) as service:
        assert await rows(service.store) == [1, 0]
        found = await service.store.calls.get(DEFAULT_OWNER, call.id)
        assert found is not None
        assert found.end_reason == "abandoned"


async def test_the_limit_of_the_organisation_over_the_wire(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.store.accounts.set_limits(DEFAULT_OWNER, organisation=2)
        replies = await asyncio.gather(*(service.post("/jambonz/call", call_hook()) for _ in range(6)))
        verbs = [json.loads(body)[0] for _, body in replies]
        assert sorted(verb["verb"] for verb in verbs) == ["listen"] * 2 + ["sip:decline"] * 4
        assert {verb["status"] for verb in verbs if verb["verb"] == "sip:decline"} == {486}
        await service.server.app[FEEDS].recorder.settled()
        calls = await service.store.calls.of_organisation(DEFAULT_OWNER, after_index=0, limit=9, period=Period())
        assert [call.status for call in calls].count("failed: organisation concurrency limit") == 4
