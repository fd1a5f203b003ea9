"""Runs of the reconciler on a real store and the simulated Jambonz; and when they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway import provisioning
from gateway.provisioner import BUSY_SECONDS, BUSY_TIMES, PERIOD_SECONDS, RETRY_SECONDS, RUN_SECONDS, Provisioner
from gateway.provisioning import CHORE, LEASE_SECONDS, Paced, Place, Run, place_of, preview, sync
from gateway.settings import Settings
from jambonz.simulator.rest_api import ApiServer
from store import DEFAULT_OWNER, Store
from tests.clock import run_virtual
from tests.gateway.service import KEY, serving
from tests.simulators.jambonz_wire import Killed, Wire, jambonz_on_loopback
from tests.steady import PATIENCE
from tests.store.opened import opened

PLACE = Place("https://jambonz", "key", None, "https://calls.example.com")
ACCOUNT: dict[str, Any] = {
    "registrar": "sip.example.com",
    "username": "1001",
    "password": "secret",
    "handler": "jambonz",
}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        yield store


@pytest.fixture
def server() -> ApiServer:
    return ApiServer(api_key="key")


async def provisioned(store: Store) -> dict[str, bool]:
    return {row.number: row.provisioned for row in await store.provisioning.numbers()}


async def state(store: Store, which: str) -> tuple[str, str, str | None]:
    row = await store.registrations.get(DEFAULT_OWNER, which)
    assert row is not None
    return row.status, row.state, row.error


async def test_a_number_is_provisioned_once_its_calls_reach_us(store: Store, server: ApiServer) -> None:
    for number in ("441", "442"):
        await store.numbers.create(DEFAULT_OWNER, number, handler="jambonz")
    await store.numbers.create(DEFAULT_OWNER, "443", handler="livekit")
    run = await sync(store, PLACE, Wire(server))
    assert (run.outcome, run.problems) == ("done", [])
    assert await provisioned(store) == {"441": True, "442": True}
    assert {row["number"] for row in server.phone_numbers.values()} == {"441", "442"}
    again = Wire(server)
    await sync(store, PLACE, again)
    assert again.changes == []


async def test_one_that_is_for_another_handler_now_is_given_back(store: Store, server: ApiServer) -> None:
    await store.numbers.create(DEFAULT_OWNER, "441", handler="jambonz")
    which = await store.registrations.create(DEFAULT_OWNER, **ACCOUNT)
    await sync(store, PLACE, Wire(server))
    for row in server.carriers.values():
        row["register_status"] = {"status": "ok", "reason": "200 OK"}
    await sync(store, PLACE, Wire(server))
    assert await state(store, which) == ("active", "registered", None)
    await store.numbers.update(DEFAULT_OWNER, "441", {"handler": "livekit"})
    await store.registrations.update(DEFAULT_OWNER, which, {"handler": "livekit"})
    await sync(store, PLACE, Wire(server))
    assert await state(store, which) == ("active", "initial", None)
    assert server.carriers == {}
    number = await store.numbers.get(DEFAULT_OWNER, "441")
    assert number is not None
    assert not number.provisioned
    assert [row["application_sid"] for row in server.phone_numbers.values()] == [None]


async def test_while_jambonz_is_down_numbers_stay_and_are_not_provisioned(store: Store, server: ApiServer) -> None:
    await store.numbers.create(DEFAULT_OWNER, "441", handler="jambonz")
    run = await sync(store, PLACE, Wire(server, faults=lambda *_: "unreachable"))
    assert (run.outcome, run.again) == ("unavailable", True)
    assert run.problems == ["Jambonz: GET /Accounts was not answered"]
    assert await provisioned(store) == {"441": False}
    assert (await sync(store, PLACE, Wire(server))).outcome == "done"
    assert await provisioned(store) == {"441": True}
    await sync(store, PLACE, Wire(server, faults=lambda *_: "unreachable"))
    assert await provisioned(store) == {"441": True}, "it still has what it had"


async def test_what_was_taken_away_in_jambonz_is_not_said_to_be_provisioned(store: Store, server: ApiServer) -> None:
    trunk = await store.trunks.create(DEFAULT_OWNER, "Carrier", handler="jambonz", outbound=False, flags={})
    await store.numbers.create(DEFAULT_OWNER, "441", handler="jambonz", trunk_id=trunk.id)
    await Wire(server).request("POST", "/VoipCarriers", {"name": "Carrier"})
    await sync(store, PLACE, Wire(server))
    assert await provisioned(store) == {"441": True}
    server.phone_numbers.clear()
    server.carriers.clear()
    run = await sync(store, PLACE, Wire(server))
    assert run.problems == ["the trunk 'Carrier' of 441 is no carrier of Jambonz; make one of this name"]
    assert await provisioned(store) == {"441": False}


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("kill_at", range(1, 5))
async def test_a_killed_run_is_healed_by_the_next_one(
    store: Store, server: ApiServer, monkeypatch: pytest.MonkeyPatch, kill_at: int, done: bool
) -> None:
    await store.numbers.create(DEFAULT_OWNER, "441", handler="jambonz")
    which = await store.registrations.create(DEFAULT_OWNER, **ACCOUNT)
    monkeypatch.setattr(store.provisioning, "end", nothing)  # a process that was killed gives nothing back
    with pytest.raises(Killed):
        await sync(store, PLACE, Wire(server, kill_at=kill_at, done=done))
    monkeypatch.undo()
    assert (await sync(store, PLACE, Wire(server))).outcome == "busy", "until its lease is over"
    monkeypatch.setattr(provisioning, "CHORE", "another lease")
    assert (await sync(store, PLACE, Wire(server))).outcome == "done"
    assert await provisioned(store) == {"441": True}
    assert await state(store, which) == ("active", "registering", None)
    again = Wire(server)
    await sync(store, PLACE, again)
    assert again.changes == []


async def nothing(*_: Any, **__: Any) -> None: ...


async def test_a_database_that_goes_away_after_the_steps_loses_nothing(
    store: Store, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.numbers.create(DEFAULT_OWNER, "441", handler="jambonz")

    async def gone(*_: Any) -> None:
        raise OSError("the database is gone")

    monkeypatch.setattr(store.provisioning, "mark_numbers", gone)
    with pytest.raises(OSError, match="gone"):
        await sync(store, PLACE, Wire(server))
    monkeypatch.undo()
    again = Wire(server)
    assert (await sync(store, PLACE, again)).outcome == "done"
    assert again.changes == []
    assert await provisioned(store) == {"441": True}


async def test_the_life_of_a_registration(store: Store, server: ApiServer) -> None:
    which = await store.registrations.create(DEFAULT_OWNER, **ACCOUNT)
    assert await state(store, which) == ("active", "initial", None)
    await sync(store, PLACE, Wire(server))
    assert await state(store, which) == ("active", "registering", None)
    (carrier,) = server.carriers.values()

    async def reports(**status: Any) -> tuple[str, str, str | None]:
        for row in server.carriers.values():
            row["register_status"] = status
        await sync(store, PLACE, Wire(server))
        return await state(store, which)

    assert await reports(status="ok", reason="200 OK") == ("active", "registered", None)
    row = await store.registrations.get(DEFAULT_OWNER, which)
    assert row is not None
    assert row.last_seen_at is not None
    assert await reports(status="fail", reason="403 Forbidden") == ("failed", "failed", "403 Forbidden")
    old = {"status": "ok", "reason": "200 OK", "timestamp": "2026-01-01T00:00:00.000Z"}
    await store.registrations.update(DEFAULT_OWNER, which, {"password": "other"})
    assert await state(store, which) == ("active", "initial", None)
    assert await reports(**old) == ("active", "registering", None), "that was the old password"
    assert server.carriers[carrier["voip_carrier_sid"]]["register_password"] == "other"
    assert await reports(**old | {"timestamp": "2099-01-01T00:00:00.000Z"}) == ("active", "registered", None)
    await store.registrations.set_status(DEFAULT_OWNER, which, "disabled")
    assert await reports(**old) == ("disabled", "initial", None)
    assert [row["is_active"] for row in server.carriers.values()] == [0]
    await store.registrations.set_status(DEFAULT_OWNER, which, "active")
    await sync(store, PLACE, Wire(server))
    assert [row["is_active"] for row in server.carriers.values()] == [1]
    await store.registrations.delete(DEFAULT_OWNER, which)
    await sync(store, PLACE, Wire(server))
    assert server.carriers == {}
    assert server.gateways == {}


async def test_what_changed_while_a_run_was_under_way_is_not_written_over(store: Store, server: ApiServer) -> None:
    which = await store.registrations.create(DEFAULT_OWNER, **ACCOUNT)
    await sync(store, PLACE, Wire(server))
    for row in server.carriers.values():
        row["register_status"] = {"status": "ok"}

    class Slow(Wire):
        async def request(self, method: str, path: str, body: Any = None) -> Any:
            answer = await super().request(method, path, body)
            if path.startswith("/PhoneNumbers"):
                await store.registrations.update(DEFAULT_OWNER, which, {"password": "other"})
            return answer

    await sync(store, PLACE, Slow(server))
    assert await state(store, which) == ("active", "initial", None)


async def test_a_password_that_does_not_open_is_told_and_its_carrier_stays(tmp_path: Path, server: ApiServer) -> None:
    async with opened(tmp_path, credentials_key="one") as store:
        await store.registrations.create(DEFAULT_OWNER, **ACCOUNT)
        await sync(store, PLACE, Wire(server))
    async with opened(tmp_path, credentials_key="another") as store:
        wire = Wire(server)
        run = await sync(store, PLACE, wire)
        assert wire.changes == []
        (problem,) = run.problems
        assert "does not open with this CREDENTIALS_KEY" in problem


async def test_a_preview_changes_nothing(store: Store, server: ApiServer) -> None:
    await store.numbers.create(DEFAULT_OWNER, "441", handler="jambonz")
    wire = Wire(server)
    assert len((await preview(store, PLACE, wire)).steps) == 2
    assert wire.changes == []
    assert await provisioned(store) == {"441": False}
    assert await store.provisioning.begin(CHORE, 1.0), "and it held nobody up"


async def test_two_at_once_is_one(store: Store, server: ApiServer) -> None:
    await store.numbers.create(DEFAULT_OWNER, "441", handler="jambonz")
    runs = await asyncio.gather(*(sync(store, PLACE, Wire(server)) for _ in range(5)))
    assert sorted(run.outcome for run in runs) == ["busy"] * 4 + ["done"]
    assert len(server.phone_numbers) == 1
    assert (await sync(store, PLACE, Wire(server), rest=30)).outcome == "busy", "it was done just now"
    assert (await sync(store, PLACE, Wire(server))).outcome == "done"


async def test_a_failed_run_does_not_count_as_one(store: Store, server: ApiServer) -> None:
    await sync(store, PLACE, Wire(server, faults=lambda *_: "unreachable"))
    assert (await sync(store, PLACE, Wire(server), rest=30)).outcome == "done"


def test_calls_are_left_what_jambonz_answers_in_five_minutes() -> None:
    async def main() -> None:
        wire = Wire(ApiServer(api_key="key"))
        paced, clock = Paced(wire), asyncio.get_running_loop().time
        began = clock()
        while clock() < began + 300:
            await paced.request("GET", "/Applications")
        assert 540 <= wire.asked <= 555, "of 600"
        await asyncio.sleep(45)
        began, wire.asked = clock(), 0
        while clock() == began:
            await paced.request("GET", "/Applications")
        assert wire.asked == 46, "what was not used meanwhile may come at once"

    run_virtual(main())


def test_a_process_whose_lease_was_over_does_nothing_more(tmp_path: Path) -> None:
    """Somebody else may be at it."""
    held = iter([True, False])

    class Rows:
        def __init__(self) -> None:
            self.provisioning = self

        async def begin(self, *_: Any, **__: Any) -> bool:
            return True

        async def go_on(self, _chore: str, seconds: float) -> bool:
            assert seconds == LEASE_SECONDS
            return next(held)

        async def numbers(self) -> list[Any]:
            return []

        async def registrations(self) -> list[Any]:
            return []

        async def end(self, *_: Any, done: bool) -> None:
            assert not done

    class Slow(Wire):
        async def request(self, method: str, path: str, body: Any = None) -> Any:
            await asyncio.sleep(8)
            return await super().request(method, path, body)

    async def main() -> None:
        wire = Slow(ApiServer(api_key="key"))
        run = await sync(Rows(), PLACE, wire)  # type: ignore[arg-type]
        assert run.outcome == "busy"
        assert wire.changes == []

    run_virtual(main())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"jambonz_server": "jambonz.example.com"}, "JAMBONZ_API_KEY"),
        ({"jambonz_server": "jambonz.example.com", "jambonz_api_key": "k"}, "TRUNKLINE_PUBLIC_URL"),
    ],
)
def test_what_is_needed_to_tell_jambonz(settings: dict[str, Any], expected: str | None) -> None:
    place = place_of(Settings(**settings))
    assert place is None if expected is None else isinstance(place, str) and expected in place


def test_no_repr_has_the_key() -> None:
    place = place_of(Settings(jambonz_server="j.example.com", jambonz_api_key="hidden", public_url="https://us"))
    assert isinstance(place, Place)
    assert "hidden" not in repr(place)


async def test_the_service_does_it_by_itself_when_something_changes(tmp_path: Path, server: ApiServer) -> None:
    """The whole of it, over HTTP: at the start, and after each change; Jambonz need not be there."""

    async def becomes(row: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await row():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.02)

    async with jambonz_on_loopback(server) as url:
        settings: dict[str, Any] = {
            "jambonz_server": url,
            "jambonz_api_key": "key",
            "public_url": "https://calls.example.com",
        }
        async with serving(tmp_path, **settings) as service:
            store = service.store
            headers = {"Authorization": f"Bearer {KEY}"}

            async def provisioned_of(number: str) -> bool:
                found = await store.numbers.get(DEFAULT_OWNER, number)
                return found is not None and found.provisioned

            await becomes(lambda: asyncio.sleep(0, len(server.applications) == 1))
            body = {"type": "e164-ddi", "number": "+442079460000"}
            async with service.http.post(f"{service.url}/api/phone-endpoints", json=body, headers=headers) as answer:
                assert answer.status == 201
            await becomes(lambda: provisioned_of("442079460000"))
            assert "442079460000" in {row["number"] for row in server.phone_numbers.values()}
            path = f"{service.url}/api/phone-endpoints/442079460000"
            async with service.http.delete(path, headers=headers) as answer:
                assert answer.status == 200

            async def released() -> bool:
                rows = [row for row in server.phone_numbers.values() if row["number"] == "442079460000"]
                return all(row["application_sid"] is None for row in rows)

            await becomes(released)


# When


class Runs:
    """``outcomes`` of the runs; the last one of all that follow."""

    def __init__(self, outcomes: Sequence[Run | Exception]) -> None:
        self._outcomes = list(outcomes)
        self.at: list[tuple[float, float]] = []

    async def __call__(self, rest: float) -> Run:
        self.at.append((asyncio.get_running_loop().time(), rest))
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def seen(outcomes: Sequence[Run | Exception], seconds: float, wake: float | None = None) -> list[tuple[float, float]]:
    runs = Runs(outcomes)

    async def main() -> None:
        provisioner = Provisioner(runs)
        task = asyncio.create_task(provisioner.run())
        if wake is not None:
            asyncio.get_running_loop().call_later(wake, provisioner.wake)
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtual(main())
    return runs.at


REST = PERIOD_SECONDS - BUSY_SECONDS


def test_at_the_start_on_a_change_and_every_now_and_then() -> None:
    assert seen([Run("done")], 101, wake=10) == [(0, 0), (10, 0), (10 + PERIOD_SECONDS, REST), (100, REST)]


def test_a_jambonz_that_is_down_is_asked_again_a_few_times_and_then_in_the_next_period() -> None:
    once, twice = RETRY_SECONDS
    down = [(0, 0), (once, 0), (once + twice, 0), (once + twice + PERIOD_SECONDS, REST)]
    assert seen([Run("unavailable", again=True)], 51) == down
    assert seen([Run("unavailable")], 44) == [(0, 0)], "a key that is refused is not tried again at once"


def test_a_database_that_is_down_ends_nothing() -> None:
    assert seen([OSError("gone"), Run("done")], 46) == [(0, 0), (PERIOD_SECONDS, REST)]


def test_a_change_waits_for_whoever_is_at_it_within_bounds() -> None:
    """Who began before the change may have missed it."""
    assert seen([Run("busy"), Run("busy"), Run("done")], 20) == [(0, 0), (BUSY_SECONDS, 0), (2 * BUSY_SECONDS, 0)]
    assert len(seen([Run("busy")], BUSY_SECONDS * BUSY_TIMES + 1)) == BUSY_TIMES + 1
    assert BUSY_SECONDS * BUSY_TIMES > LEASE_SECONDS


def test_in_a_period_whoever_did_it_did_it_for_all() -> None:
    assert seen([Run("done"), Run("busy")], 2 * PERIOD_SECONDS - 1) == [(0, 0), (PERIOD_SECONDS, REST)]


def test_a_run_that_hangs_is_given_up() -> None:
    async def main() -> None:
        async def hang(_rest: float) -> Run:
            hung.append(asyncio.get_running_loop().time())
            await asyncio.Event().wait()
            raise AssertionError

        hung: list[float] = []
        task = asyncio.create_task(Provisioner(hang).run())
        await asyncio.sleep(RUN_SECONDS + PERIOD_SECONDS + 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert hung == [0, RUN_SECONDS + PERIOD_SECONDS]

    run_virtual(main())


async def test_without_a_jambonz_there_is_nothing_to_do() -> None:
    provisioner = Provisioner(None)
    provisioner.wake()
    await provisioner.run()
