"""What watchers are told, by two processes on one database: fakes of the database and of its messages, which come late,
twice, or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast
from unittest.mock import patch

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway import elsewhere, feed
from gateway.call_log import CallLog
from gateway.cursors import Seen
from gateway.elsewhere import Elsewhere
from gateway.feed import Feeds, StoreAway
from gateway.progress import MAX_WAITING, Event, Progress
from gateway.recorder import Recorder
from store import DEFAULT_OWNER, CallEvent, Owner, Store
from store.events import StoredEvent
from store.wakeups import Ears
from tests.clock import run_virtual


class Rows:
    """The tables; ``meanwhile`` is done while somebody reads, ``away`` fails whoever asks."""

    def __init__(self) -> None:
        self.rows: list[StoredEvent] = []
        self.meanwhile: list[Any] = []
        self.away = False
        self.seconds = 0.0
        self.processes: list[Process] = []


class Process:
    """As much of one as watchers use, and its calls: each on the listener, under its own name."""

    def __init__(self, name: str, tables: Rows, calls: str, messages: bool = True) -> None:
        self.node = f"host/{name}"
        self.tables = tables
        self.ears: Ears | None = None
        self.messages = messages
        self.calls, self.listener_events, self.wakeups = self, self, self
        tables.processes.append(self)
        self.progress = Progress()
        self.elsewhere = Elsewhere(cast(Store, self), self.progress)
        self.recorder = Recorder(cast(Store, self), is_watched=self.elsewhere.is_watched)
        self.feeds = Feeds(cast(Store, self), self.recorder, self.progress, self.elsewhere)
        self.logs = {
            one: CallLog(one, "listener", self.recorder, self.progress, structlog.get_logger()) for one in calls
        }

        self._writing = asyncio.Lock()

    async def store(self) -> None:
        """As the recorder's own task does it."""
        async with self._writing:
            await self.recorder._write()

    async def run(self, ears: Ears) -> None:
        self.ears = ears

    def announce(self) -> None:
        for other in self.tables.processes:
            if other is not self and other.ears and self.messages:
                other.ears.on_watched("listener")

    def tell(self, message: Mapping[str, Any]) -> bool:
        for other in self.tables.processes:
            if other is not self and other.ears and self.messages:
                other.ears.on_told(self.node, json.loads(json.dumps(message)))
        return self.messages

    async def append_batch(self, batch: Mapping[str, Sequence[CallEvent]]) -> None:
        await asyncio.sleep(self.tables.seconds)
        if self.tables.away:
            raise OSError("connection refused")
        events = sorted(((e.at, c, e) for c, events in batch.items() for e in events), key=lambda one: one[0])
        for _, call_id, event in events:
            self.tables.rows.append(StoredEvent(len(self.tables.rows) + 1, self.node, call_id, event))
        for other in self.tables.processes:
            if other is not self and other.ears and other.messages:
                other.ears.on_stored("listener")

    async def append_events(self, call_id: str, events: Sequence[CallEvent]) -> None:
        await self.append_batch({call_id: events})

    async def position(self, listener_id: str) -> int:
        await asyncio.sleep(self.tables.seconds)
        return len(self.tables.rows)

    async def after(
        self,
        owner: Owner,
        listener_id: str,
        position: int,
        *,
        limit: int,
        call_id: str | None = None,
        not_of: str | None = None,
    ) -> list[StoredEvent]:
        found = [one for one in self.tables.rows[position:] if call_id in (None, one.call_id) and one.node != not_of][
            :limit
        ]
        await asyncio.sleep(self.tables.seconds)  # what is read was true before that
        while self.tables.meanwhile:
            await self.tables.meanwhile.pop()()
        if self.tables.away:
            raise OSError("connection refused")
        return found


