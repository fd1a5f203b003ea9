"""Bad input, kind by kind: each is refused or tolerated as it should be, and the service answers the next call.

Every row passes real time, about half a second: it goes over real sockets, and is followed by a real call over real
sockets, which know no other time. One service takes all rows, one after the other, so that what one of them breaks, the
calls of the next ones miss.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
import socket
import struct
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import WSMsgType, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway import bodies
from gateway.api import operations
from jambonz import leg
from jambonz.hooks import MAX_HOOK_BYTES
from jambonz.signature import sign
from tests.gateway.service import KEY, NUMBER, SECRET, Service, call_hook, serving
from tests.steady import PATIENCE

pytestmark = [pytest.mark.realtime, pytest.mark.asyncio(loop_scope="module")]

FRAME = bytes(320)
OFFER = ("audio.jambonz.org",)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with serving(tmp_path_factory.mktemp("service")) as service:
        yield service
        await service.quiet()


@pytest_asyncio.fixture(loop_scope="module")
async def service(running: Service, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Service]:
    """After each row: the next call is answered, no call is left, and no handler has failed."""
    yield running
    await running.answers()
    await running.quiet()
    assert not [
        record for record in caplog.get_records("call") if record.levelno >= logging.ERROR and not _of_http(record)
    ]


def _of_http(record: logging.LogRecord) -> bool:
    """Whether this is aiohttp telling of bytes that are no HTTP, which it does as an error."""
    return record.exc_info is not None and isinstance(record.exc_info[1], HttpProcessingError | web.RequestPayloadError)


# Webhooks

LISTEN = r'200 \[{"verb": "listen", "url": "ws://127\.0\.0\.1:\d+/jambonz/listen/.*}, {"verb": "hangup"}\]'


def declined(status: int) -> str:
    return rf'200 \[{{"verb": "sip:decline", "status": {status}, '


@dataclass(frozen=True)
class Hook:
    """``answer`` is a pattern of the status and the body. ``body`` is sent, signed as the rest says."""

    answer: str
    body: Any = field(default_factory=call_hook)
    path: str = "/jambonz/call"
    signature: str | None = ""
    """``{t}`` and ``{v1}`` stand for a genuine one's; empty is a genuine one, None is none."""
    age: float = 0
    secret: str = SECRET
    headers: Mapping[str, str] = field(default_factory=dict)

    async def post(self, service: Service) -> tuple[int, str]:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        genuine = sign(body, self.secret, time.time() - self.age)
        t, _, v1 = genuine.removeprefix("t=").partition(",v1=")
        given = None if self.signature is None else (self.signature or genuine).format(t=t, v1=v1)
        return await service.post(self.path, body, signature=given, headers=self.headers)


FORGED = "403 .*was not made for this body"
MALFORMED = "403 .*does not read t=<unix seconds>,v1=<hex>"
TWO_VALUES = "t={t},v1=" + "0" * 64 + ",v1={v1}"


