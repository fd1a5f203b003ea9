from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from store import DEFAULT_OWNER, ListenerOptions, Store
from store.sealed import SEALED, Resealed
from store.tables import metadata
from tests.store.opened import definition, opened

KEYS: dict[str, Any] = {"keys": [{"name": "crm", "in": "bearer", "value": "a secret"}]}


async def fill(store: Store) -> str:
    agent = await store.agents.create(DEFAULT_OWNER, definition(**KEYS))
    await store.agents.create(DEFAULT_OWNER, definition())
    options = ListenerOptions(recording={"key": "theirs"})
    await store.listeners.create(DEFAULT_OWNER, agent.id, number=None, options=options)
    return agent.id


async def secret(store: Store, agent_id: str) -> str:
    found = await store.agents.for_call(DEFAULT_OWNER, agent_id)
    assert found is not None
    return str(found.secrets()[0]["value"])


async def test_another_key_step_by_step(tmp_path: Path) -> None:
    async with opened(tmp_path, credentials_key="old") as store:
        agent_id = await fill(store)
    async with opened(tmp_path, credentials_key="old", other_key="new") as store:
        assert await store.sealed.reseal() == Resealed(0, 3)
    async with opened(tmp_path, credentials_key="new") as store:
        done = await store.sealed.reseal()
        assert (done.anew, done.already, len(done.unreadable)) == (0, 0, 3)
        assert f"agent {agent_id}" in done.unreadable
    async with opened(tmp_path, credentials_key="new", other_key="old") as store:
        assert await secret(store, agent_id) == "a secret"
        another = await fill(store)
        assert await store.sealed.reseal() == Resealed(3, 3)
        assert await store.sealed.reseal() == Resealed(0, 6)
    async with opened(tmp_path, credentials_key="new") as store:
        assert await secret(store, agent_id) == await secret(store, another) == "a secret"
        assert await store.sealed.reseal() == Resealed(0, 6)


async def test_what_is_saved_meanwhile_stays(tmp_path: Path) -> None:
    async with opened(tmp_path, credentials_key="old") as store:
        agent_id = await fill(store)
    async with opened(tmp_path, credentials_key="new", other_key="old") as store:
        newer = definition(keys=[{"name": "crm", "in": "bearer", "value": "newer"}])
        write = store._database.write
        changed: list[Any] = []

        @asynccontextmanager
        async def interrupted() -> AsyncIterator[Any]:
            if not changed:
                changed.append(await store.agents.update(DEFAULT_OWNER, agent_id, lambda _: newer))
            async with write() as connection:
                yield connection

        store.sealed._database = SimpleNamespace(read=store._database.read, write=interrupted)  # type: ignore[assignment]
        done = await store.sealed.reseal()
        assert done.anew == 2, "the listener's"
        assert await secret(store, agent_id) == "newer"


def test_every_column_of_secrets_is_known() -> None:
    known = {column for column, _ in SEALED}
    for table in metadata.tables.values():
        for column in table.columns:
            assert not column.name.startswith("sealed_") or column in known, column
