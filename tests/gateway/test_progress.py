from __future__ import annotations

import asyncio

import pytest

from gateway.progress import MAX_WAITING, Progress
from tests.clock import run_virtual


def test_events_reach_those_who_watch_that_listener() -> None:
    async def main() -> None:
        progress = Progress()
        with progress.watch("a") as first, progress.watch("a") as second, progress.watch("b") as other:
            progress.publish("a", {"n": 1})
            progress.publish("a", {"n": 2})
            progress.publish("b", {"n": 3})
            progress.publish("nobody", {"n": 4})
            for watcher in (first, second):
                assert [await watcher.next(), await watcher.next()] == [{"n": 1}, {"n": 2}]
            assert await other.next() == {"n": 3}

    run_virtual(main())


def test_who_waits_is_woken() -> None:
    async def main() -> None:
        progress = Progress()
        with progress.watch("a") as watcher:
            asyncio.get_running_loop().call_later(5, progress.publish, "a", {"n": 1})
            assert await watcher.next() == {"n": 1}
            assert asyncio.get_running_loop().time() == pytest.approx(5)

    run_virtual(main())


def test_a_slow_watcher_is_cut_off_and_the_others_are_not() -> None:
    async def main() -> None:
        progress = Progress()
        with progress.watch("a") as slow, progress.watch("a") as quick:
            for n in range(MAX_WAITING):
                progress.publish("a", {"n": n})
                assert await quick.next() == {"n": n}
            assert not slow.too_slow
            for n in range(10_000):
                progress.publish("a", {"n": n})
                assert await quick.next() == {"n": n}
            assert slow.too_slow
            assert await slow.next() is None, "a gap is never passed over in silence"
            assert slow._events.qsize() == MAX_WAITING

    run_virtual(main())


def test_nothing_is_kept_of_who_is_gone() -> None:
    async def main() -> None:
        progress = Progress()
        with pytest.raises(RuntimeError), progress.watch("a"), progress.watch("a"):
            raise RuntimeError
        assert not progress._watchers
        progress.publish("a", {})
        assert not progress._watchers

    run_virtual(main())