@pytest.mark.parametrize(
    "hook",
    [
        pytest.param(Hook(LISTEN), id="a genuine hook"),
        pytest.param(Hook("403 .*has no Jambonz-Signature header", signature=None), id="unsigned"),
        pytest.param(Hook(MALFORMED, signature="sha256=00"), id="another kind of signature"),
        pytest.param(Hook(MALFORMED, signature="t={t},v0={v1}"), id="an older scheme"),
        pytest.param(Hook(MALFORMED, signature="t={t},t={t},v1={v1}"), id="two times"),
        pytest.param(Hook(MALFORMED, signature="t=now,v1={v1}"), id="a time that is none"),
        pytest.param(Hook(MALFORMED, signature="t={t},v1={v1}" + "," * 2000), id="a signature of 2 kB"),
        pytest.param(Hook(FORGED, signature="t={t},v1={v1}0"), id="a digit too many"),
        pytest.param(Hook(FORGED, signature="t=1{t},v1={v1}"), id="another time"),
        pytest.param(Hook(FORGED, secret="wh_secret_of_somebody_else"), id="another secret"),
        pytest.param(Hook("403 .*more than 300 seconds old", age=302), id="stale"),
        pytest.param(Hook(LISTEN, age=298), id="old, but not stale"),
        pytest.param(Hook("403 .*more than 60 seconds in the future", age=-62), id="from the future"),
        pytest.param(Hook(LISTEN, age=-58), id="from a clock that is ahead"),
        pytest.param(Hook(LISTEN, signature=TWO_VALUES), id="two values, of which one is right"),
        pytest.param(Hook("413 .*at most 262144 bytes", b"x" * (MAX_HOOK_BYTES + 1)), id="a body over the limit"),
        pytest.param(Hook(LISTEN, call_hook(sip={"body": "x" * 200_000})), id="a body just under the limit"),
        pytest.param(Hook("400 .*The body is not JSON", b"call_sid=1&to=2"), id="no JSON"),
        pytest.param(Hook("400 .*The body is not JSON", b"\xff\xfe\x00"), id="no text"),
        pytest.param(Hook("400 .*The body is not JSON", b""), id="nothing"),
        pytest.param(Hook("400 .*The body is not JSON", b"[" * 100_000), id="a very deep array"),
        pytest.param(Hook("400 .*not an object", [call_hook()]), id="an array"),
        pytest.param(Hook("400 .*lacks call_sid", call_hook(call_sid=None)), id="no call_sid"),
        pytest.param(Hook("400 .*call_sid is wrong", call_hook(call_sid="")), id="an empty call_sid"),
        pytest.param(Hook("400 .*call_sid is wrong", call_hook(call_sid="x" * 129)), id="a call_sid without end"),
        pytest.param(Hook("400 .*sip is wrong", call_hook(sip="INVITE")), id="a field of another type"),
        pytest.param(Hook(LISTEN, call_hook(new_field={"a": [1]}, customerData=None)), id="fields that nobody knows"),
        pytest.param(Hook(declined(404), call_hook(to=None)), id="no called number"),
        pytest.param(Hook(declined(404), call_hook(to="")), id="an empty called number"),
        pytest.param(Hook(declined(404), call_hook(to="+440000000")), id="a number that nobody listens on"),
        pytest.param(Hook(declined(404), call_hook(to="'; DROP TABLE calls; --")), id="a number that is code"),
        pytest.param(Hook(declined(404), call_hook(to="44\u0000123")), id="a number with a NUL"),
        pytest.param(Hook(LISTEN, call_hook(to="+" + NUMBER)), id="a number with a plus"),
        pytest.param(Hook(LISTEN, call_hook(to=f"sip:+{NUMBER}@example.com;user=phone")), id="a number in a SIP URI"),
        pytest.param(Hook(LISTEN, {**call_hook(), "from": "anonymous"}), id="an anonymous caller"),
        pytest.param(Hook(LISTEN, {**call_hook(), "from": None}), id="no caller at all"),
        pytest.param(Hook("204 $", call_hook(), path="/jambonz/status"), id="a status of a call that nobody knows"),
        pytest.param(
            Hook("204 $", call_hook(call_status="on the moon", sip_status=999), path="/jambonz/status"),
            id="a status that nobody knows",
        ),
        pytest.param(Hook("403 ", call_hook(), path="/jambonz/status", signature=None), id="an unsigned status"),
        pytest.param(Hook("200 $", call_hook(), path="/jambonz/next/x"), id="what is next of a call that nobody knows"),
        pytest.param(Hook("403 ", call_hook(), path="/jambonz/next/x", signature=None), id="what is next, unsigned"),
        pytest.param(
            Hook("413 ", gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"}), id="a bomb of gzip"
        ),
        pytest.param(Hook("400 ", b"this is no gzip", headers={"Content-Encoding": "gzip"}), id="a gzip that is none"),
        pytest.param(Hook(LISTEN, headers={"Content-Type": "text/plain"}), id="JSON by another name"),
    ],
)
async def test_hooks(service: Service, hook: Hook) -> None:
    status, body = await hook.post(service)
    assert re.match(hook.answer, f"{status} {body}", re.DOTALL), (status, body[:500])
    if status >= 400:
        told = json.loads(body)
        assert set(told) == {"error", "code", "details"}
        assert len(service.switchboard.calls) == 0
    for call in service.switchboard.calls:
        await service.hang_up(call.call_sid)


async def test_a_body_that_was_changed_under_its_signature(service: Service) -> None:
    body = json.dumps(call_hook()).encode()
    signature = sign(body, SECRET, time.time())
    for at in (0, len(body) // 2, len(body) - 1):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        assert (await service.post("/jambonz/call", changed, signature=signature))[0] == 403


@pytest.mark.parametrize("path", ["/jambonz/call", "/jambonz/status", "/jambonz/next/x", "/jambonz/redirect/x"])
async def test_hooks_are_posted(service: Service, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        async with service.http.request(method, service.url + path) as answer:
            assert answer.status == 405
            assert answer.headers["Allow"] == "POST"


async def test_a_hook_that_comes_twice(service: Service) -> None:
    hook = call_hook()
    answers = [await service.post("/jambonz/call", hook) for _ in range(2)]
    answers += await asyncio.gather(*(service.post("/jambonz/call", hook) for _ in range(10)))
    assert len(set(answers)) == 1, "the same verbs, with the same token"
    assert len(service.switchboard.calls) == 1
    await service.hang_up(hook["call_sid"])


async def test_hooks_in_the_wrong_order(service: Service) -> None:
    """The end, what is next, and the beginning; then it is played again."""
    hook = call_hook()
    for path, status in (("/jambonz/status", 204), ("/jambonz/next/x", 200), ("/jambonz/redirect/x", 404)):
        assert (await service.post(path, {**hook, "call_status": "completed"}))[0] == status
    assert "listen" in (await service.post("/jambonz/call", hook))[1]
    await service.hang_up(hook["call_sid"])
    await service.hang_up(hook["call_sid"])
    await service.quiet()
    assert re.match(declined(480), "200 " + (await service.post("/jambonz/call", hook))[1]), "it is over"
    assert service.switchboard.calls == ()


async def test_more_calls_than_there_are_places(service: Service) -> None:
    hooks = [call_hook() for _ in range(12)]
    answers = await asyncio.gather(*(service.post("/jambonz/call", hook) for hook in hooks))
    assert sum("listen" in body for _, body in answers) == 8
    assert sum(re.match(declined(486), f"{status} {body}") is not None for status, body in answers) == 4
    for call in service.switchboard.calls:
        await service.hang_up(call.call_sid)
    await service.quiet()


# Listen sockets: the handshake


async def shake_hands(service: Service, url: str, *protocols: str) -> tuple[int, str]:
    """The status of the handshake, and the subprotocol that was chosen."""
    try:
        async with service.http.ws_connect(url, protocols=protocols) as ws:
            return 101, str(ws.protocol)
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status, ""


@pytest.mark.parametrize(
    ("protocols", "expected"),
    [
        pytest.param((), (400, ""), id="no subprotocol"),
        pytest.param(("ws.jambonz.org",), (400, ""), id="another subprotocol"),
        pytest.param(("audio.drachtio.org",), (101, "audio.drachtio.org"), id="the old subprotocol"),
        pytest.param(("chat", "audio.jambonz.org"), (101, "audio.jambonz.org"), id="one that we know among others"),
    ],
)
async def test_subprotocols(service: Service, protocols: Sequence[str], expected: tuple[int, str]) -> None:
    call_sid = str(uuid.uuid4())
    url = await service.ring(call_sid)
    assert await shake_hands(service, url, *protocols) == expected
    if expected[0] != 101:
        assert await shake_hands(service, url, *OFFER) == (101, OFFER[0]), (
            "a refused handshake does not use the token up"
        )
    await service.quiet()


async def test_a_listen_socket_that_is_no_websocket(service: Service) -> None:
    call_sid = str(uuid.uuid4())
    url = await service.ring(call_sid)
    async with service.http.get(url.replace("ws", "http", 1)) as answer:
        assert answer.status == 400
        assert "offer one of the WebSocket subprotocols" in await answer.text()
    async with service.http.post(url.replace("ws", "http", 1)) as answer:
        assert answer.status == 405
    await service.hang_up(call_sid)


async def test_a_call_whose_handshake_was_refused_does_not_stay_for_ever(service: Service) -> None:
    call_sid = str(uuid.uuid4())
    url = await service.ring(call_sid)
    assert await shake_hands(service, url) == (400, "")
    await service.hang_up(call_sid)
    await service.quiet()


@pytest.mark.parametrize("token", ["x", "0" * 32, "%2e%2e%2fcall", "a" * 5000, "%00", "ü"])
async def test_a_token_that_was_made_up(service: Service, token: str) -> None:
    url = f"{service.url}/jambonz/listen/{token}"
    assert await shake_hands(service, url, *OFFER) == (404, "")


async def test_a_token_that_was_used(service: Service) -> None:
    call_sid = str(uuid.uuid4())
    url = await service.ring(call_sid)
    async with service.http.ws_connect(url, protocols=OFFER):
        assert await shake_hands(service, url, *OFFER) == (404, ""), "while the first is open"
    await service.quiet()
    assert await shake_hands(service, url, *OFFER) == (404, ""), "and after"


async def test_two_sockets_race_for_one_token(service: Service) -> None:
    url = await service.ring(str(uuid.uuid4()))
    results = await asyncio.gather(*(shake_hands(service, url, *OFFER) for _ in range(8)))
    assert sorted(status for status, _ in results) == [101, *[404] * 7]


async def test_a_token_after_its_call(service: Service) -> None:
    call_sid = str(uuid.uuid4())
    url = await service.ring(call_sid)
    await service.hang_up(call_sid)
    await service.quiet()
    assert await shake_hands(service, url, *OFFER) == (404, "")


# Listen sockets: what comes over them


def introduction(call_sid: str, **changes: Any) -> str:
    return json.dumps({"callSid": call_sid, "sampleRate": 8000, "mixType": "mono", **changes})


START = "the introduction"
Sent = str | bytes


@dataclass(frozen=True)
class Frames:
    """What is sent, and how the socket closes: its code and a pattern of its reason; or None if it has to stay open,
    so that the agent is heard on it."""

    sent: Sequence[Sent]
    closes: tuple[int, str] | None = None
    introduction: Mapping[str, Any] = field(default_factory=dict)


DTMF = '{"event":"dtmf","dtmf":"1","duration":"1600"}'
MARK = '{"type":"mark","data":{"name":"nobody","event":"playout"}}'


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(Frames([START, FRAME, FRAME]), id="as it should be"),
        pytest.param(Frames([FRAME, FRAME, START, FRAME]), id="audio before the introduction"),
        pytest.param(Frames([FRAME] * 51, (1008, "audio came for a second")), id="a second of audio before it"),
        pytest.param(Frames([START], (1003, "sampleRate"), {"sampleRate": 16000}), id="another rate"),
        pytest.param(Frames([START], (1003, "sampleRate"), {"sampleRate": "8000"}), id="a rate that is no number"),
        pytest.param(Frames([START], (1003, "mixType"), {"mixType": "stereo"}), id="stereo"),
        pytest.param(Frames([START], (1008, "for another call"), {"callSid": "another"}), id="another call's callSid"),
        pytest.param(Frames([START], (1008, "no callSid"), {"callSid": 7}), id="a callSid that is no text"),
        pytest.param(Frames([START], (1008, "no callSid"), {"callSid": ""}), id="an empty callSid"),
        pytest.param(Frames([START, START, FRAME]), id="two introductions"),
        pytest.param(Frames(["hello", "{", "", START, "[]", "null", "7"]), id="texts that are no JSON, or no object"),
        pytest.param(Frames([START, '{"type":"news"}', '{"event":"news"}', "{}"]), id="events that nobody knows"),
        pytest.param(Frames([START, "[" * 10_000, '{"a":' * 3000]), id="very deep JSON"),
        pytest.param(Frames([START, DTMF.replace("1", "x"), DTMF.replace('"1"', "null")]), id="keys that are none"),
        pytest.param(Frames([START, MARK, MARK, MARK.replace("playout", "x")]), id="marks that nobody set"),
        pytest.param(Frames([START, MARK.replace('"nobody"', "7")]), id="a mark without a name"),
        pytest.param(Frames([START, *[FRAME[:319], FRAME[:3]] * 20]), id="odd numbers of bytes"),
        pytest.param(Frames([START, *[b"\x01"] * 2000]), id="frames of one byte"),
        pytest.param(Frames([START, *[b""] * 200]), id="empty frames"),
        pytest.param(Frames([START, bytes(80_000)]), id="a frame of five seconds"),
        pytest.param(Frames([START, bytes(80_002)], (1009, "")), id="a longer frame"),
        pytest.param(Frames([START, bytes(10 * 1024 * 1024)], (1009, "")), id="a frame of 10 MB"),
        pytest.param(Frames([START, "x" * 20_000], (1009, "16384 characters")), id="a text of 20 kB"),
        pytest.param(Frames([START, *["x"] * 60], (1008, "mean nothing here")), id="nonsense without end"),
        pytest.param(Frames([START, *[MARK] * 101], (1008, "text frames came within a second")), id="a flood of texts"),
        pytest.param(Frames([START, *[DTMF] * 101], (1008, "text frames came within a second")), id="a flood of keys"),
    ],
)
async def test_sockets(service: Service, frames: Frames) -> None:
    call_sid = str(uuid.uuid4())
    url = await service.ring(call_sid)
    async with service.http.ws_connect(url, protocols=OFFER, max_msg_size=0) as ws:
        with suppress(ConnectionError):  # closed before all was sent
            for sent in frames.sent:
                if sent is START:
                    await ws.send_str(introduction(call_sid, **{"callSid": call_sid, **frames.introduction}))
                elif isinstance(sent, str):
                    await ws.send_str(sent)
                else:
                    await ws.send_bytes(sent)
        if frames.closes is None:
            await hears_the_agent(ws)
        else:
            code, reason = await closing(ws)
            assert code == frames.closes[0], reason
            assert re.search(frames.closes[1], reason)
    await service.quiet()


async def hears_the_agent(ws: aiohttp.ClientWebSocketResponse) -> None:
    """The greeting comes."""
    async with asyncio.timeout(PATIENCE):
        while True:
            message = await ws.receive()
            assert message.type in (WSMsgType.BINARY, WSMsgType.TEXT), (message.type, message.data, message.extra)
            if message.type is WSMsgType.BINARY and any(message.data):
                return


async def closing(ws: aiohttp.ClientWebSocketResponse) -> tuple[int, str]:
    """The service's close frame; what it says before does not matter."""
    async with asyncio.timeout(PATIENCE):
        while True:
            message = await ws.receive()
            match message.type:
                case WSMsgType.CLOSE:
                    return int(message.data), str(message.extra)
                case WSMsgType.CLOSING | WSMsgType.CLOSED:
                    return ws.close_code or 1006, ""
                case WSMsgType.ERROR:
                    return 1006, str(message.data)
                case _:
                    pass


async def test_audio_faster_than_anybody_speaks(service: Service) -> None:
    call_sid = str(uuid.uuid4())
    url = await service.ring(call_sid)
    async with service.http.ws_connect(url, protocols=OFFER) as ws:
        await ws.send_str(introduction(call_sid))
        for _ in range(5):
            await ws.send_bytes(bytes(80_000))
        await asyncio.sleep(1.05)  # it is judged each second
        with suppress(ConnectionError):
            await ws.send_bytes(FRAME)
        assert await closing(ws) == (1008, "audio came faster than anybody speaks")


async def test_a_socket_that_says_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leg, "START_SECONDS", 0.2)
    url = await service.ring(str(uuid.uuid4()))
    async with service.http.ws_connect(url, protocols=OFFER) as ws:
        assert await closing(ws) == (1008, "no text frame came with the call's attributes")


