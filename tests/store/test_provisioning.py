"""Whose turn it is, and what is written down of a run; registrations and trunks that it is about."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from store import DEFAULT_OWNER, ListenerOptions, Page, Store
from store.errors import InUse, NotFound, NotSupported
from store.provisioning import Provisioning, RegistrationChange
from store.registrations import Registration
from store.tables import chores, phone_registrations, trunk_organisations
from tests.store.opened import definition, opened

ACCOUNT: dict[str, Any] = {
    "registrar": "sip.example.com",
    "username": "1001",
    "password": "secret",
    "handler": "jambonz",
}


def another(store: Store, node: str) -> Provisioning:
    """Another process on the same database."""
    return Provisioning(store._database, store.provisioning._vault, node)


async def pass_seconds(store: Store, seconds: float) -> None:
    async with store._database.write() as connection:
        for row in (await connection.execute(sa.select(chores))).all():
            sooner = timedelta(seconds=seconds)
            done_at = row.done_at and row.done_at - sooner
            await connection.execute(sa.update(chores).values(expires_at=row.expires_at - sooner, done_at=done_at))


async def test_a_chore_is_one_processes_at_a_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        everybody = [another(store, f"node {n}") for n in range(10)]
        begun = await asyncio.gather(*(one.begin("chore", 60) for one in everybody))
        assert sorted(begun) == [False] * 9 + [True]
        winner = everybody[begun.index(True)]
        loser = everybody[begun.index(False)]
        assert not await winner.begin("chore", 60), "nor twice by one"
        assert await loser.begin("another", 60)
        await loser.end("chore", done=True)
        assert not await loser.go_on("chore", 60)
        assert await winner.go_on("chore", 60)
        await winner.end("chore", done=True)
        assert await loser.begin("chore", 60)


async def test_what_a_killed_process_was_at_is_anybodys_once_its_lease_is_over(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        killed, other = another(store, "killed"), another(store, "other")
        assert await killed.begin("chore", 60)
        await pass_seconds(store, 59)
        assert not await other.begin("chore", 60)
        assert await killed.go_on("chore", 60)
        await pass_seconds(store, 61)
        assert not await killed.go_on("chore", 60), "late: somebody else may be at it"
        assert await other.begin("chore", 60)
        assert not await killed.go_on("chore", 60)
        await killed.end("chore", done=True)
        assert await other.go_on("chore", 60)


async def test_what_was_done_just_now_is_not_done_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        one, other = another(store, "one"), another(store, "other")
        assert await one.begin("chore", 60, rest=30)
        await one.end("chore", done=True)
        assert not await other.begin("chore", 60, rest=30)
        await pass_seconds(store, 31)
        assert await other.begin("chore", 60, rest=30)
        await other.end("chore", done=False)
        assert await one.begin("chore", 60, rest=30)
        await one.end("chore", done=True)
        assert await other.begin("chore", 60), "unless it has to be"


async def test_what_is_wanted_of_jambonz(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        other = await store.accounts.create_organisation("other")
        trunk = await store.trunks.create(other, "Carrier", handler="jambonz", outbound=False, flags={})
        await store.numbers.create(DEFAULT_OWNER, "441", handler="jambonz")
        await store.numbers.create(other, "442", handler="jambonz", trunk_id=trunk.id)
        await store.numbers.create(other, "443", handler="livekit")
        await store.registrations.create(other, **ACCOUNT)
        await store.registrations.create(other, **ACCOUNT | {"username": "1002", "handler": "livekit"})
        rows = await store.provisioning.numbers()
        assert [(row.number, row.trunk, row.provisioned) for row in rows] == [
            ("441", None, False),
            ("442", "Carrier", False),
        ]
        (account,) = await store.provisioning.registrations()
        assert (account.username, account.password, account.state) == ("1001", "secret", "initial")
        await store.provisioning.mark_numbers(["441", "442", "443", "449"], [])
        await store.provisioning.mark_numbers([], ["442"])
        assert [row.provisioned for row in await store.provisioning.numbers()] == [True, False]
        await store.numbers.update(DEFAULT_OWNER, "441", {"handler": "livekit"})
        await store.provisioning.mark_numbers([], [])
        number = await store.numbers.get(DEFAULT_OWNER, "441")
        assert number is not None
        assert not number.provisioned


async def test_a_state_is_written_only_if_it_is_of_what_there_is(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        which = await store.registrations.create(DEFAULT_OWNER, **ACCOUNT)
        await store.provisioning.tell([which])
        (row,) = await store.provisioning.registrations()
        assert (row.status, row.state) == ("active", "registering")
        assert row.told_at is not None
        failed = RegistrationChange(row, "failed", "failed", "403 Forbidden", None)
        await store.registrations.update(DEFAULT_OWNER, which, {"username": "1002"})
        await store.provisioning.mark_registrations([failed])
        assert (await get(store, which)).state == "initial"
        await store.provisioning.tell([which])
        await store.provisioning.mark_registrations([failed])
        now = await get(store, which)
        assert (now.status, now.state, now.error) == ("failed", "failed", "403 Forbidden")
        await store.registrations.set_status(DEFAULT_OWNER, which, "disabled")
        await store.provisioning.tell([which])
        now = await get(store, which)
        assert (now.status, now.state, now.error) == ("disabled", "initial", None)


async def get(store: Store, which: str) -> Registration:
    found = await store.registrations.get(DEFAULT_OWNER, which)
    assert found is not None
    return found


async def test_a_password_is_sealed(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        which = await store.registrations.create(DEFAULT_OWNER, **ACCOUNT)
        await store.registrations.update(DEFAULT_OWNER, which, {"password": "a-new-secret"})
        assert "secret" not in repr(await get(store, which))
        async with store._database.read() as connection:
            row = (await connection.execute(sa.select(phone_registrations))).one()
        assert row.sealed_password.startswith("enc:")
        assert "secret" not in repr(row)
        (account,) = await store.provisioning.registrations()
        assert account.password == "a-new-secret"


async def test_an_account_is_there_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        other = await store.accounts.create_organisation("other")
        create = store.registrations.create
        await asyncio.gather(*(store.numbers.delete(other, "441") for _ in range(4)))  # all have their connection
        made = await asyncio.gather(*(create(DEFAULT_OWNER, **ACCOUNT) for _ in range(4)), return_exceptions=True)
        assert sorted(isinstance(one, InUse) for one in made) == [False, True, True, True]
        await store.registrations.create(other, **ACCOUNT)
        with pytest.raises(InUse, match=r"of 1001 at sip\.example\.com"):
            await store.registrations.create(DEFAULT_OWNER, **ACCOUNT)
        second = await store.registrations.create(DEFAULT_OWNER, **ACCOUNT | {"username": "1002"})
        with pytest.raises(InUse):
            await store.registrations.update(DEFAULT_OWNER, second, {"username": "1001"})
        await store.registrations.update(DEFAULT_OWNER, second, {"username": "1002", "name": "Same"})


async def test_registrations_are_found_by_what_they_are(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        kinds: list[dict[str, Any]] = [{"name": "Front Desk"}, {"outbound": True}, {"handler": "livekit"}]
        made = [
            await store.registrations.create(DEFAULT_OWNER, **ACCOUNT | {"username": f"user_{n}"} | more)
            for n, more in enumerate(kinds)
        ]

        async def found(**wanted: Any) -> list[int]:
            rows = await store.registrations.list(DEFAULT_OWNER, Page(limit=10), **wanted)
            return [made.index(row.id) for row in rows]

        assert await found() == [0, 1, 2]
        assert await found(search="front") == [0]
        assert await found(search="user_") == [0, 1, 2]
        assert await found(search="%") == []
        assert await found(handler="livekit") == [2]
        assert await found(outbound_only=True) == [1]
        other = await store.accounts.create_organisation("other")
        assert await store.registrations.list(other, Page()) == []


async def test_a_registration_has_one_listener_and_goes_when_it_has_none(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition(name="Reception"))
        other = await store.accounts.create_organisation("other")
        theirs = await store.agents.create(other, definition())
        which = await store.registrations.create(DEFAULT_OWNER, **ACCOUNT | {"name": "Desk"})
        livekit = await store.registrations.create(DEFAULT_OWNER, **ACCOUNT | {"username": "2", "handler": "livekit"})

        async def listen(owner: Any, agent_id: str, registration: str) -> str:
            made, _ = await store.listeners.create(
                owner, agent_id, number=None, options=ListenerOptions(), registration_id=registration
            )
            return made.id

        with pytest.raises(NotFound, match="there is no registration"):
            await listen(other, theirs.id, which)
        with pytest.raises(NotSupported, match="is for livekit"):
            await listen(DEFAULT_OWNER, agent.id, livekit)
        listener = await listen(DEFAULT_OWNER, agent.id, which)
        with pytest.raises(InUse, match="has a listener already"):
            await listen(DEFAULT_OWNER, agent.id, which)
        (listed,) = await store.listeners.list(DEFAULT_OWNER)
        assert (listed.registration_id, listed.registration_name, listed.number) == (which, "Desk", None)
        found = await store.find_listener_of_registration(which)
        assert found is not None
        assert (found.id, found.agent.name, found.number) == (listener, "Reception", None)
        assert (await get(store, which)).agent_name == "Reception"
        await store.registrations.set_status(DEFAULT_OWNER, which, "disabled")
        assert await store.find_listener_of_registration(which) is None
        with pytest.raises(InUse, match="delete the listener first"):
            await store.registrations.delete(DEFAULT_OWNER, which)
        with pytest.raises(InUse, match="delete the listener first"):
            await store.registrations.update(DEFAULT_OWNER, which, {"handler": "livekit"})
        assert await store.registrations.update(DEFAULT_OWNER, which, {"handler": "jambonz"})
        await store.listeners.delete(DEFAULT_OWNER, listener)
        assert not await store.registrations.delete(other, which)
        assert await store.registrations.delete(DEFAULT_OWNER, which)
        assert await store.find_listener_of_registration(which) is None


async def test_a_trunk_stays_while_numbers_are_on_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        trunk = await store.trunks.create(DEFAULT_OWNER, "Carrier", handler="jambonz", outbound=False, flags={})
        other = await store.accounts.create_organisation("other")
        await store.numbers.create(DEFAULT_OWNER, "441", handler="jambonz", trunk_id=trunk.id)
        assert await store.trunks.update(DEFAULT_OWNER, trunk.id, {"name": "Renamed"})
        assert not await store.trunks.update(other, trunk.id, {"name": "Theirs"})
        assert not await store.trunks.delete(other, trunk.id)
        with pytest.raises(InUse, match="the number 441 is on the trunk"):
            await store.trunks.delete(DEFAULT_OWNER, trunk.id)
        await store.numbers.delete(DEFAULT_OWNER, "441")
        assert await store.trunks.delete(DEFAULT_OWNER, trunk.id)
        assert await store.trunks.list(DEFAULT_OWNER, Page()) == []


async def test_a_trunk_of_several_organisations_is_changed_by_none(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        trunk = await store.trunks.create(DEFAULT_OWNER, "Carrier", handler="jambonz", outbound=False, flags={})
        other = await store.accounts.create_organisation("other")
        async with store._database.write() as connection:
            await connection.execute(
                sa.insert(trunk_organisations).values(trunk_id=trunk.id, organisation_id=other.organisation_id)
            )
        assert await store.trunks.get(other, trunk.id) == trunk
        for change in (store.trunks.update(other, trunk.id, {"name": "Mine"}), store.trunks.delete(other, trunk.id)):
            with pytest.raises(InUse, match="other organisations"):
                await change
