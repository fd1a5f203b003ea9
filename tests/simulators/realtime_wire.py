"""A realtime model's own wire on virtual time: a protocol and a simulation of its vendor, joined without a socket."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.parts import ProviderError, ProviderFault
from pipelines.realtime.connection import CONNECT_SECONDS
from pipelines.realtime.model import (
    Address,
    Outgoing,
    RealtimeModel,
    RealtimeProtocol,
    SessionOver,
    SessionReady,
    Setup,
)
from tests.simulators.live_wire import Session, Stall
from tests.simulators.ultravox_call import SimulatedCall

LATENCY = 0.015
"""One way."""


class Simulation(Protocol):
    """A vendor without its socket: messages and the time in, messages out. What is no text and no bytes ends it."""

    @property
    def next_at(self) -> float | None: ...

    @property
    def stalled(self) -> bool:
        """Half-open: nothing is read or sent any more, not even pongs."""
        ...

    def opened(self, now: float) -> Sequence[Any]: ...

    def receive(self, message: str | bytes, now: float) -> Sequence[Any]: ...

    def tick(self, now: float) -> Sequence[Any]: ...


class Live:
    """A Gemini Live or a GPT-Live as a :class:`Simulation`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.stalled = False

    @property
    def next_at(self) -> float | None:
        return None if self.stalled else self._session.next_at()

    def opened(self, now: float) -> Sequence[Any]:
        return ()

    def receive(self, message: str | bytes, now: float) -> Sequence[Any]:
        return self._until_it_stalls([] if self.stalled else self._session.receive(message, now))

    def tick(self, now: float) -> Sequence[Any]:
        return self._until_it_stalls(self._session.advance(now))

    def _until_it_stalls(self, messages: Sequence[Any]) -> Sequence[Any]:
        for index, message in enumerate(messages):
            if isinstance(message, Stall):
                self.stalled = True
                return messages[:index]
        return messages


class Joined:
    """An Ultravox call as a :class:`Simulation`."""

    def __init__(self, call: SimulatedCall) -> None:
        self.call = call
        self._now = 0.0

    @property
    def next_at(self) -> float | None:
        return self._now + 0.02 if self.call.ended_at is None and not self.stalled else None

    @property
    def stalled(self) -> bool:
        return self.call.half_open

    def opened(self, now: float) -> Sequence[Any]:
        self._now = now
        return self.call.join(now)

    def receive(self, message: str | bytes, now: float) -> Sequence[Any]:
        return self.call.receive(message, now)

    def tick(self, now: float) -> Sequence[Any]:
        self._now = now
        return self.call.tick(now)


@dataclass
class Wire:
    """Opens sessions as :meth:`RealtimeConnection.open` does, each to a simulation that ``make`` makes. ``refusals``
    are used up by the attempts to come; None lets one pass."""

    make: Callable[[Address], Simulation]
    refusals: list[ProviderFault | None] = field(default_factory=list)
    mute_after: int | None = None
    """So many sessions are set up; of the others nothing ever comes."""
    speechless: bool = False
    """Sessions are set up, and that is all that comes of them."""
    sessions: list[WireSession] = field(default_factory=list)

    async def open(
        self,
        model: RealtimeModel,
        setup: Setup,
        listener: Any,
        *,
        on_fault: Callable[[Exception], None],
        handle: str | None = None,
    ) -> WireSession:
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None:
            await asyncio.sleep(3 * LATENCY)
            raise ProviderError(model.name, refusal, "simulated")
        address = await model.dial(setup)
        session = WireSession(model.protocol(setup, handle), self.make(address), listener, address)
        session.silent = self.mute_after is not None and len(self.sessions) >= self.mute_after
        session.speechless = self.speechless
        self.sessions.append(session)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await session.ready.wait()
        except TimeoutError:
            session.lose("")
            raise ProviderError(model.name, "timeout", "there was no session in time") from None
        if not session.is_open:
            raise ProviderError(model.name, "connect", "the session was closed at once")
        return session

    def at(self, seconds: float, what: Callable[[WireSession], object]) -> None:
        """Something happens to the session that is open then."""
        asyncio.get_running_loop().call_at(seconds, lambda: [what(s) for s in self.sessions if s.is_open])

    @property
    def open_sessions(self) -> int:
        return sum(session.is_open for session in self.sessions)


