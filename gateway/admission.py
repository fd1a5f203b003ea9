"""Places for calls: taken in the store before a call begins, and given back beside it when it is over.

Callers who ring in the same instant are counted together, in one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

import structlog

from store import Store
from store.accounts import Limits
from store.batches import Batches
from store.places import LimitReached, Place, Refused, Scope
from store.trouble import Trouble

log = structlog.get_logger(__name__)

STORE_SECONDS = 5.0
"""The longest wait for the database where no caller waits."""

RETRY_SECONDS = 1.0


class Admission:
    """:meth:`run` it in a task of the service."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked = Batches(store.places.take)
        self._held: dict[str, Place] = {}
        self._asking: set[str] = set()
        self._returned: set[str] = set()
        self._assumed: set[str] = set()
        """Calls that were let in without the database."""
        self._work = asyncio.Event()

    @property
    def under_way(self) -> Collection[Place]:
        """Those that are known to be taken."""
        return [place for call_id, place in self._held.items() if call_id not in self._asking]

    async def take(self, place: Place) -> Refused | None:
        """None: the place is taken, until it is given back, which is for the caller to do whatever happens here.
        Raises what the store does."""
        self._held[place.call_id] = place
        self._asking.add(place.call_id)
        refused = await self._asked.get(place)
        self._asking.discard(place.call_id)
        return refused

    def assume(self, place: Place, listener: int | None, owner: Limits) -> LimitReached | None:
        """After :meth:`take` failed: judge by the calls of this process, and by the limits as they were known last, of
        the listener and of its owner. The place is entered into the database once that is back."""
        levels: tuple[tuple[Scope, int | None, Callable[[Place], object]], ...] = (
            ("instance", listener, lambda one: one.listener_id),
            ("user", owner.user, lambda one: one.owner.user_id),
            ("organisation", owner.organisation, lambda one: one.owner.organisation_id),
        )
        under_way = self.under_way
        self._asking.discard(place.call_id)
        for scope, limit, whose in levels:
            if limit is None:
                continue
            current = sum(whose(one) == whose(place) for one in under_way)
            if current >= limit:
                return LimitReached(scope, limit, current)
        self._assumed.add(place.call_id)
        return None

    def give_back(self, call_id: str) -> None:
        """Also where it was refused, or nobody knows."""
        self._asking.discard(call_id)
        if self._held.pop(call_id, None) is not None:
            self._returned.add(call_id)
            self._work.set()

    async def run(self) -> None:
        trouble = Trouble(log, "cannot give back the places of calls")
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                async with asyncio.timeout(STORE_SECONDS):
                    await self._write(tuple(self._returned))
            except Exception as error:  # noqa: BLE001 - whatever a database fails with: it is tried again
                trouble.failed(error)
                await asyncio.sleep(RETRY_SECONDS)
                self._work.set()
            else:
                trouble.over()

    async def settle(self) -> int:
        """Free what the store has for this process and nobody here has: an answer of the database was lost, or came
        when nobody waited for it any more. Returns how many places."""
        assumed = [self._held[call_id] for call_id in self._assumed if call_id in self._held]
        if assumed:
            await self._store.places.enter(assumed)
        self._assumed.intersection_update(self._held.keys() - {place.call_id for place in assumed})
        return await self._store.places.settle(lambda call_id: call_id in self._held or call_id in self._returned)

    async def close(self) -> None:
        """Nobody is let in any more."""
        await self._asked.close()

    async def _write(self, returned: Sequence[str]) -> None:
        await self._store.places.give_back(returned)
        self._returned.difference_update(returned)
