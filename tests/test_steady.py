from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from time import monotonic

import pytest

from tests.steady import MOST_SECONDS, MOST_TRIES, SteadyLoop, WallClockLoop, undisturbed


def hold_up(seconds: float) -> None:
    """As a machine does that runs something else."""
    until = monotonic() + seconds
    while monotonic() < until:
        pass


async def test_what_the_machine_takes_is_no_time() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    hold_up(0.2)
    assert 0 < loop.time() - began <= 2 * MOST_SECONDS
    await asyncio.sleep(0)
    assert loop.time() - began < 0.1


async def test_time_passes_while_there_is_nothing_to_do() -> None:
    loop = asyncio.get_running_loop()
    began, then = loop.time(), monotonic()
    await asyncio.sleep(0.05)
    assert 0.045 <= loop.time() - began < 0.2
    assert monotonic() - then >= 0.045


async def test_who_is_held_up_is_not_late() -> None:
    """On any other loop both are due afterwards, and the deadline has passed."""
    async with asyncio.timeout(0.06):
        asyncio.get_running_loop().call_later(0.01, hold_up, 0.1)
        await asyncio.sleep(0.03)


async def test_a_test_may_say_that_it_is_held_up() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteadyLoop)
    waiting = asyncio.create_task(asyncio.wait_for(asyncio.sleep(60), 59))
    await asyncio.sleep(0)
    loop.hold_up(61)
    with pytest.raises(TimeoutError):
        await waiting


@pytest.mark.wall_clock
@pytest.mark.parametrize(("halts", "tries"), [(0, 1), (1, 2), (9, MOST_TRIES)])
async def test_what_failed_while_the_machine_halted_is_tried_again(tmp_path: Path, halts: int, tries: int) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, WallClockLoop)
    seen: list[Path] = []

    @undisturbed
    async def fails(tmp_path: Path) -> None:
        seen.append(tmp_path)
        if len(seen) <= halts:
            loop._watching.halts += 1
        raise AssertionError("it fails")

    with pytest.raises(AssertionError, match="it fails"):
        await fails(tmp_path=tmp_path)
    assert len(set(seen)) == tries


@pytest.mark.wall_clock
async def test_the_machines_own_time() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    hold_up(0.05)
    assert loop.time() - began >= 0.05


@pytest.mark.wall_clock
async def test_a_halt_is_noticed() -> None:
    """Another process stops this one, and lets it go on."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, WallClockLoop)
    halts, us = loop.halts, os.getpid()
    code = f"import os, signal, time; os.kill({us}, signal.SIGSTOP); time.sleep(0.6); os.kill({us}, signal.SIGCONT)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
    assert loop.halts > halts
