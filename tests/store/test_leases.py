from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from store import DEFAULT_OWNER, Listener, ListenerOptions, Store
from store.errors import InUse, NotFound
from store.processes import LEASE_SECONDS, Reaped
from store.rows import now
from tests.store.opened import definition, opened, pass_time


async def listen(store: Store, **options: int | bool) -> Listener:
    agent = await store.agents.create(DEFAULT_OWNER, definition())
    made, _ = await store.listeners.create(
        DEFAULT_OWNER,
        agent.id,
        number="*",
        options=ListenerOptions(**options),  # type: ignore[arg-type]
    )
    return made


async def test_a_number_returns_to_the_pool_when_the_lease_is_over(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.processes.join()
        await store.numbers.create(DEFAULT_OWNER, "441", handler="jambonz")
        await store.numbers.create(DEFAULT_OWNER, "442", handler="jambonz")
        leased, kept = await listen(store, ttl=60), await listen(store)
        assert leased.expires_at is not None
        assert abs(leased.expires_at - now() - timedelta(seconds=60)) < timedelta(seconds=5)
        assert await store.listeners.list(DEFAULT_OWNER) == [leased, kept]
        await pass_time(store, 55)
        assert await store.processes.reap() == Reaped(0, 0, 0)
        with pytest.raises(InUse):
            await listen(store)
        await pass_time(store, 6)
        assert await store.processes.reap() == Reaped(0, 0, 1)
        assert [one.id for one in await store.listeners.list(DEFAULT_OWNER)] == [kept.id]
        assert (await listen(store)).number == leased.number


async def test_a_lease_that_is_renewed_begins_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.processes.join()
        await store.numbers.create(DEFAULT_OWNER, "441", handler="jambonz")
        other = await store.accounts.create_organisation("other")
        leased = await listen(store, ttl=60)
        for _ in range(3):
            await pass_time(store, 55)
            assert await store.leases.renew(DEFAULT_OWNER, leased.id) is not None
            assert await store.processes.reap() == Reaped(0, 0, 0)
        await pass_time(store, 55)
        with pytest.raises(NotFound):
            await store.leases.renew(other, leased.id)
        await pass_time(store, 6)
        assert await store.processes.reap() == Reaped(0, 0, 1)
        with pytest.raises(NotFound, match="There is no listener"):
            await store.leases.renew(DEFAULT_OWNER, leased.id)
        assert await store.leases.renew(DEFAULT_OWNER, (await listen(store)).id) is None, "it has none"


async def test_whoever_is_there_holds_the_lease(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.processes.join()
        for number in ("441", "442"):
            await store.numbers.create(DEFAULT_OWNER, number, handler="jambonz")
        tied, untied = await listen(store, ttl=2, tied=True), await listen(store)
        for _ in range(3):
            await store.leases.hold([tied.id, untied.id, "no such"], at_least=LEASE_SECONDS)
            await pass_time(store, LEASE_SECONDS - 1)
            assert await store.processes.reap() == Reaped(0, 0, 0)
        await store.leases.hold([tied.id], at_least=1)
        await pass_time(store, 3)
        assert await store.processes.reap() == Reaped(0, 0, 1)
        assert [one.id for one in await store.listeners.list(DEFAULT_OWNER)] == [untied.id]
