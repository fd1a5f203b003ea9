"""The transport of real calls, against a small server on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from jambonz.signature import verify
from jambonz.simulator.caller import AwaitAgentSpeech, Caller, HangUp, Wait
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.network import AiohttpTransport
from jambonz.simulator.report import SocketClosed
from jambonz.simulator.transport import HookUnreachable, SocketRefused
from tests.jambonz.simulator.service import LISTEN, tone


class Application:
    """Answers the call hook with a listen verb, and plays a tone on its socket."""

    def __init__(self) -> None:
        self.hooks: list[tuple[str, dict[str, Any]]] = []
        self.texts: list[Any] = []
        self.audio = bytearray()
        self.upgrade: dict[str, str] = {}
        self.close_code: int | None = None
        self.over = asyncio.Event()
        self.app = web.Application()
        self.app.router.add_post("/{path:.*}", self.hook)
        self.app.router.add_get("/audio", self.listen)
        self.app.router.add_get("/reading-nothing", self.read_nothing)

    async def hook(self, request: web.Request) -> web.Response:
        body = await request.read()
        verify(request.headers["Jambonz-Signature"], body, ["wh_secret_a"], 1e9)
        self.hooks.append((request.path, json.loads(body)))
        if request.path == "/jambonz/call":
            verb = {**LISTEN, "url": "/audio", "wsAuth": {"username": "u", "password": "p"}}
            return web.json_response([verb])
        return web.Response(status=204)

    async def listen(self, request: web.Request) -> web.WebSocketResponse:
        self.upgrade = dict(request.headers)
        ws = web.WebSocketResponse(protocols=("audio.jambonz.org",))
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                self.texts.append(json.loads(message.data))
                await ws.send_bytes(tone(400))
            else:
                self.audio += message.data
        self.close_code = ws.close_code
        return ws

    async def read_nothing(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        transport = request.transport
        assert transport is not None
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        await self.over.wait()
        transport.abort()
        return ws


@pytest.fixture
async def served() -> AsyncIterator[tuple[Application, TestServer]]:
    application = Application()
    server = TestServer(application.app, host="127.0.0.1")
    async with server:
        yield application, server
        application.over.set()


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport() as transport:
        yield transport


class Nothing:
    """A handler that waits for the end."""

    def __init__(self) -> None:
        self.closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_text(self, text: str) -> None: ...

    def on_binary(self, data: bytes) -> None: ...

    def on_closed(self, code: int) -> None:
        self.closed.set_result(code)


@pytest.mark.realtime
async def test_a_call_over_real_sockets(served: tuple[Application, TestServer], transport: AiohttpTransport) -> None:
    """Real sockets know real time only: this call lasts a second."""
    application, server = served
    jambonz = SimulatedJambonz(
        base_url=str(server.make_url("/")),
        transport=transport,
        webhook_secret="wh_secret_a",
        wall_clock=lambda: 1e9,
    )
    caller = Caller([AwaitAgentSpeech(), Wait(0.6), HangUp()])
    report = await jambonz.place_call(to="+442079460000", from_="+447700900123", caller=caller)
    assert report.ended_by == "caller"
    assert sorted(path for path, _ in application.hooks) == ["/jambonz/call", *["/jambonz/status"] * 3, "/next"]
    assert {hook.status for hook in report.hooks} == {200, 204}
    [utterance] = report.ear.utterances()
    assert utterance.seconds > 0.3
    assert application.texts[0]["callSid"] == report.call_sid
    assert len(application.audio) > 0.5 * 16000
    assert application.upgrade["Host"] == "127.0.0.1", "without a port, as libwebsockets has it"
    assert application.upgrade["Authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
    assert application.upgrade["Sec-WebSocket-Protocol"] == "audio.jambonz.org"
    assert "Sec-WebSocket-Extensions" not in application.upgrade
    assert application.close_code == 1000
    assert [event.code for event in report.events if isinstance(event, SocketClosed)] == [1000]


async def test_what_cannot_be_reached(
    served: tuple[Application, TestServer], transport: AiohttpTransport, unused_tcp_port: int
) -> None:
    _, server = served
    with pytest.raises(HookUnreachable, match=str(unused_tcp_port)) as unreachable:
        await transport.post(f"http://127.0.0.1:{unused_tcp_port}/", b"", {})
    assert unreachable.value.code == "ECONNREFUSED"
    with pytest.raises(SocketRefused) as refused:
        await transport.connect(f"ws://127.0.0.1:{unused_tcp_port}/", subprotocol="s", headers={}, handler=Nothing())
    assert refused.value.status is None
    with pytest.raises(SocketRefused) as refused:
        await transport.connect(
            str(server.make_url("/nowhere")).replace("http", "ws"), subprotocol="s", headers={}, handler=Nothing()
        )
    assert refused.value.status == 405


async def test_a_socket_that_does_not_read_is_not_writable(
    served: tuple[Application, TestServer], transport: AiohttpTransport
) -> None:
    application, server = served
    handler = Nothing()
    url = str(server.make_url("/reading-nothing")).replace("http", "ws")
    socket = await transport.connect(url, subprotocol="s", headers={}, handler=handler)
    assert socket.writable
    for _ in range(400):
        socket.send_binary(bytes(64_000))
    assert not socket.writable
    socket.close()
    assert handler.closed.result() == 1000
    socket.send_text("lost")
    application.over.set()
