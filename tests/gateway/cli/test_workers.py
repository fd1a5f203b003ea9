"""``trunkline serve`` with several workers: real processes, a real PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from blockbuster import BlockBuster
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.network import AiohttpTransport
from jambonz.simulator.report import AgentSpeech, CallEvent, CallReport, SocketOpened
from tests.gateway.cli.process import NUMBER, SECONDS, SECRET, Process, Staying, add_agent, serve, until_draining
from tests.store.server import SERVER, own_database

needs_server = pytest.mark.skipif(not SERVER, reason="no PostgreSQL: set TEST_DATABASE_URL to test against one")


class Call:
    """One under way: ``slot`` is the worker's, once its media socket is open."""

    def __init__(self, jambonz: SimulatedJambonz, number: int) -> None:
        self.slot: int | None = None
        self.greeted = asyncio.Event()
        self.caller = Staying()
        from_ = f"+4477009001{number:02}"
        ringing = jambonz.place_call(to=NUMBER, from_=from_, caller=self.caller, on_event=self._on_event)
        self.task: asyncio.Task[CallReport] = asyncio.create_task(ringing)

    async def until_greeted(self) -> None:
        async with asyncio.timeout(SECONDS):
            await self.greeted.wait()

    async def over(self) -> CallReport:
        """The caller may go."""
        self.caller.go()
        return await self.task

    def _on_event(self, event: CallEvent) -> None:
        if isinstance(event, SocketOpened):
            self.slot = int(event.url.rsplit("/", 1)[1].split(".")[0])
        elif isinstance(event, AgentSpeech):
            self.greeted.set()


@asynccontextmanager
async def callers(url: URL) -> AsyncIterator[SimulatedJambonz]:
    async with AiohttpTransport() as transport:
        yield SimulatedJambonz(base_url=str(url), webhook_secret=SECRET, transport=transport)


async def workers_of(process: Process) -> list[int]:
    pid = process.pid
    text = await asyncio.to_thread(Path(f"/proc/{pid}/task/{pid}/children").read_text)
    return [int(one) for one in text.split()]


async def ready(url: URL) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http, http.get(url / "readyz") as answer:
        return answer.status, await answer.json()


async def measured(url: URL) -> dict[str, float]:
    """Of metrics without labels."""
    async with aiohttp.ClientSession() as http, http.get(url / "metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


@needs_server
@pytest.mark.realtime
async def test_the_workers_of_a_service(no_blocking_calls: BlockBuster, tmp_path: Path) -> None:
    """A worker is killed under its calls, and the service drains: one test, for the start of the processes is what
    costs (three of them; some 15 s in real time)."""
    async with (
        own_database(no_blocking_calls) as database,
        serve(tmp_path, "--workers", "2", DATABASE_URL=database, CREDENTIALS_KEY="c", LOGLEVEL="error") as process,
    ):
        url = await process.address()
        assert await ready(url) == (200, {"status": "ready", "calls": 0, "workers": 2})
        await add_agent(url)
        first, second = await workers_of(process)
        async with callers(url) as jambonz:
            calls = [Call(jambonz, number) for number in range(4)]
            await asyncio.gather(*(call.until_greeted() for call in calls))
            assert {call.slot for call in calls} == {0, 1}, "each has its part"
            assert (await ready(url))[1]["calls"] == 4
            told = await measured(url)
            assert (told["trunkline_calls_active"], told["trunkline_workers"]) == (4, 2), "one scrape has all"

            os.kill(first, signal.SIGKILL)
            reports = [await (call.over() if call.slot == 1 else call.task) for call in calls]
            for call, report in zip(calls, reports, strict=True):
                assert report.ended_by == ("caller" if call.slot == 1 else "jambonz"), report.events
            again = Call(jambonz, 10)
            await again.until_greeted()
            assert (await again.over()).ended_by == "caller", "whoever is there takes calls"
            async with asyncio.timeout(SECONDS):
                while (await ready(url))[1]["workers"] < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            third = [pid for pid in await workers_of(process) if pid != second]
            assert len(third) == 1
            assert third != [first]
            told = await measured(url)
            assert told["trunkline_calls_started_total"] == 5, "what the dead worker has counted stays"
            assert told["trunkline_workers_restarted_total"] == 1
            assert (told["trunkline_calls_active"], told["trunkline_workers"]) == (0, 2)

            last = Call(jambonz, 11)
            await last.until_greeted()
            process.signal(signal.SIGTERM)
            assert await until_draining(url) == {"status": "draining", "calls": 1, "workers": 2}
            refused = await Call(jambonz, 12).task
            assert (refused.sip_status, refused.ended_by) == (486, "refused")
            assert (await last.over()).ended_by == "caller", "its hooks are answered to the end"
        status, output, errors = await process.end()
    assert (status, output) == (0, "")
    assert "a worker is dead" in errors
    assert errors.count("\n") == 1, "and nothing else went wrong"
    for pid in (second, *third):
        assert not await asyncio.to_thread(Path(f"/proc/{pid}").exists)


async def test_a_database_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    """The first worker finds out; the others do not even start."""
    nobody = "postgresql://u:p@127.0.0.1:1/d"
    async with serve(tmp_path, "--workers", "3", DATABASE_URL=nobody, LOGLEVEL="error") as process:
        status, output, errors = await process.end()
    assert (status, output) == (1, "")
    assert errors.count("The service cannot start: ") == 1
