from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest

from gateway import progress
from gateway.cursors import TICK
from gateway.progress import MAX_WAITING, WOKEN_AT_ONCE, Live, Progress
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
            assert len(slow._events) == MAX_WAITING

    run_virtual(main())


def test_a_crowd_is_woken_a_few_at_a_time_and_each_in_order() -> None:
    async def main() -> None:
        told, rounds, crowd = Progress(), list[int](), 4 * WOKEN_AT_ONCE
        got: list[list[Any]] = [[] for _ in range(crowd)]

        async def watch(mine: list[Any]) -> None:
            with told.watch("a") as watcher:
                while len(mine) < 3:
                    mine.append(await watcher.next())

        async with asyncio.TaskGroup() as group:
            for mine in got:
                group.create_task(watch(mine))
            await asyncio.sleep(1)
            told.publish("a", Live({"n": 0}))
            while len(rounds) < 6:
                rounds.append(sum(map(len, got)))
                await asyncio.sleep(0)
            told.publish("a", Live({"n": 1}))
            told.publish("a", Live({"n": 2}))
        assert all(mine == [Live({"n": n}) for n in range(3)] for mine in got)
        assert max(after - before for before, after in pairwise(rounds)) == WOKEN_AT_ONCE
        assert rounds[-1] == crowd
        assert not told._asleep

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
