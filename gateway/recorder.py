"""Writes what happens in calls to the store, in batches, beside the calls: no call ever waits for the database."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from gateway import metrics
from pipelines.events import UsageReported
from store import Store
from store.calls import CallEvent, NewCall
from store.errors import reason
from store.trouble import Trouble

log = structlog.get_logger(__name__)

BATCH_SECONDS = 0.3
"""A transaction costs as much as several seconds of a call's audio path, whatever it holds."""

STORE_SECONDS = 5.0
"""The longest wait for the database."""

HURRY_SECONDS = 0.005
"""Between two writes, where somebody on another process watches the call, who sees what is stored: the first event is
written at once, and what comes soon after it together."""

MAX_SPOOLED = 10_000
"""Events of one process that wait for a database that is away, and calls; past it the newest are lost, and counted."""

LAST = "hangup"
"""The type of a call's last event: there is one, whoever watches waits for it, and it is always kept."""

MOST_LOGS = 200
"""Invocation logs that wait, of up to half a megabyte each."""

SUBSYSTEM = "gateway"
"""Whose invocation logs these are."""

MOST_AT_ONCE = 1000
"""Events of one transaction, so that none takes long, however much waits."""

RETRY_SECONDS = 1.0


class Recorder:
    """:meth:`run` it in a task of the service; :meth:`close` writes what is left."""

    def __init__(self, store: Store, *, is_watched: Callable[[str], bool] = lambda _: False) -> None:
        """``is_watched``: whether somebody elsewhere watches a listener."""
        self._store = store
        self._is_watched = is_watched
        self._waiting: defaultdict[str, list[CallEvent]] = defaultdict(list)
        self._listeners: dict[str, str] = {}
        """Whose the calls in ``_waiting`` are."""
        self._starts: dict[str, tuple[NewCall, datetime]] = {}
        self._ends: dict[str, tuple[str, str, datetime, int, Sequence[UsageReported]]] = {}
        self._lines: dict[str, str] = {}
        self._count = 0
        self._work = asyncio.Event()
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def start_call(self, call: NewCall, at: datetime) -> None:
        if len(self._starts) >= MAX_SPOOLED:
            metrics.events_lost.inc()
            return
        self._starts[call.id] = (call, at)
        self._wake()

    def record(self, call_id: str, event: CallEvent, listener_id: str = "") -> None:
        if self._count >= MAX_SPOOLED and event.type != LAST:
            metrics.events_lost.inc()
            return
        self._count += 1
        self._waiting[call_id].append(event)
        self._listeners[call_id] = listener_id
        if self._is_watched(listener_id):
            self._hurry.set()
        self._wake()

    def waiting(self, listener_id: str) -> Iterator[tuple[str, CallEvent]]:
        """Events of a listener's calls that are not known to be stored, by the ids of their calls."""
        for call_id, events in self._waiting.items():
            if self._listeners[call_id] == listener_id:
                for event in events:
                    yield call_id, event

    def end_call(
        self,
        call_id: str,
        status: str,
        reason: str,
        at: datetime,
        milliseconds: int,
        usage: Sequence[UsageReported] = (),
    ) -> None:
        """``usage``: the sums, one for each part and provider."""
        self._ends[call_id] = (status, reason, at, milliseconds, usage)
        self._wake()

    def keep_lines(self, call_id: str, lines: str) -> None:
        """What the service logged of a call that is over."""
        if len(self._lines) >= MOST_LOGS:
            metrics.events_lost.inc()
            return
        self._lines[call_id] = lines
        self._wake()

    async def run(self) -> None:
        clock = asyncio.get_running_loop().time
        trouble = Trouble(log, "cannot store what happens in calls")
        written = clock()
        while True:
            await self._work.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(BATCH_SECONDS):
                    await self._hurry.wait()
                    await asyncio.sleep(written + HURRY_SECONDS - clock())
            self._work.clear()
            self._hurry.clear()
            try:
                await self._write()
            except Exception as error:  # noqa: BLE001 - whatever a database fails with: calls go on, and it is tried again
                trouble.failed(error, events=self._count)
                await asyncio.sleep(RETRY_SECONDS)
                self._work.set()
            else:
                trouble.over()
            written = clock()

    async def stored(self, call_id: str) -> None:
        """Returns when what began and ended of the call so far is stored."""
        while call_id in self._starts or call_id in self._ends:  # noqa: ASYNC110 - seldom waited for
            await asyncio.sleep(BATCH_SECONDS / 3)

    async def settled(self) -> None:
        """Returns when all that was recorded so far is stored."""
        await self._idle.wait()

    async def close(self, seconds: float = STORE_SECONDS) -> None:
        """Store what is left; after ``seconds`` it is lost, and said so."""
        try:
            async with asyncio.timeout(seconds):
                await self.settled()
        except TimeoutError:
            metrics.events_lost.inc(self._count)
            calls = len(self._waiting.keys() | self._starts.keys() | self._ends.keys())
            log.error(
                "events of calls were lost: the database did not take them in time", events=self._count, calls=calls
            )

    def _wake(self) -> None:
        self._idle.clear()
        self._work.set()

    async def _write(self) -> None:
        """Each thing is forgotten once it is stored, so that a failure in between loses and doubles nothing."""
        for call_id, (call, at) in list(self._starts.items()):
            await self._store_or_refuse(call_id, self._store.calls.start(call, started_at=at))
            del self._starts[call_id]
        while batch := self._next_batch():
            if not await self._stored_together(batch):
                for call_id, events in batch.items():
                    await self._store_apart(call_id, events)
                    self._forget(call_id, len(events))
        for call_id, ending in list(self._ends.items()):
            if call_id not in self._waiting and call_id not in self._starts:
                await self._store_or_refuse(call_id, self._store.calls.end(call_id, *ending))
                del self._ends[call_id]
        for call_id, lines in list(self._lines.items()):
            if call_id not in self._starts:
                await self._store_or_refuse(call_id, self._store.invocation_logs.put(call_id, SUBSYSTEM, lines))
                del self._lines[call_id]
        if not self._starts and not self._waiting and not self._ends and not self._lines:
            self._idle.set()

    def _next_batch(self) -> dict[str, Sequence[CallEvent]]:
        batch: dict[str, Sequence[CallEvent]] = {}
        room = MOST_AT_ONCE
        for call_id, events in self._waiting.items():
            if room <= 0:
                break
            if call_id not in self._starts:  # a call that began meanwhile: first its row, then what refers to it
                batch[call_id] = tuple(events[:room])
                room -= len(events)
        return batch

    async def _stored_together(self, batch: Mapping[str, Sequence[CallEvent]]) -> bool:
        """One transaction for all calls costs little more than one for each of them. False if the data of one call,
        or the only one, has to be told from the others'."""
        if len(batch) < 2:
            return False
        try:
            async with asyncio.timeout(STORE_SECONDS):
                await self._store.calls.append_batch(batch)
        except Exception as error:
            if not _refused(error):
                raise
            return False
        for call_id, events in batch.items():
            self._forget(call_id, len(events))
        return True

    def _forget(self, call_id: str, stored: int) -> None:
        waiting = self._waiting[call_id]
        del waiting[:stored]
        self._count -= stored
        if not waiting:
            del self._waiting[call_id], self._listeners[call_id]

    async def _store_apart(self, call_id: str, events: Sequence[CallEvent]) -> None:
        """Those of one call; where they are refused for what is in one of them, each for itself."""
        try:
            async with asyncio.timeout(STORE_SECONDS):
                await self._store.calls.append_events(call_id, events)
        except Exception as error:
            if not _refused(error):
                raise
            if len(events) == 1 or isinstance(error, IntegrityError):  # or there is no such call
                _let_go(call_id, error, len(events))
            else:
                for event in events:
                    await self._store_apart(call_id, [event])

    async def _store_or_refuse(self, call_id: str, write: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                await write
        except Exception as error:
            if not _refused(error):
                raise
            _let_go(call_id, error, 1)


def _let_go(call_id: str, error: Exception, events: int) -> None:
    """What the database refuses would be refused again, and hold up all that comes after it."""
    metrics.events_lost.inc(events)
    log.warning("the store refused what happened in a call", call_id=call_id, events=events, error=reason(error))


def _refused(error: Exception) -> bool:
    """Whether it is the data that is wrong: the agent was deleted, the row is there, a text holds a NUL."""
    if not isinstance(error, DBAPIError):  # then it could not even be sent
        return isinstance(error, StatementError | TypeError | ValueError | RecursionError)
    data_exception = str(getattr(error.orig, "sqlstate", "")).startswith("22")  # of PostgreSQL
    return isinstance(error, IntegrityError | DataError) or data_exception
