"""The in-memory link: latency, order, closing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jambonz.simulator.memory import MemoryLink
from tests.clock import run_virtual


class Recorder:
    def __init__(self) -> None:
        self.got: list[tuple[float, Any]] = []

    def on_text(self, text: str) -> None:
        self._note(text)

    def on_binary(self, data: bytes) -> None:
        self._note(data)

    def on_closed(self, code: int) -> None:
        self._note(code)

    def _note(self, what: Any) -> None:
        self.got.append((asyncio.get_running_loop().time(), what))

    @property
    def what(self) -> list[Any]:
        return [what for _, what in self.got]


def test_order_is_kept_at_the_same_instant_and_when_the_latency_falls() -> None:
    async def run() -> None:
        link, there = MemoryLink(0.5), Recorder()
        link.theirs.attach(there)
        for number in range(50):
            link.ours.send_text(str(number))
        link.latency = 0.1
        link.ours.send_binary(b"last")
        await asyncio.sleep(0.49)
        assert there.got == []
        await asyncio.sleep(0.02)
        assert there.what == [*map(str, range(50)), b"last"]
        assert [at for at, _ in there.got] == pytest.approx([0.5] * 51)

    run_virtual(run())


def test_closing_tells_both_ends_once_and_what_is_sent_later_is_lost() -> None:
    async def run() -> None:
        link, here, there = MemoryLink(0.1), Recorder(), Recorder()
        link.ours.attach(here)
        link.theirs.attach(there)
        link.theirs.send_text("on its way")
        link.ours.send_text("before")
        link.ours.close(1000)
        link.ours.send_text("after")
        link.theirs.close(1011)
        await asyncio.sleep(1)
        assert here.what == [1000]
        assert there.what == [1011]
        assert (link.ours.closed, link.theirs.closed) == (1000, 1011)

    run_virtual(run())


def test_what_comes_before_there_is_a_handler_waits_for_it() -> None:
    async def run() -> None:
        link, there = MemoryLink(), Recorder()
        link.ours.send_text("early")
        link.ours.close(1001)
        await asyncio.sleep(1)
        link.theirs.attach(there)
        assert there.what == ["early", 1001]

    run_virtual(run())
