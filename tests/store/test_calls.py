from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipelines.events import UsageReported
from store import DEFAULT_OWNER, CallEvent, Page, Period
from store.calls import IN_PROGRESS
from tests.store.opened import at, new_call, opened


def event(seq: int, data: Any = "hello", type_: str = "user") -> CallEvent:
    return CallEvent(seq, type_, data, at(seq))


async def test_the_life_of_a_call(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        started = await store.calls.start(new_call(metadata={"a": 1}), started_at=at(0))
        assert (started.index, started.status) == (1, IN_PROGRESS)
        assert await store.calls.get(DEFAULT_OWNER, started.id) == started
        assert await store.calls.end(started.id, "ended normally", "agent hung up", at(9), 9000)
        assert not await store.calls.end(started.id, "failed: late", "late", at(10), 1)
        ended = await store.calls.get(DEFAULT_OWNER, started.id)
        assert ended is not None
        assert (ended.status, ended.end_reason, ended.ended_at, ended.duration_ms) == (
            "ended normally",
            "agent hung up",
            at(9),
            9000,
        )


async def test_what_a_call_used_is_kept_with_its_first_ending(tmp_path: Path) -> None:
    usage = [
        UsageReported("llm", "openai", {"cached_tokens": 512.0, "input_tokens": 2.0**40}),
        UsageReported("stt", "deepgram", {"audio_seconds": 12.345}),
        UsageReported("stt", "moonshine", {"audio_seconds": 0.02}),
    ]
    async with opened(tmp_path) as store:
        other = await store.accounts.create_organisation("other")
        call, silent = [await store.calls.start(new_call(), started_at=at(0)) for _ in range(2)]
        assert await store.calls.usage(DEFAULT_OWNER, call.id) == []
        assert await store.calls.end(call.id, "ended normally", "caller", at(9), 9000, usage)
        # Sent again, because the answer was lost: nothing is counted twice.
        assert not await store.calls.end(call.id, "ended normally", "caller", at(9), 9000, usage)
        assert await store.calls.end(silent.id, "ended normally", "caller", at(9), 9000)
        assert await store.calls.usage(DEFAULT_OWNER, call.id) == usage
        assert await store.calls.usage(DEFAULT_OWNER, silent.id) == []
        assert await store.calls.usage(other, call.id) == []


async def test_every_organisation_counts_its_own_calls_without_gaps(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        other = await store.accounts.create_organisation("other")
        calls = await asyncio.gather(
            *(store.calls.start(new_call(owner), started_at=at(0)) for owner in [DEFAULT_OWNER, other] * 20)
        )
        assert sorted(call.index for call in calls[::2]) == list(range(1, 21))
        assert sorted(call.index for call in calls[1::2]) == list(range(1, 21))


async def test_a_call_that_cannot_be_written_uses_up_no_index(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.calls.start(new_call(id="same"), started_at=at(0))
        with pytest.raises(sa.exc.IntegrityError):
            await store.calls.start(new_call(id="same"), started_at=at(0))
        assert (await store.calls.start(new_call(), started_at=at(0))).index == 2


async def test_pages_by_index(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for second in range(7):
            await store.calls.start(new_call(), started_at=at(second))
        everything = Period()
        page = await store.calls.of_organisation(DEFAULT_OWNER, after_index=0, limit=3, period=everything)
        assert [call.index for call in page] == [1, 2, 3]
        page = await store.calls.of_organisation(DEFAULT_OWNER, after_index=6, limit=3, period=everything)
        assert [call.index for call in page] == [7]
        page = await store.calls.of_organisation(DEFAULT_OWNER, after_index=0, limit=9, period=Period(at(2), at(4)))
        assert [call.index for call in page] == [3, 4, 5]
        page = await store.calls.of_agent(DEFAULT_OWNER, "agent", Page(limit=2, offset=1), everything)
        assert [call.index for call in page] == [6, 5]
        assert await store.calls.of_agent(DEFAULT_OWNER, "another", Page(), everything) == []


async def test_a_period_has_the_calls_that_began_in_it_however_they_were_counted(tmp_path: Path) -> None:
    """Calls are counted as they are written: some begin before one that is counted before them."""
    began = [3, 0, 1, 7, 2, 9, 4, 4, 8, 5]
    async with opened(tmp_path) as store:
        stranger = await store.accounts.create_organisation("other")
        for second in began:
            await store.calls.start(new_call(stranger), started_at=at(second))
            await store.calls.start(new_call(), started_at=at(second))
        for low in [None, *range(-1, 11)]:
            for high in [None, *range(-1, 11)]:
                period = Period(None if low is None else at(low), None if high is None else at(high))
                page = await store.calls.of_organisation(DEFAULT_OWNER, after_index=0, limit=99, period=period)
                wanted = [
                    index
                    for index, second in enumerate(began, 1)
                    if (low is None or second >= low) and (high is None or second <= high)
                ]
                assert [call.index for call in page] == wanted
                of_agent = await store.calls.of_agent(DEFAULT_OWNER, "agent", Page(limit=99), period)
                assert [call.index for call in of_agent] == wanted[::-1]


async def test_events_come_back_in_order_with_any_json(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        call = await store.calls.start(new_call(), started_at=at(0))
        events = [event(0, None), event(1, {"ä": [1, 2.5, True]}), event(2, "text"), event(3, [])]
        await store.calls.append_events(call.id, [events[3], events[1]])
        await store.calls.append_events(call.id, [events[0], events[2]])
        await store.calls.append_events(call.id, [])
        assert await store.calls.events(DEFAULT_OWNER, call.id) == events
        assert await store.calls.events(DEFAULT_OWNER, call.id, after_seq=1) == events[2:]


async def test_events_of_several_calls_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        first, second = [await store.calls.start(new_call(), started_at=at(0)) for _ in range(2)]
        await store.calls.append_batch({first.id: [event(0)], second.id: [event(0), event(1)]})
        with pytest.raises(sa.exc.IntegrityError):
            await store.calls.append_batch({first.id: [event(1)], "no such call": [event(0)]})
        assert await store.calls.events(DEFAULT_OWNER, first.id) == [event(0)]
        assert await store.calls.events(DEFAULT_OWNER, second.id) == [event(0), event(1)]


async def test_a_batch_that_is_sent_again_is_written_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        call = await store.calls.start(new_call(), started_at=at(0))
        await store.calls.append_events(call.id, [event(0), event(1)])
        await store.calls.append_events(call.id, [event(1, "again"), event(2)])
        assert await store.calls.events(DEFAULT_OWNER, call.id) == [event(0), event(1), event(2)]


async def test_calls_are_seen_by_their_owner_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        other = await store.accounts.create_organisation("other")
        call = await store.calls.start(new_call(), started_at=at(0))
        assert await store.calls.get(other, call.id) is None
        assert await store.calls.events(other, call.id) is None
        assert await store.calls.of_organisation(other, after_index=0, limit=9, period=Period()) == []
        assert await store.calls.of_agent(other, "agent", Page(), Period()) == []


async def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        with pytest.raises(sa.exc.StatementError, match="has no zone"):
            await store.calls.start(new_call(), started_at=datetime(2026, 1, 1))  # noqa: DTZ001


async def test_a_page_of_calls_is_read_by_its_index(tmp_path: Path) -> None:
    """The plan of the query, so that a page costs the same however many calls there are."""
    async with opened(tmp_path) as store, store._database.read() as connection:
        plan = await connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT * FROM calls WHERE organisation_id = 'o' AND \"index\" > 5 "
            'ORDER BY "index" LIMIT 50'
        )
        steps = [row.detail for row in plan]
        assert len(steps) == 1
        assert "uq_calls_organisation_id_index" in steps[0]


async def test_the_ends_of_a_period_are_read_by_an_index(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, store._database.read() as connection:
        plan = await connection.exec_driver_sql(
            'EXPLAIN QUERY PLAN SELECT min("index") FROM (SELECT "index" FROM calls WHERE organisation_id = \'o\' '
            "AND started_at >= '2026' ORDER BY started_at LIMIT 1000)"
        )
        steps = [row.detail for row in plan if "calls" in row.detail]
        assert len(steps) == 1
        assert "COVERING INDEX ix_calls_organisation_id_started_at_index" in steps[0]
