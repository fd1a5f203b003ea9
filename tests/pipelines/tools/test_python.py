"""Functions in Python as a model calls them: with what, for how long, and what it is told of them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from typing import Any

import structlog

from pipelines.events import PipelineEvent, ToolRan
from pipelines.functions import FunctionError, Functions, RunContext
from pipelines.parts import ToolCall
from pipelines.tools import Toolbox, ToolResult
from pipelines.tools.audit import digest_of
from pipelines.tools.means import Means, ToolMemory
from pipelines.tools.python import THREADS, PythonFunctions
from pipelines.tools.strays import MOST_STRAYS
from pipelines.tools.threads import Start, start_thread
from tests.clock import run_virtual
from tests.pipelines.tools.test_toolbox import function


class Watch:
    def __init__(self) -> None:
        self.stray_now = 0
        self.refusals: list[str] = []

    def stray(self, function: str, change: int) -> None:
        self.stray_now += change

    def refused(self, function: str) -> None:
        self.refusals.append(function)


class Bench:
    """A toolbox with one function in Python, under the name ``tool``."""

    def __init__(
        self,
        run: Callable[..., Any],
        *,
        start: Start = start_thread,
        others: Mapping[str, Callable[..., Any]] | None = None,
        **fields: Any,
    ) -> None:
        """``others`` are functions beside it, by their names."""
        functions = Functions()
        functions.add(run, name="acme.run")
        for name, other in (others or {}).items():
            functions.add(other, name=name)
        self.watch = Watch()
        self.python = PythonFunctions(functions, self.watch, start=start)
        self.events: list[PipelineEvent] = []
        self.memory = ToolMemory()
        about = {"aplisay": {"callerId": "+44"}}
        means = Means("the-call", "acme", metadata=about, memory=self.memory, python=self.python)
        definition = function(implementation="python", python="acme.run", result=None, **fields)
        more = [function(name, implementation="python", result=None) for name in others or {}]
        self.box = Toolbox([definition, *more], {"customer": "Ann"}, means=means, tell=self.events.append)

    async def call(self, id: str = "1", **arguments: Any) -> ToolResult:
        return await self.box.run(ToolCall(id, "tool", arguments))

    @property
    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.events if isinstance(event, ToolRan)]


def told(result: ToolResult) -> str:
    """The error."""
    assert result.failed
    return str(json.loads(result.text)["error"])


def test_it_is_told_of_its_call() -> None:
    async def look(x: int, who: str, *, run: RunContext) -> dict[str, Any]:
        run.data["times"] = run.data.get("times", 0) + 1
        return {"x": x, "who": who, "by": run.metadata["aplisay"]["callerId"], "key": run.idempotency_key, **run.data}

    async def main() -> None:
        schema = {"properties": {"who": {"source": "metadata", "from": "customer"}}}
        bench = Bench(look, input_schema=schema, description="Look.")
        [spec] = bench.box.specs
        assert (spec.description, list(spec.parameters["properties"])) == ("Look.", ["x"])
        assert bench.box.unavailable == []
        results = [await bench.call(id, x="7", who="Eve") for id in ("1", "2")]
        assert [json.loads(result.text) for result in results] == [
            {"x": 7, "who": "Ann", "by": "+44", "key": f"the-call:{n}", "times": n} for n in (1, 2)
        ]
        assert bench.memory.data == {"times": 2}
        [first, second] = [event for event in bench.events if isinstance(event, ToolRan)]
        assert first.digest == second.digest == digest_of("tool", {"x": 7, "who": "Ann"})
        assert (first.name, first.kind, first.outcome) == ("tool", "python", "done")

    run_virtual(main())


def test_values_are_given_as_the_hints_have_them() -> None:
    async def book(day: date, people: int = 2) -> str:
        return f"{day:%A}, {people + 1}"

    async def main() -> None:
        bench = Bench(book)
        assert (await bench.call(day="2026-12-24", people="3")).text == "Thursday, 4"
        assert "the parameter 'day' is wrong" in told(await bench.call(day="24 December"))

    run_virtual(main())


def test_what_it_changes_of_the_metadata_changes_nothing() -> None:
    async def spoil(run: RunContext) -> str:
        run.metadata["aplisay"]["callerId"] = "other"
        return str(run.metadata["aplisay"]["callerId"])

    async def look(run: RunContext) -> str:
        return str(run.metadata["aplisay"]["callerId"])

    async def main() -> None:
        bench = Bench(spoil)
        assert (await bench.call()).text == "other"
        assert bench.box._metadata["aplisay"]["callerId"] == "+44"

    run_virtual(main())


def test_what_goes_wrong_is_told_without_its_words() -> None:
    async def fail(how: str) -> Any:
        match how:
            case "told":
                raise FunctionError("the kitchen is closed")
            case "raised":
                raise RuntimeError("password secret-7 is wrong")
            case "cancelled":
                raise asyncio.CancelledError
            case _:
                return object()

    async def main() -> None:
        bench = Bench(fail)
        with structlog.testing.capture_logs() as logs:
            assert told(await bench.call(how="told")) == "the kitchen is closed"
            for how in ("raised", "cancelled", "odd"):
                assert told(await bench.call(how=how)) == "tool failed"
            assert told(await bench.call()) == "tool needs the parameter 'how'"
        assert "secret-7" not in str(logs)
        assert [(line["event"], line.get("error")) for line in logs] == [
            ("a function failed", "RuntimeError"),
            ("a function returned what is no JSON", None),
        ]
        assert str(logs[0]["at"]).startswith("test_python.py:")
        assert bench.outcomes == ["failed", "failed", "failed", "failed", "refused"]

    run_virtual(main())


def test_it_has_its_time_and_no_more() -> None:
    async def stubborn() -> None:
        for _ in range(3):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(20)

    async def main() -> None:
        bench, loop = Bench(stubborn, timeout=2), asyncio.get_running_loop()
        began = loop.time()
        assert told(await bench.call()) == "tool did not return within 2 s; it may have been done or not"
        assert loop.time() - began == 2
        assert bench.outcomes == ["failed"]
        await asyncio.sleep(60)

    run_virtual(main())


def test_one_that_is_stopped() -> None:
    stopped = []

    async def slow() -> None:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    async def main() -> None:
        bench = Bench(slow, timeout=60)
        call = asyncio.create_task(bench.call())
        await asyncio.sleep(1)
        call.cancel()
        await asyncio.sleep(0.1)
        assert (call.cancelled(), stopped, bench.outcomes) == (True, [True], ["stopped"])

    run_virtual(main())


async def test_those_that_block_run_in_threads_and_only_so_many() -> None:
    """Real threads."""
    go, running, most = threading.Event(), [0], [0]
    lock = threading.Lock()

    def block(n: int) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        go.wait(5)
        with lock:
            running[0] -= 1
        return n

    bench = Bench(block)
    calls = [asyncio.create_task(bench.call(str(n), n=n)) for n in range(THREADS + 4)]
    while running[0] < THREADS:  # noqa: ASYNC110 - threads
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert running[0] == THREADS
    go.set()
    assert [(await call).text for call in calls] == [str(n) for n in range(THREADS + 4)]
    assert most[0] == THREADS
    await bench.python.close()


async def test_a_thread_that_does_not_end_keeps_nobody() -> None:
    """Real threads: a tenth of a second."""
    go = threading.Event()
    bench = Bench(lambda: go.wait(5) and None, timeout=0.1)
    with structlog.testing.capture_logs() as logs:
        assert "did not return within 0.1 s" in told(await bench.call())
        assert bench.watch.stray_now == 1
        go.set()
        while bench.watch.stray_now:  # noqa: ASYNC110 - a thread
            await asyncio.sleep(0)
    late, took, back = logs
    assert {late["event"], took["event"]} == {"a function goes on past its time", "a function took too long"}
    [at] = [line["at"] for line in logs if "at" in line]
    assert str(at).startswith("test_python.py:"), "where it hangs"
    assert (back["event"], back["under_way"]) == ("a function has returned past its time", 0)
    assert all(line["function"] == "acme.run" for line in logs)
    await bench.python.close()


class Held:
    """Threads that return when they are told to, on virtual time."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def start(self, work: Callable[[], None]) -> None:
        self.waiting.append(work)


