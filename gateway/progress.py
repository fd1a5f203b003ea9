"""Who watches calls, live: the events of a listener's calls, to all who subscribed. A slow one costs a call nothing."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from gateway.cursors import TICK
from store.events import CallEvent, StoredEvent

Event = dict[str, Any]

MAX_WAITING = 256
"""Events that wait for one watcher: with more, it is cut off."""

WOKEN_AT_ONCE = 50
"""Watchers in one round of the loop: each sends to a socket, and the sound of calls does not wait for a thousand."""


def describe(call_id: str, event: CallEvent) -> Event:
    """What a watcher is sent of an event of the log, but for its cursor."""
    return {
        event.type: event.data,
        "isFinal": event.is_final,
        "callId": call_id,
        "timestamp": event.at.isoformat(),
        "seq": event.seq,
    }


@dataclass(frozen=True, slots=True)
class Live:
    """Of a call of this process, as it happens; or of any, where ``at`` is None: that is not in the log, and has no
    cursor."""

    event: Event
    at: datetime | None = None

    @property
    def call_id(self) -> str:
        return str(self.event["callId"])


Happened = Live | StoredEvent
"""The other is of a call of another process."""


class Watcher:
    """One subscription: iterate over its events; it ends when the watcher was too slow. ``since``: the moment of the
    last event that happened before it. ``call_id``: the only call that it watches; None is all."""

    def __init__(self, since: datetime, call_id: str | None = None) -> None:
        self.since = since
        self.call_id = call_id
        self.too_slow = False
        self._events: deque[Happened] = deque()
        self._news = asyncio.Event()

    def offer(self, event: Happened) -> bool:
        """Whether it may sleep, and is to be woken."""
        if len(self._events) < MAX_WAITING:
            self._events.append(event)
        else:
            self.too_slow = True
        return not self._news.is_set()

    def wake(self) -> None:
        self._news.set()

    async def next(self) -> Happened | None:
        """The next event; None once events were missed."""
        while not self._events:
            self._news.clear()
            await self._news.wait()
        return None if self.too_slow else self._events.popleft()


class Progress:
    """Events by listener, for those who watch on this process."""

    def __init__(self) -> None:
        self._last = datetime.now(UTC)
        self._watchers: defaultdict[str, set[Watcher]] = defaultdict(set)
        self._asleep: dict[Watcher, None] = {}
        """Those that there is something for, in the order in which they are woken."""
        self._waking = False
        self.carry: Callable[[str, Event], None] = lambda _listener_id, _event: None
        """Tells those who watch a listener on other processes what is in no log."""

    @property
    def watched(self) -> Collection[str]:
        """The listeners that somebody watches."""
        return self._watchers.keys()

    def stamp(self) -> datetime:
        """The time; yet each moment is given out once, and after those before it, whatever the clock does. So a moment
        tells an event from all others of the process."""
        self._last = max(datetime.now(UTC), self._last + TICK)
        return self._last

    def publish(self, listener_id: str, event: Happened) -> None:
        for watcher in self._watchers.get(listener_id, ()):
            if (watcher.call_id is None or watcher.call_id == event.call_id) and watcher.offer(event):
                self._asleep[watcher] = None
        if not self._waking:
            self._wake()

    def _wake(self) -> None:
        for watcher in tuple(islice(self._asleep, WOKEN_AT_ONCE)):
            del self._asleep[watcher]
            watcher.wake()
        self._waking = bool(self._asleep)
        if self._waking:
            asyncio.get_running_loop().call_soon(self._wake)

    def pass_on(self, listener_id: str, event: Event) -> None:
        """An event of a call of this process that is in no log."""
        self.publish(listener_id, Live(event))
        self.carry(listener_id, event)

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
