from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipelines.agent import AgentDefinition
from store import DEFAULT_OWNER, ListenerOptions, Owner, Page, tables
from store.errors import Unreadable
from tests.store.opened import definition, opened

KEYS = [{"name": "crm", "in": "bearer", "value": "very-secret-token"}]


async def test_keys_are_not_in_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition(keys=KEYS))
        assert "keys" not in agent.definition

    def every_byte() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert b"very-secret-token" not in await asyncio.to_thread(every_byte)


async def test_keys_stay_when_something_else_changes_and_the_change_sees_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition(keys=KEYS))

        def rename(stored: dict[str, Any]) -> AgentDefinition:
            assert stored["keys"] == KEYS
            assert threading.current_thread() is not threading.main_thread(), "calls would wait for it"
            return AgentDefinition.model_validate({**stored, "name": "new"})

        changed = await store.agents.update(DEFAULT_OWNER, agent.id, rename)
        assert changed is not None
        assert changed.definition == {**agent.definition, "name": "new"}
        assert changed.created_at == agent.created_at
        assert changed.updated_at > agent.updated_at
        again = await store.agents.update(DEFAULT_OWNER, agent.id, rename)
        assert again is not None


async def test_another_credentials_key_does_not_open_them(tmp_path: Path) -> None:
    async with opened(tmp_path, credentials_key="first") as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition(keys=KEYS))
    async with opened(tmp_path, credentials_key="second") as store:
        with pytest.raises(Unreadable, match="CREDENTIALS_KEY"):
            await store.agents.update(DEFAULT_OWNER, agent.id, AgentDefinition.model_validate)


async def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    def fail(_stored: dict[str, Any]) -> AgentDefinition:
        raise RuntimeError("no")

    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        with pytest.raises(RuntimeError):
            await store.agents.update(DEFAULT_OWNER, agent.id, fail)
        assert await store.agents.get(DEFAULT_OWNER, agent.id) == agent


async def test_changes_at_the_same_time_all_count(tmp_path: Path) -> None:
    def longer(stored: dict[str, Any]) -> AgentDefinition:
        return AgentDefinition.model_validate({**stored, "prompt": stored["prompt"] + "x"})

    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition(prompt=""))
        await asyncio.gather(*(store.agents.update(DEFAULT_OWNER, agent.id, longer) for _ in range(20)))
        last = await store.agents.get(DEFAULT_OWNER, agent.id)
        assert last is not None
        assert last.definition["prompt"] == "x" * 20


async def test_lists_are_searched_literally_and_the_newest_change_is_first(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for name, model in (("100% sure", "openai/x"), ("1000 sure", "groq/openai"), ("third", "scripted/echo")):
            await store.agents.create(DEFAULT_OWNER, definition(name=name, modelName=model))

        async def names(**search: Any) -> list[str | None]:
            return [row.name for row in await store.agents.list(DEFAULT_OWNER, Page(), **search)]

        assert await names() == ["third", "1000 sure", "100% sure"]
        assert await names(search="100%") == ["100% sure"]
        assert await names(search="OPENAI") == ["1000 sure", "100% sure"]
        assert await names(search="OPENAI", field="name") == []
        assert await names(search="third", field="model") == []


async def test_an_agent_goes_with_its_listeners_and_frees_their_numbers(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        await store.numbers.create(DEFAULT_OWNER, "442", handler="jambonz")
        await store.listeners.create(DEFAULT_OWNER, agent.id, number="*", options=ListenerOptions())
        assert await store.agents.delete(DEFAULT_OWNER, agent.id)
        assert await store.listeners.list(DEFAULT_OWNER) == []
        number = await store.numbers.get(DEFAULT_OWNER, "442")
        assert number is not None
        assert number.listener_id is None
        assert not await store.agents.delete(DEFAULT_OWNER, agent.id)


async def test_somebody_else_sees_and_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        other = await store.accounts.create_organisation("other")
        assert await store.agents.get(other, agent.id) is None
        assert await store.agents.list(other, Page()) == []
        assert await store.agents.update(other, agent.id, AgentDefinition.model_validate) is None
        assert not await store.agents.delete(other, agent.id)
        assert await store.agents.get(DEFAULT_OWNER, agent.id) == agent


def test_sqlite_can_return_what_it_updated() -> None:
    """The statement that takes a number needs RETURNING: SQLite 3.35 or newer."""
    assert sqlite3.sqlite_version_info >= (3, 35)


async def test_an_agent_for_a_call_has_its_keys_and_is_its_owners(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition(keys=KEYS))
        found = await store.find_agent(DEFAULT_OWNER, agent.id)
        assert found is not None
        assert found.secrets() == KEYS
        assert await store.find_agent(DEFAULT_OWNER, "another") is None
        assert await store.find_agent(Owner("another organisation", None), agent.id) is None


async def test_what_an_older_version_sealed_opens(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition(keys=KEYS))
        sealed = store.agents._vault.seal(json.dumps(KEYS), f"agent {agent.id}")
        async with store._database.write() as connection:
            await connection.execute(sa.update(tables.agents).values(sealed_keys=sealed))
        found = await store.agents.for_call(DEFAULT_OWNER, agent.id)
        assert found is not None
        assert found.secrets() == KEYS
