from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipelines.events import UsageReported
from store import DEFAULT_OWNER, CallEvent, ListenerOptions, Store, retention
from store.errors import InUse
from store.rows import now
from store.tables import call_events, call_usage, calls, listener_positions
from tests.store.opened import definition, new_call, opened, statements


async def call(store: Store, days: float = 0.0, *, over: bool = True, **changes: Any) -> str:
    """One that began so many days ago."""
    began = now() - timedelta(days=days)
    made = await store.calls.start(new_call(**changes), started_at=began)
    await store.calls.append_events(made.id, [CallEvent(0, "user", "a secret", began)])
    if over:
        await store.calls.end(made.id, "x", "caller", began, 1, [UsageReported("llm", "x", {"tokens": 1.0})])
    return made.id


async def left(store: Store) -> tuple[set[str], ...]:
    """Whose calls, events and usage are there."""
    async with store._database.read() as connection:
        columns = (calls.c.id, call_events.c.call_id, call_usage.c.call_id)
        return tuple([set(await connection.scalars(sa.select(column))) for column in columns])


async def test_nothing_is_left_of_a_call_that_is_deleted(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        stranger = await store.accounts.create_organisation("other")
        one, other, live = await call(store), await call(store), await call(store, over=False)
        assert not await store.retention.delete_call(stranger, one)
        assert not await store.retention.delete_call(DEFAULT_OWNER, "?")
        with pytest.raises(InUse, match="under way"):
            await store.retention.delete_call(DEFAULT_OWNER, live)
        assert await store.retention.delete_call(DEFAULT_OWNER, one)
        assert not await store.retention.delete_call(DEFAULT_OWNER, one)
        assert await left(store) == ({other, live}, {other, live}, {other})


async def test_old_calls_are_deleted_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 3)
    async with opened(tmp_path) as store:
        stranger = await store.accounts.create_organisation("other")
        for _ in range(2):
            await call(store, 100)
        await call(store, 50, owner=stranger)
        kept = {await call(store, 29), await call(store, 31, over=False)}
        await call(store, 31)
        age = timedelta(days=30)
        assert [await store.retention.delete_old(age) for _ in range(3)] == [3, 1, 0]
        assert (await left(store))[0] == kept


async def test_organisations_without_old_calls_are_asked_about_together(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for number in range(20):
            stranger = await store.accounts.create_organisation(f"other {number}")
            await store.retention.set_days(stranger, 10 + number)
            await call(store, 5, owner=stranger)
        asked = statements(store)
        assert await store.retention.delete_old(timedelta(days=30)) == 0
        assert len(asked) <= 4, "and not some for each; PostgreSQL has one engine of both, and counts twice"


async def test_an_organisation_keeps_its_calls_for_as_long_as_it_says_and_no_longer_than_the_service(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as store:
        strangers = await store.accounts.create_organisation("other")
        mine = {days: await call(store, days) for days in (1, 10, 40)}
        theirs = {days: await call(store, days, owner=strangers) for days in (1, 10, 40)}
        everything = {*mine.values(), *theirs.values()}

        async def kept(age: timedelta | None) -> set[str]:
            while await store.retention.delete_old(age):
                pass
            return (await left(store))[0]

        assert await store.retention.days(strangers) is None
        assert await kept(None) == everything
        await store.retention.set_days(strangers, 30)
        assert await kept(None) == everything - {theirs[40]}
        await store.retention.set_days(DEFAULT_OWNER, 60)
        assert await kept(timedelta(days=20)) == everything - {theirs[40], mine[40]}, "the shorter one holds"
        await store.retention.set_days(strangers, 0.5)
        assert await store.retention.days(strangers) == 0.5
        assert await kept(timedelta(days=20)) == {mine[1], mine[10]}
        await store.retention.set_days(strangers, None)
        assert await store.retention.days(strangers) is None
        assert await store.retention.days(DEFAULT_OWNER) == 60


async def test_positions_of_listeners_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        listener, _ = await store.listeners.create(DEFAULT_OWNER, agent.id, number=None, options=ListenerOptions())
        there = await call(store, listener_id=listener.id)
        gone, live = await call(store, listener_id="gone"), await call(store, listener_id="live", over=False)
        assert await store.retention.forget_positions() == 0
        for one in (there, gone):
            await store.retention.delete_call(DEFAULT_OWNER, one)
        assert await store.retention.forget_positions() == 1
        async with store._database.read() as connection:
            known = set(await connection.scalars(sa.select(listener_positions.c.listener_id)))
        assert known == {listener.id, "live"}
        assert live
