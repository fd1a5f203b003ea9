"""What the simulated realtime models have in common: sound and its detection, checks of messages, bad days, and the
thin driver between a pure session and aiohttp's socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Literal, Protocol

import numpy as np
from aiohttp import WSMsgType, web

ANY = object()
"""A shape that everything has."""

GARBAGE: tuple[str | bytes, ...] = ("{", "[]", "7", "null", "", b"\xff\xfe\x00", '{"neverHeardOf": [1]}', "[" * 5000)
HUGE_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class Hangup:
    """The model closes the socket; without a ``code`` the connection is cut, which is 1006 to the other end."""

    code: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing is read or written any more, and the connection stays."""


Out = str | bytes | Hangup | Stall


@dataclass(frozen=True, slots=True)
class Fault:
    """A bad day. ``refused``: the upgrade is answered with the status ``code``. ``mute``: the session is never set up.
    The others come once ``after`` messages of sound were sent: ``close`` with ``code`` (1006 cuts the connection),
    ``half_open`` neither reads nor writes, ``silence`` sends nothing more, ``garbage`` and ``huge`` send once what is
    no message, or one of 5 MB, and go on."""

    what: Literal["refused", "mute", "close", "half_open", "silence", "garbage", "huge"]
    code: int = 1011
    after: int = 3


@dataclass(frozen=True, slots=True)
class Turn:
    """One entry of a conversation as the simulated model remembers it."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model does: it says ``text``, and then asks for ``calls`` (names and arguments). It begins ``after``
    seconds."""

    text: str = ""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    after: float = 0.2


def obedient(history: list[Turn]) -> Reply:
    """Says what it is told to say (what follows a colon at the end of a line), and repeats what else it hears."""
    said = history[-1].text if history else ""
    _, colon, rest = said.partition(":\n")
    return Reply(rest if colon else f"You said {said}")


