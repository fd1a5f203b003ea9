"""Functions that may block: each run in a thread of its own, so many at a time of each function, and what becomes of
those that do not return. Nothing can end a thread: it is counted, and its place given to the next.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipelines.tools.strays import Strays

Start = Callable[[Callable[[], None]], int | None]
"""Begins to run something in a thread, which nothing waits for when the process ends; returns its ident."""


def start_thread(work: Callable[[], None]) -> int | None:
    thread = threading.Thread(target=work, name="function", daemon=True)
    thread.start()
    return thread.ident


class Threads:
    """Of one function: ``most`` at a time; more wait for their turn. ``strays`` counts those that are late."""

    def __init__(self, most: int, strays: Strays, start: Start) -> None:
        self._places = asyncio.Semaphore(most)
        self._strays = strays
        self._start = start

    async def run(self, work: Callable[[], Any], *, until: float, began: Callable[[], None]) -> Any:
        """``until`` is when it is late, by the event loop's clock, whoever waits for it. ``began`` is called when its
        turn has come. Raises TimeoutError where that was not in time."""
        await self._places.acquire()
        if asyncio.get_running_loop().time() >= until:
            self._places.release()
            raise TimeoutError
        began()
        run = _Run(self._places, self._strays, work)
        run.begin(self._start, until)
        return await run.future


class _Run:
    """From its place to its return, or past it: on the event loop, but for :meth:`_work`."""

    def __init__(self, places: asyncio.Semaphore, strays: Strays, work: Callable[[], Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()
        self._places = places
        self._strays = strays
        self._call = work
        self._context = contextvars.copy_context()
        self._is_late = False
        self._timer: asyncio.TimerHandle | None = None
        self._ident: int | None = None

    def begin(self, start: Start, until: float) -> None:
        self._timer = self._loop.call_at(until, self._late)
        try:
            self._ident = start(self._work)
        except RuntimeError as error:  # the system has no more threads
            self._return(None, error)

    def _work(self) -> None:
        value, error = None, None
        try:
            value = self._context.run(self._call)
        except BaseException as caught:  # noqa: BLE001 - a thread has nobody else to tell
            error = RuntimeError("it stopped") if isinstance(caught, StopIteration) else caught
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._return, value, error)

    def _late(self) -> None:
        self._is_late = True
        self._places.release()
        self._strays.add(_where(self._ident))

    def _return(self, value: Any, error: BaseException | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._is_late:
            self._strays.remove()
        else:
            self._places.release()
        if self.future.done():
            return  # nobody waits any more
        if error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(error)


def _where(ident: int | None) -> str:
    """The line of the function that a thread is at: of what it works on nothing is told."""
    frame = sys._current_frames().get(ident) if ident is not None else None  # noqa: SLF001 - there is no other way
    while frame is not None and frame.f_back is not None and frame.f_back.f_code is not _Run._work.__code__:  # noqa: SLF001 - ours
        frame = frame.f_back
    return "" if frame is None else f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
