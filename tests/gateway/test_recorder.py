from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, StatementError

from gateway import metrics, recorder
from gateway.recorder import BATCH_SECONDS, HURRY_SECONDS, Recorder
from pipelines.agent import AgentDefinition
from pipelines.events import UsageReported
from store import DEFAULT_OWNER, Store
from store.calls import CallEvent, NewCall
from tests.clock import run_virtual

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AWAY = OperationalError("INSERT", {}, OSError("connection refused"))


def call(call_id: str, agent_id: str = "agent") -> NewCall:
    return NewCall(DEFAULT_OWNER, agent_id, None, "scripted/test", "jambonz", "1", "2", id=call_id)


def event(seq: int, data: Any = None) -> CallEvent:
    return CallEvent(seq, "user", data, NOW)


class Tables:
    """A store that fails when it is told to. Like the real one it needs a call's row first, and knows events by their
    numbers."""

    def __init__(self) -> None:
        self.calls: dict[str, str | None] = {}
        self.events: dict[str, list[CallEvent]] = {}
        self.usage: dict[str, Sequence[UsageReported]] = {}
        self.order: list[str] = []
        self.fails: Callable[[str], Exception | None] = lambda _: None
        self.loses_answers = False
        self.seconds = 0.0

    async def start(self, new: NewCall, *, started_at: datetime) -> None:
        await self._write(f"start {new.id}")
        if new.id in self.calls:
            raise IntegrityError("INSERT", {}, Exception("it is there"))
        self.calls[new.id] = None
        await self._answer()

    async def append_events(self, call_id: str, events: Sequence[CallEvent]) -> None:
        await self.append_batch({call_id: events})

    async def append_batch(self, batch: Mapping[str, Sequence[CallEvent]]) -> None:
        await self._write(*(f"events {call_id}" for call_id in batch))
        if not batch.keys() <= self.calls.keys():
            raise IntegrityError("INSERT", {}, Exception("there is no such call"))
        for call_id, events in batch.items():
            stored = self.events.setdefault(call_id, [])
            known = {e.seq for e in stored}
            stored += [e for e in events if e.seq not in known]
        await self._answer()

    async def end(
        self, call_id: str, status: str, reason: str, at: datetime, milliseconds: int, usage: Sequence[UsageReported]
    ) -> None:
        await self._write(f"end {call_id}")
        if call_id in self.calls:
            self.calls[call_id] = self.calls[call_id] or reason
            self.usage.setdefault(call_id, usage)
        await self._answer()

    async def _write(self, *parts: str) -> None:
        await asyncio.sleep(self.seconds)
        for error in map(self.fails, parts):
            if error is not None:
                raise error
        self.order.append(" ".join(parts))

    async def _answer(self) -> None:
        if self.loses_answers:
            raise AWAY

    def numbers(self, call_id: str) -> list[int]:
        return [e.seq for e in self.events.get(call_id, [])]


@asynccontextmanager
async def recording(tables: Tables, watched: str = "nothing") -> AsyncIterator[Recorder]:
    recorder = Recorder(cast(Store, SimpleNamespace(calls=tables)), is_watched=lambda one: one == watched)
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def lost() -> float:
    return float(metrics.events_lost._value.get())


async def one_call(recorder: Recorder, call_id: str, events: int, every: float = 0.0) -> None:
    recorder.start_call(call(call_id), NOW)
    for seq in range(events):
        recorder.record(call_id, event(seq))
        await asyncio.sleep(every)
    recorder.end_call(call_id, "ended normally", "caller", NOW, 1)


def test_what_a_call_used_is_stored_with_its_end() -> None:
    async def main() -> None:
        tables = Tables()
        used = [UsageReported("llm", "openai", {"input_tokens": 12.0})]
        async with recording(tables) as recorder:
            recorder.start_call(call("a"), NOW)
            recorder.end_call("a", "ended normally", "caller", NOW, 1, used)
            await recorder.settled()
        assert tables.usage == {"a": used}

    run_virtual(main())


def test_what_is_watched_elsewhere_is_written_at_once_and_what_comes_soon_after_together() -> None:
    async def main() -> None:
        tables = Tables()
        async with recording(tables, watched="w") as recorder:
            recorder.start_call(call("a"), NOW)
            recorder.record("a", event(0), "not watched")
            await asyncio.sleep(BATCH_SECONDS / 2)
            assert tables.order == []
            await recorder.settled()
            await asyncio.sleep(1)
            tables.order.clear()
            recorder.record("a", event(1), "w")
            await asyncio.sleep(HURRY_SECONDS / 5)
            assert tables.order == ["events a"]
            for seq in (2, 3, 4):
                recorder.record("a", event(seq), "w")
                await asyncio.sleep(HURRY_SECONDS / 5)
            await recorder.settled()
            assert tables.order == ["events a"] * 2
        assert tables.numbers("a") == [0, 1, 2, 3, 4]

    run_virtual(main())


