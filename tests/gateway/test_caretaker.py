"""The caretaker on virtual time, over a store in memory that goes away on request."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any, cast

import pytest

from gateway import metrics
from gateway.admission import Admission
from gateway.caretaker import BEAT_SECONDS, Caretaker
from gateway.leases import LEAST_GRACE, Leases
from store import DEFAULT_OWNER, Listener, ListenerOptions, Store
from store.places import Place, Refused
from store.processes import LEASE_SECONDS, Reaped
from store.rows import now
from tests.clock import run_virtual


class Rows:
    """Notes what it is asked, with the time. ``away``: nobody answers; ``dead``: this process has no lease."""

    def __init__(self) -> None:
        self.processes = self.places = self.leases = self
        self.asked: list[tuple[str, float]] = []
        self.joined: list[Sequence[Place]] = []
        self.held: list[tuple[list[str], float]] = []
        self.away = self.dead = False

    def times(self, what: str) -> list[float]:
        return [at for asked, at in self.asked if asked == what]

    async def _note(self, what: str) -> None:
        self.asked.append((what, asyncio.get_running_loop().time()))
        if self.away:
            raise ConnectionError("refused")

    async def join(self, under_way: Sequence[Place] = ()) -> None:
        await self._note("join")
        self.joined.append(under_way)
        self.dead = False

    async def renew(self) -> bool:
        await self._note("renew")
        return not self.dead

    async def settle(self, _: Any) -> int:
        await self._note("settle")
        return 0

    async def hold(self, listener_ids: Collection[str], *, at_least: float) -> None:
        self.held.append((sorted(listener_ids), at_least))
        await self._note("hold")

    async def bury_others(self) -> int:
        return 0

    async def leave(self) -> int:
        await self._note("leave")
        return 0

    async def reap(self) -> Reaped:
        await self._note("reap")
        return Reaped(1, 2, 3)

    async def take(self, wanted: Sequence[Place]) -> dict[Place, Refused]:
        return {}


def with_a_caretaker(test: Any) -> None:
    async def main() -> None:
        rows = Rows()
        store = cast(Store, rows)
        admission, leases = Admission(store), Leases(store)
        caretaker = Caretaker(store, admission, leases)
        await caretaker.start()
        running = asyncio.create_task(caretaker.run())
        try:
            await test(rows, admission, leases)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await leases.close()
            await admission.close()
        await caretaker.leave()
        assert rows.asked[-1][0] == "leave"

    run_virtual(main())


def test_a_lease_is_renewed_long_before_it_is_over() -> None:
    async def test(rows: Rows, *_: Any) -> None:
        await asyncio.sleep(61)
        times = rows.times("renew")
        assert len(times) == 12
        assert max(after - before for before, after in pairwise(times)) <= LEASE_SECONDS / 3
        assert rows.times("join") == [0.0]

    with_a_caretaker(test)


def test_nobody_is_reaped_by_who_has_not_been_there_for_as_long_as_a_lease() -> None:
    """After the start, and after a database that nobody could reach: then the leases of the living are over, too."""

    async def test(rows: Rows, *_: Any) -> None:
        await asyncio.sleep(41)
        assert rows.times("reap")[0] == LEASE_SECONDS
        rows.away = True
        await asyncio.sleep(60)
        rows.away, back = False, asyncio.get_running_loop().time()
        await asyncio.sleep(60)
        first = min(at for at in rows.times("reap") if at > back)
        renewed = min(at for at in rows.times("renew") if at > back)
        assert first - renewed >= LEASE_SECONDS
        assert renewed - back <= BEAT_SECONDS

    with_a_caretaker(test)


def test_a_hiccup_changes_nothing() -> None:
    async def test(rows: Rows, *_: Any) -> None:
        await asyncio.sleep(41)
        rows.away = True
        await asyncio.sleep(BEAT_SECONDS * 2)
        rows.away, back = False, asyncio.get_running_loop().time()
        await asyncio.sleep(BEAT_SECONDS)
        assert rows.times("reap")[-1] > back

    with_a_caretaker(test)


def test_what_cannot_be_freed_is_tried_again_and_no_renewal_that_failed() -> None:
    async def test(rows: Rows, *_: Any) -> None:
        failed, reap = metrics.renewals_failed._value.get(), rows.reap
        await asyncio.sleep(LEASE_SECONDS + 1)
        reaped = len(rows.times("reap"))
        rows.reap = asyncio.Event().wait  # type: ignore[method-assign,assignment]
        await asyncio.sleep(4 * BEAT_SECONDS)
        rows.reap = reap  # type: ignore[method-assign]
        await asyncio.sleep(3 * BEAT_SECONDS)
        assert len(rows.times("reap")) > reaped
        assert metrics.renewals_failed._value.get() == failed
        assert max(after - before for before, after in pairwise(rows.times("renew"))) < LEASE_SECONDS / 1.5

    with_a_caretaker(test)


def test_a_database_that_never_answers_is_not_waited_for() -> None:
    async def test(rows: Rows, *_: Any) -> None:
        stuck = rows.renew
        rows.renew = asyncio.Event().wait  # type: ignore[method-assign]
        await asyncio.sleep(30)
        rows.renew = stuck  # type: ignore[method-assign]
        await asyncio.sleep(BEAT_SECONDS * 2)
        assert rows.times("renew")

    with_a_caretaker(test)


def test_who_was_taken_for_dead_takes_its_calls_up_again() -> None:
    async def test(rows: Rows, admission: Admission, _: Leases) -> None:
        mine, over = Place("mine", "l", DEFAULT_OWNER), Place("over", "l", DEFAULT_OWNER)
        for place in (mine, over):
            assert await admission.take(place) is None
        admission.give_back("over")
        rows.dead = True
        await asyncio.sleep(BEAT_SECONDS + 1)
        assert rows.joined == [(), [mine]]
        await asyncio.sleep(BEAT_SECONDS)
        assert len(rows.joined) == 2

    with_a_caretaker(test)


def listener(*, tied: bool) -> Listener:
    options = ListenerOptions(ttl=30 if tied else None, tied=tied)
    return Listener("tied" if tied else "untied", "agent", None, "jambonz", None, options, now())


@pytest.mark.parametrize("away", [False, True])
def test_a_tied_listener_is_held_while_a_socket_is_open(away: bool) -> None:
    async def test(rows: Rows, _: Admission, leases: Leases) -> None:
        async with leases.held(listener(tied=False)):
            await asyncio.sleep(BEAT_SECONDS + 1)
            assert rows.held == []
        rows.away = away
        async with leases.held(listener(tied=True)):
            assert rows.held == [(["tied"], LEASE_SECONDS)], "at once: its grace may be nearly over"
            async with leases.held(listener(tied=True)):
                pass
            rows.away = False
            rows.held.clear()
            await asyncio.sleep(BEAT_SECONDS * 3)
            assert rows.held == [(["tied"], LEASE_SECONDS)] * 3
        await leases.close()
        assert rows.held[3:] == [(["tied"], LEAST_GRACE)], "and from now on it has its grace"
        await asyncio.sleep(BEAT_SECONDS * 3)
        assert len(rows.held) == 4

    with_a_caretaker(test)
