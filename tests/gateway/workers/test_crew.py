"""Where calls go, with every worker as the one that is asked, and any of them dead: in memory, on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest

from gateway.workers.crew import ASK_SECONDS, DEAF_SECONDS, PLACED_SECONDS, PROMISED_SECONDS, Crew
from gateway.workers.routing import Report, Standing, Told, order
from tests.clock import run_virtual


class Calls:
    """A desk with so many places."""

    def __init__(self, places: int) -> None:
        self.max_calls = places
        self.draining = False
        self.calls: set[str] = set()

    def knows(self, call_sid: str) -> bool:
        return call_sid in self.calls

    def has(self, call_id: str) -> bool:
        return call_id in self.calls

    def genuine(self, body: bytes, signature: str | None) -> bool:
        return True

    @property
    def taken(self) -> int:
        return len(self.calls)

    @property
    def under_way(self) -> int:
        return len(self.calls)


class Worker(Crew):
    """Its requests take a moment, and reach the others in memory."""

    def __init__(self, slot: int, world: World) -> None:
        super().__init__(slot, len(world.places), Path("/nowhere"))
        self.world = world
        self.calls = Calls(world.places[slot])
        self.desk = self.calls

    @property
    def taken(self) -> set[str]:
        return self.calls.calls

    async def _ask(
        self, slot: int, path: str, query: Mapping[str, str], *, seconds: float | None = None
    ) -> dict[str, Any] | None:
        self.world.asked += 1
        await asyncio.sleep(self.world.chance.uniform(0.0, 0.01))
        other = self.world.workers[slot]
        if slot in self.world.dead:
            return None
        match path:
            case "/worker/standing":
                told = other.here(query.get("sid"))
                return {"knows": told.knows, "load": told.load, "open": told.open}
            case "/worker/offer":
                takes = other.consider(query["sid"], Standing(False, float(query["load"]), query["open"] == "1"))
                return {"takes": takes}
            case "/worker/place":
                return {"slot": await other.place_as_home(query["sid"])}
            case "/worker/call":
                return {"has": other.calls.has(query["id"])}
            case _:
                return {"calls": other.calls.under_way, "draining": other.calls.draining}


class World:
    def __init__(self, places: Sequence[int], dead: Sequence[int] = (), seed: int = 0) -> None:
        self.places = places
        self.dead = set(dead)
        self.chance = random.Random(seed)
        self.asked = 0
        self.workers = [Worker(slot, self) for slot in range(len(places))]

    @property
    def alive(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.slot not in self.dead]


def cases(workers: int) -> list[tuple[int, tuple[int, ...]]]:
    """Every set of dead workers that leaves one."""
    slots = range(workers)
    return [(workers, dead) for dead in chain.from_iterable(combinations(slots, n) for n in slots)]


@pytest.mark.parametrize(("workers", "dead"), [*cases(1), *cases(2), *cases(3), *cases(4)])
def test_whoever_is_asked_says_the_same(workers: int, dead: tuple[int, ...]) -> None:
    async def main() -> None:
        world = World([100] * workers, dead)
        for number in range(12):
            sid = f"call {number}"
            assert await world.alive[0].find([sid]) is None
            told = await asyncio.gather(*(asker.place(sid) for asker in [*world.alive, *world.alive]))
            assert len(set(told)) == 1, "however many ask at once"
            assert told[0] not in dead
            world.workers[told[0]].taken.add(sid)
            for asker in world.alive:
                assert await asker.place(sid) == told[0]
                assert await asker.find([sid]) == told[0]
                assert await asker.find(["another's", sid]) == told[0], "of a leg that the call has dialled"

    run_virtual(main())


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_what_is_remembered_is_not_needed(workers: int) -> None:
    """A home that has forgotten what it said, or is gone and back, finds the call by asking."""

    async def main() -> None:
        world = World([100] * workers)
        for number in range(20):
            sid = f"call {number}"
            slot = await world.alive[0].place(sid)
            world.workers[slot].taken.add(sid)
        await asyncio.sleep(PLACED_SECONDS + 1)
        for number in range(20):
            sid = f"call {number}"
            [slot] = [worker.slot for worker in world.workers if sid in worker.taken]
            world.workers[order(sid, workers)[0]]._placed.clear()
            for asker in world.workers:
                assert await asker.place(sid) == slot

    run_virtual(main())


def test_a_call_stays_where_it_is_when_its_home_comes_back() -> None:
    async def main() -> None:
        world = World([100, 100, 100])
        sid = "a call"
        home, second, third = order(sid, 3)
        world.dead = {home}
        slot = await world.workers[third].place(sid)
        assert slot in (second, third)
        world.workers[slot].taken.add(sid)
        assert await world.workers[third].find([sid]) == slot
        world.dead = set()
        if slot == second:
            assert await world.workers[home].place(sid) == second
            assert await world.workers[third].find([sid]) == second

    run_virtual(main())


def test_a_worker_that_died_before_it_had_its_call_does_not_get_it() -> None:
    async def main() -> None:
        for number in range(20):
            world = World([100, 100, 100])
            sid = f"call {number}"
            slot = await world.workers[0].place(sid)
            world.dead = {slot}
            told = await asyncio.gather(*(asker.place(sid) for asker in world.alive))
            assert len(set(told)) == 1
            assert told[0] != slot

    run_virtual(main())


def test_a_worker_that_is_full_takes_none_while_the_other_does() -> None:
    async def main() -> None:
        world = World([3, 30])
        for number in range(33):
            slot = await world.workers[number % 2].place(f"call {number}")
            assert len(world.workers[slot].taken) < world.places[slot], "it is full"
            world.workers[slot].taken.add(f"call {number}")
        assert [len(worker.taken) for worker in world.workers] == [3, 30]
        declined_by = await world.workers[0].place("one too many")
        assert declined_by == order("one too many", 2)[0]
        world.workers[declined_by].taken.pop()
        assert world.workers[declined_by].here(None).open, "nothing was promised to the one that was declined"

    run_virtual(main())


@pytest.mark.parametrize("seed", range(20))
def test_in_a_burst_the_last_places_are_found(seed: int) -> None:
    """All ring in the same instant, at any worker, and their hooks are on the way for a while."""

    async def main() -> None:
        world = World([5, 5], seed=seed)

        async def ring(number: int) -> int:
            sid = f"call {seed} {number}"
            slot = await world.chance.choice(world.workers).place(sid)
            await asyncio.sleep(world.chance.uniform(0, 0.5))
            world.workers[slot].taken.add(sid)
            return slot

        told = await asyncio.gather(*(ring(number) for number in range(10)))
        assert [told.count(slot) for slot in (0, 1)] == [5, 5]
        assert [worker.here(None).load for worker in world.workers] == [1.0, 1.0], "and nothing is promised any more"

    run_virtual(main())


def test_a_place_that_was_promised_is_free_again_if_nobody_comes() -> None:
    async def main() -> None:
        world = World([1, 1])
        assert {await world.workers[0].place(f"gone {number}") for number in range(2)} == {0, 1}
        assert [worker.here(None).open for worker in world.workers] == [False, False]
        await asyncio.sleep(PROMISED_SECONDS + 0.1)
        assert [worker.here(None).open for worker in world.workers] == [True, True]

    run_virtual(main())


def test_a_worker_that_drains_is_given_no_calls() -> None:
    async def main() -> None:
        world = World([100, 100])
        world.workers[0].calls.draining = True
        assert {await world.workers[number % 2].place(f"call {number}") for number in range(20)} == {1}

    run_virtual(main())


def test_a_call_costs_a_few_questions_however_many_workers_there_are() -> None:
    async def main() -> None:
        world = World([100] * 64)
        for number in range(20):
            await world.workers[number].place(f"call {number}")
            assert world.asked <= 2
            world.asked = 0
            await world.workers[number].find([f"nobody's {number}"])
            assert world.asked <= 2
            world.asked = 0

    run_virtual(main())


def test_a_call_that_we_placed_is_found_wherever_it_is() -> None:
    """The worker that was asked to place it, which its sid knows nothing of."""

    async def main() -> None:
        world = World([100] * 5)
        sid, told = "made by Jambonz", Told(("made by Jambonz",), tag="an id of ours")
        [*_, last] = order(sid, 5)
        for asker in world.workers:
            assert await asker.whose(told, begins=False) is None
        for known_as in ("an id of ours", sid):  # while it is under way; and for a while after that
            world.workers[last].taken.clear()
            world.workers[last].taken.add(known_as)
            for asker in world.workers:
                assert await asker.whose(told, begins=True) == last
                assert await asker.whose(told, begins=False) == last
        world.workers[last].taken.clear()
        slot = await world.workers[0].whose(told, begins=True)
        assert slot in order(sid, 5)[:2], "nobody knows it: it is declined where others would be taken"

    run_virtual(main())


def test_a_hook_of_a_call_that_is_known_by_its_id_alone() -> None:
    async def main() -> None:
        world = World([100] * 3)
        world.workers[2].taken.add("an id of ours")
        for asker in world.workers:
            assert await asker.whose(Told(("gone",)), begins=False, call_id="an id of ours") == 2
            assert await asker.whose(Told(("gone",)), begins=False, call_id="another") is None
            assert await asker.whose(Told(), begins=True) is None

    run_virtual(main())


def test_the_same_request_to_ring_goes_to_the_same_worker_while_that_takes_calls() -> None:
    async def main() -> None:
        world = World([1, 1, 1])
        homes = []
        for _ in world.workers:
            [home] = {await asker.home_of("a key") for asker in world.workers}
            homes.append(home)
            world.workers[home].taken.add("a call")
        assert sorted(homes) == [0, 1, 2], "the next, and the same for all who ask"

    run_virtual(main())


def test_the_least_busy_and_the_one_with_a_call() -> None:
    async def main() -> None:
        world = World([4, 4, 4], dead=[2])
        world.workers[0].calls.calls = {"a", "b"}
        world.workers[1].calls.calls = {"c"}
        assert [await worker.least_busy() for worker in world.alive] == [1, 1]
        assert [await worker.with_call("b") for worker in world.alive] == [0, 0]
        assert await world.workers[0].with_call("d") is None
        assert await world.workers[0].reports() == [Report(1, False)]
        world.workers[1].calls.calls = {"c", "d", "e", "f"}
        assert [await worker.least_busy() for worker in world.alive] == [0, 0]

    run_virtual(main())


async def test_one_that_does_not_answer_is_left_alone_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a real socket, which takes connections and says nothing."""
    connections, over = 0, asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await over.wait()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    monkeypatch.setattr("gateway.workers.crew.ASK_SECONDS", 0.05)
    assert ASK_SECONDS < DEAF_SECONDS
    crew = Crew(0, 2, tmp_path)
    server = await asyncio.start_unix_server(say_nothing, crew.socket_path(1))
    async with server:
        assert await crew.standing(1, "a") is None
        assert await crew.standing(1, "a") is None
        assert connections == 1
        crew._deaf.clear()
        assert await crew.standing(1, "a") is None
        assert connections == 2
        over.set()
        await crew.close()


async def test_one_that_is_not_there_is_asked_again_at_once(tmp_path: Path) -> None:
    crew = Crew(0, 2, tmp_path)
    assert await crew.standing(1, "a") is None
    assert crew._deaf == {}
    await crew.close()
