from __future__ import annotations

import asyncio
import gc
import json
import socket
import struct
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from jambonz import leg as leg_module
from jambonz.leg import NO_SUBPROTOCOL, NO_WEBSOCKET, JambonzLeg, _header
from jambonz.listen import Refusal, Started
from tests.jambonz.listeners import Notes
from tests.steady import PATIENCE, SteadyLoop

START = json.dumps({"sampleRate": 8000, "mixType": "mono", "callSid": "c-1"})
FRAME = bytes(range(256)) + bytes(64)
OFFER = ("audio.jambonz.org",)


@dataclass
class Service:
    """A server with one route, and the legs that it has served."""

    server: TestServer
    legs: list[JambonzLeg] = field(default_factory=list)
    notes: list[Notes] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    errors: list[BaseException] = field(default_factory=list)
    make_notes: Callable[[], Notes] = Notes
    before: Callable[[JambonzLeg], None] | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        notes = self.make_notes()
        leg = JambonzLeg(notes)
        self.legs.append(leg)
        self.notes.append(notes)
        if self.before:
            self.before(leg)
        try:
            return await leg.run(request)
        except Exception as error:
            self.errors.append(error)
            raise
        finally:
            self.ended.set()

    async def end(self) -> tuple[int, str]:
        """How the latest leg ended; that it was told last and once, and that nothing of it is kept."""
        await asyncio.wait_for(self.ended.wait(), PATIENCE)
        self.ended.clear()
        notes, leg = self.notes[-1], self.legs[-1]
        assert notes.heard.count("closed") == 1
        assert notes.heard[-1] == "closed"
        assert (leg._transport, leg._ws, leg._deadline) == (None, None, None)
        unsent = leg.unsent
        leg.send_audio(FRAME)
        leg.disconnect()
        leg.close()
        assert leg.unsent == unsent + 1
        return notes.closed[0]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.001)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    app = web.Application()
    server = TestServer(app, host="127.0.0.1")
    service = Service(server)
    app.router.add_get("/listen", service.handle)
    await server.start_server()
    yield service
    await server.close()


@asynccontextmanager
async def dial(
    service: Service, *, protocols: Sequence[str] = OFFER, compress: int = 0
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    url = service.server.make_url("/listen")
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=protocols, compress=compress) as ws,
    ):
        yield ws


