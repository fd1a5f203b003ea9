from __future__ import annotations

import base64
from pathlib import Path

import pytest

from store import DEFAULT_OWNER, ListenerOptions
from store.errors import NotFound
from tests.store.opened import definition, opened

KEYS = [{"name": "crm", "in": "bearer", "value": "token"}]


async def test_a_call_learns_all_about_who_answers_it(tmp_path: Path) -> None:
    options = ListenerOptions({"shop": 7}, agent_limit=3, stream_log=True, recording={"enabled": True})
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition(keys=KEYS, options={"greeting": "Hi."}))
        await store.numbers.create(DEFAULT_OWNER, "442", handler="jambonz")
        listener, _key = await store.listeners.create(DEFAULT_OWNER, agent.id, number="442", options=options)
        found = await store.find_listener("+442")
        assert found is not None
        assert found == await store.find_listener("442")
        assert (found.id, found.agent_id, found.owner) == (listener.id, agent.id, DEFAULT_OWNER)
        assert (found.number, found.options) == ("442", options)
        assert found.agent.options.greeting == "Hi."
        assert found.agent.secrets() == KEYS


@pytest.mark.parametrize("number", ["443", "", "+", "no number"])
async def test_nobody_answers(tmp_path: Path, number: str) -> None:
    async with opened(tmp_path) as store:
        await store.numbers.create(DEFAULT_OWNER, "443", handler="jambonz")
        assert await store.find_listener(number) is None


async def test_a_call_gets_the_agent_as_it_is_now(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        await store.numbers.create(DEFAULT_OWNER, "442", handler="jambonz")
        await store.listeners.create(DEFAULT_OWNER, agent.id, number="442", options=ListenerOptions())
        await store.agents.update(DEFAULT_OWNER, agent.id, lambda _stored: definition(prompt="New."))
        found = await store.find_listener("442")
        assert found is not None
        assert found.agent.prompt == "New."


async def test_the_key_names_its_listener_and_is_random(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        listener, key = await store.listeners.create(DEFAULT_OWNER, agent.id, number=None, options=ListenerOptions())
        prefix = f"instance:{listener.id}:".encode()
        decoded = base64.b64decode(key)
        assert decoded.startswith(prefix)
        assert len(decoded) == len(prefix) + 48


async def test_only_own_agents_listen_and_only_own_listeners_go(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        other = await store.accounts.create_organisation("other")
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        with pytest.raises(NotFound):
            await store.listeners.create(other, agent.id, number=None, options=ListenerOptions())
        listener, _ = await store.listeners.create(DEFAULT_OWNER, agent.id, number=None, options=ListenerOptions())
        assert await store.listeners.list(other) == []
        assert not await store.listeners.delete(other, listener.id)
        assert not await store.listeners.delete(DEFAULT_OWNER, listener.id, agent_id="another agent")
        assert await store.listeners.delete(DEFAULT_OWNER, listener.id, agent_id=agent.id)