class Client:
    """Watches, and remembers the cursor of the last event that it was told."""

    def __init__(self, call_id: str | None = None) -> None:
        self.cursor = "0"
        self.seen: list[Event] = []
        self._call_id = call_id
        self._task: asyncio.Task[None] | None = None
        self._may_read = asyncio.Semaphore(0)

    def read(self, process: Process, most: int) -> None:
        """So many events, and is there if it was not."""
        if self._task is None or self._task.done():
            self._may_read = asyncio.Semaphore(0)
            self._task = asyncio.create_task(self._watch(process))
        for _ in range(most):
            self._may_read.release()

    async def leave(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _watch(self, process: Process) -> None:
        events = process.feeds.events(DEFAULT_OWNER, "listener", call_id=self._call_id, since=Seen.parse(self.cursor))
        try:
            await self._may_read.acquire()
            async for event in events:
                if event["isFinal"]:
                    self.seen.append(event)
                    self.cursor = event["cursor"]
                await self._may_read.acquire()
        finally:
            await events.aclose()


ACTIONS = st.lists(
    st.one_of(
        st.sampled_from(["a", "b", "c"]),  # something happens in that call
        st.sampled_from(["store A", "store B", "store meanwhile", "leave", "say", "wait"]),
        st.tuples(st.sampled_from("AB"), st.integers(1, 9)),  # the client reads there, if it is not elsewhere already
    ),
    max_size=60,
)


@given(ACTIONS, st.sampled_from([None, "a"]), st.integers(1, 4), st.booleans())
def test_who_comes_and_goes_between_processes_gets_each_event_once_and_in_order(
    actions: list[str | tuple[str, int]], only: str | None, page: int, messages: bool
) -> None:
    async def main() -> None:
        tables = Rows()
        processes = {"A": Process("A", tables, "ab", messages), "B": Process("B", tables, "c", messages)}
        for process in processes.values():
            await process.elsewhere.run()
        happened: list[tuple[str, int]] = []
        client = Client(only)

        def note(call: str) -> None:
            happened.append((call, sum(one == call for one, _ in happened)))
            [log] = [p.logs[call] for p in processes.values() if call in p.logs]
            log.note("user", "x")

        async def meanwhile() -> None:
            await processes["A"].store()
            note("a")
            note("c")

        with patch.object(feed, "PAGE", page), patch.object(elsewhere, "PAGE", page):
            for action in actions:
                match action:
                    case "store A" | "store B":
                        await processes[action[-1]].store()
                    case "store meanwhile":
                        tables.meanwhile.append(meanwhile)
                    case "leave":
                        await client.leave()
                    case "say":
                        processes["A"].logs["a"].on_saying("Hel")
                    case "wait":
                        await asyncio.sleep(0.1)
                    case str(call):
                        note(call)
                    case (name, most):
                        client.read(processes[name], most)
                        await asyncio.sleep(0)
            client.read(processes["B"], 10_000)
            await asyncio.sleep(1)
            tables.meanwhile.clear()  # from now on nothing happens any more
            for process in processes.values():
                await process.store()
            for process in processes.values():
                if process.ears:
                    process.ears.on_gap()  # as it is called after messages may have been lost
            await asyncio.sleep(1)
            await client.leave()
        told = [(one["callId"], one["seq"]) for one in client.seen]
        for call in "abc":
            mine = [one for one in happened if one[0] == call and only in (None, call)]
            assert [one for one in told if one[0] == call] == mine
        assert not any(process.elsewhere._readers or process.progress.watched for process in processes.values())

    run_virtual(main())


def test_a_cursor_that_is_ahead_of_all_there_is_leaves_nobody_deaf() -> None:
    """The database was set back to what it was yesterday."""

    async def main() -> None:
        tables = Rows()
        a, b = Process("A", tables, "a"), Process("B", tables, "b")
        for process in (a, b):
            await process.elsewhere.run()
        a.logs["a"].note("user", "before")
        await a.store()
        client = Client()
        client.cursor = str(Seen(10**17))
        client.read(b, 10)
        await asyncio.sleep(1)
        a.logs["a"].note("user", "afterwards")
        await a.store()
        await asyncio.sleep(1)
        assert [one["user"] for one in client.seen] == ["afterwards"]
        await client.leave()

    run_virtual(main())


def test_what_is_about_to_be_said_is_told_elsewhere_while_somebody_watches() -> None:
    async def main() -> None:
        tables = Rows()
        a, b = Process("A", tables, "a"), Process("B", tables, "b")
        for process in (a, b):
            await process.elsewhere.run()
        told: list[tuple[str, bool]] = []

        async def watch() -> None:
            async for event in b.feeds.events(DEFAULT_OWNER, "listener"):
                told.append((event["agent"], "cursor" in event))  # noqa: PERF401 - as they come

        a.logs["a"].on_saying("nobody watches")
        watcher = asyncio.create_task(watch())
        await asyncio.sleep(0.1)
        a.logs["a"].on_saying("Hello ")
        a.logs["a"].on_saying("there.")
        await asyncio.sleep(0.1)
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        assert told == [("Hello ", False), ("there.", False)]

    run_virtual(main())


def test_a_call_is_stored_at_once_while_it_is_watched_elsewhere() -> None:
    async def main() -> None:
        tables = Rows()
        tables.seconds = 0.002
        a, b = Process("A", tables, "a"), Process("B", tables, "b")
        for process in (a, b):
            await process.elsewhere.run()
        writer = asyncio.create_task(a.recorder.run())
        clock = asyncio.get_running_loop().time
        delays: list[float] = []

        async def watch() -> None:
            async for _ in b.feeds.events(DEFAULT_OWNER, "listener"):
                delays.append(clock() - began)  # noqa: PERF401 - as they come

        began = clock()
        a.logs["a"].note("user", "nobody watches")
        await a.recorder.settled()
        assert clock() - began >= 0.3
        watcher = asyncio.create_task(watch())
        await asyncio.sleep(0.1)
        for _ in range(20):
            began = clock()
            a.logs["a"].note("user", "x")
            await asyncio.sleep(0.1)
        assert len(delays) == 20
        assert max(delays) < 0.02
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await asyncio.sleep(elsewhere.WATCHED_SECONDS + 1)
        began = clock()
        a.logs["a"].note("user", "nobody watches any more")
        await a.recorder.settled()
        assert clock() - began >= 0.3
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)

    run_virtual(main())


