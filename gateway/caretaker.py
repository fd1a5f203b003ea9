"""The leases of this process, renewed; and what others held whose leases are over, freed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from gateway import metrics
from gateway.admission import Admission
from gateway.leases import Leases
from store import Store
from store.errors import reason
from store.processes import LEASE_SECONDS, Reaped
from store.trouble import Trouble

log = structlog.get_logger(__name__)

BEAT_SECONDS = 5.0
"""Between two renewals: three may fail, and a fourth comes in time."""

STORE_SECONDS = 5.0


class Caretaker:
    """:meth:`start` it before calls are taken, :meth:`run` it in a task, :meth:`leave` when no call is left."""

    def __init__(
        self, store: Store, admission: Admission, leases: Leases, on_revived: Callable[[], None] = lambda: None
    ) -> None:
        """``on_revived``: what this process had in the database was freed, and may be put there again."""
        self._on_revived = on_revived
        self._store = store
        self._admission = admission
        self._leases = leases
        self._renewed = -LEASE_SECONDS
        self._cannot_renew = Trouble(log, "cannot renew the lease of this process")
        self._cannot_reap = Trouble(log, "cannot free what is held by leases that are over")
        self._steady = 0.0  # since when each renewal came in time

    async def start(self) -> None:
        """Raises what the store does."""
        await self._store.processes.join()
        self._is_renewed()
        _count(Reaped(0, await self._store.processes.bury_others(), 0))

    async def run(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self.beat()

    async def beat(self) -> None:
        if not await _done(self._renew(), self._cannot_renew):
            metrics.renewals_failed.inc()
        elif asyncio.get_running_loop().time() - self._steady >= LEASE_SECONDS:
            await _done(self._reap(), self._cannot_reap)

    async def leave(self) -> None:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                _count(Reaped(0, await self._store.processes.leave(), 0))
        except Exception as error:  # noqa: BLE001 - another process will find that the lease is over
            log.warning("cannot end the lease of this process", error=reason(error))

    async def _reap(self) -> None:
        _count(await self._store.processes.reap())

    async def _renew(self) -> None:
        if await self._store.processes.renew():
            metrics.places_settled.inc(await self._admission.settle())
        else:
            under_way = self._admission.under_way
            log.warning("this process was taken for dead; its calls go on", calls=len(under_way))
            await self._store.processes.join(under_way)
            self._on_revived()
        await self._leases.renew()
        self._is_renewed()

    def _is_renewed(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._renewed >= LEASE_SECONDS:
            self._steady = now
        self._renewed = now


async def _done(work: Coroutine[Any, Any, None], trouble: Trouble) -> bool:
    """Whether it was, in time."""
    try:
        async with asyncio.timeout(STORE_SECONDS):
            await work
    except Exception as error:  # noqa: BLE001 - whatever a database fails with: calls go on, and it is tried again
        trouble.failed(error)
        return False
    trouble.over()
    return True


def _count(reaped: Reaped) -> None:
    for what, how_many in (("process", reaped.processes), ("call", reaped.calls), ("listener", reaped.listeners)):
        metrics.reaped.labels(what).inc(how_many)
    if reaped != Reaped(0, 0, 0):
        log.warning("leases were over", processes=reaped.processes, calls=reaped.calls, listeners=reaped.listeners)
