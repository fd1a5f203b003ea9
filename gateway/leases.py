"""Listeners that are tied to their progress sockets: as long as one is open, the lease is renewed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import structlog

from store import Listener, Store
from store.errors import reason
from store.processes import LEASE_SECONDS

log = structlog.get_logger(__name__)

GRACE_SECONDS = 30
"""Of a tied listener whose activation says nothing else: how long its client may be away."""

LEAST_GRACE = 10.0
"""Of a client that was there: other sockets of it, on other processes, renew the lease more often than that."""

STORE_SECONDS = 5.0


class Leases:
    """Of the sockets on this process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sockets: Counter[str] = Counter()
        self._writing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def held(self, listener: Listener) -> AsyncIterator[None]:
        """While a progress socket of the listener is open."""
        if not listener.options.tied:
            yield
            return
        self._sockets[listener.id] += 1
        try:
            await self._renew([listener.id], LEASE_SECONDS)
            yield
        finally:
            self._sockets[listener.id] -= 1
            if not self._sockets[listener.id]:
                del self._sockets[listener.id]
                # From now on it has its grace. Whoever ended the socket does not wait for that.
                task = asyncio.create_task(self._renew([listener.id], LEAST_GRACE))
                self._writing.add(task)
                task.add_done_callback(self._writing.discard)

    async def renew(self) -> None:
        """Those that are held. Raises what the store does."""
        if self._sockets:
            await self._store.leases.hold(list(self._sockets), at_least=LEASE_SECONDS)

    async def close(self) -> None:
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def _renew(self, listener_ids: Collection[str], at_least: float) -> None:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                await self._store.leases.hold(listener_ids, at_least=at_least)
        except Exception as error:  # noqa: BLE001 - whatever a database fails with: the next renewal is soon
            log.warning("cannot renew the lease of a listener", error=reason(error))
