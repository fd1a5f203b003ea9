"""Who watches calls, live: the events of a listener's calls, to all who subscribed. A slow one costs a call nothing."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from store.calls import CallEvent

Event = dict[str, Any]

MAX_WAITING = 256
"""Events that wait for one watcher: with more, it is cut off."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_DIGITS = 16
"""Of a moment in microseconds, until the year 2286."""


def describe(call_id: str, event: CallEvent) -> Event:
    """What a watcher is sent of an event of the log."""
    return {
        event.type: event.data,
        "isFinal": event.is_final,
        "callId": call_id,
        "timestamp": event.at.isoformat(),
        "seq": event.seq,
        "cursor": cursor(event.at),
    }


def cursor(at: datetime) -> str:
    """Of the event at that moment: what comes after it is what a watcher that has it misses. Opaque to clients."""
    return str((at - _EPOCH) // _TICK)


def read_cursor(given: str) -> datetime:
    """Raises ValueError in words."""
    if not (given.isascii() and given.isdigit() and len(given) <= _DIGITS):
        raise ValueError("since is no cursor: give the cursor of an event as it came, or 0 for all there is.")
    return _EPOCH + int(given) * _TICK


class Watcher:
    """One subscription: iterate over its events; it ends when the watcher was too slow. ``since``: the moment of the
    last event that happened before it. ``call_id``: the only call that it watches; None is all."""

    def __init__(self, since: datetime, call_id: str | None = None) -> None:
        self.since = since
        self.call_id = call_id
        self._events: asyncio.Queue[Event] = asyncio.Queue(MAX_WAITING)
        self.too_slow = False

    def offer(self, event: Event) -> None:
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self.too_slow = True

    async def next(self) -> Event | None:
        """The next event; None once events were missed."""
        return None if self.too_slow else await self._events.get()


class Progress:
    """Events by listener, in one process."""

    def __init__(self) -> None:
        self._last = datetime.now(UTC)
        self._watchers: defaultdict[str, set[Watcher]] = defaultdict(set)

    def stamp(self) -> datetime:
        """The time; yet each moment is given out once, and after those before it, whatever the clock does. So a moment
        tells an event from all others of the process."""
        self._last = max(datetime.now(UTC), self._last + _TICK)
        return self._last

    def publish(self, listener_id: str, event: Event) -> None:
        for watcher in self._watchers.get(listener_id, ()):
            if watcher.call_id is None or watcher.call_id == event["callId"]:
                watcher.offer(event)

    @contextmanager
    def watch(self, listener_id: str, call_id: str | None = None) -> Iterator[Watcher]:
        watcher = Watcher(self._last, call_id)
        self._watchers[listener_id].add(watcher)
        try:
            yield watcher
        finally:
            self._watchers[listener_id].discard(watcher)
            if not self._watchers[listener_id]:
                del self._watchers[listener_id]
