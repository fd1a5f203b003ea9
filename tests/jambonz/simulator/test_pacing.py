"""The grid of 20 ms."""

from __future__ import annotations

import asyncio

import pytest

from jambonz.simulator.pacing import Pacer
from tests.clock import VirtualLoop, run_virtual


class Line:
    def __init__(self) -> None:
        self.times: list[float] = []
        self.errors: list[Exception] = []

    def frame(self, now: float) -> None:
        self.times.append(now)

    def fail(self, error: Exception) -> None:
        self.errors.append(error)


class BrokenLine(Line):
    def frame(self, now: float) -> None:
        super().frame(now)
        raise ValueError("broken")


def test_lines_are_spread_over_the_frame_and_each_has_its_grid() -> None:
    async def run() -> list[Line]:
        pacer, lines = Pacer(), [Line() for _ in range(4)]
        for line in lines:
            pacer.add(line)
        await asyncio.sleep(1.001)
        for line in lines:
            pacer.remove(line)
        return lines

    lines = run_virtual(run())
    assert [line.times[0] for line in lines] == pytest.approx([0.0, 0.005, 0.01, 0.015])
    assert lines[1].times == pytest.approx([0.005 + 0.02 * n for n in range(50)])


def test_a_late_loop_is_made_up_for_with_the_times_of_the_grid() -> None:
    async def run() -> Line:
        pacer, line = Pacer(), Line()
        pacer.add(line)
        await asyncio.sleep(0.05)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop._jumping.now += 0.5
        await asyncio.sleep(0)
        for _ in range(40):
            await asyncio.sleep(0)
        pacer.remove(line)
        return line

    assert run_virtual(run()).times == pytest.approx([0.02 * n for n in range(28)])


def test_a_line_that_fails_is_left_out_and_the_others_go_on() -> None:
    async def run() -> tuple[list[Line], list[asyncio.TimerHandle | None]]:
        pacer, lines = Pacer(), [BrokenLine(), *(Line() for _ in range(4))]
        for line in lines:
            pacer.add(line)
        await asyncio.sleep(0.1)
        for line in lines:
            pacer.remove(line)
        return lines, pacer._timers

    lines, timers = run_virtual(run())
    assert len(lines[0].times) == len(lines[0].errors) == 1
    assert all(len(line.times) >= 4 for line in lines[1:])
    assert timers == [None] * 4, "no timer goes on without a line"