class WireSession:
    def __init__(
        self, protocol: RealtimeProtocol, simulation: Simulation, listener: Any, address: Address | None = None
    ) -> None:
        self.protocol = protocol
        self.simulation = simulation
        self.seconds: float | None = None
        self.half_open = False
        self.silent = self.speechless = False
        self.ready = asyncio.Event()
        self._listener: Any = listener
        self._address = address
        self._loop = asyncio.get_running_loop()
        self.heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.commands: list[str] = []
        """All that it was sent, but for the caller's sound."""
        self._up: deque[Outgoing] = deque()
        self._down: deque[Any] = deque()
        self._later(self._open)

    @property
    def is_open(self) -> bool:
        return self._listener is not None

    def send(self, messages: Sequence[Outgoing]) -> None:
        self.commands += [message if isinstance(message, str) else message.decode() for message in messages]
        self._send(messages)

    def send_audio(self, pcm: bytes) -> None:
        self._send([self.protocol.audio(pcm)])

    def _send(self, messages: Sequence[Outgoing]) -> None:
        self._up.extend(messages)
        self._later(self._to_model, len(messages))

    def ping(self) -> None:
        self._later(lambda: None if self._is_dead else self._later(self._pong))

    def _pong(self) -> None:
        if not self._is_dead:
            self.heard_at = self._loop.time()

    @property
    def _is_dead(self) -> bool:
        return self.half_open or self.simulation.stalled

    # What goes wrong

    def go_half_open(self) -> None:
        """From here on nothing passes, either way, and the socket stays."""
        self.half_open = True

    def go_silent(self) -> None:
        """The connection is well, and the model says nothing any more."""
        self.silent = True

    def say(self, *messages: str | bytes) -> None:
        """The model says this, too."""
        self._down.extend(messages)
        self._later(self._from_wire, len(messages))

    def hang_up(self, code: int) -> None:
        """The model closes the socket; 1006: without a word."""
        self._down.append(code)
        self._later(self._from_wire, 1)

    def later(self, seconds: float, what: Callable[..., None], *arguments: Any) -> None:
        self._loop.call_later(seconds, what, *arguments)

    @property
    def now(self) -> float:
        return self._loop.time()

    def lose(self, reason: str) -> None:
        listener, self._listener = self._listener, None
        self._leave(clean=False)
        if listener is not None and self.ready.is_set():
            listener.on_model_lost(self, reason)
        self.ready.set()

    async def close(self, model: RealtimeModel) -> SessionOver | None:
        if self._listener is not None:
            for message in self.protocol.closing():
                self.simulation.receive(message, self._loop.time())
        self._listener = None
        self._leave(clean=True)
        return await model.hang_up(self._address) if self._address is not None else None

    def _open(self) -> None:
        self._from_model(self.simulation.opened(self._loop.time()))
        self.send(self.protocol.opened())

    def _to_model(self, count: int) -> None:
        """Timers of one moment run in any order: what is sent keeps its own."""
        for _ in range(count):
            message = self._up.popleft()
            if self._listener is not None and not self._is_dead:
                self._from_model(self.simulation.receive(message, self._loop.time()))

    def _tick(self) -> None:
        self._from_model(self.simulation.tick(self._loop.time()))

    def _from_model(self, messages: Sequence[Any]) -> None:
        self._down.extend(messages)
        self._later(self._from_wire, len(messages))
        self._stop()
        due = self.simulation.next_at
        if due is not None and self._listener is not None:
            self._timer = self._loop.call_at(max(due, self._loop.time()), self._tick)

    def _from_wire(self, count: int) -> None:
        for _ in range(count):
            self._deliver(self._down.popleft())

    def _deliver(self, message: Any) -> None:
        if self._listener is None or self.half_open or (self.silent and not isinstance(message, int)):
            return
        self.heard_at = self._loop.time()
        if not isinstance(message, str | bytes):
            self.lose(f"it closed the socket: {message}")
            return
        events, replies = self.protocol.receive(message)
        self.send(replies)
        for event in events:
            if isinstance(event, SessionReady):
                self.seconds = event.seconds
                self.ready.set()
                self.silent = self.speechless
            if self._listener is not None:
                self._listener.on_model_event(self, event)

    def _later(self, what: Callable[..., None], *arguments: Any) -> None:
        self._loop.call_later(LATENCY, what, *arguments)

    def _leave(self, *, clean: bool) -> None:
        self._stop()
        if isinstance(self.simulation, Joined):
            self.simulation.call.left(self._loop.time(), clean=clean)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
