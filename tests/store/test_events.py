"""Events of listeners, in the order in which they were written."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from store import DEFAULT_OWNER, CallEvent
from tests.store.opened import at, new_call, opened


def event(seq: int, type: str = "user", **data: Any) -> CallEvent:
    return CallEvent(seq, type, data, at(seq))


async def test_the_events_of_a_listener(tmp_path: Path) -> None:
    async with opened(tmp_path, node="host/a") as store:
        stranger = await store.accounts.create_organisation("other")
        first, second, other, none = [
            (await store.calls.start(new_call(listener_id=listener), started_at=at(0))).id
            for listener in ("l", "l", "x", None)
        ]
        await store.calls.append_batch({first: [event(1), event(3)], second: [event(2)], other: [event(2)]})
        await store.calls.append_batch({first: [event(4)], none: [event(0)]})
        assert await store.listener_events.position("l") == 4
        assert await store.listener_events.position("x") == 1
        assert await store.listener_events.position("?") == 0

        async def found(position: int = 0, owner: Any = DEFAULT_OWNER, **changes: Any) -> list[tuple[int, str, int]]:
            rows = await store.listener_events.after(owner, "l", position, **{"limit": 9, **changes})
            assert {row.node for row in rows} <= {"host/a"}
            return [(row.position, row.call_id, row.event.seq) for row in rows]

        everything = [(1, first, 1), (2, second, 2), (3, first, 3), (4, first, 4)]
        assert await found() == everything
        assert await found(2) == everything[2:]
        assert await found(limit=1) == everything[:1]
        assert await found(call_id=second) == [everything[1]]
        assert await found(owner=stranger) == []
        assert await found(not_of="host/b") == everything
        assert await found(not_of="host/a") == []


async def test_a_batch_that_is_sent_again_moves_nothing(tmp_path: Path) -> None:
    """Or who has read it would be told twice; what others wrote for a process gives way to what that says itself."""
    async with opened(tmp_path) as store:
        call = (await store.calls.start(new_call(listener_id="l"), started_at=at(0))).id
        batch = [event(0), event(1, "hangup", reason="caller")]
        for _ in range(2):
            await store.calls.append_events(call, batch)
        rows = await store.listener_events.after(DEFAULT_OWNER, "l", 0, limit=9)
        assert [(row.position, row.event.type) for row in rows] == [(1, "user"), (2, "hangup")]
        await store.calls.append_events(call, [CallEvent(1, "hangup", {}, at(9))])
        [moved] = await store.listener_events.after(DEFAULT_OWNER, "l", 2, limit=9)
        assert (moved.event.seq, moved.event.at) == (1, at(9))


async def test_whoever_has_read_up_to_a_position_has_all_up_to_it(tmp_path: Path) -> None:
    """However many write at once: a reader that goes on from the last position that it saw misses nothing."""
    async with opened(tmp_path) as store:
        calls = [(await store.calls.start(new_call(listener_id="l"), started_at=at(0))).id for _ in range(4)]
        read: list[tuple[str, int]] = []
        position = 0

        async def write(call: str) -> None:
            for seq in range(0, 20, 2):
                await store.calls.append_batch({call: [event(seq), event(seq + 1)]})

        async def follow() -> None:
            nonlocal position
            while len(read) < 80:
                for row in await store.listener_events.after(DEFAULT_OWNER, "l", position, limit=7):
                    position = row.position
                    read.append((row.call_id, row.event.seq))

        async with asyncio.timeout(20):
            await asyncio.gather(follow(), *(write(call) for call in calls))
        assert len(set(read)) == 80
        for call in calls:
            assert [seq for one, seq in read if one == call] == list(range(20))
