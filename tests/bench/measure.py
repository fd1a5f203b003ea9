"""Runs the two servers side by side, and the same calls on both: at the same time, or window by window in turn.

The CPU time of the same work varies by half from one minute to the next on a machine that others use, too. What does
not is the ratio of two servers that share a core at the same time; in turn, the median of some ratios.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from jambonz.signature import SIGNATURE_HEADER, sign
from jambonz.simulator.call_info import CallInfo
from media.audio import PCM_16K
from tests.bench.callers import BenchFailed, Callers, Line
from tests.bench.server import PROBE, Reading
from tests.bench.tape import Tape

NUMBER = "442079460000"
AGENT: dict[str, Any] = {
    "modelName": "scripted/echo",
    "prompt": "Say it again.",
    "options": {"idle": {"timeout": None}},
}
REALTIME_MODEL = "openai/gpt-realtime-2.1"

START_SECONDS = 60.0
STOP_SECONDS = 10.0
REST_SECONDS = 0.5
"""Between the end of some calls and the next reading: the last of them is written to the database."""

WARM_UP_CALLS = 5
LEAST_ANSWERED = 0.9
"""Of the sentences of all callers: a service that does not answer has little to do."""

MOST_TRIES = 3
"""Of one window: a machine that halts in the middle of it has sentences answered after it."""


@dataclass(frozen=True, slots=True)
class Window:
    """What one server used for a number of calls, over and above what it used for none."""

    cpu_ms: float
    """For each second of each call."""
    tasks: float
    """For each call, at the busiest reading."""
    memory_mb: float
    """For each call."""
    late: float
    """The part of the agent's frames that came too late."""


@dataclass(frozen=True, slots=True)
class Plan:
    """So many calls, measured in windows of so many seconds once they have been up for ``settle`` seconds."""

    calls: int
    seconds: float
    settle: float
    windows: int


class Target:
    """A server under load."""

    def __init__(self, http: aiohttp.ClientSession, base: str, ring: Callable[[], Awaitable[Line]]) -> None:
        self._http = http
        self._base = base
        self._ring = ring
        self._resting_bytes = 0

    async def warm_up(self, tape: Tape, seconds: float) -> None:
        """Some first calls, so that what is loaded and grown once is not put down to those that are measured."""
        async with Callers(self._ring, tape, WARM_UP_CALLS):
            await asyncio.sleep(seconds)
        await asyncio.sleep(REST_SECONDS)
        self._resting_bytes = (await self._read()).resident_bytes

    async def measure(self, tape: Tape, plan: Plan, ready: asyncio.Barrier | None = None) -> list[Window]:
        """The calls of ``plan``, from when they are ``ready`` on all targets that are measured at once."""
        resting = await self._read()
        async with Callers(self._ring, tape, plan.calls) as callers:
            if ready is not None:
                await ready.wait()
            await asyncio.sleep(plan.settle)
            windows = [await self._window(callers, plan, resting) for _ in range(plan.windows)]
        await asyncio.sleep(REST_SECONDS)
        return windows

    async def _window(self, callers: Callers, plan: Plan, resting: Reading) -> Window:
        tally = callers.tally
        for _ in range(MOST_TRIES):
            window = await self._try_window(callers, plan, resting)
            if tally.answered >= LEAST_ANSWERED * tally.asked:
                return window
        raise BenchFailed(
            f"{tally.answered} of {tally.asked} sentences were answered: that is no conversation to measure"
        )

    async def _try_window(self, callers: Callers, plan: Plan, resting: Reading) -> Window:
        loop, tally = asyncio.get_running_loop(), callers.tally
        tally.reset()
        began, readings = loop.time(), [await self._read()]
        while (left := began + plan.seconds - loop.time()) > 0:
            await asyncio.sleep(min(1.0, left))
            readings.append(await self._read())
        seconds = plan.calls * (loop.time() - began)
        callers.check()
        return Window(
            cpu_ms=1000 * (readings[-1].cpu_seconds - readings[0].cpu_seconds) / seconds,
            tasks=(max(reading.tasks for reading in readings) - resting.tasks) / plan.calls,
            memory_mb=(max(reading.resident_bytes for reading in readings) - self._resting_bytes) / plan.calls / 1e6,
            late=tally.late / tally.frames if tally.frames else 0.0,
        )

    async def _read(self) -> Reading:
        async with self._http.get(self._base + PROBE) as answer:
            return Reading(**await answer.json())


