"""The spool: a folder of this machine in which recordings are written, until they are where they belong.

Each is two files. ``<id>.json`` says whose it is and holds its key, sealed; whoever has it in hand holds a lock on it,
which goes with the process. ``<id>.part`` is the recording, sealed, and ``<id>.whole`` once it is finished. All that
blocks: it is for threads.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gateway.recordings.sealed import Sealing, complete

PAGE_MS = 200.0
"""A page of Ogg is written when it holds so much: more is lost with a process that dies."""

_SET_PAGE_LATENCY_MS = 0x1302
"""SFC_SET_OGG_PAGE_LATENCY_MS of libsndfile's sndfile.h."""

_HALF_OPEN = 0o600


@dataclass(frozen=True, slots=True)
class Label:
    """What the spool knows of a recording. ``sealed_key`` is by the store's vault; ``clients``: the key is the
    client's, and nobody keeps it once the recording is finished."""

    id: str
    call_id: str
    organisation_id: str
    sealed_key: str
    clients: bool
    rate: int


class Spooled:
    """One that is being written, by one thread at a time."""

    def __init__(self, folder: Path, label: Label, key: bytes) -> None:
        """Raises OSError."""
        self.label = label
        self._part, self._whole = folder / f"{label.id}.part", folder / f"{label.id}.whole"
        self._label_path = folder / f"{label.id}.json"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        unseen = folder / f".{label.id}"
        self._label_file = _create(unseen)
        fcntl.flock(self._label_file, fcntl.LOCK_EX)
        self._label_file.write(json.dumps(asdict(label)).encode())
        self._label_file.flush()
        os.replace(unseen, self._label_path)
        self._file = _create(self._part)
        self._sealing = Sealing(self._file, key)
        self._sound = _opus(self._sealing, label.rate)

    @property
    def path(self) -> Path:
        """The finished file."""
        return self._whole

    def write(self, stereo: bytes) -> None:
        """Samples of PCM of 16 bit, left and right in turn. Raises OSError, also for a disk that is full."""
        self._sound.buffer_write(stereo, "int16")
        if self._sealing.error is not None:
            raise self._sealing.error
        self._file.flush()

    def finish(self) -> None:
        self._sound.close()
        if self._sealing.error is not None:
            raise self._sealing.error
        self._sealing.finish()
        self._file.close()
        os.replace(self._part, self._whole)

    def leave(self) -> None:
        """To whoever looks for what was left behind."""
        self._sealing.error = self._sealing.error or OSError("it was left")
        with suppress(Exception):
            self._sound.close()
        with suppress(Exception):
            self._file.close()
        self._label_file.close()

    def discard(self) -> None:
        """Nothing of it is left. After :meth:`finish` this is how it leaves the spool."""
        self._sealing.error = OSError("it was discarded")
        with suppress(Exception):
            self._sound.close()
        with suppress(Exception):
            self._file.close()
        _discard(self._label_path)
        self._label_file.close()


class Left:
    """One that a process left in the spool, and that this one has in hand now."""

    def __init__(self, label: Label, path: Path, label_path: Path) -> None:
        self.label = label
        self.path = path
        self._label_path = label_path

    def discard(self) -> None:
        _discard(self._label_path)


@contextmanager
def left_behind(label_path: Path, unseal: Callable[[Label], bytes]) -> Iterator[Left | None]:
    """What nobody has in hand: finished, and held while the context lasts. None if somebody has it, or there is
    nothing in it: then it is gone. Raises what ``unseal`` does."""
    try:
        file = label_path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        label = _read(file)
        part, whole = label_path.with_suffix(".part"), label_path.with_suffix(".whole")
        if label is not None and part.exists() and complete(part, unseal(label)):
            os.replace(part, whole)
        if label is None or not whole.exists():
            _discard(label_path)
            yield None
            return
        yield Left(label, whole, label_path)


def _opus(out: Sealing, rate: int) -> Any:
    """A file of soundfile's that takes stereo. libsndfile is loaded when it is first needed."""
    import soundfile  # type: ignore[import-untyped]

    sound = soundfile.SoundFile(out, "w", samplerate=rate, channels=2, format="OGG", subtype="OPUS")
    milliseconds = soundfile._ffi.new("double*", PAGE_MS)  # noqa: SLF001 - soundfile has no call for this command
    soundfile._snd.sf_command(sound._file, _SET_PAGE_LATENCY_MS, milliseconds, 8)  # noqa: SLF001
    return sound


def _read(file: BinaryIO) -> Label | None:
    try:
        return Label(**json.loads(file.read()))
    except (ValueError, TypeError):
        return None  # its writer died before it said whose it is: there is no sound yet


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _HALF_OPEN), "w+b")


def _discard(label_path: Path) -> None:
    """The label last: what is left without it would be nobody's."""
    for suffix in (".part", ".whole", ".json"):
        label_path.with_suffix(suffix).unlink(missing_ok=True)
