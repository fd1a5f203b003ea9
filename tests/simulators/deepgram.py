"""A simulated Deepgram on loopback: ``/v1/listen`` (Nova), ``/v2/listen`` (Flux) and ``/v1/speak`` (Aura).

Strict about queries and messages: what was sent and should not have been is noted in ``mistakes``. What it hears and
says is in :mod:`tests.simulators.deepgram_ears` and :mod:`tests.simulators.deepgram_voices`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from aiohttp import WSMsgType, web

from tests.simulators.deepgram_ears import FluxSession, NovaSession
from tests.simulators.deepgram_voices import AuraSession, Mouth, Spoken
from tests.simulators.live_wire import GARBAGE, Hangup, Out, Stall

KEY = "simulated-deepgram-key"

_BOOLEANS = ("true", "false")
_CALLERS = {"encoding": ("mulaw",), "sample_rate": ("8000",)}
_NOVA = _CALLERS | {
    "model": None,
    "language": None,
    "channels": ("1",),
    "interim_results": _BOOLEANS,
    "endpointing": None,
    "punctuate": _BOOLEANS,
    "smart_format": _BOOLEANS,
    "numerals": _BOOLEANS,
    "vad_events": _BOOLEANS,
    "utterance_end_ms": None,
    "keyterm": None,
}
_FLUX = _CALLERS | {
    "model": ("flux-general-en", "flux-general-multi"),
    "eager_eot_threshold": (0.3, 0.9),
    "eot_threshold": (0.5, 1.0),
    "eot_timeout_ms": (500, 60_000),
    "language_hint": None,
    "keyterm": None,
}
_AURA = _CALLERS | {"model": None}
_REPEATED = ("keyterm", "language_hint")


@dataclass(frozen=True, slots=True)
class Fault:
    """A bad day of one socket. ``refused``: the upgrade is answered with ``code``. Once ``after`` seconds of sound were
    sent (heard, or spoken): ``drop`` cuts the connection, ``close`` closes it with ``code``, ``error`` sends the
    vendor's Error, ``silence`` sends nothing more, ``garbage`` sends what is no message and goes on, ``half_open``
    neither reads nor writes. ``late``: all that is sent comes ``after`` seconds late. ``uncleared``: a Clear is not
    answered. ``forgotten``: after its first phrase, the socket is cut at the next message."""

    what: Literal[
        "refused", "drop", "close", "error", "silence", "garbage", "half_open", "late", "uncleared", "forgotten"
    ]
    code: int = 1011
    after: float = 0.0


class _Session(Protocol):
    @property
    def seconds(self) -> float:
        """Of sound so far."""
        ...

    def opened(self) -> list[Out]: ...

    def receive(self, message: str | bytes) -> list[Out]: ...

    def error(self, code: str, description: str) -> str: ...


@dataclass
class DeepgramServer(Spoken):
    """``faults`` are for the sockets to come, in their order; None is a good day."""

    key: str = KEY
    idle_seconds: float = 10.0
    """Without a message, Nova's socket is closed."""
    base_url: str = ""
    faults: list[Fault | None] = field(default_factory=list)
    queries: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    """Of each upgrade, with its path."""
    open: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)


class _Day:
    """Makes a bad day of what a session sends."""

    def __init__(self, fault: Fault | None, session: _Session) -> None:
        self._fault = fault
        self._session = session
        self._happened = False

    def allow(self, outs: list[Out]) -> list[Out]:
        fault = self._fault
        if fault is None or fault.what in ("late", "refused"):
            return outs
        if fault.what == "uncleared":
            return [out for out in outs if not (isinstance(out, str) and "Cleared" in out)]
        if fault.what == "forgotten":
            forgotten = self._happened
            self._happened |= any(isinstance(out, str) and "Flushed" in out for out in outs)
            return [Hangup()] if forgotten else outs
        if self._session.seconds < fault.after or (self._happened and fault.what == "garbage"):
            return outs
        first, self._happened = not self._happened, True
        match fault.what:
            case "drop":
                return [Hangup()]
            case "close":
                return [Hangup(fault.code, "NET-0000 simulated")]
            case "half_open":
                return [Stall()]
            case "garbage":
                return [*GARBAGE, *outs]
            case "error":
                return [self._session.error("NET-0002", f"no luck, {KEY}")] if first else []
            case _:
                return []


