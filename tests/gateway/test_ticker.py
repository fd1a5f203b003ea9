from __future__ import annotations

import asyncio

import pytest

from gateway import metrics
from gateway.ticker import SLOTS, Ticker
from tests.clock import VirtualLoop, run_virtual


class Counter:
    def __init__(self, due: float = 0.0) -> None:
        self.due = due
        self.times: list[float] = []

    def tick(self, now: float) -> None:
        self.times.append(now)

    @property
    def gaps(self) -> list[float]:
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]


def test_who_needs_no_tick_is_left_out_until_it_does() -> None:
    async def main() -> None:
        ticker, start = Ticker(), asyncio.get_running_loop().time()
        early, late = Counter(), Counter(due=start + 0.5)
        ticker.add(early)
        ticker.add(late)
        await asyncio.sleep(1.0)
        assert late.times == [time for time in early.times if time >= start + 0.5]
        ticker.discard(early)
        ticker.discard(late)

    run_virtual(main())


def test_a_hundred_and_fifty_calls_are_ticked_every_20_ms() -> None:
    async def main() -> None:
        ticker = Ticker()
        calls = [Counter() for _ in range(150)]
        for call in calls:
            ticker.add(call)
        assert len(ticker) == 150
        await asyncio.sleep(10)
        for call in calls:
            assert len(call.times) in (499, 500)
            assert call.gaps == pytest.approx([0.02] * len(call.gaps))
        together = [sum(call.times[0] == time for call in calls) for time in {call.times[0] for call in calls}]
        assert sorted(together) == [37, 37, 38, 38], "and not all at once"
        for call in calls:
            ticker.discard(call)

    run_virtual(main())


@pytest.mark.parametrize("late", [0.003, 0.019, 0.05, 0.5, 3.0])
def test_a_loop_that_was_held_up(late: float) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        ticker = Ticker()
        calls = [Counter() for _ in range(8)]
        for call in calls:
            ticker.add(call)
        await asyncio.sleep(1.0)
        ticks = [len(call.times) for call in calls]
        loop._jumping.now += late  # somebody computes
        await asyncio.sleep(0.0201)
        for call, before in zip(calls, ticks, strict=True):
            assert 1 <= len(call.times) - before <= 3, "each is ticked at once, and those missed are not made up for"
        await asyncio.sleep(1.0)
        for call, before in zip(calls, ticks, strict=True):
            settled = call.times[before + 3 :]
            assert len(settled) >= 46
            offset = [(time - call.times[0]) / 0.02 for time in settled]
            assert offset == pytest.approx([round(steps) for steps in offset], abs=1e-6), "on the grid again"
            ticker.discard(call)

    run_virtual(main())


def test_it_runs_only_while_there_is_something_to_tick() -> None:
    async def main() -> None:
        ticker, first, second = Ticker(), Counter(), Counter()
        ticker.add(first)
        await asyncio.sleep(0.1)
        ticker.discard(first)
        ticks = len(first.times)
        await asyncio.sleep(0.1)
        assert len(first.times) == ticks
        assert ticker._timer is None
        assert len(ticker) == 0
        await asyncio.sleep(100)
        ticker.add(second)
        await asyncio.sleep(0.05)
        assert second.times[0] <= 100.3
        assert len(second.times) >= 2
        ticker.discard(second)
        ticker.discard(second)

    run_virtual(main())


def test_calls_may_come_and_go_while_they_are_ticked() -> None:
    class Leaver(Counter):
        def tick(self, now: float) -> None:
            super().tick(now)
            ticker.discard(self)
            ticker.add(follower)

    ticker, follower = Ticker(), Counter()

    async def main() -> None:
        leavers = [Leaver() for _ in range(SLOTS * 3)]
        for leaver in leavers:
            ticker.add(leaver)
        await asyncio.sleep(0.1)
        assert {len(leaver.times) for leaver in leavers} == {1}
        ticker.discard(follower)

    run_virtual(main())


def test_how_late_it_is_is_measured() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        ticker, calls = Ticker(), [Counter() for _ in range(150)]  # in all slots
        for call in calls:
            ticker.add(call)
        before = metrics.loop_lag._sum.get()
        await asyncio.sleep(1)
        assert metrics.loop_lag._sum.get() - before == pytest.approx(0.0, abs=1e-6)
        for stalls in range(1, SLOTS + 1):  # whichever slot is due then
            await asyncio.sleep(0.505)
            loop._jumping.now += 0.7
            await asyncio.sleep(0.1)
            assert metrics.loop_lag._sum.get() - before == pytest.approx(0.7 * stalls, abs=0.025 * stalls)
        for call in calls:
            ticker.discard(call)

    run_virtual(main())
