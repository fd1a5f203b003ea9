"""``trunkline serve`` as a process of its own."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from yarl import URL

from gateway.cli import trunkline
from gateway.cli.flags import BAD_SETTINGS
from jambonz.simulator.caller import Caller
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.network import AiohttpTransport
from jambonz.simulator.report import AgentSpeech, CallEvent, CallReport
from tests.gateway.cli.process import NUMBER, SECONDS, SECRET, Staying, add_agent, serve, until_draining


@asynccontextmanager
async def call(url: URL) -> AsyncIterator[tuple[Staying, asyncio.Task[CallReport]]]:
    """One whose caller hears the greeting of an agent now."""
    await add_agent(url)
    greeted = asyncio.Event()

    def on_event(event: CallEvent) -> None:
        if isinstance(event, AgentSpeech):
            greeted.set()

    async with AiohttpTransport() as transport:
        jambonz = SimulatedJambonz(base_url=str(url), webhook_secret=SECRET, transport=transport)
        caller = Staying()
        ringing = jambonz.place_call(to=NUMBER, from_="+447700900123", caller=caller, on_event=on_event)
        task = asyncio.create_task(ringing)
        async with asyncio.timeout(SECONDS):
            await greeted.wait()
        try:
            yield caller, task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def ready(url: URL) -> Any:
    async with aiohttp.ClientSession() as http, http.get(url / "readyz") as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_where_it_listens_and_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    async with serve(tmp_path) as process:
        assert await ready(await process.address()) == (200, {"status": "ready", "calls": 0})
        process.signal(number)
        assert await process.end() == (0, "", "")
    assert await asyncio.to_thread((tmp_path / "var" / "trunkline.sqlite3").exists)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--port", "http"], "TRUNKLINE_PORT has a value that cannot be used; write a whole number.\n"),
        (
            ["--workers", "2"],
            "TRUNKLINE_WORKERS=2 needs PostgreSQL; write DATABASE_URL=postgresql://…, or TRUNKLINE_WORKERS=1.\n",
        ),
    ],
)
async def test_bad_settings_are_sentences_and_status_2(tmp_path: Path, flags: list[str], sentence: str) -> None:
    async with serve(tmp_path, *flags) as process:
        assert await process.end() == (2, "", sentence)


async def test_a_port_that_is_taken_is_a_sentence_and_status_1(tmp_path: Path) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with taken, serve(tmp_path, "--port", str(taken.sockets[0].getsockname()[1])) as process:
        status, _, errors = await process.end()
    assert status == 1
    assert errors.startswith("The service cannot start: cannot listen on 127.0.0.1, port ")
    assert errors.endswith(": address already in use\n")
    assert not await asyncio.to_thread((tmp_path / "var").exists), "the service that runs there is not disturbed"


async def test_metrics_of_a_former_service_with_several_processes_do_no_harm(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    async with serve(tmp_path, PROMETHEUS_MULTIPROC_DIR=missing) as process:
        async with aiohttp.ClientSession() as http, http.get(await process.address() / "metrics") as answer:
            assert "trunkline_calls_active 0.0" in await answer.text()
        process.signal(signal.SIGHUP)
        assert await process.end() == (0, "", ""), "a terminal that goes is an order to stop"


async def test_a_signal_breaks_off_a_start(tmp_path: Path) -> None:
    connected = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        while await reader.read(1024):
            pass
        writer.close()

    database = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"postgresql://somebody@127.0.0.1:{database.sockets[0].getsockname()[1]}/name"
    async with database, serve(tmp_path, DATABASE_URL=url) as process:
        async with asyncio.timeout(SECONDS):
            await connected.wait()
        process.signal(signal.SIGTERM)
        assert await process.end() == (0, "", "")


@pytest.mark.realtime
async def test_a_signal_waits_for_the_calls_and_takes_no_others(tmp_path: Path) -> None:
    """In real time: a process has no clock that could be handed in."""
    async with serve(tmp_path) as process:
        url = await process.address()
        async with call(url) as (caller, first):
            process.signal(signal.SIGTERM)
            assert await until_draining(url) == {"status": "draining", "calls": 1}
            async with AiohttpTransport() as transport:
                jambonz = SimulatedJambonz(base_url=str(url), webhook_secret=SECRET, transport=transport)
                second = await jambonz.place_call(to=NUMBER, from_="+447700900124", caller=Caller([]))
            assert (second.sip_status, second.ended_by) == (486, "refused")
            caller.go()
            report = await first
        assert report.ended_by == "caller"
        assert await process.end() == (0, "", "")


@pytest.mark.realtime
async def test_a_second_signal_ends_the_calls(tmp_path: Path) -> None:
    """In real time: a process has no clock that could be handed in."""
    async with serve(tmp_path) as process:
        url = await process.address()
        async with call(url) as (_, first):
            process.signal(signal.SIGINT)
            await until_draining(url)
            assert process.running
            process.signal(signal.SIGINT)
            report = await first
        assert report.ended_by == "jambonz"
        assert await process.end() == (0, "", "")


@pytest.mark.realtime
async def test_calls_that_do_not_end_are_ended_once_the_patience_is_over(tmp_path: Path) -> None:
    """In real time: a process has no clock that could be handed in."""
    async with serve(tmp_path, "--drain-seconds", "0.2") as process:
        async with call(await process.address()) as (_, first):
            process.signal(signal.SIGTERM)
            report = await first
        assert report.ended_by == "jambonz"
        assert await process.end() == (0, "", "")


def test_functions_that_cannot_be_loaded_stop_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gateway.logs.configure", lambda *_: None)  # which is for the whole process
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")  # it takes that out
    result = CliRunner().invoke(trunkline, ["serve", "--functions", "functions_of_nobody", "--data-dir", str(tmp_path)])
    assert result.exit_code == BAD_SETTINGS
    assert "TRUNKLINE_FUNCTIONS has a value that cannot be used: the module functions_of_nobody" in result.output
    assert "No module named" in result.output
