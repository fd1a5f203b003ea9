"""What a worker is given by its parent."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

READY, DRAINED, ALIVE = b"r", b"d", b"."
"""What a worker tells its parent."""

BEAT_SECONDS = 5.0
"""Between two that it is alive: its loop turns."""

DRAIN, STOP = b"d", b"s"
"""What a worker is told. The end of the stream: it may go once it has drained; and so it does if the parent is gone."""


@dataclass(frozen=True, slots=True)
class Seat:
    """``directory`` is where the workers' own sockets are, for nobody else. ``listening`` are those that all workers
    accept from; ``parent`` is the other end of the parent's. ``again``: it is in place of one that died."""

    slot: int
    workers: int
    directory: Path
    listening: Sequence[socket.socket]
    parent: socket.socket
    again: bool