class Raw:
    """A client that can do what a well-behaved one would not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def connect(cls, service: Service, *, receive_buffer: int | None = None) -> AsyncIterator[Raw]:
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", service.server.port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
        writer.write(
            b"GET /listen HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: audio.jambonz.org\r\n\r\n"
        )
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 101 ")
            yield cls(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def frame(self, first: int, payload: bytes, *, length: int | None = None) -> None:
        """``first`` is the frame's first byte; the mask is zero."""
        size = len(payload) if length is None else length
        if size < 126:
            header = bytes((first, 0x80 | size))
        elif size < 65536:
            header = struct.pack("!BBH", first, 0xFE, size)
        else:
            header = struct.pack("!BBQ", first, 0xFF, size)
        self.writer.write(header + bytes(4) + payload)

    async def receive(self) -> tuple[int, bytes]:
        first, size = await self.reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        return first, await self.reader.readexactly(size)

    def reset(self) -> None:
        """Close with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


# Before the upgrade


@pytest.mark.parametrize("protocols", [(), ("chat",), ("ws.jambonz.org", "chat")])
async def test_without_a_subprotocol_of_ours_there_is_no_upgrade(service: Service, protocols: tuple[str, ...]) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        async with dial(service, protocols=protocols):
            pass
    assert refusal.value.status == 400
    assert service.notes[0].heard == []


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({}, NO_SUBPROTOCOL),
        ({"Sec-WebSocket-Protocol": "chat"}, NO_SUBPROTOCOL),
        ({"Sec-WebSocket-Protocol": "audio.jambonz.org"}, NO_WEBSOCKET),
        ({"Sec-WebSocket-Protocol": "audio.jambonz.org", "Upgrade": "websocket", "Connection": "Upgrade",
          "Sec-WebSocket-Version": "12", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}, NO_WEBSOCKET),
        ({"Sec-WebSocket-Protocol": "audio.jambonz.org", "Upgrade": "websocket", "Connection": "Upgrade",
          "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "short"}, NO_WEBSOCKET),
    ],
)  # fmt: skip
async def test_what_is_no_handshake_is_refused_in_words(
    service: Service, headers: dict[str, str], sentence: str
) -> None:
    async with aiohttp.ClientSession() as session:
        response = await session.get(service.server.make_url("/listen"), headers=headers)
        assert (response.status, await response.text()) == (400, sentence)
    assert service.notes[0].heard == []


@pytest.mark.parametrize(
    ("offer", "chosen"),
    [
        (("audio.jambonz.org",), "audio.jambonz.org"),
        (("audio.drachtio.org",), "audio.drachtio.org"),
        (("chat", "audio.drachtio.org"), "audio.drachtio.org"),
    ],
)
async def test_the_subprotocol_is_echoed(service: Service, offer: tuple[str, ...], chosen: str) -> None:
    async with dial(service, protocols=offer, compress=15) as ws:
        assert ws.protocol == chosen
        assert not ws.compress
    await service.end()


# In and out


async def test_a_conversation(service: Service) -> None:
    async with dial(service) as ws:
        await ws.send_str(START)
        await ws.send_bytes(FRAME[:7])
        await ws.send_bytes(FRAME[7:] + FRAME)
        await ws.send_str('{"event":"dtmf","dtmf":"5","duration":"960"}')
        await ws.send_str('{"type":"mark","data":{"name":"m-1","event":"playout"}}')
        await ws.send_str("nonsense")
        notes = service.notes[0]
        await service.until(lambda: bool(notes.marks))
        assert notes.heard == ["started", "audio", "audio", "dtmf", "mark"]
        assert notes.frames == [FRAME, FRAME]

        leg = service.legs[0]
        leg.send_audio(leg.prepare(FRAME[:-2] + b"\xff\xff"))
        leg.send_mark("m-2")
        leg.send_clear()
        leg.send_audio(bytes(100))
        leg.send_audio(3 * FRAME + bytes(60))
        assert await ws.receive_bytes() == FRAME[:-2] + b"\xfe\xff"
        assert await ws.receive_json() == {"type": "mark", "data": {"name": "m-2"}}
        assert await ws.receive_json() == {"type": "killAudio"}
        assert await ws.receive_bytes() == bytes(100)
        assert [await ws.receive_bytes() for _ in range(4)] == [FRAME, FRAME, FRAME, bytes(60)]
        await ws.close(code=1000, message=b"hung up")
    assert await service.end() == (1000, "hung up")
    assert leg.ignored == 1
    assert leg.unsent == 1
    assert leg.refusal is None


async def test_fragments_and_pings_in_between(service: Service) -> None:
    async with Raw.connect(service) as raw:
        raw.frame(0x01, START[:10].encode())
        raw.frame(0x89, b"are you there")
        raw.frame(0x80, START[10:].encode())
        raw.frame(0x02, FRAME[:1])
        raw.frame(0x8A, b"a pong that nobody asked for")
        raw.frame(0x00, FRAME[1:200])
        raw.frame(0x80, FRAME[200:])
        assert await raw.receive() == (0x8A, b"are you there")
        await service.until(lambda: bool(service.notes[0].frames))
        assert service.notes[0].frames == [FRAME]
        raw.frame(0x88, struct.pack("!H", 1001))
        assert await raw.receive() == (0x88, struct.pack("!H", 1000))
        assert await service.end() == (1001, "")


async def test_a_full_ring_fits_and_one_byte_more_does_not(service: Service) -> None:
    async with dial(service) as ws:
        await ws.send_str(START)
        await ws.send_bytes(bytes(80_000))
        await service.until(lambda: len(service.notes[0].frames) == 250)
        await ws.send_bytes(bytes(80_001))
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)
    code, reason = await service.end()
    assert code == 1009
    assert "80001" in reason


# Ends


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 4000])
async def test_the_peer_closes(service: Service, code: int) -> None:
    async with dial(service) as ws:
        await ws.send_str(START)
        await ws.close(code=code)
    assert (await service.end())[0] == code


async def test_the_peer_closes_without_a_code(service: Service) -> None:
    async with Raw.connect(service) as raw:
        raw.frame(0x88, b"")
        assert await service.end() == (1005, "")


@pytest.mark.parametrize("how", ["reset", "eof"])
async def test_the_connection_is_lost(service: Service, how: str) -> None:
    async with Raw.connect(service) as raw:
        raw.frame(0x81, START.encode())
        raw.frame(0x82, FRAME)
        await service.until(lambda: bool(service.notes) and bool(service.notes[0].frames))
        if how == "reset":
            raw.reset()
        else:
            raw.writer.close()
        assert await service.end() == (1006, "the connection was lost")


@pytest.mark.parametrize(
    ("first", "payload", "length", "code"),
    [
        (0x81, b"\xff\xfe", None, 1007),
        (0x83, b"", None, 1002),
        (0xC2, b"", None, 1002),
        (0x80, b"", None, 1002),
        (0x82, b"", 2**40, 1009),
        (0x88, struct.pack("!H", 1004), None, 1002),
    ],
    ids=["bad UTF-8", "unknown opcode", "reserved bit", "continuation of nothing", "a terabyte", "close 1004"],
)
async def test_broken_frames(service: Service, first: int, payload: bytes, length: int | None, code: int) -> None:
    async with Raw.connect(service) as raw:
        raw.frame(first, payload, length=length)
        opcode, answer = await raw.receive()
        assert (opcode, answer[:2]) == (0x88, struct.pack("!H", code))
        assert (await service.end())[0] == code


async def test_a_refusal_closes_with_its_code_and_sentence(service: Service) -> None:
    async with dial(service) as ws:
        await ws.send_str(START.replace("8000", "16000"))
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1003)
        assert message.extra == f"{Refusal.WRONG_RATE.sentence}: 16000, not 8000"
    assert await service.end() == (1003, message.extra)
    assert service.legs[0].refusal is Refusal.WRONG_RATE


async def test_we_close(service: Service) -> None:
    async with dial(service) as ws:
        await ws.send_str(START)
        await service.until(lambda: service.notes[0].started is not None)
        leg = service.legs[0]
        leg.close(1012, "another socket took this call over")
        leg.close(1000, "too late")
        leg.send_audio(FRAME)
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1012)
        assert message.extra == "another socket took this call over"
    assert await service.end() == (1012, "another socket took this call over")


async def test_a_long_reason_is_cut_between_characters(service: Service) -> None:
    async with dial(service) as ws:
        await service.until(lambda: bool(service.legs))
        service.legs[0].close(1000, "ä" * 100)
        message = await ws.receive()
        assert message.extra == "ä" * 61
    await service.end()


async def test_a_leg_closed_before_its_socket_came_closes_it(service: Service) -> None:
    service.before = lambda leg: leg.close(1001, "never mind")
    async with dial(service) as ws:
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
    assert await service.end() == (1001, "never mind")


async def test_a_peer_that_does_not_answer_our_close_is_left(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leg_module, "CLOSE_SECONDS", 0.05)
    async with Raw.connect(service) as raw:
        await service.until(lambda: bool(service.legs))
        service.legs[0].close(1000, "bye")
        assert await raw.receive() == (0x88, struct.pack("!H", 1000) + b"bye")
        assert await service.end() == (1000, "bye")
        assert await raw.reader.read() == b""


async def test_disconnect_lets_jambonz_close(service: Service) -> None:
    async with dial(service) as ws:
        await ws.send_str(START)
        await service.until(lambda: service.notes[0].started is not None)
        service.legs[0].disconnect()
        service.legs[0].disconnect()
        service.legs[0].send_audio(FRAME)
        assert await ws.receive_json() == {"type": "disconnect"}
        await ws.send_bytes(FRAME)  # the caller goes on talking meanwhile
        await ws.close()
    assert await service.end() == (1000, "")
    assert service.notes[0].heard == ["started", "audio", "closed"]


async def test_disconnect_has_a_deadline(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leg_module, "DISCONNECT_SECONDS", 0.05)

    class Brief(Notes):
        def on_started(self, started: Started) -> None:
            super().on_started(started)
            service.legs[-1].disconnect()

    service.make_notes = Brief
    async with dial(service) as ws:
        await ws.send_str(START)
        assert await ws.receive_json() == {"type": "disconnect"}
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1000)
    assert await service.end() == (1000, "the listen verb did not end after a disconnect")
    assert service.legs[0].refusal is None


async def test_a_socket_that_never_introduces_its_call(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leg_module, "START_SECONDS", 0.05)
    async with dial(service) as ws:
        message = await ws.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 1008, Refusal.NO_START.sentence)
    assert await service.end() == (1008, Refusal.NO_START.sentence)
    assert service.legs[0].refusal is Refusal.NO_START


async def test_the_start_s_deadline_is_over_with_the_start(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leg_module, "START_SECONDS", 0.05)
    async with dial(service) as ws:
        await ws.send_str(START)
        await asyncio.sleep(0.1)
        service.legs[0].send_audio(FRAME)
        assert await ws.receive_bytes() == FRAME
    assert (await service.end())[0] == 1000


async def test_a_peer_that_reads_nothing_is_cut_off(service: Service) -> None:
    async with Raw.connect(service, receive_buffer=4096) as raw:
        raw.frame(0x81, START.encode())
        await service.until(lambda: service.notes[0].started is not None)
        leg = service.legs[0]
        sent = 0
        async with asyncio.timeout(PATIENCE):
            while not service.ended.is_set():
                for _ in range(100):
                    leg.send_audio(FRAME)
                    sent += 1
                await asyncio.sleep(0)
        assert await service.end() == (1008, Refusal.NOT_READING.sentence)
        assert leg.refusal is Refusal.NOT_READING
        assert sent * len(FRAME) < 16 * 1024 * 1024
        raw.reset()


async def test_closing_on_a_peer_that_reads_nothing_leaves_no_connection(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leg_module, "CLOSE_SECONDS", 0.05)
    async with Raw.connect(service, receive_buffer=4096) as raw:
        raw.frame(0x81, START.encode())
        await service.until(lambda: service.notes[0].started is not None)
        leg = service.legs[0]
        assert leg._transport is not None
        while leg._transport.get_write_buffer_size() < 100_000:
            leg.send_audio(FRAME)
        leg.close(1001, "enough")
        assert await service.end() == (1001, "enough")
        assert service.server.runner is not None
        connections = service.server.runner.server
        assert connections is not None
        await service.until(lambda: not connections.connections)


async def test_a_silent_peer_is_pinged_and_one_that_is_gone_is_noticed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leg_module, "HEARTBEAT_SECONDS", 0.1)
    async with Raw.connect(service) as raw:
        raw.frame(0x81, START.encode())
        for _ in range(2):
            assert await raw.receive() == (0x89, b"")
            raw.frame(0x8A, b"")
        assert service.notes[0].closed == []
        assert await raw.receive() == (0x89, b"")  # not answered
        assert await service.end() == (1006, Refusal.NO_PONG.sentence)
        assert service.legs[0].refusal is Refusal.NO_PONG


async def test_a_stall_of_ours_is_not_the_peer_s_silence(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leg_module, "HEARTBEAT_SECONDS", 0.1)
    async with Raw.connect(service) as raw:
        raw.frame(0x81, START.encode())
        assert await raw.receive() == (0x89, b"")
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteadyLoop)
        raw.frame(0x8A, b"")
        loop.hold_up(0.3)
        await asyncio.sleep(0.05)
        assert service.notes[0].closed == []
        assert (await service.end())[0] == 1006


async def test_an_error_of_a_listener_ends_its_leg_only(service: Service) -> None:
    class Broken(Notes):
        def on_audio(self, frame: bytes) -> None:
            raise TimeoutError("not the leg's own")

    service.make_notes = Broken
    async with dial(service) as ws:
        await ws.send_str(START)
        await ws.send_bytes(FRAME)
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)
    assert (await service.end())[0] == 1011
    assert str(service.errors[0]) == "not the leg's own"
    service.make_notes = Notes
    async with dial(service) as ws:
        await ws.send_str(START)
    assert (await service.end())[0] == 1000


async def test_the_service_stops(service: Service) -> None:
    tasks: list[asyncio.Task[Any]] = []

    def watched() -> Notes:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        return Notes()

    service.make_notes = watched
    async with dial(service) as ws:
        await ws.send_str(START)
        await service.until(lambda: service.notes[0].started is not None)
        tasks[0].cancel()
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
    assert await service.end() == (1001, "this service is stopping")


async def test_nothing_of_an_ended_leg_is_left(service: Service) -> None:
    tasks = asyncio.all_tasks()
    async with dial(service) as ws:
        await ws.send_str(START)
        await ws.send_bytes(FRAME)
    await service.end()
    leg = weakref.ref(service.legs.pop())
    service.notes.clear()
    await service.until(lambda: asyncio.all_tasks() <= tasks)
    gc.collect()
    assert leg() is None


def test_a_wrong_rate_is_logged_once() -> None:
    leg = JambonzLeg(Notes())
    with capture_logs() as logs:
        for _ in range(3):
            leg._drifting(0.5)
    assert leg.drifts == 3
    assert [(entry["log_level"], entry["announced"], entry["times"]) for entry in logs] == [("warning", 8000, 0.5)]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 320, 65535])
def test_headers_are_those_of_a_client_without_its_mask(length: int) -> None:
    header = _header(0x82, length)
    match header[1]:
        case 126:
            assert int.from_bytes(header[2:]) == length
            assert len(header) == 4
        case short:
            assert short == length
            assert len(header) == 2


async def test_many_at_once(service: Service) -> None:
    async def call() -> bytes:
        async with dial(service) as ws:
            await ws.send_str(START)
            await ws.send_bytes(FRAME * 5)
            await service.until(lambda: len(service.legs) == 20)
            for leg in service.legs:
                leg.send_audio(FRAME)
            return await ws.receive_bytes()

    calls: list[Awaitable[bytes]] = [call() for _ in range(20)]
    assert await asyncio.gather(*calls) == [FRAME] * 20
    await service.until(lambda: all(notes.closed for notes in service.notes))
    assert {notes.closed[0][0] for notes in service.notes} == {1000}
    assert len(asyncio.all_tasks()) < 20
