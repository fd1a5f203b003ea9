from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from structlog.testing import capture_logs

from gateway.recordings import keeper
from gateway.recordings.call import BATCH_SECONDS, CallRecording
from gateway.recordings.keeper import MOST_SWEEPS, ROW_TRIES
from gateway.recordings.places import Folder, PlaceError
from gateway.recordings.sealed import Damaged, Sealing, client_key, complete, new_key, unsealed, verify
from gateway.recordings.spool import PAGE_MS, Left, left_behind
from media.recording import HOLD_SECONDS
from pipelines.agent.options import Recording
from store import DEFAULT_OWNER
from store.calls import NewCall
from store.recordings import StoredRecording
from tests.calls.recorded import MemoryRows, decoded, kept, recordings_in
from tests.clock import run_virtual

T = TypeVar("T")

pytestmark = pytest.mark.usefixtures("in_place_of_threads")
CALL = NewCall(DEFAULT_OWNER, "agent", "listener", "scripted/echo", "jambonz", None, None)
FRAME = np.tile(np.array([3000, -3000], "<i2"), 80).tobytes()


async def talk(recording: CallRecording, seconds: float) -> None:
    for _ in range(round(seconds / 0.02)):
        await asyncio.sleep(0.02)
        recording.hear(FRAME)


# At rest


def test_what_is_sealed_opens_with_its_key_and_no_other(tmp_path: Path) -> None:
    path, key = tmp_path / "sealed", client_key("ключ")
    with path.open("wb") as file:
        sealing = Sealing(file, key)
        for part in range(100):
            sealing.write(bytes([part]) * 1000)
        sealing.finish()
    assert b"".join(unsealed(path, key)) == b"".join(bytes([part]) * 1000 for part in range(100))
    assert path.stat().st_size == verify(path, key) + 12 + 16
    with pytest.raises(Damaged):
        verify(path, new_key())
    changed = bytearray(path.read_bytes())
    changed[5000] ^= 1
    path.write_bytes(changed)
    with pytest.raises(Damaged):
        verify(path, key)


@pytest.mark.parametrize("text", ["", "short", "x" * 32, "y" * 100, "é" * 31])
def test_a_clients_key_is_its_text_filled_up_or_cut_off(text: str) -> None:
    assert client_key(text) == (text.encode() + bytes(32))[:32]


# Processes that die


