"""callbackUrl: the events of a call, posted one after the other as they happen, beside the call.

They are what the progress socket has, but for its cursors. An event that is not taken is tried once more, and then left
out; a call whose URL takes nothing any more is given up, and its log says so.
"""

from __future__ import annotations

import asyncio

import structlog

from gateway import metrics
from gateway.call_hooks import Note
from gateway.outside import Poster, attempt
from gateway.progress import Event

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
"""Before the second attempt."""

MOST_WAITING = 256
"""Events of one call; past it those that come are left out."""

MOST_FAILURES = 3
"""Events in a row that were not taken: then there are no more for this call."""

CLOSE_SECONDS = 3.0
"""When the service stops: for what still waits."""


class Callbacks:
    """Of the calls of this process."""

    def __init__(self, poster: Poster) -> None:
        self._poster = poster
        self._tasks: set[asyncio.Task[None]] = set()

    def of_call(self, url: str, note: Note) -> Callback:
        """From now on. ``note`` enters into the call's log."""
        callback = Callback(self._poster, url, note)
        task = asyncio.create_task(callback.run(), name="callbacks of a call")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return callback

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Of calls that are over."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Callback:
    """Those of one call. :meth:`tell` and :meth:`end` are plain calls; :meth:`run` is a task."""

    def __init__(self, poster: Poster, url: str, note: Note) -> None:
        self._poster = poster
        self._url = url
        self._note = note
        self._waiting: asyncio.Queue[Event | None] = asyncio.Queue()
        self._over = False
        self._lags = False

    def tell(self, event: Event) -> None:
        if self._over:
            return
        if self._waiting.qsize() >= MOST_WAITING:
            metrics.callbacks.labels("left_out").inc()
            if not self._lags:
                self._lags = True
                log.warning("a callbackUrl is too slow; events are left out", call_id=event["callId"])
            return
        self._waiting.put_nowait(event)

    def end(self) -> None:
        """After what was told so far there is no more."""
        if not self._over:
            self._over = True
            self._waiting.put_nowait(None)

    async def run(self) -> None:
        failures = 0
        while (event := await self._waiting.get()) is not None:
            error = await self._deliver(event)
            metrics.callbacks.labels("delivered" if error is None else "failed").inc()
            failures = 0 if error is None else failures + 1
            if error is not None and failures >= MOST_FAILURES:
                self._over = True
                log.warning("a callbackUrl takes nothing", call_id=event["callId"], error=error)
                self._note("status", {"callback": {"error": error}})
                return

    async def _deliver(self, event: Event) -> str | None:
        """What was wrong; None if it was taken."""
        made = await attempt(self._poster, self._url, event)
        if made.again:
            await asyncio.sleep(PAUSE_SECONDS)
            made = await attempt(self._poster, self._url, event)
        return made.error
