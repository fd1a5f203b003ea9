"""The clock of the telephone lines: one loop of timers for all the calls of a process."""

from __future__ import annotations

import asyncio
from typing import Protocol

from media.audio import FRAME_SECONDS

SLOTS = 4
"""Lines are spread over this many instants within a frame, as real calls are."""


class Paced(Protocol):
    def frame(self, now: float) -> None:
        """20 ms pass on this line, from ``now`` on. What it raises ends only its own pacing."""
        ...

    def fail(self, error: Exception) -> None: ...


class Pacer:
    """Calls every line once in 20 ms, on a fixed grid: a late loop makes up for it with more calls, never with fewer.

    ``now`` is the time of the grid, on the loop's clock.
    """

    def __init__(self) -> None:
        self._slots: list[list[Paced]] = [[] for _ in range(SLOTS)]
        self._timers: list[asyncio.TimerHandle | None] = [None] * SLOTS

    def add(self, line: Paced) -> None:
        """The first frame comes at once or up to 20 ms from now."""
        slot = min(range(SLOTS), key=lambda index: len(self._slots[index]))
        self._slots[slot].append(line)
        if self._timers[slot] is None:
            loop = asyncio.get_running_loop()
            self._arm(loop, slot, loop.time() + slot * FRAME_SECONDS / SLOTS)

    def remove(self, line: Paced) -> None:
        for slot, lines in enumerate(self._slots):
            if line in lines:
                lines.remove(line)
                timer = self._timers[slot]
                if not lines and timer is not None:
                    timer.cancel()
                    self._timers[slot] = None

    def _arm(self, loop: asyncio.AbstractEventLoop, slot: int, at: float) -> None:
        self._timers[slot] = loop.call_at(at, self._beat, loop, slot, at)

    def _beat(self, loop: asyncio.AbstractEventLoop, slot: int, at: float) -> None:
        self._arm(loop, slot, at + FRAME_SECONDS)
        for line in tuple(self._slots[slot]):
            try:
                line.frame(at)
            except Exception as error:  # noqa: BLE001 - one line's failure must not silence the others
                self.remove(line)
                line.fail(error)
