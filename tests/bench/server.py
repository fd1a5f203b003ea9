"""What both measured servers share: they run on uvloop, say where they listen, and tell what they have used so far.

They stop once their standard input ends, which it does however the process that started them ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from aiohttp import web

PROBE = "/bench/probe"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a server has used until now."""

    cpu_seconds: float
    """User and system, all threads."""
    resident_bytes: int
    tasks: int


async def serve(app: web.Application) -> None:
    """Serve on a free port of 127.0.0.1, print its number, and stop with the standard input."""
    app.router.add_get(PROBE, _probe)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), stopped.set)
        await stopped.wait()
        loop.remove_reader(sys.stdin.fileno())
    finally:
        await runner.cleanup()


async def _probe(_: web.Request) -> web.Response:
    pages = int(Path("/proc/self/statm").read_text().split()[1])  # noqa: ASYNC240 - no disk is behind it
    reading = Reading(time.process_time(), pages * os.sysconf("SC_PAGE_SIZE"), len(asyncio.all_tasks()))
    return web.json_response(asdict(reading))
