"""The tests of the store once more, on a real PostgreSQL, and what is true of it alone.

They run where TEST_DATABASE_URL names a server on this host, with a user who may create databases:

    TEST_DATABASE_URL=postgresql://postgres:secret@127.0.0.1/postgres make unit ARGS=tests/store
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from blockbuster import BlockBuster

from store import DEFAULT_OWNER, ListenerOptions, Store, database
from store.database import Database, parse_url
from store.errors import UNREACHABLE, InUse, NotFound
from store.migrate import _LOCK
from store.processes import LEASE_SECONDS
from store.tables import agents, metadata, phone_numbers
from tests.store import (
    test_accounts,
    test_agents,
    test_calls,
    test_events,
    test_leases,
    test_listeners,
    test_numbers,
    test_places,
    test_processes,
    test_provisioning,
    test_retention,
    test_store,
)
from tests.store.killed import KILLS, WORKERS
from tests.store.opened import at, definition, new_call, pass_time
from tests.store.server import SERVER, as_superuser, own_database

ROOT = Path(__file__).parent.parent.parent
SHARED = (
    test_accounts,
    test_agents,
    test_calls,
    test_events,
    test_leases,
    test_listeners,
    test_numbers,
    test_places,
    test_processes,
    test_provisioning,
    test_retention,
    test_store,
)
OF_SQLITE = {
    "test_keys_are_not_in_the_file",
    "test_a_page_of_calls_is_read_by_its_index",
    "test_the_ends_of_a_period_are_read_by_an_index",
    "test_folders_are_made",
    "test_the_file_is_in_wal_mode_and_holds_its_references",
    "test_the_migrations_make_the_tables_as_they_are_declared",
    "test_a_database_of_a_newer_version_is_refused",
    "test_a_file_that_is_no_database_is_a_sentence",
    "test_nobody_else_reads_what_is_stored",
    "test_the_one_process_of_a_file_finds_what_the_last_one_left",
    "test_orphans_are_looked_for_among_the_calls_under_way",
    "test_urls_that_are_no_store",
    "test_any_name_of_postgresql_means_the_driver_that_does_not_block",
}
pytestmark = pytest.mark.skipif(not SERVER, reason="no PostgreSQL: set TEST_DATABASE_URL to test against one")

if SERVER:
    for shared in SHARED:
        globals().update(
            {
                name: test
                for name, test in vars(shared).items()
                if name.startswith("test_") and callable(test) and name not in OF_SQLITE
            }
        )


@pytest_asyncio.fixture(autouse=True)
async def url(no_blocking_calls: BlockBuster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A database of the test's own, which :func:`tests.store.opened.opened` opens instead of a file."""
    async with own_database(no_blocking_calls) as url:

        @asynccontextmanager
        async def opened(directory: Path, **options: Any) -> AsyncIterator[Store]:
            store = await Store.open(url, data_dir=directory, **options)
            try:
                yield store
            finally:
                await store.close()

        for module in SHARED:
            monkeypatch.setattr(module, "opened", opened)
        yield url


async def test_the_migrations_make_the_tables_as_declared(url: str, tmp_path: Path) -> None:
    store = await Store.open(url, data_dir=tmp_path)
    try:
        async with store._database.write() as connection:
            differences = await connection.run_sync(
                lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
            )
        assert differences == []
    finally:
        await store.close()


async def test_processes_that_start_together_upgrade_in_turn(url: str, tmp_path: Path) -> None:
    stores = await asyncio.gather(*(Store.open(url, data_dir=tmp_path, node=str(n)) for n in range(4)))
    try:
        await asyncio.gather(*(s.calls.start(new_call(), started_at=at(n)) for n, s in enumerate(stores)))
    finally:
        await asyncio.gather(*(store.close() for store in stores))