async def test_a_peer_that_is_half_dead(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leg, "HEARTBEAT_SECONDS", 0.1)
    call_sid = str(uuid.uuid4())
    url = await service.ring(call_sid)
    async with service.http.ws_connect(url, protocols=OFFER, autoping=False) as ws:
        await ws.send_str(introduction(call_sid))
        assert (await closing(ws))[0] == 1006
    monkeypatch.undo()
    await service.hang_up(call_sid)


# Below WebSockets


class Wire:
    """Bytes to the service, and from it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def says(self, pattern: bytes, seconds: float = PATIENCE) -> None:
        """Raises unless what comes matches, up to the end of the connection or until it does."""
        got = b""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                while not re.match(pattern, got, re.DOTALL) and (more := await self.reader.read(65536)):
                    got += more
        assert re.match(pattern, got, re.DOTALL), got

    def reset(self) -> None:
        """RST rather than FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.server.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: audio.jambonz.org\r\n\r\n"
)


def masked(first: int, payload: bytes) -> bytes:
    """A short frame of a client, with a mask of zeros; ``first`` is its first byte."""
    return bytes((first, 0x80 | len(payload))) + bytes(4) + payload


POST = b"POST /jambonz/call HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        pytest.param(
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"HTTP/1.0 400 ", id="TLS on a plain port"
        ),
        pytest.param(b"HELO there\r\n\r\n", b"HTTP/1.0 400 ", id="another protocol"),
        pytest.param(POST + b"Content-Length: -5\r\n\r\n", b"HTTP/1.0 400 ", id="a negative length"),
        pytest.param(
            POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.0 400 ",
            id="two lengths",
        ),
        pytest.param(POST + b"X: " + b"x" * 20_000 + b"\r\n\r\n", b"HTTP/1.0 400 ", id="a header of 20 kB"),
        pytest.param(CHUNKED + b"ZZ\r\nno chunk\r\n0\r\n\r\n", b"HTTP/1.[01] 400 ", id="chunks that are none"),
        pytest.param(CHUNKED + b"3\r\n{}}\r\n0\r\n\r\n", b"HTTP/1.1 403 ", id="chunks that are right"),
        pytest.param(POST + b"Expect: 200-ok\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 417 ", id="a strange wish"),
    ],
)
async def test_http(service: Service, sent: bytes, answer: bytes) -> None:
    async with wire(service) as client:
        client.writer.write(sent)
        await client.says(answer)