@asynccontextmanager
async def serve_deepgram(**settings: Any) -> AsyncGenerator[DeepgramServer, None]:
    """``settings`` are :class:`DeepgramServer`'s."""
    server = DeepgramServer(**settings)
    app = web.Application()
    app.router.add_get("/v1/listen", _answer(server, NovaSession, _NOVA))
    app.router.add_get("/v2/listen", _answer(server, FluxSession, _FLUX))
    app.router.add_get("/v1/speak", _answer(server, AuraSession, _AURA))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()


def _answer(
    server: DeepgramServer,
    make: Callable[[DeepgramServer, Mapping[str, str]], _Session],
    allowed: Mapping[str, Any],
) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        query = [(name, value) for name, value in request.query.items()]
        server.queries.append((request.path, query))
        fault = server.faults.pop(0) if server.faults else None
        if fault is not None and fault.what == "refused":
            return web.Response(status=fault.code)
        if request.headers.get("Authorization") not in (f"Token {server.key}", f"Bearer {server.key}"):
            return web.Response(status=401)
        wrong = list(_wrong(query, allowed))
        if wrong:
            server.mistakes += wrong
            return web.Response(status=400)
        return await _drive(request, server, make(server, dict(query)), fault)

    return answer


def _wrong(query: list[tuple[str, str]], allowed: Mapping[str, Any]) -> list[str]:
    names = [name for name, _ in query]
    return [
        *(f"the query has no {name}" for name in ("model", "encoding", "sample_rate") if name not in names),
        *(f"{name} is repeated" for name in set(names) if names.count(name) > 1 and name not in _REPEATED),
        *(f"there is no parameter {name}" for name in names if name not in allowed),
        *(f"{name} is {value!r}" for name, value in query if name in allowed and not _may_be(value, allowed[name])),
        *_too_eager(dict(query)),
    ]


def _too_eager(query: Mapping[str, str]) -> list[str]:
    eager, sure = query.get("eager_eot_threshold", ""), query.get("eot_threshold", "0.7")
    if not all(_may_be(value, (0.0, 1.0)) for value in (eager, sure)) or float(eager) <= float(sure):
        return []
    return ["eager_eot_threshold is above eot_threshold"]


def _may_be(value: str, allowed: Any) -> bool:
    """``allowed``: None for any text, values, or two numbers that it has to be between."""
    match allowed:
        case (int() | float() as least, int() | float() as most):
            try:
                return bool(least <= float(value) <= most)
            except ValueError:
                return False
        case _:
            return bool(value) and (allowed is None or value in allowed)


async def _drive(
    request: web.Request, server: DeepgramServer, session: _Session, fault: Fault | None
) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    server.open += 1
    day = _Day(fault, session)
    late = fault.after if fault is not None and fault.what == "late" else 0.0
    try:
        outs = session.opened()
        while True:
            for out in day.allow(outs):
                if late:
                    await asyncio.sleep(late)
                if not await _send(request, socket, out):
                    return socket
            speaking = isinstance(session, Mouth) and session.speaking
            try:
                message = await socket.receive(timeout=0.01 if speaking else server.idle_seconds)
            except TimeoutError:
                if speaking:
                    assert isinstance(session, Mouth)
                    outs = session.go_on()
                    continue
                await socket.close(code=1011, message=b"NET-0001 no audio or KeepAlive in time")
                return socket
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return socket
            outs = session.receive(message.data)
    except ConnectionResetError:
        return socket
    finally:
        server.open -= 1
        server.closed.set()


async def _send(request: web.Request, socket: web.WebSocketResponse, out: Out) -> bool:
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
