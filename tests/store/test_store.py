from __future__ import annotations

import asyncio
import sqlite3
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from store import DEFAULT_OWNER, CallEvent, Store
from store.accounts import Identity
from store.database import parse_url
from store.errors import CannotOpen
from store.migrate import load_upgrade
from store.tables import metadata
from tests.steady import PATIENCE
from tests.store.opened import at, definition, new_call, opened


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition(name="Reception"))
    async with opened(tmp_path) as store:
        assert await store.agents.get(DEFAULT_OWNER, agent.id) == agent


async def test_folders_are_made(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/a/b/db.sqlite3", data_dir=tmp_path / "c")
    await store.close()
    assert await asyncio.to_thread((tmp_path / "a/b/db.sqlite3").exists)
    assert await asyncio.to_thread((tmp_path / "c/credentials.key").exists)


async def test_the_file_is_in_wal_mode_and_holds_its_references(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, store._database.read() as connection:
        for pragma, value in (("journal_mode", "wal"), ("foreign_keys", 1), ("busy_timeout", 10_000)):
            assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar() == value


def test_the_migrations_make_the_tables_as_they_are_declared(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/db.sqlite3")
    with engine.begin() as connection:
        load_upgrade()(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass

    def spoil() -> None:
        connection = sqlite3.connect(tmp_path / "db.sqlite3")
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        connection.close()

    await asyncio.to_thread(spoil)
    with pytest.raises(CannotOpen, match="9999"):
        await Store.open(f"sqlite:///{tmp_path}/db.sqlite3", data_dir=tmp_path)


async def test_a_file_that_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "db.sqlite3").write_text, "A shopping list, which is longer than a header.")
    with pytest.raises(CannotOpen, match=r"^sqlite:///\S+ cannot be opened: file is not a database$"):
        await Store.open(f"sqlite:///{tmp_path}/db.sqlite3", data_dir=tmp_path)


async def test_nobody_else_reads_what_is_stored(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    async with opened(folder) as store:
        await store.accounts.create_organisation("x")
        modes = await asyncio.to_thread(_modes, folder)
    assert modes.pop("var") == 0o700
    assert set(modes.values()) == {0o600}
    assert {"db.sqlite3", "db.sqlite3-wal", "credentials.key"} <= set(modes)


def _modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}


async def test_errors_do_not_tell_what_was_to_be_stored(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        async with store._database.write() as connection:
            await connection.exec_driver_sql("DROP TABLE tickets")
        with pytest.raises(sa.exc.DBAPIError) as caught:
            await store.accounts.add_ticket(Identity(DEFAULT_OWNER, id="what-nobody-is-to-read"), "ticket", 30)
    assert "tickets" in str(caught.value)
    assert "what-nobody-is-to-read" not in str(caught.value)


async def test_writers_that_are_cancelled_at_any_point_leave_the_connection_usable(tmp_path: Path) -> None:
    """All writes to SQLite share one connection: one that is lost would stop them all."""
    async with opened(tmp_path) as store:
        call = await store.calls.start(new_call(), started_at=at(0))
        for seq in range(100):
            tasks = [
                asyncio.create_task(store.calls.append_events(call.id, [CallEvent(seq, "user", seq, at(seq))])),
                asyncio.create_task(store.calls.get(DEFAULT_OWNER, call.id)),
            ]
            for _ in range(seq % 25):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(PATIENCE):
            await store.calls.append_events(call.id, [CallEvent(100, "user", 100, at(100))])
            events = await store.calls.events(DEFAULT_OWNER, call.id)
        assert events is not None
        assert events[-1].seq == 100


@pytest.mark.parametrize(
    "url", ["", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "nonsense", "postgresql://u:a@b:c@h/d"]
)
def test_urls_that_are_no_store(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:///path"):
        parse_url(url)


@pytest.mark.parametrize("url", ["postgres://u:p@h/d", "postgresql://u:p@h/d", "postgresql+psycopg2://u:p@h/d"])
def test_any_name_of_postgresql_means_the_driver_that_does_not_block(url: str) -> None:
    assert parse_url(url).drivername == "postgresql+asyncpg"
    assert parse_url(url).password == "p"


def test_encryption_is_asked_for_by_the_name_that_hosts_of_databases_write() -> None:
    assert parse_url("postgresql://u:p@h/d?sslmode=require").query == {"ssl": "require"}
    assert parse_url("postgresql://u:p@h/d").query == {}
