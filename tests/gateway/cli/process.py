"""``trunkline`` as a process of its own, as init systems and people run it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from yarl import URL

from gateway.cli.client import client

KEY, SECRET, NUMBER = "key-of-the-administrator", "wh_secret", "+442079460000"
SECONDS = 30.0
"""The longest that a process may take to say something, or to end."""


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


async def add_agent(url: URL) -> None:
    """One that greets and echoes, on :data:`NUMBER`."""
    async with client(url, KEY) as api:
        definition = {"modelName": "scripted/echo", "prompt": "p", "options": {"greeting": "What time would you like?"}}
        agent = await api.post("/api/agents", definition)
        await api.post("/api/phone-endpoints", {"type": "e164-ddi", "number": NUMBER})
        await api.post(f"/api/agents/{agent['id']}/listen", {"number": NUMBER})
