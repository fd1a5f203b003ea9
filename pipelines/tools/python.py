"""Runs functions that are written in Python: on the event loop those that are ``async``, the others in threads, of
which each function has only so many. Whatever they do, who waits for them waits no longer than their time, and no
function waits for another.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
from pydantic_core import PydanticSerializationError, to_jsonable_python

from pipelines.functions import FunctionError, Functions, PythonFunction, RunContext
from pipelines.tools.means import ToolFault
from pipelines.tools.strays import Strays, StrayWatch
from pipelines.tools.threads import Start, Threads, start_thread

THREADS = 16
"""Runs of one function that is not ``async``, at the same time; more wait for their turn, within their own time."""

STUBBORN_SECONDS = 1.0
"""What an ``async`` function may take to end once it was cancelled, before it counts as one that goes on."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Standing:
    """Of one function."""

    threads: Threads
    strays: Strays


class PythonFunctions:
    """Those of a process, run for its calls."""

    def __init__(self, functions: Functions, watch: StrayWatch | None = None, *, start: Start = start_thread) -> None:
        self._functions = functions
        self._watch = watch
        self._start = start
        self._standing: dict[str, _Standing] = {}
        self._running: set[asyncio.Task[Any]] = set()

    def get(self, name: str) -> PythonFunction | None:
        return self._functions.get(name)

    async def run(self, function: PythonFunction, values: Mapping[str, Any], run: RunContext, seconds: float) -> Any:
        """What it returns, as JSON has it. Raises :class:`ToolFault`, within ``seconds``."""
        try:
            arguments = function.bind(values)
        except ValueError as error:
            raise ToolFault(f"{run.function} cannot take that: {error}") from None
        if function.context is not None:
            arguments[function.context] = run
        standing = self._standing_of(function.name)
        if standing.strays.are_too_many:
            standing.strays.refuse()
            many = standing.strays.count
            raise ToolFault(f"{run.function} is not run now: {many} earlier runs of it have not returned yet")
        waits = asyncio.Event()  # for its turn
        until = asyncio.get_running_loop().time() + seconds
        if function.is_async:
            work = function.run(**arguments)
        else:
            waits.set()
            call = functools.partial(function.run, **arguments)
            work = standing.threads.run(call, until=until, began=waits.clear)
        task: asyncio.Task[Any] = asyncio.create_task(work, name=f"function {function.name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await asyncio.wait({task}, timeout=seconds)
        finally:
            if not task.done():
                task.cancel()  # one that does not stop is not waited for
                task.add_done_callback(_forget)
                if function.is_async:
                    asyncio.get_running_loop().call_later(STUBBORN_SECONDS, _count, task, standing.strays)
        if waits.is_set():
            task.add_done_callback(_forget)
            raise ToolFault(f"{run.function} was not run: {THREADS} others of it took all of its {seconds:g} s")
        if not task.done():
            run.log.warning("a function took too long", function=function.name, seconds=seconds)
            raise ToolFault(f"{run.function} did not return within {seconds:g} s; it may have been done or not")
        return self._outcome(task, function, run)

    def _standing_of(self, name: str) -> _Standing:
        if name not in self._standing:
            strays = Strays(name, self._watch, log)
            self._standing[name] = _Standing(Threads(THREADS, strays, self._start), strays)
        return self._standing[name]

    async def close(self) -> None:
        """What still runs is stopped, as far as it can be."""
        for task in list(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=1.0)

    def _outcome(self, task: asyncio.Task[Any], function: PythonFunction, run: RunContext) -> Any:
        failed = ToolFault(f"{run.function} failed")
        if task.cancelled():
            raise failed
        error = task.exception()
        if isinstance(error, FunctionError):
            raise ToolFault(str(error) or str(failed))
        if error is not None:
            run.log.warning("a function failed", function=function.name, error=type(error).__name__, at=_place(error))
            raise failed
        value = task.result()
        try:
            return "OK" if value is None else to_jsonable_python(value)
        except (PydanticSerializationError, ValueError, RecursionError):
            run.log.warning("a function returned what is no JSON", function=function.name, type=type(value).__name__)
            raise failed from None


def _count(task: asyncio.Task[Any], strays: Strays) -> None:
    """An ``async`` function that will not be cancelled."""
    if not task.done():
        strays.add("")
        task.add_done_callback(lambda _: strays.remove())


def _forget(task: asyncio.Task[Any]) -> None:
    """What comes of it is of no interest, but looked at."""
    if not task.cancelled():
        _ = task.exception()


def _place(error: BaseException) -> str:
    """Where it was raised: of its words nothing is known, they may be secret."""
    at: TracebackType | None = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return "" if at is None else f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}"
