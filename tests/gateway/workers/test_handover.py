"""Connections that go from one server to another, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from gateway.cli.service import run
from gateway.workers.handover import MAX_HEAD_BYTES, CannotHandOver, Receiver, hand_over
from tests.steady import PATIENCE


class Server:
    """Echoes on WebSockets, or hands them over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.to: Path | None = None
        self.seen: list[web.Request] = []
        self.refused: list[str] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        if self.to is not None:
            try:
                return await hand_over(request, self.to)
            except CannotHandOver as why:
                self.refused.append(str(why))
                return web.Response(status=503)
        ws = web.WebSocketResponse(protocols=("p",))
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data + "!") if message.type is WSMsgType.TEXT else None
        return ws


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Server]:
    server = Server(path)
    app = web.Application()
    app.router.add_get("/{tail:.*}", server.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    server.url = f"http://{host}:{port}"
    assert runner.server is not None
    receiver = Receiver(path, runner.server)
    await receiver.start()
    try:
        yield server
    finally:
        await receiver.close()
        await runner.cleanup()


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[Server, Server]]:
    async with serving(tmp_path / "a") as a, serving(tmp_path / "b") as b:
        a.to = b.path
        yield a, b


async def open_files() -> int:
    return len(await asyncio.to_thread(os.listdir, "/proc/self/fd"))


async def test_the_other_server_has_the_socket_and_the_client_notices_nothing(servers: tuple[Server, Server]) -> None:
    a, b = servers
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{a.url}/x/y%2Fz?q=1", protocols=("p",), headers={"X-Told": "ü"}) as ws:
            for text in ("one", "two", "x" * 100_000):
                await ws.send_str(text)
                assert await ws.receive_str(timeout=PATIENCE) == f"{text}!"
            assert ws.protocol == "p"
        [told_a], [told_b] = a.seen, b.seen
        assert told_a.raw_path == told_b.raw_path == "/x/y%2Fz?q=1"
        assert told_a.raw_headers == told_b.raw_headers
        assert told_a.remote == told_b.remote
        assert told_a.transport is None or told_a.transport.is_closing()


def test_so_it_is_on_the_loop_of_the_service(tmp_path: Path) -> None:
    """Its transports are of other classes."""

    async def main() -> None:
        async with serving(tmp_path / "a") as a, serving(tmp_path / "b") as b, aiohttp.ClientSession() as http:
            a.to = b.path
            async with http.ws_connect(a.url) as ws:
                for text in ("one", "two"):
                    await ws.send_str(text)
                    assert await ws.receive_str(timeout=PATIENCE) == f"{text}!"
            assert len(b.seen) == 1

    run(main())


async def test_many_at_once_and_nothing_is_left_open(servers: tuple[Server, Server]) -> None:
    a, b = servers

    async def talk(http: aiohttp.ClientSession, number: int) -> None:
        async with http.ws_connect(a.url) as ws:
            await ws.send_str(f"{number}")
            assert await ws.receive_str(timeout=PATIENCE) == f"{number}!"

    async with aiohttp.ClientSession() as http:
        await talk(http, 0)
    before = await open_files()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await asyncio.gather(*(talk(http, number) for number in range(40)))
    async with asyncio.timeout(PATIENCE):
        while await open_files() > before:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert len(b.seen) == 41


async def test_what_a_client_sends_without_waiting_is_not_lost(servers: tuple[Server, Server]) -> None:
    """No WebSocket client may; but its frames would be torn if what it sent were."""
    a, b = servers
    host, port = a.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    mask = b"\x00\x00\x00\x00"
    writer.write(head.encode() + b"\x81\x85" + mask + b"early")
    async with asyncio.timeout(PATIENCE):
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert await reader.readexactly(8) == b"\x81\x06early!"
    assert len(b.seen) == 1
    writer.close()
    await writer.wait_closed()


async def test_a_connection_that_cannot_be_handed_over_is_still_answered(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    a, b = servers
    async with aiohttp.ClientSession() as http:
        a.to = tmp_path / "nobody"
        for _ in range(2):
            async with http.get(a.url) as answer:
                assert answer.status == 503
        a.to = b.path
        large = {f"X-{number}": "x" * 8000 for number in range(MAX_HEAD_BYTES // 8000 + 1)}
        async with http.get(a.url, headers=large) as answer:
            assert answer.status == 503
        async with http.ws_connect(a.url) as ws:
            await ws.send_str("still")
            assert await ws.receive_str(timeout=PATIENCE) == "still!"
    assert "does not take it" in a.refused[0]
    assert a.refused[2].startswith("The request has ")
    assert len(b.seen) == 1


async def test_a_client_that_is_gone_meanwhile_costs_nothing(servers: tuple[Server, Server]) -> None:
    a, _ = servers
    async with aiohttp.ClientSession() as http, http.ws_connect(a.url) as ws:
        _, writer = await asyncio.open_connection(*a.url.removeprefix("http://").split(":"))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()
        await ws.send_str("still")
        assert await ws.receive_str(timeout=PATIENCE) == "still!"
