"""Real time of which a busy machine can take nothing away: the loop of every test with real sockets.

Such a test is full of deadlines: those of the service, of what it speaks with, and its own. Where both ends are in one
process, none of them says anything of the machine; and yet a machine that halts for a second, as those of CI do, has
all of them pass at once. On this loop time passes while there is nothing to do, as on any other, but what takes the
machine long, whatever else it runs, counts for no more than :data:`MOST_SECONDS`. What is due first happens first,
then, however late it is.

A test that is about a process held up says so by :meth:`SteadyLoop.hold_up`. Without sockets there is nothing to wait
for at all: see :mod:`tests.clock`.

Real processes have clocks of their own, with which a test that speaks with them in real time has to keep up. It is on
the :class:`WallClockLoop`, and :func:`undisturbed`.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

MOST_SECONDS = 0.005
"""What one look at the sockets may count for, and what one round of callbacks may. Less would cost wakeups."""

PATIENCE = 30.0
"""How long a test in real time waits for what has to come: a bound against waiting for ever, and none on how fast it
is, for threads and databases are as slow as their machine."""

HALT_SECONDS = 0.3
"""From which on a wait that took so much longer than it should have is a halt of the machine."""

MOST_TRIES = 3
_Test = Callable[..., Coroutine[Any, Any, None]]


def undisturbed(test: _Test) -> _Test:
    """A test of real processes in real time, which has to pass on a machine that goes on: where it fails and the
    machine halted meanwhile, it is tried again. ``tmp_path`` is another each time."""

    @wraps(test)
    async def tried(*, tmp_path: Path, **given: Any) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, WallClockLoop)
        for left in reversed(range(MOST_TRIES)):
            halts, directory = loop.halts, tmp_path / f"{left}"
            await asyncio.to_thread(directory.mkdir)
            try:
                await test(tmp_path=directory, **given)
            except (AssertionError, TimeoutError):
                if not left or loop.halts == halts:
                    raise
            else:
                break

    marked: _Test = pytest.mark.wall_clock(tried)
    return marked


class _SteadySelector(selectors.DefaultSelector):
    """Waits no longer than :data:`MOST_SECONDS` at once, so that a halt of the machine counts for no more."""

    def __init__(self, *, wall_clock: bool = False) -> None:
        super().__init__()
        self._wall_clock = wall_clock
        self._passed = 0.0
        self._since = monotonic()
        self.halts = 0

    @property
    def now(self) -> float:
        return self._passed + min(monotonic() - self._since, MOST_SECONDS)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        left = timeout
        while True:
            self._count(MOST_SECONDS)  # what was done since the last look
            slice_ = MOST_SECONDS if left is None else min(max(left, 0.0), MOST_SECONDS)
            ready = super().select(slice_)
            elapsed = monotonic() - self._since
            self.halts += elapsed > slice_ + HALT_SECONDS
            counted = self._count(slice_)
            if left is not None:
                left -= elapsed if self._wall_clock else counted
            if ready or (left is not None and left <= 0):
                return ready

    def pass_(self, seconds: float) -> None:
        self._passed += seconds

    def _count(self, most: float) -> float:
        """Time since the last count, up to ``most``."""
        now = monotonic()
        passed = min(now - self._since, most)
        self._passed += passed
        self._since = now
        return passed


class SteadyLoop(asyncio.SelectorEventLoop):
    """An event loop for which the machine is never busy with anything else; ``time()`` starts at 0."""

    def __init__(self) -> None:
        self._steady = _SteadySelector()
        super().__init__(self._steady)

    def time(self) -> float:
        return self._steady.now

    def hold_up(self, seconds: float) -> None:
        """So much time passes in which nothing runs, as on any other loop while the machine is busy."""
        self._steady.pass_(seconds)


class WallClockLoop(asyncio.SelectorEventLoop):
    """An event loop on the machine's own time, as any other, that notices when the machine halts."""

    def __init__(self) -> None:
        self._watching = _SteadySelector(wall_clock=True)
        super().__init__(self._watching)

    @property
    def halts(self) -> int:
        """How often it did, while there was nothing to do but to wait."""
        return self._watching.halts