def test_a_call_is_stored_in_its_order() -> None:
    async def main() -> None:
        tables = Tables()
        async with recording(tables) as recorder:
            await one_call(recorder, "a", 3)
            await recorder.settled()
            assert tables.order == ["start a", "events a", "end a"]
            assert tables.numbers("a") == [0, 1, 2]
            assert tables.calls == {"a": "caller"}
            await recorder.settled()

    run_virtual(main())


@pytest.mark.parametrize("loses_answers", [False, True], ids=["refuses", "stores, and the answer is lost"])
def test_the_database_goes_away_and_comes_back(loses_answers: bool) -> None:
    """A minute without a database, calls going on: then all is there, once, in order."""

    async def main() -> None:
        tables = Tables()
        before = lost()
        async with recording(tables) as recorder:
            calls = [asyncio.create_task(one_call(recorder, f"c{n}", 100, every=0.7)) for n in range(10)]
            await asyncio.sleep(5)
            tables.loses_answers = loses_answers
            if not loses_answers:
                tables.fails = lambda _: AWAY
            await asyncio.sleep(60)
            tables.loses_answers = False
            tables.fails = lambda _: None
            await asyncio.gather(*calls)
            await asyncio.wait_for(recorder.settled(), 5)
            for n in range(10):
                assert tables.numbers(f"c{n}") == list(range(100))
                assert tables.calls[f"c{n}"] == "caller"
            assert lost() == before

    run_virtual(main())


def test_a_start_whose_answer_was_lost_is_let_go() -> None:
    async def main() -> None:
        tables = Tables()
        tables.loses_answers = True
        async with recording(tables) as recorder:
            recorder.start_call(call("a"), NOW)
            await asyncio.sleep(0.5)
            tables.loses_answers = False
            recorder.record("a", event(0))
            await recorder.settled()
            assert tables.numbers("a") == [0]

    run_virtual(main())


def test_a_database_that_hangs_is_given_up_and_tried_again() -> None:
    async def main() -> None:
        tables = Tables()
        tables.seconds = 1e6
        async with recording(tables) as recorder:
            await one_call(recorder, "a", 2)
            await asyncio.sleep(2)
            tables.seconds = 0.0
            await asyncio.wait_for(recorder.settled(), 8)
            assert asyncio.get_running_loop().time() == pytest.approx(2 * BATCH_SECONDS + 5.0 + 1.0)
            assert (tables.numbers("a"), tables.calls["a"]) == ([0, 1], "caller")

    run_virtual(main())


def test_a_call_that_begins_while_others_are_written() -> None:
    async def main() -> None:
        tables = Tables()
        tables.seconds = 0.5
        before = lost()
        async with recording(tables) as recorder:
            await one_call(recorder, "a", 1)
            for n in range(20):
                await asyncio.sleep(0.1)
                await one_call(recorder, f"b{n}", 1)
            await recorder.settled()
            assert [tables.numbers(f"b{n}") for n in range(20)] == [[0]] * 20
            assert set(tables.calls.values()) == {"caller"}
            assert lost() == before

    run_virtual(main())


def test_what_happens_in_a_call_while_it_is_written() -> None:
    async def main() -> None:
        tables = Tables()
        tables.seconds = 0.5
        async with recording(tables) as recorder:
            recorder.start_call(call("a"), NOW)
            recorder.record("a", event(0))
            await asyncio.sleep(BATCH_SECONDS + 0.7)  # the first event is on its way
            recorder.record("a", event(1))
            recorder.end_call("a", "ended normally", "caller", NOW, 1)
            await recorder.settled()
            assert tables.order == ["start a", "events a", "events a", "end a"]
            assert tables.numbers("a") == [0, 1]

    run_virtual(main())


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_SPOOLED", 5)

    async def main() -> None:
        tables = Tables()
        tables.fails = lambda _: AWAY
        before = lost()
        async with recording(tables) as recorder:
            await one_call(recorder, "a", 8)
            recorder.record("a", CallEvent(8, "hangup", None, NOW))
            await one_call(recorder, "b", 3)
            assert lost() - before == 6
            tables.fails = lambda _: None
            await recorder.settled()
            assert tables.numbers("a") == [0, 1, 2, 3, 4, 8], "the newest are lost, but for the last"
            assert tables.calls == {"a": "caller", "b": "caller"}, "and no call"
            recorder.record("b", event(9))
            await recorder.settled()
            assert tables.numbers("b") == [9], "there is room again"

    run_virtual(main())


class PostgresError(Exception):
    sqlstate = "22021"


