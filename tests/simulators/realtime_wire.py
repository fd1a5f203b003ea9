"""A realtime model's own wire on virtual time: a protocol and a simulation of its vendor, joined without a socket."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.parts import ProviderError
from pipelines.realtime.connection import CONNECT_SECONDS
from pipelines.realtime.model import Outgoing, RealtimeModel, RealtimeProtocol, SessionReady, Setup

LATENCY = 0.015
"""One way."""


class Simulation(Protocol):
    """A vendor without its socket: messages and the time in, messages out. What is no text and no bytes ends it."""

    @property
    def next_at(self) -> float | None: ...

    def opened(self, now: float) -> Sequence[Any]: ...

    def receive(self, message: str | bytes, now: float) -> Sequence[Any]: ...

    def tick(self, now: float) -> Sequence[Any]: ...


@dataclass
class Wire:
    """Opens sessions as :meth:`RealtimeConnection.open` does, each to a simulation that ``make`` makes."""

    make: Callable[[], Simulation]
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
        session = WireSession(model.protocol(setup, handle), self.make(), listener)
        self.sessions.append(session)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await session.ready.wait()
        except TimeoutError:
            session.lose("")
            raise ProviderError(model.name, "timeout", "there was no session in time") from None
        return session

    @property
    def open_sessions(self) -> int:
        return sum(session.is_open for session in self.sessions)


class WireSession:
    def __init__(self, protocol: RealtimeProtocol, simulation: Simulation, listener: Any) -> None:
        self.protocol = protocol
        self.simulation = simulation
        self.seconds: float | None = None
        self.ready = asyncio.Event()
        self._listener: Any = listener
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._up: deque[Outgoing] = deque()
        self._down: deque[Any] = deque()
        self._later(self._open)

    @property
    def is_open(self) -> bool:
        return self._listener is not None

    def send(self, messages: Sequence[Outgoing]) -> None:
        self._up.extend(messages)
        self._later(self._to_model, len(messages))

    def send_audio(self, pcm: bytes) -> None:
        self.send([self.protocol.audio(pcm)])

    def lose(self, reason: str) -> None:
        listener, self._listener = self._listener, None
        self._stop()
        if listener is not None and self.ready.is_set():
            listener.on_model_lost(self, reason)

    async def close(self, model: RealtimeModel) -> str | None:
        self._listener = None
        self._stop()
        return None

    def _open(self) -> None:
        self._from_model(self.simulation.opened(self._loop.time()))
        self.send(self.protocol.opened())

    def _to_model(self, count: int) -> None:
        """Timers of one moment run in any order: what is sent keeps its own."""
        for _ in range(count):
            message = self._up.popleft()
            if self._listener is not None:
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
        if self._listener is None:
            return
        if not isinstance(message, str | bytes):
            self.lose(f"it closed the socket: {message}")
            return
        events, replies = self.protocol.receive(message)
        self.send(replies)
        for event in events:
            if isinstance(event, SessionReady):
                self.seconds = event.seconds
                self.ready.set()
            if self._listener is not None:
                self._listener.on_model_event(self, event)

    def _later(self, what: Callable[..., None], *arguments: Any) -> None:
        self._loop.call_later(LATENCY, what, *arguments)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
