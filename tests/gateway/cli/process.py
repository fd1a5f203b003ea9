"""``trunkline`` as a process of its own, as init systems and people run it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from gateway.cli.client import client
from jambonz.simulator.caller import AwaitAgentSpeech, Caller, Phone
from jambonz.simulator.ear import Ear

KEY, SECRET, NUMBER = "key-of-the-administrator", "wh_secret", "+442079460000"
SECONDS = 60.0
"""The longest that a process may take to say something, or to end."""


class Staying(Caller):
    """A caller who hears the agent's first word, and stays on the line until told to :meth:`go`."""

    def __init__(self) -> None:
        super().__init__([AwaitAgentSpeech(timeout=SECONDS)], patience=SECONDS)
        self._goes = False

    def go(self) -> None:
        self._goes = True

    def frame(self, now: float, ear: Ear, phone: Phone) -> bytes | None:
        if self._goes:
            phone.hang_up()
        return super().frame(now, ear, phone)


class Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def address(self) -> URL:
        """Of a service, once it is ready."""
        assert self._process.stdout is not None
        async with asyncio.timeout(SECONDS):
            line = (await self._process.stdout.readline()).decode()
        assert line.startswith("Trunkline listens on http://127.0.0.1:"), line
        return URL(line.split()[-1])

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def end(self, seconds: float = SECONDS) -> tuple[int, str, str]:
        """Its exit status, and what else it wrote to standard output and standard error."""
        async with asyncio.timeout(seconds):
            output, errors = await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode, output.decode(), errors.decode()


@asynccontextmanager
async def trunkline(*arguments: str, directory: Path, **variables: str) -> AsyncIterator[Process]:
    """The command, in ``directory`` and with no other environment than ``variables``."""
    root = Path(__file__).parents[3]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments),
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(root), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def serve(directory: Path, *flags: str, **variables: str) -> AsyncIterator[Process]:
    """The service on a free port, its webhooks signed."""
    variables = {"JAMBONZ_WEBHOOK_SECRET": SECRET, "TRUNKLINE_ADMIN_KEY": KEY, "LOGLEVEL": "warning", **variables}
    async with trunkline("serve", "--port", "0", *flags, directory=directory, **variables) as process:
        yield process


async def until_draining(url: URL) -> Any:
    """What the service says of itself, once it takes no calls: each of its workers, which take turns to answer."""
    in_turn: list[Any] = []
    async with asyncio.timeout(SECONDS):
        while len(in_turn) < 8:
            async with aiohttp.ClientSession() as http, http.get(url / "readyz") as answer:
                in_turn = [*in_turn, await answer.json()] if answer.status == 503 else []
            await asyncio.sleep(0.02)
    return in_turn[-1]


async def add_agent(url: URL) -> None:
    """One that greets and echoes, on :data:`NUMBER`."""
    async with client(url, KEY) as api:
        definition = {"modelName": "scripted/echo", "prompt": "p", "options": {"greeting": "What time would you like?"}}
        agent = await api.post("/api/agents", definition)
        await api.post("/api/phone-endpoints", {"type": "e164-ddi", "number": NUMBER})
        await api.post(f"/api/agents/{agent['id']}/listen", {"number": NUMBER})
