"""Calls of other processes, for those who watch here; and calls of this one that are watched elsewhere.

Other processes say when they stored something. What it was is read then, once for all who watch the listener here. To
this end they are told whom somebody watches, so that they store at once what they would else store in batches. What
is in no log, the phrases that an agent is about to say, is told as it is, and may be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog

from gateway.asking import Asking
from gateway.progress import Event, Live, Progress
from store import Owner, Store
from store.trouble import Trouble
from store.wakeups import ANNOUNCE_SECONDS, Ears

log = structlog.get_logger(__name__)

WATCHED_SECONDS = 3 * ANNOUNCE_SECONDS
"""How long a listener is taken to be watched elsewhere since that was said."""

READERS = 2
"""Listeners whose events are read at the same time: the database's connections are for others, too."""

PAGE = 200

STORE_SECONDS = 5.0
RETRY_SECONDS = 1.0


class Elsewhere:
    """:meth:`run` it in a task. With a database of one process, there is nothing elsewhere."""

    def __init__(self, store: Store, progress: Progress, on_clients: Callable[[], None] = lambda: None) -> None:
        """``on_clients``: other processes may have something for the clients of this one, or from theirs."""
        self._store = store
        self._progress = progress
        self._on_clients_here = on_clients
        self._wakeups = store.wakeups
        self._readers: dict[str, _Reader] = {}
        self._watched: dict[str, float] = {}
        self._free = asyncio.Semaphore(READERS)
        self._trouble = Trouble(log, "cannot read what happens in calls of other processes")
        self.asking = Asking(store.wakeups, store.node)
        progress.carry = self._carry

    async def run(self) -> None:
        if self._wakeups is not None:
            ears = Ears(
                self._on_stored,
                self._on_watched,
                self._on_gap,
                lambda: self._progress.watched,
                self._on_clients,
                self._on_told,
            )
            await self._wakeups.run(ears)

    def is_watched(self, listener_id: str) -> bool:
        """By somebody who is connected to another process."""
        return self._watched.get(listener_id, 0.0) > asyncio.get_running_loop().time()

    def announce(self) -> None:
        """There is a new watcher here: others are to hurry."""
        if self._wakeups is not None:
            self._wakeups.announce()

    @contextmanager
    def following(self, owner: Owner, listener_id: str, position: int) -> Iterator[None]:
        """Publish what others store of a listener's calls after ``position``, and perhaps some of before it."""
        if self._wakeups is None:
            yield
            return
        reader = self._readers.get(listener_id)
        if reader is None:
            reader = self._readers[listener_id] = _Reader(
                self._store, self._progress, self._free, self._trouble, owner, listener_id
            )
        reader.join(position)
        try:
            yield
        finally:
            reader.leave()
            if not reader.watchers:
                del self._readers[listener_id]

    def _carry(self, listener_id: str, event: Event) -> None:
        """What is in no log, to who watches the listener elsewhere."""
        if self._wakeups is not None and self.is_watched(listener_id):
            self._wakeups.tell({"listener": listener_id, "event": event})

    def _on_told(self, by: str, message: Mapping[str, Any]) -> None:
        match message:
            case {"listener": str(listener_id), "event": {"callId": str()} as event}:
                self._progress.publish(listener_id, Live(event))
            case _:
                self.asking.on_told(by, message)

    def _on_stored(self, listener_id: str) -> None:
        if (reader := self._readers.get(listener_id)) is not None:
            reader.wake()

    def _on_watched(self, listener_id: str) -> None:
        now = asyncio.get_running_loop().time()
        for one in [one for one, until in self._watched.items() if until < now]:
            del self._watched[one]
        self._watched[listener_id] = now + WATCHED_SECONDS

    def _on_clients(self, process_id: str) -> None:
        if process_id == self._store.node:
            self._on_clients_here()

    def _on_gap(self) -> None:
        self._on_clients_here()
        for reader in self._readers.values():
            reader.wake()


class _Reader:
    """Reads what other processes store of one listener's calls."""

    def __init__(
        self,
        store: Store,
        progress: Progress,
        free: asyncio.Semaphore,
        trouble: Trouble,
        owner: Owner,
        listener_id: str,
    ) -> None:
        """``free`` and ``trouble`` are those of all readers."""
        self.watchers = 0
        self._store = store
        self._progress = progress
        self._free = free
        self._trouble = trouble
        self._owner = owner
        self._listener_id = listener_id
        self._position: int | None = None
        self._work = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"events of {listener_id}")

    def join(self, position: int) -> None:
        """What a watcher who comes has not had may have been read already: then it is read once more, for those who had
        it know it by its position."""
        self.watchers += 1
        self._position = position if self._position is None else min(self._position, position)
        self.wake()

    def leave(self) -> None:
        self.watchers -= 1
        if not self.watchers:
            self._task.cancel()

    def wake(self) -> None:
        self._work.set()

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                async with self._free:
                    await self._read()
            except Exception as error:  # noqa: BLE001 - whatever a database fails with: it is tried again
                self._trouble.failed(error)
                await asyncio.sleep(RETRY_SECONDS)
                self._work.set()
            else:
                self._trouble.over()

    async def _read(self) -> None:
        while True:
            position = self._position or 0
            async with asyncio.timeout(STORE_SECONDS):
                page = await self._store.listener_events.after(
                    self._owner, self._listener_id, position, limit=PAGE, not_of=self._store.node
                )
            if self._position != position:
                continue  # somebody came who needs more
            for stored in page:
                self._progress.publish(self._listener_id, stored)
                self._position = stored.position
            if len(page) < PAGE:
                return
