"""Many short calls with a simulated realtime model, over real sockets in one process, and what is left of them."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.app import create_app
from gateway.keys import STORE, SWITCHBOARD
from gateway.session import CallSession
from gateway.settings import Settings
from gateway.switchboard import Switchboard
from jambonz.leg import JambonzLeg
from jambonz.simulator.caller import AwaitAgentSpeech, Caller, HangUp, Step, Until, Wait
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.network import AiohttpTransport
from jambonz.simulator.report import CallReport
from media.playout import Playout
from pipelines.agent import AgentDefinition
from pipelines.realtime.connection import RealtimeConnection
from pipelines.realtime.link import Link
from pipelines.realtime.openai_protocol import OpenAIRealtimeProtocol
from pipelines.realtime.pipeline import Realtime
from store import DEFAULT_OWNER
from store.database import READERS, Database
from store.listeners import ListenerOptions
from tests.simulators.openai_realtime import KEY, Behaviour, Faults, RealtimeServer, serve_realtime

OF_A_CALL = (CallSession, Realtime, Link, RealtimeConnection, OpenAIRealtimeProtocol, Playout, JambonzLeg)
"""Of each there is one or more for a call, and none without."""

NUMBER, SECRET = "441234567890", "wh_secret_of_the_soak"
SECONDS_OF_A_CALL = 20.0
EVERY_TENTH = 10
"""Of the sessions is cut off by the model while it speaks: what reconnects has to be cleared away, too."""

BETWEEN_SECONDS = 0.02
"""From one call to the next, where they are to be under way together."""

SLOWLY_BETWEEN_SECONDS = 0.2
"""The same on the slowest machine, where to set up a call takes ten times as long."""

_QUIET_SECONDS = 20.0
_FILL_SECONDS = 10.0

_NO_LONGER = Wait(0.0)


@dataclass(frozen=True, slots=True)
class Left:
    """What there is in this process."""

    objects: Counter[str]
    tasks: Counter[str]
    sockets: int
    threads: Counter[str]
    """By kind: their names without numbers."""

    def more_than(self, before: Left) -> list[str]:
        """What there is now, and was not before, in words."""
        more = [f"{count} objects: {name}" for name, count in (self.objects - before.objects).items()]
        more += [f"{count} tasks: {name}" for name, count in (self.tasks - before.tasks).items()]
        if self.sockets > before.sockets:
            more.append(f"{self.sockets - before.sockets} sockets")
        more += [f"{count} threads: {kind}" for kind, count in (self.threads - before.threads).items()]
        return more


async def what_is_left() -> Left:
    """After all that closes itself had a moment for it. Linux."""
    await asyncio.sleep(0.1)
    gc.collect()
    gc.collect()
    objects = Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, OF_A_CALL))
    tasks = Counter(_name_of(task) for task in asyncio.all_tasks() if task is not asyncio.current_task())
    return Left(objects, tasks, await asyncio.to_thread(_sockets), _threads())


async def what_stays(before: Left, looks: int = 10) -> list[str]:
    """What there is now, and was not before, in words. The service does something by itself now and then, and may be at
    it when it is looked at: what was left is there at every look."""
    found = (await what_is_left()).more_than(before)
    for _ in range(looks - 1):
        if not found:
            break
        await asyncio.sleep(0.3)
        found = (await what_is_left()).more_than(before)
    return found


async def fill_pools(database: Database) -> None:
    """Pools of threads, and of connections with a thread each, grow as they are needed, up to what they may have. They
    have all of it now, so that none of their threads can be taken for one that was left."""
    await asyncio.to_thread(int)  # asyncio's own pool is there from its first use on
    for pool in [one for one in gc.get_objects() if isinstance(one, ThreadPoolExecutor)]:
        size = pool._max_workers
        everybody = threading.Barrier(size)
        jobs = [asyncio.wrap_future(pool.submit(everybody.wait, _FILL_SECONDS)) for _ in range(size)]
        await asyncio.gather(*jobs)
    async with AsyncExitStack() as connections:
        for _ in range(READERS):
            _ = await connections.enter_async_context(database.read())
        _ = await connections.enter_async_context(database.write())


def _name_of(task: asyncio.Task[object]) -> str:
    return str(getattr(task.get_coro(), "__qualname__", task.get_name()))


def _threads() -> Counter[str]:
    return Counter(re.sub(r"[-_]?\d+", "", thread.name) for thread in threading.enumerate())


def _sockets() -> int:
    found = 0
    for entry in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the directory's own
            found += os.readlink(f"/proc/self/fd/{entry}").startswith("socket:")
    return found


class Soak:
    """Made by :func:`soaking`."""

    def __init__(self, url: str, model: RealtimeServer, switchboard: Switchboard, database: Database) -> None:
        self.model = model
        self.switchboard = switchboard
        self.database = database
        self._url = url

    async def one_after_another(self, calls: int) -> None:
        async with AiohttpTransport() as transport:
            for number in range(calls):
                await self._call(self._jambonz(transport), number)
            await self._quiet()

    async def at_once(self, calls: int) -> None:
        """They come one after the other, and stay until all of them are there."""
        everybody = asyncio.Event()
        patience = SECONDS_OF_A_CALL + calls * SLOWLY_BETWEEN_SECONDS
        async with AiohttpTransport() as transport, asyncio.TaskGroup() as group:
            jambonz = self._jambonz(transport)
            for number in range(calls):
                _ = group.create_task(self._call(jambonz, number, Until(everybody.is_set, patience), patience))
                await asyncio.sleep(BETWEEN_SECONDS)
            async with asyncio.timeout(patience):
                while len(self.switchboard.calls) < calls:  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(0.05)
            everybody.set()
        await self._quiet()

    def _jambonz(self, transport: AiohttpTransport) -> SimulatedJambonz:
        return SimulatedJambonz(base_url=self._url, transport=transport, webhook_secret=SECRET, keep_audio=False)

    async def _call(
        self, jambonz: SimulatedJambonz, number: int, stays: Step = _NO_LONGER, seconds: float = SECONDS_OF_A_CALL
    ) -> None:
        """The caller hangs up when he has heard the agent, as a rule in the middle of an answer."""
        fault = Faults(drop_after_ms=100) if number % EVERY_TENTH == 0 else Faults()
        self.model.faults.append(fault)
        async with asyncio.timeout(seconds):
            caller = Caller([AwaitAgentSpeech(seconds), stays, HangUp()])
            report = await jambonz.place_call(to="+" + NUMBER, from_="+447700900123", caller=caller)
        _judge(report)

    async def _quiet(self) -> None:
        async with asyncio.timeout(_QUIET_SECONDS):
            while self.switchboard.calls:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
        self.model.faults.clear()
        self.model.sessions.clear()


def _judge(report: CallReport) -> None:
    assert report.ended_by == "caller", f"a call ended by {report.ended_by}: {report.sip_status} {report.reason}"
    assert report.ear.last_audible is not None, "a caller heard nothing"


@asynccontextmanager
async def soaking(directory: Path, *, calls_at_once: int = 300) -> AsyncIterator[Soak]:
    """The real service with the real providers, and a simulated model that speaks in tones, without thinking."""
    async with serve_realtime(behaviour=Behaviour(speed=inf, think=0.0, transcribe=0.0)) as model:
        app = create_app(
            Settings(
                data_dir=directory,
                authenticate_users=False,
                jambonz_webhook_secret=SECRET,
                openai_api_key=KEY,
                openai_base_url=model.base_url,
                max_calls=calls_at_once,
            )
        )
        async with TestServer(app, host="127.0.0.1") as server:
            await _set_up(app)
            yield Soak(str(server.make_url("")).rstrip("/"), model, app[SWITCHBOARD], app[STORE]._database)


async def _set_up(app: web.Application) -> None:
    store = app[STORE]
    definition = {"modelName": "openai/gpt-realtime-2.1", "prompt": "p", "options": {"greeting": "Hello over there."}}
    agent = await store.agents.create(DEFAULT_OWNER, AgentDefinition.model_validate(definition))
    await store.numbers.create(DEFAULT_OWNER, NUMBER, handler="jambonz")
    await store.listeners.create(DEFAULT_OWNER, agent.id, number=NUMBER, options=ListenerOptions())
