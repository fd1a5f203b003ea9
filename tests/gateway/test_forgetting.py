from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

from gateway.forgetting import PAUSE_SECONDS, ROUND_SECONDS, Forgetting
from store import Store
from tests.clock import run_virtual


def test_old_calls_are_deleted_in_rounds_whatever_the_database_does() -> None:
    async def main() -> None:
        answers: list[int | Exception] = [50, 3, 0, OSError("refused"), 1, 0]
        asked: list[tuple[float, timedelta]] = []

        async def delete_old(age: timedelta) -> int:
            asked.append((asyncio.get_running_loop().time(), age))
            answer = answers.pop(0) if answers else 0
            if isinstance(answer, Exception):
                raise answer
            return answer

        async def forget_positions() -> int:
            return 0

        retention = SimpleNamespace(delete_old=delete_old, forget_positions=forget_positions)
        task = asyncio.create_task(Forgetting(cast(Store, SimpleNamespace(retention=retention)), 30).run())
        await asyncio.sleep(2.5 * ROUND_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        second, third = 2 * PAUSE_SECONDS + ROUND_SECONDS, 2 * PAUSE_SECONDS + 2 * ROUND_SECONDS
        assert [when for when, _ in asked] == [
            0, PAUSE_SECONDS, 2 * PAUSE_SECONDS, second, third, third + PAUSE_SECONDS,
        ]  # fmt: skip
        assert {age for _, age in asked} == {timedelta(days=30)}

    run_virtual(main())


def test_without_a_bound_of_the_service_those_of_organisations_hold() -> None:
    async def main() -> None:
        asked: list[timedelta | None] = []

        async def delete_old(age: timedelta | None) -> int:
            asked.append(age)
            return 0

        async def forget_positions() -> int:
            return 0

        retention = SimpleNamespace(delete_old=delete_old, forget_positions=forget_positions)
        task = asyncio.create_task(Forgetting(cast(Store, SimpleNamespace(retention=retention)), 0).run())
        await asyncio.sleep(1.5 * ROUND_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert asked == [None, None]

    run_virtual(main())
