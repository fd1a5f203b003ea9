from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from gateway.outside import Outside, Refused
from pipelines.tools.addresses import Guard, parse_networks

ALLOWED = Guard(parse_networks("127.0.0.0/8"))


class Names(AbstractResolver):
    """Every name is at ``addresses``."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=0)
            for one in self.addresses
        ]

    async def close(self) -> None: ...


@asynccontextmanager
async def outside(guard: Guard, **options: Any) -> AsyncIterator[Outside]:
    one = Outside(guard, **options)
    try:
        yield one
    finally:
        await one.close()


@asynccontextmanager
async def receiver(answer: Any) -> AsyncIterator[tuple[TestServer, list[Any]]]:
    got: list[Any] = []

    async def hook(request: web.Request) -> web.StreamResponse:
        got.append(await request.json())
        return await answer(request)  # type: ignore[no-any-return]

    app = web.Application()
    app.router.add_post("/hook", hook)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    try:
        yield server, got
    finally:
        await server.close()


async def ok(_: web.Request) -> web.Response:
    return web.Response(status=201, text="x" * 100_000)


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "inside"])
async def test_what_only_we_can_reach_is_not_reached(host: str) -> None:
    async with receiver(ok) as (server, got), outside(Guard(), resolver=Names("127.0.0.1", "10.0.0.1")) as poster:
        with pytest.raises((Refused, OSError), match=r"public address|not a canonical"):
            await poster.post(f"http://{host}:{server.port}/hook", {}, seconds=2)
        assert got == []


async def test_it_is_reached_where_that_is_allowed() -> None:
    async with receiver(ok) as (server, got), outside(ALLOWED) as poster:
        assert await poster.post(str(server.make_url("/hook")), {"a": 1}, seconds=2) == 201
        assert got == [{"a": 1}]


async def test_no_redirect_is_followed() -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/hook"})

    async with receiver(elsewhere) as (server, got), outside(ALLOWED) as poster:
        assert await poster.post(str(server.make_url("/hook")), {}, seconds=2) == 307
        assert len(got) == 1


async def test_who_does_not_answer_in_time() -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with receiver(never) as (server, _), outside(ALLOWED) as poster:
        with pytest.raises(TimeoutError):
            await poster.post(str(server.make_url("/hook")), {}, seconds=0.1)


async def test_nobody_is_there() -> None:
    async with outside(ALLOWED) as poster:
        with pytest.raises(OSError, match="Cannot connect"):
            await poster.post("http://127.0.0.1:1/hook", {}, seconds=2)
