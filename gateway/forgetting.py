"""Calls that are over for longer than they are to be kept: deleted a few at a time, beside the calls under way."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from gateway import metrics
from store import Store
from store.errors import reason

log = structlog.get_logger(__name__)

ROUND_SECONDS = 600.0
PAUSE_SECONDS = 0.5
STORE_SECONDS = 30.0


class Forgetting:
    """:meth:`run` it in a task. ``days`` is how long a call is kept at most; 0 is for ever, unless its organisation
    keeps it for less."""

    def __init__(self, store: Store, days: float) -> None:
        self._store = store
        self._age = timedelta(days=days) if days else None

    async def run(self) -> None:
        while True:
            try:
                await self.forget()
            except Exception as error:  # noqa: BLE001 - whatever a database fails with: the next round is soon
                log.warning("cannot delete old calls; trying again", error=reason(error))
            await asyncio.sleep(ROUND_SECONDS)

    async def forget(self) -> None:
        """All that is too old by now."""
        while True:
            async with asyncio.timeout(STORE_SECONDS):
                deleted = await self._store.retention.delete_old(self._age)
            if not deleted:
                break
            metrics.calls_deleted.inc(deleted)
            await asyncio.sleep(PAUSE_SECONDS)
        async with asyncio.timeout(STORE_SECONDS):
            await self._store.retention.forget_positions()
