"""The parent with real processes, which are no more than that: see forked.py."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.system import bind

ROOT = Path(__file__).parents[3]
SECONDS = 60.0


class Parent:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[list[str]] = []
        self.pids: dict[int, int] = {}

    async def says(self, *wanted: str) -> list[str]:
        """The next line that begins with these words; those before it are in :attr:`said`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS):
            while True:
                line = (await self.process.stdout.readline()).decode().split()
                assert line, f"it says no more; it said {self.said}"
                self.said.append(line)
                if line[0] == "started":
                    self.pids[int(line[1])] = int(line[2])
                if line[: len(wanted)] == list(wanted):
                    return line

    async def ends(self) -> list[list[str]]:
        """What it says to its end."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS):
            return [line.decode().split() async for line in self.process.stdout]

    async def nobody_is_left(self) -> None:
        async with asyncio.timeout(SECONDS):
            while any([await asyncio.to_thread(_is_there, pid) for pid in self.pids.values()]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def _is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@asynccontextmanager
async def parent(workers: int, kind: str = "well", **variables: str) -> AsyncIterator[Parent]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.gateway.workers.forked", str(workers), kind),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Parent(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_worker_that_is_killed_is_replaced_and_all_leave_together() -> None:
    async with parent(3) as one:
        url = (await one.says("listens"))[1]
        assert one.said[0][:2] == ["started", "0"]
        assert sorted(line[1] for line in one.said if line[0] == "started") == ["0", "1", "2"]
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":")[-1]))
        writer.close()
        await writer.wait_closed()
        os.kill(one.pids[1], signal.SIGKILL)
        assert (await one.says("started", "1"))[3:] == ["again"]
        one.process.send_signal(signal.SIGTERM)
        rest = await one.ends()
        assert sorted(line for line in rest if line[0] == "told") == [["told", slot, "d"] for slot in "012"]
        assert rest[-1] == ["exits", "0"]
        assert sorted(rest[3:-1]) == [["leaves", slot] for slot in "012"], "once all had drained"
        assert await one.process.wait() == 0
        await one.nobody_is_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_them(number: signal.Signals) -> None:
    async with parent(2, "stubborn") as one:
        await one.says("listens")
        one.process.send_signal(number)
        await one.says("told", "0", "d")
        one.process.send_signal(number)
        await one.says("told", "0", "s")
        assert (await one.ends())[-1] == ["exits", "0"]
        await one.nobody_is_left()


async def test_one_that_cannot_start_ends_the_service() -> None:
    async with parent(3, "broken") as one:
        assert (await one.ends())[-1] == ["exits", "1"]
        assert await one.process.wait() == 1


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name is short enough for sockets in it."""
    return tmp_path_factory.mktemp("t")


async def test_workers_are_told_by_the_death_of_their_parent(short: Path) -> None:
    async with parent(3, TMPDIR=str(short)) as one:
        await one.says("listens")
        assert len(await asyncio.to_thread(lambda: list(short.iterdir()))) == 1
        one.process.kill()
        assert sorted(await one.ends()) == [["leaves", slot] for slot in "012"]
        await one.nobody_is_left()
        assert await asyncio.to_thread(lambda: list(short.iterdir())) == [], "their folder goes with the last"


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1, port {port}: address already in use"):
            bind("127.0.0.1", port)


def test_every_address_of_a_host_has_the_same_port() -> None:
    bound = bind("localhost", 0)
    try:
        assert len({one.getsockname()[1] for one in bound}) == 1
        assert {one.getsockname()[0] for one in bound} <= {"127.0.0.1", "::1"}
        assert not any(one.getblocking() for one in bound)
    finally:
        for one in bound:
            one.close()
