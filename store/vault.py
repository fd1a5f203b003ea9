"""Secrets at rest: AES-256-GCM with a key made of CREDENTIALS_KEY.

A sealed text is ``enc:<iv>:<tag>:<ciphertext>``, each in base64. It is bound to the row it belongs to (``context``), so
that it opens nowhere else.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from store.errors import CannotOpen, Unreadable

_IV, _TAG = 12, 16
KEY_FILE = "credentials.key"


class Vault:
    """Seals texts with the first key, and opens what was sealed with any of them. A few microseconds each: no thread is
    needed."""

    def __init__(self, *credentials_keys: str) -> None:
        self._ciphers = [AESGCM(hashlib.sha256(key.encode()).digest()) for key in credentials_keys]

    def seal(self, text: str, context: str) -> str:
        iv = secrets.token_bytes(_IV)
        sealed = self._ciphers[0].encrypt(iv, text.encode(), context.encode())
        parts = (iv, sealed[-_TAG:], sealed[:-_TAG])
        return "enc:" + ":".join(b64encode(part).decode() for part in parts)

    def open(self, sealed: str, context: str) -> str:
        """Raises :class:`Unreadable` if it was sealed with another key, for another context, or was tampered with."""
        return self._open(sealed, context)[0]

    def reseal(self, sealed: str, context: str) -> str | None:
        """The text sealed with the first key; None if it is already. Raises as :meth:`open` does."""
        text, key = self._open(sealed, context)
        return self.seal(text, context) if key > 0 else None

    def _open(self, sealed: str, context: str) -> tuple[str, int]:
        """The text, and which key opened it."""
        for n, cipher in enumerate(self._ciphers):
            try:
                iv, tag, text = (b64decode(part, validate=True) for part in sealed.removeprefix("enc:").split(":"))
                return cipher.decrypt(iv, text + tag, context.encode()).decode(), n
            except (ValueError, InvalidTag):
                continue
        raise Unreadable(
            f"the secrets of {context} do not open with this CREDENTIALS_KEY; start with the one they were saved with"
        )


def load_or_make_key(directory: Path) -> str:
    """The key kept in ``directory``, made there (readable by its owner only) if there is none. Blocking. Raises OSError
    and :class:`CannotOpen`."""
    path = directory / KEY_FILE
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        try:
            with open(made, "w") as file:
                file.write(secrets.token_urlsafe(32))
                file.flush()
                os.fsync(made)  # before anything is sealed with it
        except OSError:
            path.unlink()
            raise
    key = path.read_text().strip()
    if not key:  # the disk was full, or another process makes it now; an empty key would be everybody's
        raise CannotOpen(f"{path} has no key in it; put the one there that it had, or delete it if there was none")
    return key
