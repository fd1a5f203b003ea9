from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
import sqlalchemy as sa

from store import DEFAULT_OWNER, ListenerOptions, tables
from store.accounts import Limits
from store.errors import NotFound
from store.listeners import ListenerForCall
from tests.store.opened import definition, opened, statements

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
        assert found.limits == Limits(None, None)
        await store.accounts.set_limits(DEFAULT_OWNER, organisation=7, user=5)
        found = await store.find_listener("442")
        assert found is not None
        assert found.limits == Limits(7, 5)
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
        assert await store.listeners.get(other, listener.id) is None
        assert await store.listeners.room(listener.id, other) is None
        assert await store.listeners.get(DEFAULT_OWNER, listener.id) == (await store.listeners.list(DEFAULT_OWNER))[0]
        assert not await store.listeners.delete(other, listener.id)
        assert not await store.listeners.delete(DEFAULT_OWNER, listener.id, agent_id="another agent")
        assert await store.listeners.delete(DEFAULT_OWNER, listener.id, agent_id=agent.id)


async def test_two_hundred_calls_at_once_take_a_few_questions(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agents = [await store.agents.create(DEFAULT_OWNER, definition(prompt=f"Agent {n}.")) for n in range(20)]
        for n, agent in enumerate(agents):
            await store.numbers.create(DEFAULT_OWNER, f"442{n:03}", handler="jambonz")
            await store.listeners.create(DEFAULT_OWNER, agent.id, number=f"442{n:03}", options=ListenerOptions())
        asked = statements(store)
        found = await asyncio.gather(*(store.find_listener(f"442{n % 20:03}") for n in range(200)))
        assert [one.agent.prompt for one in found if one is not None] == [f"Agent {n % 20}." for n in range(200)]
        assert len(asked) <= 4


async def test_a_call_is_answered_by_who_listens_when_it_comes(tmp_path: Path) -> None:
    """Calls come all the time, while who answers changes again and again: none gets one who had stopped before."""
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        await store.numbers.create(DEFAULT_OWNER, "442", handler="jambonz")
        versions = 0
        calls: list[tuple[int, asyncio.Task[ListenerForCall | None]]] = []

        async def come() -> None:
            while versions < 30:
                calls.extend((versions, asyncio.create_task(store.find_listener("442"))) for _ in range(5))
                await asyncio.sleep(0)

        ringing = asyncio.create_task(come())
        for version in range(1, 31):
            options = ListenerOptions({"version": version})
            listener, _ = await store.listeners.create(DEFAULT_OWNER, agent.id, number="442", options=options)
            versions = version
            await asyncio.sleep(0.002)
            if version < 30:
                await store.listeners.delete(DEFAULT_OWNER, listener.id)
        await ringing
        assert len(calls) > 100
        answers = [(before, await call) for before, call in calls]
        assert all(found is None or found.options.metadata["version"] >= before for before, found in answers)
        assert any(found is not None for _, found in answers)


async def test_a_definition_that_cannot_be_read_fails_its_own_callers_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agents = [await store.agents.create(DEFAULT_OWNER, definition()) for _ in range(2)]
        for number, agent in zip(("442", "443"), agents, strict=True):
            await store.numbers.create(DEFAULT_OWNER, number, handler="jambonz")
            await store.listeners.create(DEFAULT_OWNER, agent.id, number=number, options=ListenerOptions())
        async with store._database.write() as connection:
            broken = sa.update(tables.agents).where(tables.agents.c.id == agents[1].id)
            await connection.execute(broken.values(definition={"modelName": "x", "odd": 1}))
        good, bad = await asyncio.gather(store.find_listener("442"), store.find_listener("443"), return_exceptions=True)
        assert not isinstance(good, BaseException | None)
        assert isinstance(bad, ValueError)