def test_those_that_go_on_give_their_places_back_and_are_not_run_again() -> None:
    async def main() -> None:
        held = Held()
        bench = Bench(lambda: "done", timeout=2, start=held.start)
        calls = [asyncio.create_task(bench.call(str(n))) for n in range(MOST_STRAYS)]
        results = [told(await call) for call in calls]
        assert results == ["tool did not return within 2 s; it may have been done or not"] * MOST_STRAYS
        assert bench.watch.stray_now == MOST_STRAYS

        began = asyncio.get_running_loop().time()
        assert (
            told(await bench.call()) == f"tool is not run now: {MOST_STRAYS} earlier runs of it have not returned yet"
        )
        assert asyncio.get_running_loop().time() == began, "nobody waits for what will not be"
        assert len(held.waiting) == MOST_STRAYS
        assert bench.watch.refusals == ["acme.run"]

        held.waiting.pop(0)()  # one returns
        await asyncio.sleep(0)
        assert bench.watch.stray_now == MOST_STRAYS - 1
        again = asyncio.create_task(bench.call())
        await asyncio.sleep(0.1)
        held.waiting[-1]()
        assert (await again).text == "done"
        assert bench.watch.stray_now == MOST_STRAYS - 1, "what is in time is none"
        assert bench.outcomes == ["failed"] * (MOST_STRAYS + 1) + ["done"]

    run_virtual(main())