async def test_who_starts_waits_for_another_that_upgrades(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than for an answer otherwise."""
    monkeypatch.setitem(database._DEADLINES, "command_timeout", 0.2)
    other = database.Database(url)
    starting = None
    try:
        async with other.write() as connection:
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            starting = asyncio.create_task(Store.open(url, data_dir=tmp_path))
            done, _ = await asyncio.wait([starting], timeout=0.6)
            assert not done
        await (await starting).close()
    finally:
        await other.close()


async def test_who_starts_takes_no_other_for_dead(url: str, tmp_path: Path) -> None:
    """Not even one whose lease is over: perhaps nobody could renew."""
    a, b = [await Store.open(url, data_dir=tmp_path, node=node) for node in "ab"]
    try:
        await a.processes.join()
        await a.calls.start(new_call(), started_at=at(0))
        await pass_time(a, 2 * LEASE_SECONDS)
        await b.processes.join()
        assert await b.processes.bury_others() == 0
        assert await a.processes.renew()
    finally:
        await asyncio.gather(a.close(), b.close())


@pytest.mark.parametrize("wanted", ["*", "442"])
async def test_a_number_that_somebody_is_at_is_had_once_he_is_done(url: str, tmp_path: Path, wanted: str) -> None:
    """It was told to be in use while Jambonz was found to have it, or its name was changed, in the same instant."""
    store = await Store.open(url, data_dir=tmp_path)
    try:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        await store.numbers.create(DEFAULT_OWNER, "442", handler="jambonz")

        def listen() -> asyncio.Task[Any]:
            create = store.listeners.create
            return asyncio.create_task(create(DEFAULT_OWNER, agent.id, number=wanted, options=ListenerOptions()))

        async with store._database.write() as connection:
            await connection.execute(sa.update(phone_numbers).values(name="renamed"))
            asked = [listen() for _ in range(3)]
            await asyncio.wait(asked, timeout=0.1)
            assert not any(one.done() for one in asked)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(one) for one in answers if isinstance(one, BaseException)] == [InUse, InUse]
        assert [row.agent_id for row in await store.listeners.list(DEFAULT_OWNER)] == [agent.id]
    finally:
        await store.close()


async def test_an_agent_that_goes_as_it_is_to_listen_is_not_there(url: str, tmp_path: Path) -> None:
    store = await Store.open(url, data_dir=tmp_path)
    try:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        async with store._database.write() as connection:
            await connection.execute(sa.delete(agents))
            create = store.listeners.create(DEFAULT_OWNER, agent.id, number=None, options=ListenerOptions())
            asked = asyncio.create_task(create)
            await asyncio.wait([asked], timeout=0.1)
        with pytest.raises(NotFound, match="There is no agent"):
            await asked
    finally:
        await store.close()


async def test_processes_that_are_killed_at_random_lose_double_and_keep_no_number(url: str, tmp_path: Path) -> None:
    """Real processes and real kills, in the middle of whatever they do: some 4 s."""
    store = await Store.open(url, data_dir=tmp_path, credentials_key="c")
    try:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        numbers = sorted(f"4420{n:04}" for n in range(50))
        for number in numbers:
            await store.numbers.create(DEFAULT_OWNER, number, handler="jambonz")
        await store.accounts.set_limits(DEFAULT_OWNER, organisation=10)
        command = [sys.executable, "-m", "tests.store.killed", url, "7"]
        killed = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
        _, errors = await asyncio.wait_for(killed.communicate(), 100)
        assert killed.returncode == 0, errors.decode()[-2000:]

        left = await store.listeners.list(DEFAULT_OWNER)
        assert left, "they were killed before they did anything"
        assert None not in {one.number for one in left}, "no listener is there without what it asked for"
        assert len({one.number for one in left}) == len(left)
        async with store._database.read() as connection:
            places = await connection.scalar(sa.text("SELECT count(*) FROM places"))
        assert 0 < places <= 10

        await store.processes.join()
        await pass_time(store, 61)
        await store.processes.renew()
        reaped = await store.processes.reap()
        assert (reaped.processes, reaped.listeners) == (WORKERS + KILLS, len(left))
        async with store._database.read() as connection:
            assert await connection.scalar(sa.text("SELECT count(*) FROM places")) == 0
        again = await asyncio.gather(
            *(
                store.listeners.create(DEFAULT_OWNER, agent.id, number="*", options=ListenerOptions())
                for _ in range(60)
            ),
            return_exceptions=True,
        )
        assert sorted(one[0].number or "" for one in again if not isinstance(one, BaseException)) == numbers
        assert sum(isinstance(one, InUse) for one in again) == 10
    finally:
        await store.close()


async def test_a_connection_that_was_cut_is_replaced(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a restart of the server: what waits in the pool is dead."""
    monkeypatch.setattr(database, "IDLE_SECONDS", 0.0)
    store = await Store.open(url, data_dir=tmp_path)
    try:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        async with as_superuser() as connection:
            cut = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
            await connection.execute(cut, {"name": parse_url(url).database})
        assert await store.agents.get(DEFAULT_OWNER, agent.id) == agent
        await store._database.reach()
    finally:
        await store.close()


async def test_a_connection_that_is_known_to_be_closed_is_replaced_however_late_it_was_used(url: str) -> None:
    pool = Database(url)
    async with pool.read() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
    driver.terminate()
    async with pool.write() as connection:
        assert await connection.scalar(sa.text("SELECT 1")) == 1
    await pool.close()


async def test_a_server_that_is_gone_is_told_as_any_other(url: str) -> None:
    nowhere = Database(parse_url(url).set(port=1).render_as_string(hide_password=False))
    with pytest.raises(UNREACHABLE):
        async with nowhere.read():
            pass
    await nowhere.close()
