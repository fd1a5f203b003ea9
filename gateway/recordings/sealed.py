"""The form of a recording at rest: a nonce of 12 bytes, Ogg Opus under AES-256-GCM, and the tag of 16 bytes.

What is written is sealed as it comes. A file whose writer died has no tag; it is completed with the key
(:func:`complete`). Everything here blocks: it is for threads.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

IV_BYTES, TAG_BYTES, KEY_BYTES = 12, 16, 32

CHUNK_BYTES = 256 * 1024

_PAGE = b"OggS"
_PAGE_HEADER_BYTES = 27
"""RFC 3533, section 6: then as many lengths of segments as the last of these bytes says, and the segments."""

_MOST_PAGE_BYTES = 65_307

_OPUS_RATE = 48_000
"""Positions in Ogg Opus are counted at this rate, whatever the sound's is (RFC 7845, section 4)."""


class Damaged(Exception):
    """It does not open: another key, or the file is not as it was written."""


def new_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def client_key(text: str) -> bytes:
    """A client's own key: its UTF-8, filled up with zeros, or cut off."""
    return text.encode()[:KEY_BYTES].ljust(KEY_BYTES, b"\0")


class Sealing:
    """A file-like object for whoever only writes: bytes go to ``file`` sealed, at once."""

    def __init__(self, file: BinaryIO, key: bytes) -> None:
        iv = secrets.token_bytes(IV_BYTES)
        self._file = file
        self._cipher = Cipher(algorithms.AES(key), modes.GCM(iv)).encryptor()
        self._written = 0
        self.error: OSError | None = None
        """Why nothing is written any more: libsndfile, which calls, passes no exception on."""
        file.write(iv)

    def write(self, data: bytes) -> int:
        if self.error is not None:
            return 0
        try:
            self._file.write(self._cipher.update(bytes(data)))
        except OSError as error:
            self.error = error
            return 0
        self._written += len(data)
        return len(data)

    def finish(self) -> None:
        """There is no more."""
        self._file.write(self._cipher.finalize() + self._cipher.tag)
        self._file.flush()

    # libsndfile asks; a stream of Ogg is written from its first byte to its last.

    def tell(self) -> int:
        return self._written

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._written

    def read(self, count: int = -1) -> bytes:
        return b""

    def flush(self) -> None:
        self._file.flush()


def unsealed(path: Path, key: bytes) -> Iterator[bytes]:
    """What is in a finished file. Raises :class:`Damaged` where it does not open, but not before its end: see
    :func:`verify`."""
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size - IV_BYTES - TAG_BYTES
        if left < 0:
            raise Damaged("the recording is shorter than an empty one")
        cipher = Cipher(algorithms.AES(key), modes.GCM(file.read(IV_BYTES))).decryptor()
        while left > 0:
            chunk = file.read(min(CHUNK_BYTES, left))
            if not chunk:
                raise Damaged("the recording became shorter while it was read")
            left -= len(chunk)
            yield cipher.update(chunk)
        try:
            cipher.finalize_with_tag(file.read(TAG_BYTES))
        except InvalidTag:
            raise Damaged("the recording does not open with its key, or was changed") from None


def verify(path: Path, key: bytes) -> int:
    """Its size when it is open. Raises :class:`Damaged`."""
    return sum(len(chunk) for chunk in unsealed(path, key))


def complete(path: Path, key: bytes) -> bool:
    """Finish the file of a writer that died: it ends with its last whole page, and gets its tag. Whether there is
    anything in it. Once it is finished it comes out the same."""
    with path.open("r+b") as file:
        iv = file.read(IV_BYTES)
        if len(iv) < IV_BYTES:
            return False
        cipher = Cipher(algorithms.AES(key), modes.GCM(iv)).decryptor()
        again = Cipher(algorithms.AES(key), modes.GCM(iv)).encryptor()
        waiting, size = b"", 0
        while len(waiting) <= _MOST_PAGE_BYTES and (chunk := file.read(CHUNK_BYTES)):
            waiting += cipher.update(chunk)
            whole, _ = _whole_pages(waiting)
            again.update(waiting[:whole])
            size, waiting = size + whole, waiting[whole:]
        again.finalize()
        file.seek(IV_BYTES + size)
        file.truncate()
        file.write(again.tag)
    return size > 0


def seconds_of(path: Path, key: bytes) -> float:
    """How long a finished file plays. Raises :class:`Damaged`."""
    waiting, played = b"", 0
    for chunk in unsealed(path, key):
        waiting += chunk
        whole, last = _whole_pages(waiting)
        played, waiting = max(played, last), waiting[whole:]
    return played / _OPUS_RATE


def _whole_pages(data: bytes) -> tuple[int, int]:
    """How many bytes at the beginning are whole pages of Ogg, and the position in the sound where they end."""
    at = position = 0
    while data.startswith(_PAGE, at) and len(data) >= at + _PAGE_HEADER_BYTES:
        body = at + _PAGE_HEADER_BYTES + data[at + _PAGE_HEADER_BYTES - 1]
        end = body + sum(data[at + _PAGE_HEADER_BYTES : body])
        if len(data) < end:
            break
        position = int.from_bytes(data[at + 6 : at + 14], "little", signed=True)
        at = end
    return at, position
