"""One process asks another: over a line that passes messages on as PostgreSQL does, to all but who speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from gateway.asking import ANSWER_SECONDS, Asking, Unanswered
from store.wakeups import Wakeups
from tests.clock import run_virtual


class Line:
    """Between processes; each message takes ``seconds``."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds
        self.up = True
        self._ends: dict[str, Asking] = {}

    def process(self, node: str) -> Asking:
        asking = self._ends[node] = Asking(cast(Wakeups, End(self, node)), node)
        return asking

    def tell(self, by: str, message: Mapping[str, Any]) -> bool:
        for node, asking in self._ends.items():
            if self.up and node != by:
                asyncio.get_running_loop().call_later(self.seconds, asking.on_told, by, message)
        return self.up


class End:
    def __init__(self, line: Line, node: str) -> None:
        self._line, self._node = line, node

    def tell(self, message: Mapping[str, Any]) -> bool:
        return self._line.tell(self._node, message)


def test_the_one_that_is_asked_answers_and_no_other() -> None:
    async def main() -> None:
        line = Line()
        a, b, c = (line.process(node) for node in "abc")

        async def double(about: Mapping[str, Any]) -> dict[str, Any]:
            return {"is": 2 * about["n"]}

        async def never(_: Mapping[str, Any]) -> None:
            pytest.fail("nobody asked this one")

        async def nothing(_: Mapping[str, Any]) -> None:
            return None

        b.answer("double", double)
        c.answer("double", never)
        answers = await asyncio.gather(*(a.ask("b", "double", {"n": n}) for n in range(3)))
        assert answers == [{"is": 0}, {"is": 2}, {"is": 4}]
        b.answer("none", nothing)
        assert await a.ask("b", "none", {}) is None
        assert a._asked == {}

    run_virtual(main())


def test_who_is_not_answered_in_time_is_told_so_and_what_comes_late_is_nobodys() -> None:
    async def main() -> None:
        line = Line()
        a, b = line.process("a"), line.process("b")
        done: list[int] = []

        async def late(_: Mapping[str, Any]) -> dict[str, Any]:
            done.append(1)
            line.seconds = 3 * ANSWER_SECONDS
            return {}

        async def failing(_: Mapping[str, Any]) -> dict[str, Any]:
            raise RuntimeError("of the test")

        b.answer("late", late)
        b.answer("failing", failing)
        began = asyncio.get_running_loop().time()
        for node, what in (("b", "late"), ("b", "failing"), ("b", "unknown"), ("nobody", "late")):
            line.seconds = 0.01
            with pytest.raises(Unanswered, match=r"no answer within 2 s"):
                await a.ask(node, what, {})
        assert asyncio.get_running_loop().time() - began == pytest.approx(4 * ANSWER_SECONDS)
        await asyncio.sleep(4 * ANSWER_SECONDS)
        assert done == [1]
        assert b._replies == set()
        line.up = False
        with pytest.raises(Unanswered, match="nobody can be asked"):
            await a.ask("b", "late", {})
        with pytest.raises(Unanswered, match="nobody can be asked"):
            await Asking(None, "alone").ask("b", "late", {})

    run_virtual(main())
