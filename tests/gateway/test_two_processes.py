"""Two services on one PostgreSQL: a call in one of them, watched through the other. They run where TEST_DATABASE_URL
names a server, as the tests of the store do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp.test_utils import TestServer
from blockbuster import BlockBuster

from gateway import recorder, remote
from gateway.app import create_app
from gateway.keys import FEEDS, RECORDINGS, SWITCHBOARD
from gateway.settings import Settings
from jambonz.simulator.caller import AwaitAgentSpeech, HangUp, Wait
from store import Store
from store.database import parse_url
from store.wakeups import MOST_BYTES, Ears
from tests.gateway.service import KEY, CodewordFactory, Service, serving
from tests.gateway.test_joining import FOR_ANN, joined
from tests.gateway.test_rooms import until_over
from tests.simulators.replies import ReplyModel, always
from tests.simulators.ultravox import KEY as ULTRAVOX_KEY
from tests.simulators.ultravox import serve_ultravox
from tests.steady import PATIENCE
from tests.store.server import SERVER, as_superuser, own_database

RECORDED = {"options": {"greeting": "Hello there.", "recording": {"enabled": True, "announcement": None}}}

pytestmark = pytest.mark.skipif(not SERVER, reason="no PostgreSQL: set TEST_DATABASE_URL to test against one")


@pytest_asyncio.fixture
async def url(no_blocking_calls: BlockBuster) -> AsyncIterator[str]:
    async with own_database(no_blocking_calls) as url:
        yield url


@asynccontextmanager
async def another(directory: Path, url: str, **more: Any) -> AsyncIterator[TestServer]:
    """A service without an agent of its own."""
    settings = Settings(data_dir=directory, admin_key=KEY, max_calls=8, database_url=url, credentials_key="c", **more)
    server = TestServer(create_app(settings, CodewordFactory(ReplyModel(always("x")))), host="127.0.0.1")
    await server.start_server(shutdown_timeout=1.0)
    try:
        yield server
    finally:
        await server.close()


def address(server: TestServer, listener_id: str, cursor: str) -> str:
    return f"{str(server.make_url('')).rstrip('/')}/progress/{listener_id}?access_token={KEY}&since={cursor}"


async def watch_again_and_again(
    service: Service, other: TestServer, until: int
) -> tuple[list[tuple[str, int]], list[float]]:
    """Four times through each of the two in turn: what was told, and how late, where it was live."""
    told: list[tuple[str, int]] = []
    late: list[float] = []
    cursor, turn = "0", 0
    while len(told) < until:
        turn += 1
        server = (other, service.server)[turn % 5 == 0]
        async with service.http.ws_connect(address(server, service.listener_id, cursor)) as socket:
            for n in range(until // 8 + 1):
                event = await socket.receive_json(timeout=PATIENCE)
                if n > 5:
                    late.append((datetime.now(UTC) - datetime.fromisoformat(event["timestamp"])).total_seconds())
                cursor = event["cursor"]
                told.append((event["callId"], event["seq"]))
                if len(told) == until:
                    break
    return told, late


async def test_a_call_of_one_process_is_watched_through_the_other(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a batch: those take 3 s here, so that no machine is as slow."""
    monkeypatch.setattr(recorder, "BATCH_SECONDS", 3.0)
    async with (
        serving(tmp_path / "a", database_url=url, credentials_key="c") as service,
        another(tmp_path / "b", url) as other,
    ):
        await service.ring("c-1")
        [call] = service.switchboard.calls
        watching = asyncio.create_task(watch_again_and_again(service, other, 160))
        async with asyncio.timeout(PATIENCE):
            while not service.server.app[FEEDS].elsewhere.is_watched(service.listener_id):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for n in range(159):
            call.note("user", n)
            await asyncio.sleep(0.005)
        told, late = await asyncio.wait_for(watching, PATIENCE)
        assert told == [(call.id, seq) for seq in range(160)]
        assert sorted(late)[len(late) // 4] < 0.5  # the others may wait for a busy machine; tests.delays has them all
        await service.hang_up("c-1")
        await service.quiet()


async def test_what_an_agent_is_about_to_say_is_told_elsewhere_too(url: str, tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "a", database_url=url, credentials_key="c") as service,
        another(tmp_path / "b", url) as other,
        service.http.ws_connect(address(other, service.listener_id, "0")) as socket,
    ):
        await service.ring("c-1")
        [call] = service.switchboard.calls
        app = service.server.app
        assert app is not None
        async with asyncio.timeout(PATIENCE):
            while not app[FEEDS].elsewhere.is_watched(service.listener_id):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert "call" in await socket.receive_json(timeout=PATIENCE)
        call.on_saying("é" * MOST_BYTES)  # more than a message may hold: it is not told, and holds up nothing
        call.on_saying("Schönen guten Tag.")
        event = await socket.receive_json(timeout=PATIENCE)
        assert (event["agent"], event["isFinal"], event["callId"]) == ("Schönen guten Tag.", False, call.id)
        assert event.keys().isdisjoint({"seq", "cursor"})
        call.note("agent", "Schönen guten Tag.")
        event = await socket.receive_json(timeout=PATIENCE)
        assert (event["isFinal"], event["seq"]) == (True, 1)
        await service.hang_up("c-1")
        await service.quiet()


