"""A vendor's own wire on virtual time: its client and its simulation, joined without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pytest

from pipelines.parts import ProviderError
from pipelines.providers.socket import ProviderSocket
from pipelines.providers.wire import Place
from tests.simulators.live_wire import Hangup, Out, Stall

LATENCY = 0.015
"""One way."""

_APART = 1e-9  # timers of one moment have no order


class Session(Protocol):
    """A vendor's end of one socket. Where it goes on by itself it does so by ``go_on``, while ``speaking``."""

    def opened(self) -> list[Out]: ...

    def receive(self, message: str | bytes) -> list[Out]: ...


class MemorySocket:
    """As much of :class:`ProviderSocket` as is used, with a session for its other end."""

    def __init__(
        self,
        session: Session,
        on_message: Callable[[str | bytes], None],
        on_lost: Callable[[ProviderError], None],
        pace: float,
    ) -> None:
        self._session: Any = session
        self._on_message = on_message
        self._on_lost = on_lost
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._going_on: asyncio.TimerHandle | None = None
        self._there = self._back = 0.0  # when the latest message arrives
        self.is_open = True
        self._answer(session.opened())

    def send(self, message: str | bytes) -> None:
        if self.is_open:
            self._there = max(self._loop.time() + LATENCY, self._there + _APART)
            self._loop.call_at(self._there, self._arrive, message)

    def drop(self) -> None:
        self.is_open = False
        if self._going_on is not None:
            self._going_on.cancel()

    async def close(self, goodbye: str | None) -> None:
        if goodbye is not None and self.is_open:
            self._session.receive(goodbye)
        self.drop()

    # The other end

    def _arrive(self, message: str | bytes) -> None:
        if self.is_open:
            self._answer(self._session.receive(message))

    def _go_on(self) -> None:
        self._going_on = None
        if self._session.speaking:
            self._answer(self._session.go_on())

    def _answer(self, outs: Sequence[Out]) -> None:
        for out in outs:
            if not isinstance(out, Stall):
                self._back = max(self._loop.time() + LATENCY, self._back + _APART)
                self._loop.call_at(self._back, self._deliver, out)
        if self._going_on is None and getattr(self._session, "speaking", False):
            self._going_on = self._loop.call_later(self._pace, self._go_on)

    def _deliver(self, out: Out) -> None:
        if not self.is_open:
            return
        if isinstance(out, Hangup):
            self.drop()
            self._on_lost(ProviderError("memory", "unavailable", "the connection was lost"))
        elif not isinstance(out, Stall):
            self._on_message(out)


def join(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[str, Mapping[str, str]], Session], *, pace: float = 0.01
) -> list[MemorySocket]:
    """Sockets to vendors lead to what ``make`` gives for their path and query; ``pace`` is between two steps of those
    that go on by themselves. Returns the sockets, as they are opened."""
    sockets: list[MemorySocket] = []

    async def open(
        name: str,
        place: Place,
        path: str,
        query: Sequence[tuple[str, str]],
        on_message: Callable[[str | bytes], None],
        on_lost: Callable[[ProviderError], None],
        **options: Any,
    ) -> MemorySocket:
        await asyncio.sleep(2 * LATENCY)
        socket = MemorySocket(make(path, dict(query)), on_message, on_lost, pace)
        sockets.append(socket)
        return socket

    monkeypatch.setattr(ProviderSocket, "open", open)
    return sockets
