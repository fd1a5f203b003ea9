"""``trunkline numbers sync``, against a simulated Jambonz on loopback."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import trunkline
from jambonz.simulator.rest_api import ApiServer, Response
from store import DEFAULT_OWNER, Store
from tests.simulators.jambonz_wire import jambonz_on_loopback

KEY = "key-of-the-account"


@contextmanager
def jambonz(server: ApiServer) -> Iterator[str]:
    """In a thread of its own: the command has its own event loop."""
    started, over = threading.Event(), threading.Event()
    where: list[str] = []

    async def serve() -> None:
        async with jambonz_on_loopback(server) as url:
            where.append(url)
            started.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(10)
        yield where[0]
    finally:
        over.set()
        thread.join(10)


@pytest.fixture
def server() -> ApiServer:
    return ApiServer(api_key=KEY)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """With two numbers in the pool."""

    async def fill() -> None:
        store = await Store.open(f"sqlite:///{tmp_path}/trunkline.sqlite3", data_dir=tmp_path)
        for number in ("442", "441"):
            await store.numbers.create(DEFAULT_OWNER, number, handler="jambonz")
        await store.close()

    asyncio.run(fill())
    return tmp_path


def sync(directory: Path, url: str | None, *flags: str, status: int = 0, **settings: str) -> Result:
    given = {"data-dir": str(directory), "public-url": "https://calls.example.com", "jambonz-api-key": KEY, **settings}
    if url is not None:
        given["jambonz-server"] = url
    arguments = [part for name, value in given.items() if value for part in (f"--{name}", value)]
    result = CliRunner().invoke(trunkline, ["numbers", "sync", *flags, *arguments])
    assert result.exit_code == status, result.output
    assert KEY not in result.output
    return result


def rows(server: ApiServer) -> Any:
    return [list(table) for table in (server.applications, server.phone_numbers, server.carriers, server.gateways)]


def test_a_dry_run_prints_what_it_would_do_and_changes_nothing(server: ApiServer, directory: Path) -> None:
    def database() -> list[Any]:
        async def read() -> list[Any]:
            store = await Store.open(f"sqlite:///{directory}/trunkline.sqlite3", data_dir=directory)
            try:
                return await store.provisioning.numbers()
            finally:
                await store.close()

        return asyncio.run(read())

    before = database()
    with jambonz(server) as url:
        for _ in range(2):
            assert sync(directory, url, "--dry-run").stdout.splitlines() == [
                "would create the application 'Trunkline calls.example.com' with the webhooks "
                "https://calls.example.com/jambonz/call and https://calls.example.com/jambonz/status",
                "would create the number 441 for the application 'Trunkline calls.example.com'",
                "would create the number 442 for the application 'Trunkline calls.example.com'",
            ]
        assert rows(server) == [[], [], [], []]
        assert database() == before
        found = json.loads(sync(directory, url, "--dry-run", "--json").stdout)
        assert (found["dryRun"], found["outcome"], len(found["steps"]), found["problems"]) == (True, "done", 3, [])


def test_a_run_does_it_and_a_second_one_nothing(server: ApiServer, directory: Path) -> None:
    with jambonz(server) as url:
        assert sync(directory, url).stdout.count("create the number") == 2
        assert sorted(row["number"] for row in server.phone_numbers.values()) == ["441", "442"]
        before = rows(server)
        assert sync(directory, url).stdout == "Jambonz is as it should be\n"
        assert sync(directory, url, "--dry-run").stdout == "Jambonz is as it should be\n"
        assert rows(server) == before


def test_what_could_not_be_done_is_not_said_to_be_done(
    server: ApiServer, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = server.handle

    def judge(method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        refused = method == "POST" and json.loads(body).get("number") == "442"
        return Response(422, "text/plain", b"not this one") if refused else handle(method, target, headers, body)

    monkeypatch.setattr(server, "handle", judge)
    with jambonz(server) as url:
        result = sync(directory, url, status=1)
        assert "problem: cannot create the number 442" in result.stderr
        assert [line.split(" for ")[0] for line in result.stdout.splitlines()[1:]] == ["create the number 441"]
        found = json.loads(sync(directory, url, "--json", status=1).stdout)
        assert (found["outcome"], found["steps"], len(found["problems"])) == ("partly", [], 1)
        assert [row["number"] for row in server.phone_numbers.values()] == ["441"]


def test_a_jambonz_that_refuses_the_key_or_is_not_there_is_told(server: ApiServer, directory: Path) -> None:
    server.api_key = "another"
    with jambonz(server) as url:
        for flags in ((), ("--dry-run",)):
            result = sync(directory, url, *flags, status=1)
            assert "problem: Jambonz: GET /Accounts was refused with 401" in result.stderr
    assert "was not answered" in sync(directory, url, status=1).stderr


def test_without_a_jambonz_there_is_nothing_to_bring_up_to_date(tmp_path: Path) -> None:
    assert "numbers are local" in sync(tmp_path, None, "--dry-run", status=2).stderr
    result = sync(tmp_path, "jambonz.example.com", status=2, **{"public-url": ""})
    assert "TRUNKLINE_PUBLIC_URL is not set" in result.stderr
    assert not list(tmp_path.iterdir())
