"""A database that cannot be used just now, by a server that says no more than that."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from blockbuster import BlockBuster

from store import Store
from store import database as module
from store.database import Database, shown
from store.errors import UNREACHABLE, CannotOpen, reason
from tests.store.server import allow_driver


@pytest.fixture(autouse=True)
def _driver(no_blocking_calls: BlockBuster) -> None:
    allow_driver(no_blocking_calls)


@asynccontextmanager
async def saying(sqlstate: str) -> AsyncIterator[str]:
    """A server that answers whoever connects with an error; its URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (length,) = struct.unpack("!i", await reader.readexactly(4))
                (code,) = struct.unpack("!i", (await reader.readexactly(length - 4))[:4])
                if code != 80877103:  # may the connection be encrypted?
                    break
                writer.write(b"N")
            fields = b"SFATAL\0VFATAL\0C" + sqlstate.encode() + b"\0Mthe database system is starting up\0\0"
            writer.write(b"E" + struct.pack("!i", 4 + len(fields)) + fields)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"postgresql://somebody@127.0.0.1:{server.sockets[0].getsockname()[1]}/name"


@pytest.mark.parametrize("sqlstate", ["57P03", "57P01", "53300"])
async def test_who_starts_up_stops_or_is_full_cannot_be_reached(sqlstate: str) -> None:
    async with saying(sqlstate) as url:
        database = Database(url)
        try:
            for connection in (database.read(), database.write()):
                with pytest.raises(UNREACHABLE, match="starting up"):
                    async with connection as opened:
                        await opened.execute(sa.select(1))
        finally:
            await database.close()


async def test_who_refuses_the_password_is_there() -> None:
    async with saying("28P01") as url:
        database = Database(url)
        try:
            with pytest.raises(sa.exc.DBAPIError) as caught:
                async with database.read():
                    pass
            assert not isinstance(caught.value, UNREACHABLE)
        finally:
            await database.close()


async def test_whatever_a_server_says_when_it_is_opened_is_a_sentence(tmp_path: Path) -> None:
    async with saying("28P01") as url:
        with pytest.raises(CannotOpen, match=r"^postgresql://\S+/name cannot be opened: the .+ up$"):
            await Store.open(f"{url}?password=secret", data_dir=tmp_path)


async def test_a_server_that_says_nothing_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module._DEADLINES, "timeout", 0.01)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(CannotOpen, match="cannot be opened: no answer in time"),
    ):
        await Store.open(f"postgresql://somebody@127.0.0.1:{silent.getsockname()[1]}/name", data_dir=tmp_path)


async def test_what_a_driver_does_not_know_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotOpen, match="unexpected keyword argument 'colour'"):
        await Store.open("postgresql://somebody@127.0.0.1:1/name?colour=blue", data_dir=tmp_path)


def test_a_url_is_shown_without_its_password_wherever_that_is() -> None:
    assert shown("postgresql://u:secret@h/n") == "postgresql://u:***@h/n"
    assert shown("postgresql://u@h/n?password=secret") == "postgresql://u@h/n"


def test_a_reason_is_what_the_driver_says_and_no_more() -> None:
    assert (
        reason(sa.exc.OperationalError("SELECT 1", {"x": "secret"}, OSError("the disk is full"))) == "the disk is full"
    )
    assert reason(OSError("gone\nand more")) == "gone"
    assert reason(TimeoutError()) == "no answer in time"
    assert reason(ConnectionResetError()) == "ConnectionResetError"
