"""Who watches calls, live: the events of a listener's calls, to all who subscribed. A slow one costs a call nothing."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Event = dict[str, Any]

MAX_WAITING = 256
"""Events that wait for one watcher: with more, it is cut off."""


class Watcher:
    """One subscription: iterate over its events; it ends when the watcher was too slow."""

    def __init__(self) -> None:
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
        self._watchers: defaultdict[str, set[Watcher]] = defaultdict(set)

    def publish(self, listener_id: str, event: Event) -> None:
        for watcher in self._watchers.get(listener_id, ()):
            watcher.offer(event)

    @contextmanager
    def watch(self, listener_id: str) -> Iterator[Watcher]:
        watcher = Watcher()
        self._watchers[listener_id].add(watcher)
        try:
            yield watcher
        finally:
            self._watchers[listener_id].discard(watcher)
            if not self._watchers[listener_id]:
                del self._watchers[listener_id]