@asynccontextmanager
async def targets(*, realtime: bool = False, wideband: bool = False) -> AsyncIterator[tuple[Target, Target]]:
    """The floor and the service: with a cascade beside an echo server or, ``realtime``, beside a relay, both with a
    simulated model on the callers' core. ``wideband``: legs of 16 kHz."""
    serving, ringing = _cores()
    secret = secrets.token_hex(16)
    async with AsyncExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))  # what is measured next has all cores again
        model, agent = "", AGENT
        if realtime:
            os.sched_setaffinity(0, ringing)
            port = await stack.enter_async_context(_started("tests.bench.model"))
            model = f"http://127.0.0.1:{port}/v1"
            agent = AGENT | {"modelName": REALTIME_MODEL}
        if wideband:
            agent = agent | {"options": agent["options"] | {"audio": {"sampleRate": PCM_16K.rate}}}
        os.sched_setaffinity(0, serving)  # what is started now stays there
        socket = f"{model.replace('http', 'ws')}/realtime?model=simulated"
        bare = ("tests.bench.relay", socket, str(wideband)) if realtime else ("tests.bench.echo",)
        floor = f"http://127.0.0.1:{await stack.enter_async_context(_started(*bare))}"
        service = f"http://127.0.0.1:{await stack.enter_async_context(_started('tests.bench.service', secret, model))}"
        os.sched_setaffinity(0, ringing)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=4)))
        await _listen(http, service, agent)

        async def dial() -> Line:
            return Line(f"{floor}/")

        async def ring() -> Line:
            return await _ring(http, service, secret, wideband=wideband)

        yield Target(http, floor, dial), Target(http, service, ring)


def _cores() -> tuple[Sequence[int], Sequence[int]]:
    """One core for the servers, of which one at a time has work, and another for the callers, where there are two."""
    first, *others = sorted(os.sched_getaffinity(0))
    return [first], others[:1] or [first]


@asynccontextmanager
async def _started(module: str, *arguments: str) -> AsyncIterator[int]:
    """A server in a process of its own; its port."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *arguments, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
        if not line.strip().isdigit():
            raise BenchFailed(f"{module} did not start; what it says is above")
        yield int(line)
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _listen(http: aiohttp.ClientSession, base: str, definition: Mapping[str, Any]) -> None:
    """An agent on a number, by the API."""

    async def post(path: str, body: Mapping[str, Any]) -> Any:
        async with http.post(f"{base}/api{path}", json=body) as answer:
            if not answer.ok:
                raise BenchFailed(f"POST {path} was answered {answer.status}: {await answer.text()}")
            return await answer.json()

    agent = await post("/agents", definition)
    await post("/phone-endpoints", {"type": "e164-ddi", "number": NUMBER})
    await post(f"/agents/{agent['id']}/listen", {"number": NUMBER})


async def _ring(http: aiohttp.ClientSession, base: str, secret: str, *, wideband: bool) -> Line:
    """A call by the webhook, as Jambonz places it."""
    info = CallInfo(from_="+447700900123", to=f"+{NUMBER}", wideband=wideband)
    body = json.dumps(info.session_payload({})).encode()
    headers = {SIGNATURE_HEADER: sign(body, secret, time.time()), "Content-Type": "application/json"}
    async with http.post(f"{base}/jambonz/call", data=body, headers=headers) as answer:
        verbs: list[dict[str, Any]] = await answer.json() if answer.ok else [{"verb": f"status {answer.status}"}]
    verb = verbs[0]
    if verb["verb"] != "listen":
        raise BenchFailed(f"the service did not take a call, but answered {verb}")
    introduction = {**info.attributes(), "sampleRate": verb["sampleRate"], "mixType": "mono", **verb["metadata"]}
    return Line(verb["url"], json.dumps(introduction))
