"""A process that records until it is killed: ``python -m tests.gateway.recordings.writer FOLDER KEY``. It says how many
seconds it has written."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from gateway.recordings.call import BATCH_SECONDS
from gateway.recordings.spool import Label, Spooled
from store.vault import Vault

RATE = 8000


def main(folder: str, key: str) -> None:
    secret = bytes.fromhex(key)
    sealed = Vault("c").seal(key, "test")
    spooled = Spooled(Path(folder), Label("one", "call", "tenant", sealed, False, RATE), secret)
    samples = round(BATCH_SECONDS * RATE)
    for batch in range(1000):
        at = (np.arange(samples) + batch * samples) / RATE
        tone = (8000 * np.sin(2 * np.pi * 440 * at)).astype("<i2")
        spooled.write(np.stack([tone, -tone], axis=1).tobytes())
        print((batch + 1) * BATCH_SECONDS, flush=True)
        if batch >= 11:
            sys.stdin.read()  # to be killed


if __name__ == "__main__":
    main(*sys.argv[1:])