async def test_a_body_that_does_not_come(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.1)
    monkeypatch.setattr(operations, "BODY_SECONDS", 0.1)
    key = f"Authorization: Bearer {KEY}\r\n".encode()
    for path in (b"/jambonz/call", b"/api/agents", b"/api/hooks/ultravox/call/token/name"):
        async with wire(service) as client:
            client.writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: 100\r\n\r\n{" % (path, key))
            await client.says(b'HTTP/1.1 408 .*"code": "TIMEOUT"')


async def test_a_hook_whose_sender_goes_away(service: Service) -> None:
    async with wire(service) as client:
        client.writer.write(POST + b"Content-Length: 100\r\n\r\n{")
        await client.writer.drain()
        client.reset()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(masked(0x83, b"x"), 1002, id="a reserved opcode"),
        pytest.param(masked(0xF1, b"x"), 1002, id="reserved bits"),
        pytest.param(masked(0x09, b"x"), 1002, id="a ping in fragments"),
        pytest.param(masked(0x80, b"x"), 1002, id="a continuation of nothing"),
        pytest.param(masked(0x81, b"\xff\xfe"), 1007, id="a text that is no UTF-8"),
        pytest.param(masked(0x88, b"\x00"), 1002, id="a close code of one byte"),
        pytest.param(masked(0x88, b"\x00\x07"), 1002, id="a close code that there is not"),
    ],
)
async def test_frames(service: Service, frame: bytes, code: int) -> None:
    call_sid = str(uuid.uuid4())
    url = await service.ring(call_sid)
    async with wire(service) as client:
        client.writer.write(UPGRADE % url.removeprefix(service.url.replace("http", "ws")).encode())
        await client.says(b"HTTP/1.1 101 .*\r\n\r\n")
        start = introduction(call_sid).encode()
        client.writer.write(masked(0x81, start) + frame)
        await client.says(b".*\x88." + re.escape(struct.pack("!H", code)))


