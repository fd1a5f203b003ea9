from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from gateway.cli import client as module
from gateway.cli.client import Client, ServiceRefused, client, utterances
from gateway.cli.comparison import Utterance
from tests.steady import PATIENCE

Serve = Callable[[web.Application], Any]


@pytest.fixture
async def api() -> AsyncIterator[tuple[web.Application, Callable[[], Any]]]:
    """An application to add routes to, and a way to begin talking to it."""
    app = web.Application()
    server = TestServer(app)

    async def begin(path: str = "/") -> Any:
        await server.start_server()
        return client(server.make_url(path), "k3y")

    yield app, begin
    await server.close()


async def test_requests_carry_the_key(api: Any) -> None:
    app, begin = api

    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"key": request.headers["Authorization"], "body": await request.json()})

    app.router.add_post("/x", echo)
    app.router.add_post("/below/x", echo)
    for path in ("/", "/below", "/below/"):
        async with await begin(path) as service:
            assert await service.post("/x", {"a": 1}) == {"key": "Bearer k3y", "body": {"a": 1}}


async def test_a_refusal_is_the_sentence_of_the_service(api: Any) -> None:
    app, begin = api

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": "There is no such thing", "code": "NOT_FOUND"}, status=404)

    async def fail(_: web.Request) -> web.Response:
        return web.Response(text="<html>", status=502)

    app.router.add_get("/x", refuse)
    app.router.add_get("/y", fail)
    async with await begin() as service:
        with pytest.raises(ServiceRefused, match=r"^GET /x was refused with 404: There is no such thing$"):
            await service.get("/x")
        with pytest.raises(ServiceRefused, match=r"^The service did not answer GET /y: "):
            await service.get("/y")
        with pytest.raises(ServiceRefused, match=r"^The progress socket cannot be opened: "):
            async with service.watching("/z", print):
                pass


async def test_nobody_there_is_a_sentence() -> None:
    async with client(URL("http://127.0.0.1:1"), "k") as service:
        with pytest.raises(ServiceRefused, match="Cannot connect"):
            await service.get("/x")


async def test_a_log_is_waited_for_until_the_call_is_over_in_it(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app, begin = api
    log: list[dict[str, Any]] = [{"type": "answer"}]

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(log)

    app.router.add_get("/api/calls/c/logs", answer)
    service: Client
    async with await begin() as service:
        reading = asyncio.create_task(service.log("c"))
        await asyncio.sleep(0.05)
        assert not reading.done()
        log.append({"type": "hangup"})
        assert await reading == log
        log.pop()
        monkeypatch.setattr(module, "LOG_SECONDS", 0.0)
        with pytest.raises(ServiceRefused, match="not complete after 0 s"):
            await service.log("c")


async def test_events_of_a_progress_socket(api: Any) -> None:
    app, begin = api

    async def progress(request: web.Request) -> web.WebSocketResponse:
        assert request.headers["Authorization"] == "Bearer k3y"
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"user": "Hello."})
        await socket.receive()
        return socket

    app.router.add_get("/progress/l", progress)
    events: list[Any] = []
    came = asyncio.Event()

    def on_event(event: dict[str, Any]) -> None:
        events.append(event)
        came.set()

    async with await begin() as service, service.watching("/progress/l", on_event):
        async with asyncio.timeout(PATIENCE):
            await came.wait()
    assert events == [{"user": "Hello."}]


def test_utterances_of_a_log() -> None:
    log: list[dict[str, Any]] = [
        {"type": "status", "data": {"interrupted": {}}},
        {"type": "agent", "data": "Good morning."},
        {"type": "user", "data": "Hello."},
        {"type": "agent", "data": "We are"},
        {"type": "status", "data": {"interrupted": {"generation": 2, "seconds": 1.0}}},
        {"type": "status", "data": {"latency": {}}},
        {"type": "agent", "data": "Goodbye."},
    ]
    assert utterances(log) == [
        Utterance("Good morning."),
        Utterance("We are", interrupted=True),
        Utterance("Goodbye."),
    ]
