"""All recordings of this process: those of calls under way, and how finished ones come to their place and back."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, assert_never

import structlog
from typing_extensions import TypedDict

from gateway import metrics
from gateway.recordings.call import CallRecording, OffLoop, Threads
from gateway.recordings.places import Place, PlaceError
from gateway.recordings.sealed import client_key, new_key, seconds_of, verify
from gateway.recordings.spool import Label, Left, Spooled, left_behind
from pipelines.agent.options import Recording
from store.calls import NewCall
from store.errors import reason
from store.recordings import Recordings as RecordingRows
from store.recordings import StoredRecording
from store.rows import Owner, new_id

log = structlog.get_logger(__name__)

ENCODERS = 2
"""Threads. A second of stereo at 8 kHz takes some 14 ms of one."""

MOVERS = 2

MOVE_SECONDS = 300.0
"""The longest that a recording may take to its place, or back."""

DISK_SECONDS = 30.0

STORE_SECONDS = 5.0

SWEEP_SECONDS = 30.0
"""How often it is looked for what was left behind, or could not be delivered."""

ROW_SECONDS = 1.0
"""The row of a call is written beside it: so long is waited for it ..."""

ROW_TRIES = 5
"""... so often, at the end of a call ..."""

MOST_SWEEPS = 20
"""... and in so many sweeps, before it is believed that the call was deleted, or never stored."""

FORGET_SWEEPS = 20
"""Recordings of calls that were deleted are looked for in every so many-th sweep."""

FORGET_AT_ONCE = 100

COPY_SECONDS = 3600.0
"""A copy for a download that is older than this was left by a process that died."""

CLOSE_SECONDS = 20.0


Command = Literal["pause", "resume", "discard"]


class RecordingState(TypedDict):
    recordingId: str
    paused: bool


class Recordings:
    """:meth:`run` it in a task of the service. ``encode`` and ``move`` run what blocks; threads, unless given."""

    def __init__(
        self,
        rows: RecordingRows,
        spool: Path,
        place: Place,
        *,
        encode: OffLoop | None = None,
        move: OffLoop | None = None,
    ) -> None:
        self._rows = rows
        self._spool = spool
        self._place = place
        self._threads = [Threads(ENCODERS, "record"), Threads(MOVERS, "keep")]
        self._encode = encode or self._threads[0]
        self._move = move or self._threads[1]
        self._live: dict[str, CallRecording] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._without_call: Counter[str] = Counter()

    # Calls under way

    def begin(self, call: NewCall, wanted: Recording, rate: int, note: Callable[[str, Any], None]) -> CallRecording:
        """Record a call from now on; its sound has so many samples a second."""
        recording_id = new_id()
        key = client_key(wanted.key) if wanted.key is not None else new_key()
        sealed = self._rows.seal(recording_id, key)
        label = Label(recording_id, call.id, call.owner.organisation_id, sealed, wanted.key is not None, rate)
        recording = CallRecording(self._spool, label, key, self._encode, note)
        self._live[call.id] = recording
        task = asyncio.create_task(self._see_through(recording), name=f"recording {recording_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return recording

    def command(self, organisation_id: str, call_id: str, command: Command) -> RecordingState | None:
        """What becomes of the recording of a call of this process; None if there is none."""
        recording = self._live.get(call_id)
        if recording is None or recording.label.organisation_id != organisation_id:
            return None
        match command:
            case "pause":
                recording.pause()
            case "resume":
                recording.resume()
            case "discard":
                recording.discard()
            case _:
                assert_never(command)
        return RecordingState(recordingId=recording.label.id, paused=recording.paused)

    async def on_asked(self, about: Mapping[str, Any]) -> RecordingState | None:
        """Another process was asked for a :meth:`command`."""
        match about:
            case {"organisation": str(owner), "call": str(call), "command": "pause" | "resume" | "discard" as command}:
                return self.command(owner, call, command)
            case _:
                raise ValueError("this is no command for a recording")

    async def _see_through(self, recording: CallRecording) -> None:
        try:
            spooled = await recording.run()
        finally:
            del self._live[recording.label.call_id]
        if spooled is None:
            return
        for _ in range(ROW_TRIES):
            if await self._delivered(spooled):
                return
            await asyncio.sleep(ROW_SECONDS)
        spooled.leave()

    # To their place

    async def _delivered(self, spooled: Spooled | Left) -> bool:
        """Bring a finished recording to its place. False, and a line in the log, where that has to be tried again."""
        label = spooled.label
        try:
            key = self._rows.unseal(label.id, label.sealed_key)
            seconds = await self._move(seconds_of, spooled.path, key, seconds=DISK_SECONDS)
            size = (await self._move(spooled.path.stat, seconds=DISK_SECONDS)).st_size
            await self._move(self._place.put, _name(label), spooled.path, seconds=MOVE_SECONDS)
            stored = StoredRecording(
                label.id, label.call_id, label.organisation_id, seconds, size, None if label.clients else key
            )
            async with asyncio.timeout(STORE_SECONDS):
                known = await self._rows.add(stored)
            if not known:
                return await self._nobodys(spooled)
            await self._move(spooled.discard, seconds=DISK_SECONDS)
        except Exception as error:  # noqa: BLE001 - a place or a database that is away: the spool has it
            why = str(error) or type(error).__name__
            log.warning("a recording is not where it belongs yet", call_id=label.call_id, why=why)
            return False
        self._without_call.pop(label.id, None)
        metrics.recordings.labels("stored").inc()
        return True

    async def _nobodys(self, spooled: Spooled | Left) -> bool:
        """There is no such call: not yet, or, after a while, not any more."""
        label = spooled.label
        self._without_call[label.id] += 1
        if self._without_call[label.id] < ROW_TRIES + MOST_SWEEPS:
            return False
        log.warning("a recording is deleted: its call is not known", call_id=label.call_id)
        await self._move(self._place.delete, _name(label), seconds=MOVE_SECONDS)
        await self._move(spooled.discard, seconds=DISK_SECONDS)
        del self._without_call[label.id]
        metrics.recordings.labels("dropped").inc()
        return True

    async def run(self) -> None:
        """See to what was left behind, by processes that died, too, and delete what belongs to no call any more."""
        sweeps = 0
        while True:
            try:
                await self.sweep()
                if sweeps % FORGET_SWEEPS == 0:
                    await self.forget()
                sweeps += 1
            except Exception as error:  # noqa: BLE001 - tried again
                log.warning("what is left of recordings cannot be seen to; trying again", why=reason(error))
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        for path in await self._move(_labels, self._spool, seconds=DISK_SECONDS):
            with ExitStack() as held:
                try:
                    left = await self._move(held.enter_context, left_behind(path, self._unseal), seconds=DISK_SECONDS)
                    if left is not None:
                        await self._delivered(left)
                except Exception as error:  # noqa: BLE001 - the others are seen to
                    log.warning("a recording in the spool cannot be finished", file=path.name, why=str(error))

    async def forget(self) -> None:
        """Delete the recordings of calls that were deleted. One that cannot be, now, holds up no other."""
        last = ""
        while found := await self._rows.without_call(FORGET_AT_ONCE, after=last):
            for recording in found:
                try:
                    await self.delete(recording, Owner(recording.organisation_id, None))
                except (PlaceError, TimeoutError) as error:
                    log.warning("a recording cannot be deleted yet", call_id=recording.call_id, why=reason(error))
            last = found[-1].id

    def _unseal(self, label: Label) -> bytes:
        return self._rows.unseal(label.id, label.sealed_key)

    # And back

    @asynccontextmanager
    async def copy(self, recording: StoredRecording) -> AsyncIterator[Path | None]:
        """A copy of a stored one, whole and right as far as we have its key; None where it is gone. Raises
        what :class:`Place` raises, :class:`~gateway.recordings.sealed.Damaged` or TimeoutError."""
        path = self._spool / f"{recording.id}.{secrets.token_hex(4)}.copy"
        try:
            await self._move(_make, self._spool, seconds=DISK_SECONDS)
            if not await self._move(self._place.get, _name(recording), path, seconds=MOVE_SECONDS):
                yield None
                return
            if recording.key is not None:
                await self._move(verify, path, recording.key, seconds=DISK_SECONDS)
            yield path
        finally:
            await self._move(_forget, path, seconds=DISK_SECONDS)

    async def read(self, work: Callable[[], bytes | None]) -> bytes | None:
        return await self._move(work, seconds=DISK_SECONDS)

    async def delete(self, recording: StoredRecording, by: Owner) -> None:
        """The file, then its row. Raises what :class:`Place` raises, or TimeoutError; then it can be tried again."""
        await self._move(self._place.delete, _name(recording), seconds=MOVE_SECONDS)
        await self._rows.remove(recording, by)

    async def close(self) -> None:
        """The calls are over. What is not at its place in bounded time is left in the spool, for the next process."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for threads in self._threads:
            threads.close()


def _name(of: Label | StoredRecording) -> str:
    return f"{of.organisation_id}/{of.id}.ogg.sealed"


def _labels(spool: Path) -> list[Path]:
    """And away with copies that nobody reads any more."""
    for copy in spool.glob("*.copy"):
        if time.time() - copy.stat().st_mtime > COPY_SECONDS:
            copy.unlink(missing_ok=True)
    return sorted(spool.glob("*.json"))


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)