@pytest.mark.parametrize("how", ["RST", "FIN", "half a frame"])
async def test_a_connection_that_ends_in_the_middle(service: Service, how: str) -> None:
    call_sid = str(uuid.uuid4())
    url = await service.ring(call_sid)
    async with wire(service) as client:
        client.writer.write(UPGRADE % url.removeprefix(service.url.replace("http", "ws")).encode())
        await client.says(b"HTTP/1.1 101 .*\r\n\r\n")
        client.writer.write(masked(0x81, introduction(call_sid).encode()) + masked(0x82, b"12"))
        await client.says(b".*\x82")  # the agent speaks
        if how == "half a frame":
            client.writer.write(b"\x82\xff\x00\x00")
        if how == "RST":
            client.reset()
    await service.hang_up(call_sid)  # and not only the socket is lost: its caller might come back
    await service.quiet()


async def test_peers_that_hold_on_and_do_nothing(service: Service) -> None:
    """Half of a handshake, a socket that is never read: calls come in beside them."""
    call_sid = str(uuid.uuid4())
    url = await service.ring(call_sid)
    path = url.removeprefix(service.url.replace("http", "ws")).encode()
    async with wire(service) as half, wire(service) as silent, wire(service) as deaf:
        half.writer.write((UPGRADE % path)[:40])
        deaf.writer.write(UPGRADE % path)
        await deaf.says(b"HTTP/1.1 101 .*\r\n\r\n")
        deaf.writer.write(masked(0x81, introduction(call_sid).encode()))
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.gather(*(service.answers() for _ in range(3)))
        assert not silent.reader.at_eof()
        deaf.reset()
    await service.hang_up(call_sid)
    await service.quiet()