def tones(text: str, rate: int) -> bytes:
    """A tone of 300 ms for each word, PCM16."""
    moments = np.arange(rate * 3 // 10) / rate
    words = [8000 * np.sin(2 * np.pi * (300 + 40 * (len(word) % 10)) * moments) for word in text.split()]
    return np.concatenate([np.zeros(0), *words]).astype(np.int16).tobytes()


class Ear:
    """Hears speech begin and end, by the energy of 20 ms frames. Its time is the sound's: without sound there is no
    silence either. PCM16."""

    def __init__(self, rate: int, *, onset_ms: int = 60, silence_ms: int = 500, level: float = 300.0) -> None:
        self._frame = rate // 50 * 2
        self._onset, self._silence, self._level = onset_ms, silence_ms, level
        self._rest = b""
        self._loud = self._quiet = 0
        self.speaking = False
        self.ms = 0
        self.began_ms = self.ended_ms = 0

    def hear(self, pcm: bytes) -> Iterator[Literal["began", "ended"]]:
        data = self._rest + pcm
        whole = len(data) - len(data) % self._frame
        self._rest = data[whole:]
        for start in range(0, whole, self._frame):
            samples = np.frombuffer(data, np.int16, self._frame // 2, start).astype(np.float64)
            self.ms += 20
            if np.sqrt(np.mean(samples * samples)) > self._level:
                self._loud, self._quiet = self._loud + 20, 0
            else:
                self._loud, self._quiet = 0, self._quiet + 20
            if not self.speaking and self._loud >= self._onset:
                self.speaking, self.began_ms = True, self.ms - self._loud
                yield "began"
            elif self.speaking and self._quiet >= self._silence:
                self.speaking, self.ended_ms = False, self.ms - self._quiet
                yield "ended"


def wrong(value: object, shape: Any, where: str) -> Iterator[str]:
    """What is wrong with ``value``. A shape is a type or a tuple of types, a set of the values there may be, a list
    with the shape of all elements, or an object's fields with theirs: ``name!`` has to be there, and there is no
    other."""
    match shape:
        case dict():
            if not isinstance(value, dict):
                yield f"{where} is no object"
                return
            fields = {name.rstrip("!"): inner for name, inner in shape.items()}
            yield from (f"{where} has no field {name!r}" for name in value if name not in fields)
            yield from (
                f"{where} lacks {name[:-1]!r}" for name in shape if name.endswith("!") and name[:-1] not in value
            )
            for name, inner in value.items():
                if name in fields:
                    yield from wrong(inner, fields[name], f"{where}.{name}")
        case [inner]:
            if not isinstance(value, list):
                yield f"{where} is no list"
                return
            for number, element in enumerate(value):
                yield from wrong(element, inner, f"{where}[{number}]")
        case set():
            if value not in shape:
                yield f"{where} is {value!r}, none of {sorted(map(str, shape))}"
        case type() | tuple():
            if not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool):
                yield f"{where} is {value!r}, of a wrong type"
        case _:
            assert shape is ANY


class Session(Protocol):
    """One session, pure: messages and the time in, messages out."""

    def receive(self, message: str | bytes, now: float) -> list[Out]: ...

    def advance(self, now: float) -> list[Out]:
        """What is due by now."""
        ...

    def next_at(self) -> float | None:
        """When :meth:`advance` is next wanted."""
        ...


class Sender:
    """Sends what a session says, and makes a bad day of it where one was asked for."""

    def __init__(self, fault: Fault | None) -> None:
        self._fault = fault
        self._sounds = 0
        self._gone = False

    @property
    def mute(self) -> bool:
        return self._fault is not None and self._fault.what == "mute"

    def sound(self, message: Out) -> list[Out]:
        self._sounds += 1
        fault = self._fault
        if fault is None or self._sounds != fault.after:
            return [message]
        match fault.what:
            case "close":
                return [Hangup(None if fault.code == 1006 else fault.code, "simulated")]
            case "half_open":
                return [Stall()]
            case "silence":
                self._gone = True
                return []
            case "garbage":
                return [*GARBAGE, message]
            case "huge":
                return ['{"neverHeardOf":"' + "x" * HUGE_BYTES + '"}', message]
            case "refused" | "mute":
                return [message]

    def allow(self, messages: list[Out]) -> list[Out]:
        return [] if self._gone or self.mute else messages


@dataclass
class WireServer:
    """A server on loopback; ``url`` begins with http or https."""

    url: str = ""
    sockets: int = 0
    """How many are open."""
    closed: list[int | None] = field(default_factory=list)
    """The codes that clients closed with."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)


async def drive(request: web.Request, session: Session, server: WireServer) -> web.WebSocketResponse:
    """One socket. Takes real time; the test that uses it is bounded by its client."""
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    server.sockets += 1
    clock = asyncio.get_running_loop().time
    try:
        while not socket.closed:
            due = session.next_at()
            try:
                wait = None if due is None else max(due - clock(), 0.0)
                message = await asyncio.wait_for(socket.receive(), wait) if wait != 0.0 else None
            except TimeoutError:
                message = None
            if message is None:
                outs = session.advance(clock())
            elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                outs = session.receive(message.data, clock())
            else:
                break
            for out in outs:
                if not await send_out(request, socket, out):
                    return socket
    except ConnectionResetError:
        pass
    finally:
        server.sockets -= 1
        server.closed.append(socket.close_code)
        server.changed.set()
    return socket


async def send_out(request: web.Request, socket: web.WebSocketResponse, out: Out) -> bool:
    """Whether the socket is open still."""
    match out:
        case str():
            await socket.send_str(out)
        case bytes():
            await socket.send_bytes(out)
        case Hangup(None, _):
            assert request.transport is not None
            request.transport.abort()
            return False
        case Hangup(code, reason):
            assert code is not None
            await socket.close(code=code, message=reason.encode())
            return False
        case Stall():
            await asyncio.sleep(60)
            return False
    return True


@asynccontextmanager
async def serve(
    server: WireServer, path: str, answer: Callable[[web.Request], Any], ssl_context: SSLContext | None = None
) -> AsyncGenerator[None, None]:
    app = web.Application()
    app.router.add_get(path, answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context)
        await site.start()
        port = runner.addresses[0][1]
        server.url = f"{'https' if ssl_context else 'http'}://127.0.0.1:{port}"
        yield
    finally:
        await runner.cleanup()