def test_a_function_whose_runs_go_on_starves_no_other() -> None:
    """Neither by those that are late, nor by those that are only slow: each has places of its own."""

    async def main() -> None:
        held = Held()
        bench = Bench(lambda: "done", timeout=5, start=held.start, others={"look": lambda: "seen"})
        calls = [asyncio.create_task(bench.call(str(n))) for n in range(THREADS + 2)]
        await asyncio.sleep(1)
        assert len(held.waiting) == THREADS
        look = asyncio.create_task(bench.box.run(ToolCall("look", "look")))
        await asyncio.sleep(0.1)
        held.waiting[-1]()
        assert (await look).text == "seen"
        results = [told(await call) for call in calls]
        assert results[-1] == f"tool was not run: {THREADS} others of it took all of its 5 s"
        assert sorted(set(results)) == [
            "tool did not return within 5 s; it may have been done or not",
            f"tool was not run: {THREADS} others of it took all of its 5 s",
        ]
        assert bench.watch.stray_now == THREADS
        assert not bench.watch.refusals
        for work in held.waiting[:THREADS]:
            work()
        await asyncio.sleep(0)
        assert bench.watch.stray_now == 0
        assert bench.python._standing["acme.run"].threads._places._value == THREADS, "no place is given back twice"

    run_virtual(main())


def test_one_that_the_caller_has_stopped_is_late_only_when_its_time_is_over() -> None:
    async def main() -> None:
        held = Held()
        bench = Bench(lambda: "done", timeout=10, start=held.start)
        call = asyncio.create_task(bench.call())
        await asyncio.sleep(1)
        call.cancel()
        await asyncio.sleep(8)
        assert bench.watch.stray_now == 0
        await asyncio.sleep(2)
        assert bench.watch.stray_now == 1
        held.waiting[0]()
        await asyncio.sleep(0)
        assert bench.watch.stray_now == 0

    run_virtual(main())


def test_a_system_without_threads_fails_the_function_and_keeps_its_place() -> None:
    def no_more(work: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        bench = Bench(lambda: "done", start=no_more)
        assert told(await bench.call()) == "tool failed"
        assert bench.watch.stray_now == 0
        assert bench.python._standing["acme.run"].threads._places._value == THREADS

    run_virtual(main())


def test_one_that_will_not_be_cancelled_counts_until_it_ends() -> None:
    async def stubborn() -> None:
        for _ in range(2):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(20)

    async def polite() -> None:
        await asyncio.sleep(20)

    async def main() -> None:
        for run, late in ((stubborn, 1), (polite, 0)):
            bench = Bench(run, timeout=2)
            assert "did not return" in told(await bench.call())
            assert bench.watch.stray_now == 0
            await asyncio.sleep(5)
            assert bench.watch.stray_now == late
            await asyncio.sleep(30)
            assert bench.watch.stray_now == 0

    run_virtual(main())


def test_one_that_is_not_here_is_not_offered() -> None:
    definition = function(implementation="python", result=None)
    for means in (None, Means(python=PythonFunctions(Functions()))):
        toolbox = Toolbox([definition], {}, means=means)
        assert (toolbox.specs, toolbox.unavailable) == ([], ["tool"])
        assert "there is no tool 'tool'" in toolbox.call(ToolCall("1", "tool", {})).text