# The API and the other sockets

AGENTS = "/api/agents"


async def test_no_nul_comes_to_the_database(service: Service) -> None:
    """PostgreSQL fails whoever has one in a text."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with service.http.get(f"{service.url}/api/agents/a%00b", headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"][:22]) == (404, "There is nothing at '/")
    async with service.http.get(f"{service.url}/progress/%00", headers=headers) as answer:
        assert answer.status == 404
    url = f"{service.url}/progress/{service.listener_id}?call=%00&since=0"
    async with service.http.get(url, headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"]) == (400, "call is no id of a call.")


async def test_keys(service: Service) -> None:
    for path in ("/api/agents", "/progress/x"):
        for authorization in ("", "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x"):
            async with service.http.get(service.url + path, headers={"Authorization": authorization}) as answer:
                assert answer.status == 401
                assert (await answer.json())["code"] == "UNAUTHORIZED"


async def test_a_key_that_is_no_text(service: Service) -> None:
    for path in (b"/api/agents", b"/progress/x"):
        async with wire(service) as client:
            client.writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n" % path)
            await client.says(b"HTTP/1.1 401 ")


async def test_a_body_that_is_no_gzip(service: Service) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Encoding": "gzip"}
    async with service.http.post(service.url + AGENTS, data=b"this is no gzip", headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, "BAD_BODY")


async def test_a_watcher_that_talks(service: Service) -> None:
    url = f"{service.url}/progress/{service.listener_id}?access_token={KEY}"
    async with service.http.ws_connect(url) as ws:
        await ws.send_str("x")
        await ws.send_bytes(FRAME)
        await service.answers()
        async with asyncio.timeout(PATIENCE):
            assert (await ws.receive_json())["reply"]["status"] == 400, "it is no message; the binary one is nothing"
            assert "call" in (await ws.receive_json())
