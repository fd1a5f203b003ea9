from __future__ import annotations

import asyncio
from unittest.mock import patch

import pytest

from gateway import progress
from gateway.cursors import TICK
from gateway.progress import MAX_WAITING, Live, Progress
from tests.clock import run_virtual


def test_events_reach_those_who_watch_that_listener() -> None:
    async def main() -> None:
        told = Progress()
        with told.watch("a") as first, told.watch("a") as second, told.watch("b") as other:
            told.publish("a", Live({"n": 1}))
            told.publish("a", Live({"n": 2}))
            told.publish("b", Live({"n": 3}))
            told.publish("nobody", Live({"n": 4}))
            for watcher in (first, second):
                assert [await watcher.next(), await watcher.next()] == [Live({"n": 1}), Live({"n": 2})]
            assert await other.next() == Live({"n": 3})

    run_virtual(main())


def test_who_waits_is_woken() -> None:
    async def main() -> None:
        told = Progress()
        with told.watch("a") as watcher:
            asyncio.get_running_loop().call_later(5, told.publish, "a", Live({"n": 1}))
            assert await watcher.next() == Live({"n": 1})
            assert asyncio.get_running_loop().time() == pytest.approx(5)

    run_virtual(main())


def test_a_slow_watcher_is_cut_off_and_the_others_are_not() -> None:
    async def main() -> None:
        told = Progress()
        with told.watch("a") as slow, told.watch("a") as quick:
            for n in range(MAX_WAITING):
                told.publish("a", Live({"n": n}))
                assert await quick.next() == Live({"n": n})
            assert not slow.too_slow
            for n in range(10_000):
                told.publish("a", Live({"n": n}))
                assert await quick.next() == Live({"n": n})
            assert slow.too_slow
            assert await slow.next() is None, "a gap is never passed over in silence"
            assert slow._events.qsize() == MAX_WAITING

    run_virtual(main())


def test_no_two_events_have_one_moment_whatever_the_clock_does() -> None:
    told = Progress()
    moments = [told.stamp()]
    with patch.object(progress, "datetime") as clock:
        clock.now.return_value = moments[0].replace(year=2000)
        moments += [told.stamp(), told.stamp()]
    assert [at - moments[0] for at in moments] == [0 * TICK, TICK, 2 * TICK]


def test_nothing_is_kept_of_who_is_gone() -> None:
    async def main() -> None:
        told = Progress()
        with pytest.raises(RuntimeError), told.watch("a"), told.watch("a"):
            raise RuntimeError
        assert not told._watchers
        told.publish("a", Live({}))
        assert not told._watchers

    run_virtual(main())
