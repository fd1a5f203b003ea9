"""A parent whose workers do nothing, in a process of its own: what it does is told on standard output, a line each.

Arguments: how many workers, and what they are like: ``well``, ``broken`` (the second one cannot start), or ``stubborn``
(the first one has a call that does not end).
"""

from __future__ import annotations

import os
import signal
import sys
from types import SimpleNamespace

from gateway.workers.parent import supervise
from gateway.workers.seat import DRAIN, DRAINED, READY, STOP, Seat


def say(*what: object) -> None:
    os.write(1, (" ".join(str(one) for one in what) + "\n").encode())


def work(seat: Seat) -> int:
    signal.signal(signal.SIGTERM, lambda *_: None)
    say("started", seat.slot, os.getpid(), *(["again"] if seat.again else []))
    if kind == "broken" and seat.slot == 1:
        return 3
    seat.parent.send(READY)
    draining = False
    while told := seat.parent.recv(1):
        say("told", seat.slot, told.decode())
        if told == STOP:
            break
        if told == DRAIN and not draining and not (kind == "stubborn" and seat.slot == 0):
            draining = True
            seat.parent.send(DRAINED)
    say("leaves", seat.slot)
    return 0


kind = sys.argv[2]
settings = SimpleNamespace(
    host="127.0.0.1", port=0, workers=int(sys.argv[1]), drain_seconds=600.0, prometheus_multiproc_dir=None
)
status = supervise(settings, work, lambda url: say("listens", url))  # type: ignore[arg-type]
say("exits", status)
sys.exit(status)