@pytest.mark.parametrize(
    "refusal",
    [
        IntegrityError("INSERT", {}, Exception("the agent was deleted")),
        DataError("INSERT", {}, Exception("too long")),
        DBAPIError("INSERT", {}, PostgresError("a NUL")),
        RecursionError("too deep for JSON"),
        StatementError("not JSON", "INSERT", {}, TypeError("not serializable")),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("what", ["start a", "events a", "end a"])
def test_what_the_database_refuses_is_let_go(what: str, refusal: Exception) -> None:
    async def main() -> None:
        tables = Tables()
        tables.fails = lambda write: refusal if write == what else None
        before = lost()
        async with recording(tables) as recorder:
            await one_call(recorder, "a", 4)
            await one_call(recorder, "b", 4)
            await asyncio.wait_for(recorder.settled(), 1)
            assert tables.numbers("b") == [0, 1, 2, 3]
            assert lost() - before == {"start a": 1 + 4, "events a": 4, "end a": 1}[what]

    run_virtual(main())


def test_what_is_wrong_with_an_event_costs_no_other() -> None:
    async def main() -> None:
        tables = Tables()
        before, append = lost(), tables.append_batch

        async def append_batch(batch: Mapping[str, Sequence[CallEvent]]) -> None:
            if any(e.data == "bad" for events in batch.values() for e in events):
                raise DataError("INSERT", {}, Exception("NaN is no JSON"))
            await append(batch)

        tables.append_batch = append_batch  # type: ignore[method-assign]
        async with recording(tables) as recorder:
            recorder.start_call(call("a"), NOW)
            for seq in range(6):
                recorder.record("a", event(seq, "bad" if seq == 2 else None))
            await asyncio.wait_for(recorder.settled(), 1)
            assert tables.numbers("a") == [0, 1, 3, 4, 5]
            assert lost() - before == 1

    run_virtual(main())


def test_an_error_that_may_pass_is_not_let_go() -> None:
    async def main() -> None:
        tables = Tables()
        errors = [DBAPIError("INSERT", {}, Exception("deadlock")), AWAY, TimeoutError(), OSError(), RuntimeError("?")]
        tables.fails = lambda _: errors.pop() if errors else None
        async with recording(tables) as recorder:
            await one_call(recorder, "a", 2)
            await asyncio.wait_for(recorder.settled(), 10)
            assert tables.numbers("a") == [0, 1]

    run_virtual(main())


def test_closing_waits_for_the_database_but_not_for_ever() -> None:
    async def main() -> None:
        tables = Tables()
        tables.fails = lambda _: AWAY
        before = lost()
        async with recording(tables) as recorder:
            await one_call(recorder, "a", 7)
            await recorder.close(3.0)
            assert asyncio.get_running_loop().time() == pytest.approx(3.0)
            assert lost() - before == 7

    run_virtual(main())


def test_calls_are_stored_together_unless_one_is_refused() -> None:
    async def main() -> None:
        tables = Tables()
        before = lost()
        async with recording(tables) as recorder:
            for call_id in ("a", "b", "c"):
                recorder.start_call(call(call_id), NOW)
            for seq in range(5):
                for call_id in ("a", "b", "c"):
                    recorder.record(call_id, event(seq))
                await asyncio.sleep(1)
            assert tables.order[3:] == ["events a events b events c"] * 5
            recorder.record("d", event(0))  # of a call that there is not
            for call_id in ("a", "b", "c"):
                recorder.record(call_id, event(5))
            await recorder.settled()
            assert {call_id: tables.numbers(call_id) for call_id in "abcd"} == {
                "a": list(range(6)), "b": list(range(6)), "c": list(range(6)), "d": [],
            }  # fmt: skip
            assert lost() - before == 1

    run_virtual(main())


def test_closing_stores_what_is_left() -> None:
    async def main() -> None:
        tables = Tables()
        async with recording(tables) as recorder:
            await one_call(recorder, "a", 7)
            await recorder.close()
            assert len(tables.numbers("a")) == 7
            assert asyncio.get_running_loop().time() < 1

    run_virtual(main())


async def test_the_real_store_takes_a_batch_again(tmp_path: Path) -> None:
    """Real SQLite: a batch that was stored, and whose answer was lost, is sent again."""
    store = await Store.open(f"sqlite:///{tmp_path}/db.sqlite3", data_dir=tmp_path, credentials_key="c")
    definition = AgentDefinition.model_validate({"modelName": "scripted/test", "prompt": "x"})
    agent = await store.agents.create(DEFAULT_OWNER, definition)
    append, failures = store.calls.append_events, ["once"]

    async def forgetful(call_id: str, events: Sequence[CallEvent]) -> None:
        await append(call_id, events)
        if failures:
            failures.pop()
            raise AWAY

    store.calls.append_events = forgetful  # type: ignore[method-assign]
    recorder = Recorder(store)
    task = asyncio.create_task(recorder.run())
    try:
        recorder.start_call(call("a", agent.id), NOW)
        recorder.record("a", event(0, {"text": "Grüße \u0000"}))
        recorder.record("b", event(0))  # of a call that there is not
        recorder.end_call("a", "ended normally", "caller", NOW, 5)
        recorder.end_call("b", "ended normally", "caller", NOW, 5)
        await recorder.close()
        [stored] = await store.calls.events(DEFAULT_OWNER, "a") or []
        assert stored.data == {"text": "Grüße \u0000"}
        found = await store.calls.get(DEFAULT_OWNER, "a")
        assert found is not None
        assert found.end_reason == "caller"
        assert await store.calls.get(DEFAULT_OWNER, "b") is None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.close()