def test_a_process_that_is_killed_loses_less_than_a_second(tmp_path: Path) -> None:
    assert BATCH_SECONDS + HOLD_SECONDS + PAGE_MS / 1000 + 0.03 < 1.0
    key = new_key()
    command = [sys.executable, "-m", "tests.gateway.recordings.writer", str(tmp_path), key.hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        written = 0.0
        while written < 12 * BATCH_SECONDS - 0.01:
            written = float(writer.stdout.readline())
        with left_behind(tmp_path / "one.json", lambda label: key) as held:
            assert held is None  # its writer lives
        writer.kill()
    with left_behind(tmp_path / "one.json", lambda label: key) as left:
        assert isinstance(left, Left)
        samples, rate = decoded(left.path, key)
        assert written - len(samples) / rate <= PAGE_MS / 1000 + 0.03
        tone = samples[rate : 2 * rate, 0].astype(int)
        assert 7000 < np.abs(tone).max() < 9000
        assert np.abs(tone + samples[rate : 2 * rate, 1]).max() < 800


def test_wherever_the_file_ends_what_is_whole_plays(tmp_path: Path) -> None:
    rows, key, path = MemoryRows(), client_key("mine"), tmp_path / "torn"

    async def main() -> bytes:
        recordings = recordings_in(tmp_path, rows)
        recording = recordings.begin(CALL, Recording(enabled=True, key="mine"), 8000, lambda *_: None)
        await talk(recording, 3.0)
        [part] = (tmp_path / "spool").glob("*.part")
        data = part.read_bytes()
        recording.discard()
        await recordings.close()
        return data

    whole, longest = run_virtual(main()), 0.0
    for end in (*range(0, 60, 7), *range(60, len(whole), 397), len(whole)):
        path.write_bytes(whole[:end])
        if complete(path, key) and end > len(whole) // 2:
            finished = path.read_bytes()
            samples, rate = decoded(path, key)
            assert len(samples) / rate >= longest - 0.01
            longest = len(samples) / rate
            assert complete(path, key)
            assert path.read_bytes() == finished
    assert longest > 2.0


# What goes wrong


def test_a_disk_that_is_full_ends_the_recording_and_not_the_call(tmp_path: Path) -> None:
    """What was written is kept, and comes to its place when there is room."""
    rows, notes, writes = MemoryRows(), [], 0

    async def full(work: Callable[..., T], *given: Any, seconds: float) -> T:
        nonlocal writes
        if getattr(work, "__name__", "") == "write":
            writes += 1
            if writes > 8:
                raise OSError(errno.ENOSPC, "No space left on device")
        return work(*given)

    async def main() -> None:
        recordings = recordings_in(tmp_path, rows)
        recordings._encode = full
        recording = recordings.begin(CALL, Recording(enabled=True), 8000, lambda *note: notes.append(note[1]))
        await talk(recording, 10.0)
        assert recording._sides.kept_bytes < 40_000
        assert [note["recording"]["state"] for note in notes] == ["started", "failed"]
        recording.end()
        assert rows.stored == []
        await recordings.sweep()
        await recordings.close()

    run_virtual(main())
    [stored] = rows.stored
    assert stored.seconds == pytest.approx(8 * BATCH_SECONDS, abs=0.5)
    samples, _ = kept(tmp_path, stored)
    assert np.abs(samples[:, 0]).max() > 1000
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_place_that_is_away_gets_it_later(tmp_path: Path) -> None:
    class Away(Folder):
        tries = 0

        def put(self, name: str, path: Path) -> None:
            self.tries += 1
            if self.tries <= ROW_TRIES + 1:
                raise PlaceError("the bucket did not answer")
            super().put(name, path)

    rows = MemoryRows()

    async def main() -> None:
        recordings = recordings_in(tmp_path, rows, Away(tmp_path / "kept"))
        recording = recordings.begin(CALL, Recording(enabled=True), 8000, lambda *_: None)
        await talk(recording, 1.0)
        recording.end()
        sweeping = asyncio.create_task(recordings.run())
        await asyncio.sleep(100)
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        await recordings.close()

    run_virtual(main())
    [stored] = rows.stored
    assert kept(tmp_path, stored)[0].any()
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_recording_whose_call_is_nowhere_is_deleted_in_the_end(tmp_path: Path) -> None:
    rows = MemoryRows(known=False)

    async def main() -> None:
        recordings = recordings_in(tmp_path, rows)
        recording = recordings.begin(CALL, Recording(enabled=True), 8000, lambda *_: None)
        await talk(recording, 1.0)
        recording.end()
        await asyncio.sleep(ROW_TRIES + 1)
        for _ in range(MOST_SWEEPS):
            assert [path.suffix for path in (tmp_path / "spool").iterdir()]
            await recordings.sweep()
        await recordings.close()

    run_virtual(main())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_one_that_cannot_be_deleted_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "FORGET_AT_ONCE", 1)

    class Stubborn(Folder):
        def delete(self, name: str) -> None:
            if "/b." in name:
                raise PlaceError("the recording could not be deleted: it is locked")

    rows = MemoryRows()
    rows.orphans = [StoredRecording(one, f"call of {one}", "o", 1.0, 1, None) for one in "abc"]
    with capture_logs() as logged:
        run_virtual(recordings_in(tmp_path, rows, Stubborn(tmp_path / "kept")).forget())
    assert [one.id for one in rows.orphans] == ["b"]
    assert [line["call_id"] for line in logged] == ["call of b"]


def test_nothing_in_the_spool_is_readable_without_its_key(tmp_path: Path) -> None:
    rows = MemoryRows()

    async def main() -> None:
        recordings = recordings_in(tmp_path, rows)
        recording = recordings.begin(CALL, Recording(enabled=True, key="mine"), 8000, lambda *_: None)
        await talk(recording, 2.0)
        for path in (tmp_path / "spool").iterdir():
            assert path.stat().st_mode & 0o077 == 0
            assert not [word for word in (b"OggS", b"Opus", b"mine") if word in path.read_bytes()]
        recording.end()
        await asyncio.sleep(1)
        await recordings.close()

    run_virtual(main())
    assert rows.stored[0].key is None
