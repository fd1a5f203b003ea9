"""A PostgreSQL server that is really stopped in the middle of a call, and started again. It is the test's own, and
needs PostgreSQL's programs where Debian has them; like other tests with PostgreSQL it runs where TEST_DATABASE_URL is.

Some 6 s, for a server has to be made. TEST_OUTAGE_SECONDS=60 has the outage take longer.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

from gateway import relay
from store import DEFAULT_OWNER, Period
from tests.gateway.service import call_hook, serving
from tests.gateway.test_two_processes import address, another
from tests.steady import PATIENCE
from tests.store.server import SERVER, allow_driver

OUTAGE = float(os.environ.get("TEST_OUTAGE_SECONDS", "1.2"))

pytestmark = [
    pytest.mark.skipif(not SERVER, reason="no PostgreSQL: set TEST_DATABASE_URL to test against one"),
    pytest.mark.timeout(300 + 2 * OUTAGE),
]


class Server:
    def __init__(self, directory: Path, programs: Path, port: int) -> None:
        self.directory, self.programs, self.port = directory, programs, port
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"

    async def make(self) -> None:
        await self._run("initdb", "-D", "data", "-A", "trust", "-U", "postgres", "--no-sync")

    async def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.directory} -c fsync=off"
        await self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")

    async def stop(self, mode: str = "fast") -> None:
        await self._run("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    async def _run(self, program: str, *arguments: str) -> None:
        as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []  # it refuses to run as root
        nothing = asyncio.subprocess.DEVNULL
        running = await asyncio.create_subprocess_exec(
            *as_postgres, str(self.programs / program), *arguments, cwd=self.directory, stdout=nothing, stderr=nothing
        )
        assert await asyncio.wait_for(running.wait(), PATIENCE) == 0, f"{program} {arguments}"


@asynccontextmanager
async def own_server() -> AsyncIterator[Server]:
    programs = await asyncio.to_thread(lambda: sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1])
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    server = Server(directory, programs, port)
    try:
        if os.geteuid() == 0:
            await asyncio.to_thread(shutil.chown, directory, "postgres")
        await server.make()
        await server.start()
        try:
            yield server
        finally:
            await server.stop("immediate")
    finally:
        await asyncio.to_thread(shutil.rmtree, directory)


async def test_a_server_that_is_stopped_in_the_middle_of_a_call(
    no_blocking_calls: BlockBuster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "MEDIA_SECONDS", 60 + OUTAGE)  # nobody opens the socket for audio
    allow_driver(no_blocking_calls)
    async with (
        own_server() as server,
        serving(tmp_path / "a", database_url=server.url, credentials_key="c") as service,
        another(tmp_path / "b", server.url) as other,
    ):
        await service.ring("c-1")
        [call] = service.switchboard.calls
        noted = 0
        told: dict[str, list[Any]] = {"here": [], "there": []}

        async def happen(seconds: float) -> None:
            nonlocal noted
            until = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < until:
                call.note("user", noted)
                noted += 1
                await asyncio.sleep(0.05)

        async def read(where: str, ws: Any) -> None:
            while True:
                event = await ws.receive_json(timeout=OUTAGE + PATIENCE)
                if event["callId"] == call.id:
                    told[where].append(event["seq"])

        here = await service.http.ws_connect(address(service.server, service.listener_id, "0"))
        there = await service.http.ws_connect(address(other, service.listener_id, "0"))
        readers = [asyncio.create_task(read("here", here)), asyncio.create_task(read("there", there))]
        await happen(0.5)
        await server.stop()
        await happen(OUTAGE)
        async with asyncio.timeout(PATIENCE):
            while len(told["here"]) < noted + 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert told["here"] == list(range(noted + 1)), "who watches here sees it as it happens"
        status, body = await service.post("/jambonz/call", call_hook(call_sid="c-2"))
        assert (status, json.loads(body)[0]["verb"]) == (200, "listen"), "a known agent still answers"
        await server.start()
        await happen(0.5)
        for sid in ("c-1", "c-2"):
            await service.hang_up(sid)
        await service.quiet()
        async with asyncio.timeout(PATIENCE):
            while len(told["there"]) < noted + 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        for task in readers:
            task.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        everything = list(range(noted + 2))  # the call's beginning and its end with it
        assert told == {"here": everything, "there": everything}
        log = await service.store.calls.events(DEFAULT_OWNER, call.id) or []
        assert [one.seq for one in log] == everything
        assert [one.data for one in log if one.type == "user"] == list(range(noted))
        for ws in (here, there):
            await ws.close()
        async with asyncio.timeout(PATIENCE):
            while True:
                stored = await service.store.calls.of_organisation(
                    DEFAULT_OWNER, after_index=0, limit=9, period=Period()
                )
                if [one.end_reason for one in stored] == ["caller", "caller"]:
                    break
                await asyncio.sleep(0.05)
