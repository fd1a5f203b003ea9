"""One clock for all calls of a process: each is ticked every 20 ms if it likes, in slots so that they come apart."""

from __future__ import annotations

import asyncio
from math import ceil
from typing import Protocol

from gateway import metrics
from media.audio import FRAME_SECONDS

SLOTS = 4

WORTHWHILE = 25
"""A slot has this many before the next is opened: waking up costs more than ticking a few."""


class Ticking(Protocol):
    due: float
    """Until then it needs no tick."""

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
        room = (slot for slot in self._slots if len(slot) < WORTHWHILE)
        next(room, min(self._slots, key=len)).add(what)
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
        """The next slot that has anything, at its time on the grid."""
        before = self._turn
        ahead = next(ahead for ahead in range(1, SLOTS + 1) if self._slots[(before + ahead) % SLOTS])
        self._turn = (before + ahead) % SLOTS
        if self._turn <= before:
            metrics.loop_lag.observe(self._late)
            self._late = 0.0
        self._due += ahead * FRAME_SECONDS / SLOTS
        behind = (loop.time() - self._due) / FRAME_SECONDS
        if behind > 0:  # what was missed is made up for by the calls themselves, who go by the time
            self._due += (ceil(behind) if ahead == SLOTS else int(behind)) * FRAME_SECONDS
        self._timer = loop.call_at(self._due, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._late = max(self._late, now - self._due)
        for what in tuple(self._slots[self._turn]):
            if now >= what.due:
                what.tick(now)
        self._timer = None
        if any(self._slots):
            self._schedule(loop)
