from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from store import batches
from store.batches import READERS, Batches
from tests.clock import run_virtual


class Source:
    """Answers after ``seconds`` with what was true when it was asked."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.truth = {f"key {number}": 0 for number in range(1000)}
        self.asked: list[list[str]] = []
        self.fault: Exception | None = None
        self.at_once = self.most_at_once = 0

    async def load(self, keys: Sequence[str]) -> dict[str, int]:
        self.asked.append(list(keys))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        found = {key: self.truth[key] for key in keys if key in self.truth}
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        if self.fault is not None:
            raise self.fault
        return found


def test_what_comes_at_once_is_asked_once() -> None:
    async def main() -> None:
        source = Source()
        asked = Batches(source.load)
        began = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(asked.get(f"key {number % 50}") for number in range(200)))
        assert answers == [0] * 200
        assert len(source.asked) <= READERS
        assert asyncio.get_running_loop().time() - began <= 2.0

    run_virtual(main())


def test_no_answer_is_older_than_its_question() -> None:
    """A question that comes while the same is being answered is asked again."""

    async def main() -> None:
        source = Source()
        asked = Batches(source.load)
        askers = []
        for step in range(40):
            source.truth["key 1"] = step
            askers.append((step, asyncio.create_task(asked.get("key 1"))))
            await asyncio.sleep(0.3)
        for step, asker in askers:
            answer = await asker
            assert answer is not None
            assert answer >= step
        assert source.most_at_once == READERS
        assert len(source.asked) < len(askers)

    run_virtual(main())


def test_what_has_no_value() -> None:
    async def main() -> None:
        asked = Batches(Source().load)
        assert await asyncio.gather(*map(asked.get, ("key 1", "none"))) == [0, None]

    run_virtual(main())


def test_a_fault_is_theirs_who_asked_and_nobody_elses() -> None:
    async def main() -> None:
        source = Source()
        asked = Batches(source.load)
        source.fault = OSError("away")
        for found in await asyncio.gather(*(asked.get("key 1") for _ in range(5)), return_exceptions=True):
            assert isinstance(found, OSError)
        source.fault = None
        assert await asked.get("key 1") == 0

    run_virtual(main())


def test_whoever_gives_up_is_not_waited_for() -> None:
    async def main() -> None:
        asked = Batches(Source().load)
        impatient = asyncio.create_task(asked.get("key 1"))
        patient = asyncio.create_task(asked.get("key 1"))
        await asyncio.sleep(0.5)
        impatient.cancel()
        assert await patient == 0
        assert impatient.cancelled()

    run_virtual(main())


def test_one_question_without_an_answer_does_not_hold_up_the_others() -> None:
    async def main() -> None:
        source = Source(seconds=3600.0)
        asked = Batches(source.load)
        stuck = asyncio.create_task(asked.get("key 1"))
        await asyncio.sleep(0.1)
        source.seconds = 0.5
        async with asyncio.timeout(5.0):
            for number in range(4):
                assert await asked.get(f"key {number}") == 0
        assert not stuck.done()
        await asked.close()
        with pytest.raises(asyncio.CancelledError):
            await stuck

    run_virtual(main())


def test_a_question_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_AT_ONCE", 20)

    async def main() -> None:
        source = Source()
        asked = Batches(source.load)
        assert await asyncio.gather(*(asked.get(f"key {number}") for number in range(95))) == [0] * 95
        assert max(map(len, source.asked)) == 20
        assert sum(map(len, source.asked)) == 95

    run_virtual(main())


def test_those_who_wait_at_the_end_are_told() -> None:
    async def main() -> None:
        source = Source()
        asked = Batches(source.load)
        tasks = [asyncio.create_task(asked.get(f"key {number}")) for number in range(10)]
        await asyncio.sleep(0.1)
        await asked.close()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        assert source.at_once == 0

    run_virtual(main())
