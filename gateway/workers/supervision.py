"""What the parent of the workers does, and when: pure. Events and the time in, as seconds; orders out.

The first worker starts alone: it brings the database up to date, and makes the first key, before the others look. Once
all were ready the service is up; from then on a worker that dies is started again, after a pause that grows while it
dies again and again. One that dies before that ends the service: it cannot start.

To stop, all drain. Who has drained stays until all have: through any of them what concerns the calls of the others may
come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between the death of a worker and its next start; each pause is twice the one before."""

STEADY_SECONDS = 60.0
"""A worker that was ready for so long begins with the first pause again."""

START_SECONDS = 600.0
"""The longest that a worker may take to be ready: it is killed then. It may have to bring a large database up to
date."""

SILENT_SECONDS = 60.0
"""Without a word of a worker, which says every few seconds that it is alive: it hangs, and is killed. Nobody else would
find out, for the others answer the probes."""

LATE_SECONDS = 2.0
"""A silence that is seen this late was one of ours, too: the host was stopped, and nobody is to blame."""

LEAVE_SECONDS = 40.0
"""The longest that a worker may take to stop once it is told to, or has drained for as long as it may."""


@dataclass(frozen=True, slots=True)
class Start:
    """``again``: in place of one that died."""

    slot: int
    again: bool


@dataclass(frozen=True, slots=True)
class Drain:
    """What has only begun to start breaks that off."""

    slot: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End what calls there are."""

    slot: int


@dataclass(frozen=True, slots=True)
class Release:
    """It may go, once it has drained."""

    slot: int


@dataclass(frozen=True, slots=True)
class Kill:
    slot: int


@dataclass(frozen=True, slots=True)
class Announce:
    """All workers are ready, for the first time."""


@dataclass(frozen=True, slots=True)
class Exit:
    status: int


Order = Start | Drain | Stop | Release | Kill | Announce | Exit


class State(Enum):
    AWAY = auto()
    STARTING = auto()
    READY = auto()
    DRAINED = auto()


class _Worker:
    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.state = State.AWAY
        self.since = 0.0
        self.pause = FIRST_PAUSE
        self.deadline: float | None = None
        """When it is started, if it is away; when it is killed, if it is there."""
        self.started = False
        self.released = False

    @property
    def alive(self) -> bool:
        return self.state is not State.AWAY


class Supervision:
    """Each event gives the orders that follow from it, to be carried out in their order. :attr:`due` says when to call
    :meth:`tick` if nothing happens before."""

    def __init__(self, workers: int, drain_seconds: float) -> None:
        self._workers = [_Worker(slot) for slot in range(workers)]
        self._drain_seconds = drain_seconds
        self._up = False
        self._draining = False
        self._stopping = False
        self._status = 0

    @property
    def due(self) -> float | None:
        return min((worker.deadline for worker in self._workers if worker.deadline is not None), default=None)

    def begin(self, now: float) -> list[Order]:
        return [self._start(self._workers[0], now)]

    def ready(self, slot: int, now: float) -> list[Order]:
        worker = self._workers[slot]
        if worker.state is not State.STARTING:
            return []
        worker.state, worker.since, worker.deadline = State.READY, now, now + SILENT_SECONDS
        if self._draining:  # it was told so, just too late to break off
            worker.deadline = now + LEAVE_SECONDS + (0.0 if self._stopping else self._drain_seconds)
            return []
        if self._up:
            return []
        others = [one for one in self._workers if not one.started]
        if others:
            return [self._start(one, now) for one in others]
        if all(one.state is State.READY for one in self._workers):
            self._up = True
            return [Announce()]
        return []

    def alive(self, slot: int, now: float) -> None:
        worker = self._workers[slot]
        if worker.state is State.READY and not self._draining:
            worker.deadline = now + SILENT_SECONDS

    def drained(self, slot: int, now: float) -> list[Order]:
        """A worker has no calls any more, and takes none. One that was not asked to drain was told so by somebody
        else: another takes its place."""
        worker = self._workers[slot]
        if worker.state is not State.READY:
            return []
        worker.state = State.DRAINED
        return list(self._release_all(now) if self._draining else self._release(worker, now))

    def died(self, slot: int, now: float) -> list[Order]:
        worker = self._workers[slot]
        steady = worker.state in (State.READY, State.DRAINED) and now - worker.since >= STEADY_SECONDS
        released, worker.released = worker.released, False
        worker.state, worker.deadline = State.AWAY, None
        if self._draining:
            if not any(one.alive for one in self._workers):
                return [Exit(self._status)]
            return list(self._release_all(now))
        if not self._up:
            self._status = 1
            return self._begin_end(now, at_once=True)
        if steady or released:
            worker.pause = FIRST_PAUSE
        worker.deadline = now + worker.pause
        worker.pause = min(worker.pause * 2, LONGEST_PAUSE)
        return []

    def signalled(self, now: float) -> list[Order]:
        """The service is to drain; a second time, to end what calls there are."""
        return self._begin_end(now, at_once=self._draining)

    def tick(self, now: float) -> list[Order]:
        orders: list[Order] = []
        for worker in self._workers:
            if worker.deadline is None or worker.deadline > now:
                continue
            if worker.state is State.READY and not self._draining and now - worker.deadline > LATE_SECONDS:
                worker.deadline = now + SILENT_SECONDS
            elif worker.alive:
                worker.deadline = None
                orders.append(Kill(worker.slot))
            else:
                orders.append(self._start(worker, now))
        return orders

    def _start(self, worker: _Worker, now: float) -> Start:
        again, worker.started = worker.started, True
        worker.state, worker.since, worker.deadline = State.STARTING, now, now + START_SECONDS
        return Start(worker.slot, again)

    def _begin_end(self, now: float, *, at_once: bool) -> list[Order]:
        first = not self._draining
        self._draining = True
        if self._stopping:
            return []
        self._stopping = at_once
        orders: list[Order] = []
        for worker in self._workers:
            if not worker.alive:
                worker.deadline = None
            elif first or at_once:
                orders += self._end(worker, now)
        if not any(worker.alive for worker in self._workers):
            orders.append(Exit(self._status))
        return orders

    def _end(self, worker: _Worker, now: float) -> Iterator[Order]:
        if self._stopping:
            worker.deadline = now + LEAVE_SECONDS
            yield Stop(worker.slot)
        elif worker.state is State.STARTING:
            worker.deadline = now + LEAVE_SECONDS
            yield Drain(worker.slot)
        elif worker.state is State.READY:
            worker.deadline = now + self._drain_seconds + LEAVE_SECONDS
            yield Drain(worker.slot)

    def _release_all(self, now: float) -> Iterator[Order]:
        """Once nobody has calls any more."""
        if any(worker.state in (State.STARTING, State.READY) for worker in self._workers):
            return
        for worker in self._workers:
            if worker.state is State.DRAINED and not worker.released:
                yield from self._release(worker, now)

    def _release(self, worker: _Worker, now: float) -> Iterator[Order]:
        worker.released, worker.deadline = True, now + LEAVE_SECONDS
        yield Release(worker.slot)