async def test_a_recording_is_commanded_through_any_process(url: str, tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "a", database_url=url, credentials_key="c", agent=RECORDED) as service,
        another(tmp_path / "b", url) as other,
    ):
        stranger = await service.store.accounts.create_organisation("other")
        await service.store.accounts.add_key(stranger, "other", "a-key-of-somebody-else")
        app = service.server.app
        assert app is not None

        async def command(method: str, what: str = "", key: str = KEY) -> tuple[int, Any]:
            address = other.make_url(f"/api/calls/{call.id}/recording{what}")
            headers = {"Authorization": f"Bearer {key}"}
            async with service.http.request(method, address, headers=headers) as answer:
                return answer.status, await answer.json() if answer.content_length else None

        async with asyncio.TaskGroup() as group:
            calling = group.create_task(service.call(AwaitAgentSpeech(), Wait(10), HangUp()))
            async with asyncio.timeout(PATIENCE):
                while not service.switchboard.calls or service.switchboard.calls[0].recording is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            [call] = service.switchboard.calls
            await app[SWITCHBOARD]._around.recorder.settled()
            for key in ("pause", "resume"):
                assert (await command("POST", f"/{key}", "a-key-of-somebody-else"))[0] == 404
            assert call.recording is not None
            state = {"recordingId": call.recording.label.id}
            assert await command("POST", "/pause") == (200, {**state, "paused": True})
            assert call.recording.paused
            assert await command("POST", "/resume") == (200, {**state, "paused": False})
            assert not call.recording.paused
            app[FEEDS].elsewhere.asking._answering.clear()
            status, said = await command("POST", "/pause")
            assert (status, said["code"]) == (503, "UNAVAILABLE")
            app[FEEDS].elsewhere.asking.answer("recording", app[RECORDINGS].on_asked)
            assert await command("DELETE") == (204, None)
            status, said = await command("POST", "/pause")
            assert (status, said["code"]) == (404, "NOT_FOUND")
            call.end("shutdown")
            await calling


async def test_a_call_at_ultravox_is_served_by_any_process(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ultravox reaches whichever it reaches: for a function, and with its webhook."""
    for name in ("JOIN_SECONDS", "POLL_SECONDS"):
        monkeypatch.setattr(remote, name, 3600.0)
    monkeypatch.setattr(remote, "REASON_SECONDS", 0.02)
    async with serve_ultravox() as ultravox:
        vendor: dict[str, Any] = {
            "ultravox_api_key": ULTRAVOX_KEY,
            "ultravox_base_url": ultravox.base_url,
            "ultravox_webhook_secret": "of the webhook",
        }
        async with (
            serving(tmp_path / "a", database_url=url, credentials_key="c", **vendor) as service,
            another(tmp_path / "b", url, **vendor) as other,
        ):
            call_id, browser = await joined(service, ultravox, FOR_ANN)
            app = service.server.app
            assert app is not None
            await app[SWITCHBOARD]._around.recorder.settled()
            [tool] = [
                one["temporaryTool"]["http"]["baseUrlPattern"]
                for one in ultravox.requests[0]["selectedTools"]
                if one["temporaryTool"]["modelToolName"] == "stock"
            ]
            there = tool.replace(service.url, str(other.make_url("")).rstrip("/"))
            assert there != tool
            async with service.http.post(there, json={"n": 2}) as answer:
                assert (answer.status, await answer.text()) == (200, "2 of them, Ann")
            async with service.http.post(there.replace(tool.split("/")[-2], "x" * 32), json={"n": 2}) as answer:
                assert answer.status == 404
            browser.leaves()
            address = str(other.make_url("/api/hooks/ultravox"))
            assert await ultravox.send_webhook(address, browser.call_id, "of the webhook") == 204
            assert (await until_over(service, call_id))["endReason"] == "caller"
        assert ultravox.mistakes == []


async def test_a_connection_for_messages_that_is_lost_is_replaced(url: str, tmp_path: Path) -> None:
    a, b = [await Store.open(url, data_dir=tmp_path, credentials_key="c", node=node) for node in "ab"]
    heard: list[Any] = []
    gaps: list[None] = []
    ears = Ears(
        heard.append, lambda one: heard.append(f"watched {one}"), lambda: gaps.append(None), lambda: ["l"], heard.append
    )
    quiet = Ears(lambda _: None, lambda _: None, lambda: None, lambda: ["m"], lambda _: None)
    assert a.wakeups is not None
    assert b.wakeups is not None
    tasks = [asyncio.create_task(a.wakeups.run(ears)), asyncio.create_task(b.wakeups.run(quiet))]
    try:
        async with asyncio.timeout(PATIENCE):
            while not gaps:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            b.wakeups.announce()
            while "watched m" not in heard:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            async with as_superuser() as connection:
                cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
                await connection.execute(sa.text(cut), {"name": parse_url(url).database})
            while len(gaps) < 3:  # noqa: ASYNC110 - when it was lost, and when there was another
                await asyncio.sleep(0.01)
            heard.clear()
            while "watched m" not in heard:
                b.wakeups.announce()
                await asyncio.sleep(0.01)
        assert set(heard) == {"watched m"}, "nobody is told what he said himself"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(a.close(), b.close())
