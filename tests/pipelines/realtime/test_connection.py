"""The driver of a session, against sockets that do everything a vendor's may do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from media.audio import PCM_8K
from pipelines.parts import ProviderError, ToolCall
from pipelines.realtime import connection as module
from pipelines.realtime.connection import RealtimeConnection
from pipelines.realtime.model import (
    Address,
    AudioCame,
    Capabilities,
    ItemHeard,
    NotUnderstood,
    Outgoing,
    RealtimeEvent,
    RealtimeProtocol,
    SessionOver,
    SessionReady,
    Setup,
    ToolOutput,
    Used,
)
from tests.steady import PATIENCE


class Plain:
    """A protocol that is understood at a glance: binary is sound, ``ready`` is the session, ``ask`` wants a reply."""

    def opened(self) -> Sequence[Outgoing]:
        return ["hello"]

    def audio(self, pcm: bytes) -> Outgoing:
        return pcm

    def receive(self, message: str | bytes) -> tuple[Sequence[RealtimeEvent], Sequence[Outgoing]]:
        match message:
            case bytes():
                return [AudioCame("r", "i", message)], []
            case "ready":
                return [SessionReady(60.0)], []
            case "ask":
                return [], ["reply"]
            case "used":
                return [Used({"seconds": 3.0})], []
            case "over":
                return [SessionOver("it was closed")], []
            case _:
                return [NotUnderstood(message[:20])], []

    def say(self, text: str) -> Sequence[Outgoing]:
        return [text]

    tell = say

    def note(self, text: str) -> Sequence[Outgoing]:
        return []

    def update(self, setup: Setup) -> Sequence[Outgoing]:
        return []

    def answer(self) -> Sequence[Outgoing]:
        return []

    def interrupt(self) -> Sequence[Outgoing]:
        return []

    def heard(self, items: Sequence[ItemHeard]) -> Sequence[Outgoing]:
        return [json.dumps([item.milliseconds for item in items])]

    def results(self, outputs: Sequence[ToolOutput]) -> Sequence[Outgoing]:
        return []

    def placeholder(self, call: ToolCall) -> Sequence[Outgoing]:
        return []

    def closing(self) -> Sequence[Outgoing]:
        return ["bye"]


@dataclass
class Model:
    url: str
    name: str = "plain"
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(PCM_8K, PCM_8K))

    async def dial(self, setup: Setup) -> Address:
        return Address(self.url, {"Authorization": "Bearer key"})

    def protocol(self, setup: Setup, handle: str | None = None) -> RealtimeProtocol:
        return Plain()

    async def hang_up(self, address: Address) -> SessionOver | None:
        return SessionOver("because")

    async def close(self) -> None: ...


@dataclass
class Notes:
    events: list[RealtimeEvent] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    breaks: bool = False

    def on_model_event(self, connection: RealtimeConnection, event: RealtimeEvent) -> None:
        self.events.append(event)
        self.changed.set()
        if self.breaks and isinstance(event, AudioCame):
            raise KeyError("a fault of ours")

    def on_model_lost(self, connection: RealtimeConnection, reason: str) -> None:
        self.lost.append(reason)
        self.changed.set()

    def on_fault(self, error: Exception) -> None:
        self.faults.append(error)
        self.changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


Serve = Callable[[web.WebSocketResponse], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve, *, ready: bool = True, autoping: bool = True) -> AsyncIterator[Model]:
    async def handler(request: web.Request) -> web.WebSocketResponse:
        assert request.headers["Authorization"] == "Bearer key"
        ws = web.WebSocketResponse(autoping=autoping)
        await ws.prepare(request)
        assert await ws.receive_str() == "hello"
        if ready:
            await ws.send_str("ready")
        await serve(ws)
        return ws

    async with _server(handler) as model:
        yield model


@asynccontextmanager
async def _server(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Model]:
    app = web.Application()
    app.router.add_get("/", handler)
    async with TestServer(app, host="127.0.0.1") as running:
        yield Model(str(running.make_url("/")).replace("http", "ws", 1))


async def dial(model: Model, notes: Notes) -> RealtimeConnection:
    return await RealtimeConnection.open(model, Setup("be brief"), notes, on_fault=notes.on_fault)


async def test_a_session_from_its_beginning_to_its_end() -> None:
    got: list[object] = []

    async def serve(ws: web.WebSocketResponse) -> None:
        await ws.send_str("ask")
        await ws.send_bytes(b"\x01\x02")
        got.extend([message.data async for message in ws])

    async with server(serve) as model:
        notes = Notes()
        connection = await dial(model, notes)
        assert connection.seconds == 60.0
        connection.send_audio(bytes(320))
        connection.send(connection.protocol.say("say this"))
        await notes.until(lambda: len(notes.events) == 2)
        assert await connection.close(model) == SessionOver("because")
        assert not connection.is_open
        connection.send_audio(bytes(320))  # does nothing any more
    assert notes.events == [SessionReady(60.0), AudioCame("r", "i", b"\x01\x02")]
    assert notes.lost == []
    assert sorted(map(str, got)) == sorted(map(str, [bytes(320), "say this", "reply", "bye"]))


@pytest.mark.parametrize("tells", [True, False])
async def test_what_was_used_is_told_to_the_last(tells: bool) -> None:
    """A vendor that says so is waited for. Nothing else is heard of it any more."""
    heard: list[object] = []

    async def serve(ws: web.WebSocketResponse) -> None:
        async for message in ws:
            heard.append(message.data)
            for said in ("hm", "used", *(["over"] if tells else [])):
                await ws.send_str(said)

    async with server(serve) as model:
        model.capabilities = Capabilities(PCM_8K, PCM_8K, tells_last_usage=tells)
        notes = Notes()
        connection = await dial(model, notes)
        await connection.close(model)
    assert heard == ["bye"]
    assert notes.lost == []
    assert notes.events == [SessionReady(60.0), Used({"seconds": 3.0})]


async def test_a_last_word_that_does_not_come_is_not_waited_for_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_WORD_SECONDS", 0.05)
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.05)
    over = asyncio.Event()

    async def serve(ws: web.WebSocketResponse) -> None:
        await over.wait()

    async with server(serve) as model:
        model.capabilities = Capabilities(PCM_8K, PCM_8K, tells_last_usage=True)
        connection = await dial(model, Notes())
        async with asyncio.timeout(PATIENCE):
            await connection.close(model)
        over.set()


async def test_a_socket_whose_end_nobody_waits_for_is_closed_all_the_same() -> None:
    """A call ends while an earlier session of it is being closed."""
    gone = asyncio.Event()

    async def serve(ws: web.WebSocketResponse) -> None:
        try:
            async for _ in ws:
                pass
        finally:
            gone.set()

    async with server(serve) as model:
        model.capabilities = Capabilities(PCM_8K, PCM_8K, tells_last_usage=True)
        connection = await dial(model, Notes())
        closing = asyncio.create_task(connection.close(model))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        async with asyncio.timeout(PATIENCE):
            await gone.wait()


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "auth"), (403, "auth"), (404, "bad_request"), (429, "rate_limit"), (503, "server")]
)
async def test_a_refused_upgrade_is_told_by_its_status(status: int, kind: str) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, text="no")

    async with _server(handler) as model:
        with pytest.raises(ProviderError, match=f"status {status}") as caught:
            await dial(model, Notes())
    assert caught.value.kind == kind


async def test_nobody_listens_there() -> None:
    with pytest.raises(ProviderError, match="no session") as caught:
        await dial(Model("ws://127.0.0.1:1/"), Notes())
    assert caught.value.kind == "connect"


async def test_a_session_that_never_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.2)

    async def serve(ws: web.WebSocketResponse) -> None:
        async for _ in ws:
            pass

    async with server(serve, ready=False) as model:
        with pytest.raises(ProviderError, match="no session within") as caught:
            await dial(model, Notes())
    assert caught.value.kind == "timeout"


async def test_a_socket_that_closes_before_the_session_begins() -> None:
    async def serve(ws: web.WebSocketResponse) -> None:
        await ws.close(code=4000, message=b"no such model")

    async with server(serve, ready=False) as model:
        with pytest.raises(ProviderError, match="4000 no such model") as caught:
            await dial(model, Notes())
    assert caught.value.kind == "connect"


@pytest.mark.parametrize("code", [1000, 1011, 4000])
async def test_a_session_that_is_closed_is_lost_once_and_says_why(code: int) -> None:
    async def serve(ws: web.WebSocketResponse) -> None:
        await ws.close(code=code, message=b"had enough")

    async with server(serve) as model:
        notes = Notes()
        connection = await dial(model, notes)
        await notes.until(lambda: notes.lost)
        await connection.close(model)
    assert notes.lost == [f"it closed the socket: {code} had enough"]


async def test_a_connection_that_breaks_is_lost() -> None:
    async def serve(ws: web.WebSocketResponse) -> None:
        assert ws._req is not None
        assert ws._req.transport is not None
        ws._req.transport.abort()

    async with server(serve) as model:
        notes = Notes()
        await dial(model, notes)
        await notes.until(lambda: notes.lost)
    assert notes.lost == ["the connection was lost"]


async def test_pings_are_answered_unless_the_connection_is_half_open() -> None:
    over = asyncio.Event()

    async def serve(ws: web.WebSocketResponse) -> None:
        assert (await ws.receive()).type is WSMsgType.PING
        await ws.pong()
        await over.wait()  # and reads nothing, not even pings

    async with server(serve, autoping=False) as model:
        connection = await dial(model, Notes())
        opened = connection.heard_at
        connection.ping()
        async with asyncio.timeout(PATIENCE):
            while connection.heard_at == opened:  # noqa: ASYNC110 - what a pong changes has no event
                await asyncio.sleep(0.01)
        answered = connection.heard_at
        connection.ping()
        await asyncio.sleep(0.1)
        assert connection.heard_at == answered
        assert connection.is_open
        await connection.close(model)
        connection.ping()  # does nothing any more
        over.set()


async def test_a_model_that_does_not_read_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_UNSENT", 64 * 1024)
    over = asyncio.Event()

    async def serve(ws: web.WebSocketResponse) -> None:
        await over.wait()

    async with server(serve) as model:
        notes = Notes()
        connection = await dial(model, notes)
        for _ in range(5000):
            connection.send_audio(bytes(4096))
        assert notes.lost == ["it does not read what it is sent"]
        over.set()


async def test_messages_in_fragments_large_ones_and_nonsense() -> None:
    async def serve(ws: web.WebSocketResponse) -> None:
        assert ws._writer is not None
        transport = ws._writer.transport
        transport.write(b"\x01\x03not")  # the beginning of a text
        transport.write(b"\x89\x00")  # a ping in between
        transport.write(b"\x80\x05sense")
        await ws.send_bytes(bytes(5_000_000))
        await ws.send_str("{" * 50)
        assert (await ws.receive()).type in (WSMsgType.CLOSE, WSMsgType.TEXT)

    async with server(serve) as model:
        notes = Notes()
        connection = await dial(model, notes)
        await notes.until(lambda: len(notes.events) == 4)
        await connection.close(model)
    assert notes.events[1:] == [
        NotUnderstood("notsense"),
        AudioCame("r", "i", bytes(5_000_000)),
        NotUnderstood("{" * 20),
    ]


async def test_a_fault_of_ours_is_told_and_the_socket_stands() -> None:
    async def serve(ws: web.WebSocketResponse) -> None:
        await ws.send_bytes(b"\x01\x02")
        async for _ in ws:
            pass

    async with server(serve) as model:
        notes = Notes(breaks=True)
        connection = await dial(model, notes)
        await notes.until(lambda: notes.faults)
        await connection.close(model)
    assert [type(fault) for fault in notes.faults] == [KeyError]
