"""All events of a listener's calls for one watcher, whichever process has the calls: each once, each call's in order,
each with the cursor to go on from.

First what the watcher missed: that which is stored, then that which waits to be. Then what happens. The same event may
come both ways, for much happens while others are read; the watcher's :class:`~gateway.cursors.Seen` tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

from gateway.cursors import Seen
from gateway.elsewhere import Elsewhere
from gateway.progress import Event, Live, Progress, Watcher, describe
from gateway.recorder import Recorder
from store import Owner, Store
from store.errors import reason
from store.events import CallEvent

PAGE = 200
"""Stored events that are read at once."""

STORE_SECONDS = 5.0


class StoreAway(Exception):
    """What the watcher missed cannot be read."""


@dataclass(frozen=True, slots=True)
class Feeds:
    """Of the watchers of this process."""

    store: Store
    recorder: Recorder
    progress: Progress
    elsewhere: Elsewhere

    async def events(
        self, owner: Owner, listener_id: str, *, call_id: str | None = None, since: Seen | None = None
    ) -> AsyncGenerator[Event, None]:
        """What ``since`` has not had, or what happens from now on. Ends when the watcher was too slow; raises
        :class:`StoreAway`."""
        with self.progress.watch(listener_id, call_id) as watcher:
            self.elsewhere.announce()
            ahead: set[datetime] = set()
            newest = await self._newest(listener_id)
            if since is None:
                seen = Seen(newest)
                seen.tell(self.store.node, watcher.since)
            else:
                seen = since
                seen.position = min(seen.position, newest)  # the database may have been set back to what it was
                async for event in self._missed(owner, listener_id, watcher, seen, ahead):
                    yield event
            with self.elsewhere.following(owner, listener_id, seen.position):
                while (happened := await watcher.next()) is not None:
                    if not isinstance(happened, Live):
                        if happened.position > seen.position:
                            seen.position = happened.position
                            if not seen.had(happened.node, happened.event.at):
                                yield _with_cursor(happened.call_id, happened.event, seen)
                    elif happened.at is None:
                        yield happened.event
                    else:
                        seen.tell(self.store.node, happened.at)
                        if happened.at in ahead:
                            ahead.discard(happened.at)
                        else:
                            yield {**happened.event, "cursor": str(seen)}

    async def _newest(self, listener_id: str) -> int:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                return await self.store.listener_events.position(listener_id)
        except Exception as error:
            raise StoreAway(reason(error)) from error

    async def _missed(
        self, owner: Owner, listener_id: str, watcher: Watcher, seen: Seen, ahead: set[datetime]
    ) -> AsyncGenerator[Event, None]:
        """``ahead`` gets what will come as it happens, too."""
        node, only = self.store.node, watcher.call_id
        # First what waits: what leaves it from now on is stored before that is read.
        waiting = {
            event.at: (call, event)
            for call, event in self.recorder.waiting(listener_id)
            if event.at <= watcher.since and not seen.had(node, event.at) and only in (None, call)
        }
        while True:
            try:
                async with asyncio.timeout(STORE_SECONDS):
                    page = await self.store.listener_events.after(
                        owner, listener_id, seen.position, limit=PAGE, call_id=only
                    )
            except Exception as error:
                raise StoreAway(reason(error)) from error
            for stored in page:
                seen.position = stored.position
                if seen.had(stored.node, stored.event.at):
                    continue
                if stored.node == node:
                    waiting.pop(stored.event.at, None)
                    if stored.event.at > watcher.since:
                        ahead.add(stored.event.at)
                yield _with_cursor(stored.call_id, stored.event, seen)
            if len(page) < PAGE:
                break
        for at, (call, event) in sorted(waiting.items()):
            seen.tell(node, at)
            yield _with_cursor(call, event, seen)
        seen.tell(node, watcher.since)


def _with_cursor(call_id: str, event: CallEvent, seen: Seen) -> Event:
    return {**describe(call_id, event), "cursor": str(seen)}