def test_a_minute_without_a_database() -> None:
    """Here it goes on as it happens; elsewhere all comes when it is back, once, in order."""

    async def main() -> None:
        tables = Rows()
        a, b = Process("A", tables, "a"), Process("B", tables, "b")
        for process in (a, b):
            await process.elsewhere.run()
        writer = asyncio.create_task(a.recorder.run())
        here, there = Client(), Client()
        here.read(a, 10_000)
        there.read(b, 10_000)
        await asyncio.sleep(1)
        tables.away = True
        for n in range(60):
            a.logs["a"].note("user", n)
            await asyncio.sleep(1)
            assert [one["user"] for one in here.seen] == list(range(n + 1))
        assert there.seen == []
        for process in (a, b):
            assert process.ears
            process.ears.on_gap()
        with pytest.raises(StoreAway):
            await anext(b.feeds.events(DEFAULT_OWNER, "listener", since=Seen()))
        tables.away = False
        await asyncio.sleep(3)
        assert [one["user"] for one in there.seen] == list(range(60))
        # With the cursor of the outage's middle, and elsewhere: no event of those that were told and stored later.
        again = Client()
        again.cursor = here.seen[30]["cursor"]
        again.read(b, 10_000)
        await asyncio.sleep(1)
        assert [one["user"] for one in again.seen] == list(range(31, 60))
        for client in (here, there, again):
            await client.leave()
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)

    run_virtual(main())


def test_who_does_not_read_what_happens_elsewhere_is_cut_off() -> None:
    async def main() -> None:
        tables = Rows()
        a, b = Process("A", tables, "a"), Process("B", tables, "b")
        for process in (a, b):
            await process.elsewhere.run()
        slow, quick = Client(), Client()
        slow.read(b, 1)
        quick.read(b, 10_000)
        for n in range(MAX_WAITING + 10):
            a.logs["a"].note("user", n)
            await a.store()
            await asyncio.sleep(0.01)
        assert len(quick.seen) == MAX_WAITING + 10
        slow.read(b, 10_000)
        await asyncio.sleep(0.1)
        assert slow._task is not None
        assert slow._task.done(), "its events have ended"
        await quick.leave()
        await slow.leave()
        assert not b.elsewhere._readers

    run_virtual(main())
