"""The recording of one call, while it lasts: the call's sound comes in by plain calls, and is encoded beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog

from gateway import metrics
from gateway.recordings.spool import Label, Spooled
from gateway.waiting import first_of
from media.playout import Playout
from media.recording import TwoSides

log = structlog.get_logger(__name__)

T = TypeVar("T")

BATCH_SECONDS = 0.4
"""Sound is encoded in pieces of so much. With what is held back, and a page of Ogg, this is what a killed process
loses: less than a second."""

WRITE_SECONDS = 10.0
"""The longest that a disk may take for one of them: then the recording fails, and the call goes on."""


class OffLoop(Protocol):
    """Runs what blocks, away from the event loop. Raises TimeoutError after so many seconds; what hangs goes on."""

    def __call__(self, work: Callable[..., T], *given: Any, seconds: float) -> Awaitable[T]: ...


class Threads:
    """An :class:`OffLoop` of so many threads."""

    def __init__(self, workers: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)

    async def __call__(self, work: Callable[..., T], *given: Any, seconds: float) -> T:
        async with asyncio.timeout(seconds):
            return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *given))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class CallRecording:
    """From now on. :meth:`run` it in a task; every other method is a plain call. ``note`` tells the call's log."""

    def __init__(
        self, spool: Path, label: Label, key: bytes, encode: OffLoop, note: Callable[[str, Any], None]
    ) -> None:
        self.label = label
        self._spool = spool
        self._key = key
        self._encode = encode
        self._note = note
        self._clock = asyncio.get_running_loop().time
        self._sides = TwoSides(label.rate, self._clock())
        self._playout: Playout | None = None
        self._on = True
        self._over = asyncio.Event()
        self._ended_at = 0.0
        self._discarded = False

    # What the call says

    def listen_to(self, playout: Playout) -> None:
        """The agent's side: what the ledger says was heard."""
        self._playout = playout
        playout.ear = self._played

    def hear(self, frame: bytes) -> None:
        """The caller's side."""
        if self._on:
            self._sides.hear(frame, self._clock())

    def _played(self, pcm: bytes, at: float) -> None:
        if self._on:
            self._sides.played(pcm, at)

    @property
    def paused(self) -> bool:
        return self._sides.paused

    def pause(self) -> None:
        """Silence from here on: nothing of what is said is stored."""
        if not self.paused:
            self._sides.pause(self._clock())
            self._tell("paused")

    def resume(self) -> None:
        if self.paused:
            self._sides.resume(self._clock())
            self._tell("resumed")

    def discard(self) -> None:
        """Stop, and leave nothing of it."""
        if not self._over.is_set():
            self._discarded = True
            self._tell("deleted")
            self._stop()

    def end(self) -> None:
        """The call is over."""
        if not self._over.is_set():
            if self._playout is not None and self._on:
                self._playout.account(self._clock(), settled=False)
            self._stop()

    def _stop(self) -> None:
        if self._playout is not None:
            self._playout.ear = None
        self._ended_at = self._clock()
        self._on = False
        self._over.set()

    def _tell(self, state: str) -> None:
        self._note("status", {"recording": {"recordingId": self.label.id, "state": state}})

    # Beside the call

    async def run(self) -> Spooled | None:
        """Until the call is over. The finished recording, still in the spool; None where there is none to be had."""
        writing: Spooled | None = None
        try:
            writing = await self._encode(Spooled, self._spool, self.label, self._key, seconds=WRITE_SECONDS)
            self._tell("started")
            while not self._over.is_set():
                await first_of(self._over, seconds=BATCH_SECONDS)
                stereo = b"" if self._discarded else self._take()
                if stereo:
                    await self._encode(writing.write, stereo, seconds=WRITE_SECONDS)
            last = writing.discard if self._discarded else writing.finish
            await self._encode(last, seconds=WRITE_SECONDS)
        except TimeoutError:
            self._fail(f"the disk took longer than {WRITE_SECONDS:g} s")  # and may go on: it is not touched
        except Exception as error:  # noqa: BLE001 - whatever it was, it ends the recording and not the call
            self._fail(getattr(error, "strerror", None) or type(error).__name__)
            if writing is not None:
                writing.leave()
        else:
            return None if self._discarded else writing
        return None

    def _take(self) -> bytes:
        if self._over.is_set():
            return self._sides.end(self._ended_at)
        now = self._clock()
        if self._playout is not None:
            self._playout.account(now)
        return self._sides.take(now)

    def _fail(self, why: str) -> None:
        self._on = False
        if self._playout is not None:
            self._playout.ear = None
        metrics.recordings.labels("failed").inc()
        log.error("a call is not recorded to its end", call_id=self.label.call_id, why=why)
        if not self._over.is_set():
            self._tell("failed")
