"""What the simulated vendors of speech have in common: bad days, and the thin driver between a pure session and
aiohttp's socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Literal, Protocol, runtime_checkable

from aiohttp import WSMsgType, web

from tests.simulators.live_wire import GARBAGE, HUGE_BYTES, Hangup, Out, Stall, send_out


@dataclass(frozen=True, slots=True)
class Fault:
    """A bad day of one socket. ``refused``: the upgrade is answered with ``code``. Once ``after`` seconds of sound were
    sent (heard, or spoken): ``drop`` cuts the connection, ``close`` closes it with ``code`` and ``name``, ``error``
    sends the vendor's error (``name``, where it has several), ``silence`` sends nothing more, ``garbage`` and ``huge``
    send what is no message, or one of 5 MB, and go on, ``half_open`` neither reads nor writes. ``late``: all that is
    sent comes ``after`` seconds late. ``uncleared``: what breaks a phrase off is not answered. ``forgotten``: after its
    first phrase, the socket is cut at the next message."""

    what: Literal[
        "refused",
        "drop",
        "close",
        "error",
        "silence",
        "garbage",
        "huge",
        "half_open",
        "late",
        "uncleared",
        "forgotten",
    ]
    code: int = 1011
    after: float = 0.0
    name: str = "NET-0000 simulated"


class Session(Protocol):
    """One socket, pure."""

    @property
    def seconds(self) -> float:
        """Of sound so far."""
        ...

    def opened(self) -> list[Out]: ...

    def receive(self, message: str | bytes) -> list[Out]: ...

    def error(self) -> str:
        """The vendor's, when it cannot go on."""
        ...

    def idle(self) -> Hangup:
        """Nothing came for long."""
        ...

    def ends_phrase(self, out: Out) -> bool: ...

    def answers_break(self, out: Out) -> bool:
        """Whether it says that a phrase was broken off."""
        ...


@runtime_checkable
class Mouth(Protocol):
    """A session that goes on by itself, step by step, so that it can be interrupted."""

    @property
    def speaking(self) -> bool: ...

    def go_on(self) -> list[Out]: ...


@dataclass
class Sockets:
    """``faults`` are for the sockets to come, in their order; None is a good day."""

    idle_seconds: float = 10.0
    """Without a message, a socket is closed."""
    pace: float = 0.01
    """Seconds between two steps of a session that goes on by itself."""
    base_url: str = ""
    faults: list[Fault | None] = field(default_factory=list)
    open: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)


class _Day:
    """Makes a bad day of what a session sends."""

    def __init__(self, fault: Fault | None, session: Session) -> None:
        self._fault = fault
        self._session = session
        self._happened = False

    def allow(self, outs: list[Out]) -> list[Out]:
        fault, session = self._fault, self._session
        if fault is None or fault.what in ("late", "refused"):
            return outs
        if fault.what == "uncleared":
            return [out for out in outs if not session.answers_break(out)]
        if fault.what == "forgotten":
            forgotten = self._happened
            self._happened |= any(map(session.ends_phrase, outs))
            return [Hangup()] if forgotten else outs
        if session.seconds < fault.after or (self._happened and fault.what in ("garbage", "huge")):
            return outs
        first, self._happened = not self._happened, True
        match fault.what:
            case "drop":
                return [Hangup()]
            case "close":
                return [Hangup(fault.code, fault.name)]
            case "half_open":
                return [Stall()]
            case "garbage":
                return [*GARBAGE, *outs]
            case "huge":
                return ['{"type":"neverHeardOf","what":"' + "x" * HUGE_BYTES + '"}', *outs]
            case "error":
                return [session.error()] if first else []
            case _:
                return []


@asynccontextmanager
async def serving(
    sockets: Sockets,
    routes: Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]],
    tls: SSLContext | None = None,
) -> AsyncGenerator[None, None]:
    """With ``tls`` at https."""
    app = web.Application()
    for path, answer in routes.items():
        app.router.add_get(path, answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        sockets.base_url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
        yield
    finally:
        await runner.cleanup()


async def drive(request: web.Request, sockets: Sockets, session: Session, fault: Fault | None) -> web.WebSocketResponse:
    """One socket, to its end."""
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    sockets.open += 1
    day = _Day(fault, session)
    late = fault.after if fault is not None and fault.what == "late" else 0.0
    try:
        outs = session.opened()
        while True:
            for out in day.allow(outs):
                if late:
                    await asyncio.sleep(late)
                if not await send_out(request, socket, out):
                    return socket
            speaking = isinstance(session, Mouth) and session.speaking
            try:
                message = await socket.receive(timeout=sockets.pace if speaking else sockets.idle_seconds)
            except TimeoutError:
                if speaking:
                    assert isinstance(session, Mouth)
                    outs = session.go_on()
                    continue
                await send_out(request, socket, session.idle())
                return socket
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return socket
            outs = session.receive(message.data)
    except ConnectionResetError:
        return socket
    finally:
        sockets.open -= 1
        sockets.closed.set()
