"""One clock for all calls of a process: each is ticked every 20 ms, in slots so that they do not all come at once."""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway import metrics
from media.audio import FRAME_SECONDS

SLOTS = 4


class Ticking(Protocol):
    def tick(self, now: float) -> None: ...


class Ticker:
    """Runs while there is something to tick. On a grid: a late tick is followed by the next one on time."""

    def __init__(self) -> None:
        self._slots: list[set[Ticking]] = [set() for _ in range(SLOTS)]
        self._timer: asyncio.TimerHandle | None = None
        self._turn = 0
        self._due = 0.0
        self._late = 0.0  # the most in this round

    def add(self, what: Ticking) -> None:
        min(self._slots, key=len).add(what)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._due = loop.time()
            self._schedule(loop)

    def discard(self, what: Ticking) -> None:
        for slot in self._slots:
            slot.discard(what)

    def __len__(self) -> int:
        return sum(len(slot) for slot in self._slots)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        step = FRAME_SECONDS / SLOTS
        self._due += step
        behind = loop.time() - self._due
        if behind > FRAME_SECONDS:  # what was missed is made up for by the calls themselves, who go by the time
            self._due += behind // FRAME_SECONDS * FRAME_SECONDS
        self._timer = loop.call_at(self._due, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        self._turn = (self._turn + 1) % SLOTS
        self._late = max(self._late, now - self._due)
        if self._turn == 0:
            metrics.loop_lag.observe(self._late)
            self._late = 0.0
        for what in tuple(self._slots[self._turn]):
            what.tick(now)
        if any(self._slots):
            self._schedule(loop)
