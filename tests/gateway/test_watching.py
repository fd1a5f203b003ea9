from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from gateway import progress, watching
from gateway.keys import DOORKEEPER, PROGRESS
from gateway.progress import Live
from store import DEFAULT_OWNER
from store.accounts import Identity
from store.rows import now
from tests.gateway.service import KEY, Service, serving
from tests.steady import PATIENCE


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(tmp_path) as service:
        yield service


def address(service: Service, **query: str) -> str:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return f"{service.url}/progress/{service.listener_id}?access_token={KEY}{more}"


async def receive(socket: aiohttp.ClientWebSocketResponse, hangups: int = 1) -> list[Any]:
    seen: list[Any] = []
    while sum("hangup" in one for one in seen) < hangups:
        seen.append(await socket.receive_json(timeout=PATIENCE))
    return [one for one in seen if one["isFinal"]]


async def test_what_was_missed_comes_first(service: Service) -> None:
    async with service.http.ws_connect(address(service)) as socket:
        await service.ring("c-1")
        first = await socket.receive_json(timeout=PATIENCE)
    await service.hang_up("c-1")
    await service.quiet()
    await service.ring("c-2")
    async with service.http.ws_connect(address(service, since=first["cursor"])) as socket:
        await service.hang_up("c-2")
        rest = await receive(socket, 2)
    calls = list(dict.fromkeys(one["callId"] for one in [first, *rest]))
    assert len(calls) == 2
    for call in calls:
        mine = [one for one in [first, *rest] if one["callId"] == call]
        assert [one["seq"] for one in mine] == list(range(len(mine)))
    # One call from its beginning, once all is stored.
    async with asyncio.timeout(PATIENCE):
        while len(log := await service.store.calls.events(DEFAULT_OWNER, calls[0]) or []) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    async with service.http.ws_connect(address(service, since="0", call=calls[0])) as socket:
        again = await receive(socket)
    mine = [one for one in [first, *rest] if one["callId"] == calls[0]]
    assert [one | {"cursor": ""} for one in again] == [one | {"cursor": ""} for one in mine]
    assert [(one["seq"], one["timestamp"]) for one in again] == [(one.seq, one.at.isoformat()) for one in log]


async def test_a_bad_cursor_is_refused(service: Service) -> None:
    async with service.http.get(address(service, since="yesterday")) as answer:
        assert answer.status == 400
        assert "since is no cursor" in json.loads(await answer.text())["error"]


@pytest.mark.parametrize(("name", "hint"), [("sinse", "did you mean since?"), ("q", "known here: call, functions, ")])
async def test_a_name_that_is_not_known_is_not_passed_over(service: Service, name: str, hint: str) -> None:
    async with service.http.get(address(service, **{name: "0"})) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"].startswith(f"{name} is not known; {hint}")


async def test_who_is_cut_off_is_told_why_and_how_to_go_on(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MAX_WAITING", 4)
    async with service.http.ws_connect(address(service)) as socket:
        async with asyncio.timeout(PATIENCE):
            while not service.server.app[PROGRESS]._watchers:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for n in range(6):
            service.server.app[PROGRESS].publish(service.listener_id, Live({"n": n}))
        message = await socket.receive(timeout=PATIENCE)
        while message.type is WSMsgType.TEXT:
            message = await socket.receive(timeout=PATIENCE)
    assert (message.data, message.extra) == (1013, watching.TOO_SLOW)


async def test_a_store_that_cannot_be_read(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any, **__: Any) -> Any:
        raise OSError("connection refused")

    monkeypatch.setattr(service.store.listener_events, "after", away)
    async with service.http.ws_connect(address(service, since="0")) as socket:
        message = await socket.receive(timeout=PATIENCE)
    assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 1013, watching.NO_STORE)


@pytest.mark.parametrize("by_ticket", [False, True])
async def test_who_was_let_in_by_a_key_goes_with_it(
    service: Service, monkeypatch: pytest.MonkeyPatch, by_ticket: bool
) -> None:
    monkeypatch.setattr(watching, "STANDS_SECONDS", 0.02)
    accounts = service.store.accounts
    key_id = await accounts.add_key(DEFAULT_OWNER, "theirs", "key-of-a-watcher")
    query = "access_token=key-of-a-watcher"
    if by_ticket:
        identity = await accounts.identify("key-of-a-watcher")
        assert identity is not None
        await accounts.add_ticket(identity, "ticket", 5)
        query = "ticket=ticket"
    async with service.http.ws_connect(f"{service.url}/progress/{service.listener_id}?{query}") as socket:
        await service.ring("c-1")
        assert "call" in await socket.receive_json(timeout=PATIENCE)
        await service.hang_up("c-1")
        await accounts.delete_key(DEFAULT_OWNER, key_id)
        async with asyncio.timeout(PATIENCE):
            while (message := await socket.receive()).type is WSMsgType.TEXT:
                pass
    assert (message.data, message.extra) == (1008, watching.NO_KEY)


async def test_what_lets_somebody_in_is_over_at_its_time_and_stands_while_nobody_can_tell(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    doorkeeper, at = service.server.app[DOORKEEPER], now()
    assert await doorkeeper.stands(Identity(DEFAULT_OWNER))
    assert await doorkeeper.stands(Identity(DEFAULT_OWNER, None, "user 1", at + timedelta(seconds=30)))
    assert not await doorkeeper.stands(Identity(DEFAULT_OWNER, None, "user 1", at))
    assert not await doorkeeper.stands(Identity(DEFAULT_OWNER, None, "no key"))

    async def away(_: Identity) -> bool:
        raise OSError("connection refused")

    monkeypatch.setattr(service.store.accounts, "stands", away)
    assert await doorkeeper.stands(Identity(DEFAULT_OWNER, None, "no key"))


async def test_while_the_database_is_away_nobody_is_let_in_and_told_so(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> Any:
        raise OSError("connection refused")

    monkeypatch.setattr(service.store.listeners, "get", away)
    async with service.http.get(address(service)) as answer:
        assert (answer.status, (await answer.json())["code"]) == (503, "UNAVAILABLE")
    monkeypatch.setattr(service.store.accounts, "identify", away)
    async with service.http.get(address(service)) as answer:
        assert answer.status == 503


async def test_who_watches_a_service_that_stops_is_told_so_at_once(service: Service) -> None:
    async with service.http.ws_connect(address(service)) as socket:
        stopping = asyncio.create_task(service.server.app.shutdown())
        message = await socket.receive(timeout=PATIENCE)
        await stopping
    assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 1001, watching.STOPPED)


async def test_nothing_is_left_of_who_never_reads(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection neither, which TCP would keep for as long as it likes."""
    monkeypatch.setattr(watching, "SEND_SECONDS", 0.1)
    upgrade = (
        "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: " + "A" * 22 + "=="
    )
    path, progress = address(service).removeprefix(service.url), service.server.app[PROGRESS]
    async with service.asked_by_who_never_reads(f"GET {path} HTTP/1.1\nHost: x\n{upgrade}"):
        async with asyncio.timeout(PATIENCE):
            while not progress._watchers:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for _ in range(100):
            progress.publish(service.listener_id, Live({"user": "x" * 100_000}))
        await service.no_connections()
