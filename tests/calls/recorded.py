"""Recordings in tests on virtual time: real files and real Opus, by plain calls in place of threads."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import soundfile  # type: ignore[import-untyped]

from gateway.recordings.keeper import Recordings
from gateway.recordings.places import Folder, Place
from gateway.recordings.sealed import unsealed
from jambonz.simulator.report import CallReport
from store import Owner
from store.recordings import Recordings as RecordingRows
from store.recordings import StoredRecording
from store.vault import Vault

T = TypeVar("T")

WINDOW_SECONDS = 0.02


async def inline(work: Callable[..., T], *given: Any, seconds: float) -> T:
    return work(*given)


class MemoryRows(RecordingRows):
    """Without the database."""

    def __init__(self, *, known: bool = True) -> None:
        self._vault = Vault("c")
        self.known = known
        self.stored: list[StoredRecording] = []
        self.orphans: list[StoredRecording] = []
        """In the order of their ids."""

    async def add(self, recording: StoredRecording) -> bool:
        if self.known:
            self.stored.append(recording)
        return self.known

    async def without_call(self, limit: int, *, after: str = "") -> list[StoredRecording]:
        return [one for one in self.orphans if one.id > after][:limit]

    async def remove(self, recording: StoredRecording, by: Owner) -> None:
        self.orphans.remove(recording)


def recordings_in(folder: Path, rows: MemoryRows, place: Place | None = None) -> Recordings:
    return Recordings(
        cast(RecordingRows, rows),
        folder / "spool",
        place or Folder(folder / "kept"),
        encode=inline,
        move=inline,
    )


def decoded(sealed: Path, key: bytes) -> tuple[np.ndarray, int]:
    """Samples of 16 bit, a column for each side, and their rate."""
    ogg = b"".join(unsealed(sealed, key))
    samples, rate = soundfile.read(io.BytesIO(ogg), dtype="int16", always_2d=True)
    return samples, rate


def kept(folder: Path, recording: StoredRecording, key: bytes | None = None) -> tuple[np.ndarray, int]:
    path = folder / "kept" / recording.organisation_id / f"{recording.id}.ogg.sealed"
    return decoded(path, key or recording.key or b"")


def seconds_kept(folder: Path, recording: StoredRecording) -> float:
    """How long it plays, told by a decoder that holds little of it at once."""
    path = folder / "kept" / recording.organisation_id / f"{recording.id}.ogg.sealed"
    with tempfile.NamedTemporaryFile(suffix=".ogg") as file:
        for chunk in unsealed(path, recording.key or b""):
            file.write(chunk)
        file.flush()
        with soundfile.SoundFile(file.name) as sound:
            return sum(len(block) for block in sound.blocks(1 << 16, dtype="int16")) / float(sound.samplerate)


def lag(recorded: np.ndarray, played: np.ndarray, rate: int) -> tuple[float, float]:
    """By how many seconds ``recorded`` is late against ``played``, and how alike their edges are then (1: the same).
    Words of :mod:`tests.simulators.codeword` are levels, of which Opus keeps nothing but their edges."""
    size = 1 << int(np.ceil(np.log2(len(recorded) + len(played))))
    one, other = np.diff(recorded.astype(float)), np.diff(played.astype(float))
    products = np.fft.irfft(np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size)), size)
    best = int(np.argmax(products))
    alike = products[best] / max(1e-9, float(np.linalg.norm(one) * np.linalg.norm(other)))
    return (best if best < size // 2 else best - size) / rate, float(alike)


def heard_from(report: CallReport, since: float, seconds: float) -> np.ndarray:
    """What the ear got from a moment on."""
    rate = report.format.rate
    audio = np.frombuffer(report.heard, "<i2")
    assert report.answered is not None
    skip = round((since - report.answered) * rate)
    return audio[max(0, skip) : max(0, skip) + round(seconds * rate)]
