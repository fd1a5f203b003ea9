"""Runs functions that are written in Python: on the event loop those that are ``async``, the others in threads, of
which there are only so many. Whatever they do, who waits for them waits no longer than their time.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from pipelines.functions import FunctionError, Functions, PythonFunction, RunContext
from pipelines.tools.means import ToolFault

THREADS = 16
"""Functions that are not ``async`` and run at the same time; more wait for their turn, within their own time."""


class PythonFunctions:
    """Those of a process, run for its calls."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self._places = asyncio.Semaphore(THREADS)
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
        task = asyncio.create_task(self._call(function, arguments), name=f"function {function.name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await asyncio.wait({task}, timeout=seconds)
        finally:
            if not task.done():
                task.cancel()  # one that does not stop is not waited for
                task.add_done_callback(_forget)
        if not task.done():
            run.log.warning("a function took too long", function=function.name, seconds=seconds)
            raise ToolFault(f"{run.function} did not return within {seconds:g} s; it may have been done or not")
        return self._outcome(task, function, run)

    async def close(self) -> None:
        """What still runs is stopped, as far as it can be."""
        for task in list(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=1.0)

    async def _call(self, function: PythonFunction, arguments: Mapping[str, Any]) -> Any:
        if function.is_async:
            return await function.run(**arguments)
        await self._places.acquire()
        return await _in_thread(functools.partial(function.run, **arguments), self._places.release)

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


def _in_thread(work: Callable[[], Any], done: Callable[[], None]) -> asyncio.Future[Any]:
    """A thread of its own, which nothing waits for when the process ends. ``done`` is called on the event loop."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def finish(value: Any, error: BaseException | None) -> None:
        done()
        if future.done():
            return  # nobody waits any more
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def run() -> None:
        value, error = None, None
        try:
            value = context.run(work)
        except BaseException as caught:  # noqa: BLE001 - a thread has nobody else to tell
            error = RuntimeError("it stopped") if isinstance(caught, StopIteration) else caught
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(finish, value, error)

    threading.Thread(target=run, name="function", daemon=True).start()
    return future


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
