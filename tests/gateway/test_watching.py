from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import aiohttp
import pytest
import structlog
from aiohttp import WSMsgType
from hypothesis import given
from hypothesis import strategies as st

from gateway import progress, watching
from gateway.call_log import CallLog
from gateway.keys import PROGRESS
from gateway.progress import Event, Progress, Watcher, read_cursor
from gateway.recorder import Recorder
from store import DEFAULT_OWNER, Owner, Store
from store.calls import CallEvent
from tests.clock import run_virtual
from tests.gateway.service import KEY, Service, serving


class Rows:
    """A store that takes its time, so that things happen while it reads."""

    def __init__(self) -> None:
        self.calls = self
        self.rows: list[tuple[str, CallEvent]] = []
        self.meanwhile: list[Any] = []

    async def append_batch(self, batch: dict[str, list[CallEvent]]) -> None:
        self.rows += [(call_id, event) for call_id, events in batch.items() for event in events]

    async def append_events(self, call_id: str, events: list[CallEvent]) -> None:
        await self.append_batch({call_id: events})

    async def events_of_listener(
        self, owner: Owner, listener_id: str, *, call_id: str | None, after: datetime, until: datetime, limit: int
    ) -> list[tuple[str, CallEvent]]:
        while self.meanwhile:
            await self.meanwhile.pop()()
        found = [one for one in self.rows if after < one[1].at <= until and call_id in (None, one[0])]
        return sorted(found, key=lambda one: one[1].at)[:limit]


ACTIONS = st.lists(
    st.one_of(
        st.sampled_from(["a", "b", "c"]),  # something happens in that call
        st.sampled_from(["store", "store meanwhile", "leave", "say"]),
        st.integers(1, 9),  # the watcher reads so many, and is there again if it was gone
    ),
    max_size=60,
)


@given(ACTIONS, st.sampled_from([None, "a"]), st.integers(1, 4))
def test_a_watcher_that_comes_and_goes_gets_each_event_once_and_in_order(
    actions: list[str | int], only: str | None, page: int
) -> None:
    async def main() -> None:
        store = Rows()
        recorder, told = Recorder(cast(Store, store)), Progress()
        logs = {one: CallLog(one, "listener", recorder, told, structlog.get_logger()) for one in "abc"}
        happened: list[tuple[str, int]] = []
        seen: list[Event] = []
        cursor = "0"

        def note(call: str) -> None:
            happened.append((call, sum(one == call for one, _ in happened)))
            logs[call].note("user", "x")

        async def store_meanwhile() -> None:
            await recorder._write()
            note("a")

        watcher: Watcher | None = None
        earlier: Any = None

        async def read(most: int) -> None:
            """As the socket does it; what waits is read, and nothing is waited for."""
            nonlocal cursor, earlier
            assert watcher is not None
            while most:
                if earlier is not None:
                    event = await anext(earlier, None)
                    if event is None:
                        earlier = None
                        continue
                elif watcher._events.qsize():
                    event = await watcher.next() or {}
                else:
                    return
                if event["isFinal"]:
                    cursor = event["cursor"]
                    seen.append(event)
                most -= 1

        with patch.object(watching, "PAGE", page), ExitStack() as stack:
            for action in [*actions, 10_000]:
                match action:
                    case "store":
                        await recorder._write()
                    case "store meanwhile":
                        store.meanwhile.append(store_meanwhile)
                    case "leave":
                        stack.pop_all().close()
                        watcher = earlier = None
                    case "say":
                        logs["a"].on_saying("Hel")
                    case str(call):
                        note(call)
                    case most:
                        if watcher is None:
                            watcher = stack.enter_context(told.watch("listener", only))
                            earlier = watching.missed(
                                cast(Store, store), recorder, DEFAULT_OWNER, "listener",
                                call_id=only, after=read_cursor(cursor), until=watcher.since,
                            )  # fmt: skip
                        await read(most)
        assert [(one["callId"], one["seq"]) for one in seen] == [
            one for one in happened if only is None or one[0] == only
        ]

    run_virtual(main())


def test_no_two_events_have_one_cursor_whatever_the_clock_does() -> None:
    told = Progress()
    moments = [told.stamp()]
    with patch.object(progress, "datetime") as clock:
        clock.now.return_value = moments[0].replace(year=2000)
        moments += [told.stamp(), told.stamp()]
    cursors = [progress.cursor(at) for at in moments]
    assert [int(one) - int(cursors[0]) for one in cursors] == [0, 1, 2]
    assert [read_cursor(one) for one in cursors] == moments


@pytest.mark.parametrize("given", ["", "x", "-1", "1.5", "٣", "1" * 17])
def test_what_is_no_cursor(given: str) -> None:
    with pytest.raises(ValueError, match="since is no cursor"):
        read_cursor(given)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(tmp_path) as service:
        yield service


def address(service: Service, **query: str) -> str:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return f"{service.url}/progress/{service.listener_id}?access_token={KEY}{more}"


async def receive(socket: aiohttp.ClientWebSocketResponse, hangups: int = 1) -> list[Any]:
    seen: list[Any] = []
    while sum("hangup" in one for one in seen) < hangups:
        seen.append(await socket.receive_json(timeout=2))
    return [one for one in seen if one["isFinal"]]


async def test_what_was_missed_comes_first(service: Service) -> None:
    async with service.http.ws_connect(address(service)) as socket:
        await service.ring("c-1")
        first = await socket.receive_json(timeout=2)
    await service.hang_up("c-1")
    await service.quiet()
    await service.ring("c-2")
    async with service.http.ws_connect(address(service, since=first["cursor"])) as socket:
        await service.hang_up("c-2")
        rest = await receive(socket, 2)
    calls = list(dict.fromkeys(one["callId"] for one in [first, *rest]))
    assert len(calls) == 2
    for call in calls:
        mine = [one for one in [first, *rest] if one["callId"] == call]
        assert [one["seq"] for one in mine] == list(range(len(mine)))
    # One call from its beginning, once all is stored.
    async with asyncio.timeout(3):
        while len(log := await service.store.calls.events(DEFAULT_OWNER, calls[0]) or []) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    async with service.http.ws_connect(address(service, since="0", call=calls[0])) as socket:
        again = await receive(socket)
    assert again == [one for one in [first, *rest] if one["callId"] == calls[0]]
    assert [(one["seq"], one["timestamp"]) for one in again] == [(one.seq, one.at.isoformat()) for one in log]


async def test_a_bad_cursor_is_refused(service: Service) -> None:
    async with service.http.get(address(service, since="yesterday")) as answer:
        assert answer.status == 400
        assert "since is no cursor" in json.loads(await answer.text())["error"]


async def test_who_is_cut_off_is_told_why_and_how_to_go_on(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MAX_WAITING", 4)
    async with service.http.ws_connect(address(service)) as socket:
        async with asyncio.timeout(2):
            while not service.server.app[PROGRESS]._watchers:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for n in range(6):
            service.server.app[PROGRESS].publish(service.listener_id, {"n": n})
        message = await socket.receive(timeout=2)
        while message.type is WSMsgType.TEXT:
            message = await socket.receive(timeout=2)
    assert (message.data, message.extra) == (1013, watching.TOO_SLOW)


async def test_a_store_that_cannot_be_read(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any, **__: Any) -> Any:
        raise OSError("connection refused")

    monkeypatch.setattr(service.store.calls, "events_of_listener", away)
    async with service.http.ws_connect(address(service, since="0")) as socket:
        message = await socket.receive(timeout=2)
    assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 1013, watching.NO_STORE)
