"""Cursors: what a watcher of calls has had, as one word that it gives back when it comes again, to any process.

A watcher has had everything that is stored up to a position; and, of the processes that it was connected to, everything
up to a moment: that is told as it happens, before it is stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)

MOST_PROCESSES = 8
"""That a cursor remembers, the latest: what an earlier one told was stored long ago, and is told by the position."""

_CURSOR = re.compile(rf"\d{{1,18}}(?:-[0-9A-Za-z]{{1,32}}-\d{{1,16}}){{0,{MOST_PROCESSES}}}", re.ASCII)


class Seen:
    """What one watcher has had."""

    def __init__(self, position: int = 0, moments: Mapping[str, datetime] | None = None) -> None:
        self.position = position
        self._moments = dict(moments or {})
        """By process, those that were told of last at the end."""

    @classmethod
    def parse(cls, cursor: str) -> Seen:
        """Raises ValueError in words."""
        if not _CURSOR.fullmatch(cursor):
            raise ValueError("since is no cursor: give the cursor of an event as it came, or 0 for all there is.")
        position, *rest = cursor.split("-")
        return cls(int(position), {n: EPOCH + int(at) * TICK for n, at in zip(rest[::2], rest[1::2], strict=True)})

    def __str__(self) -> str:
        moments = "".join(f"-{node}-{(at - EPOCH) // TICK}" for node, at in self._moments.items())
        return f"{self.position}{moments}"

    def had(self, node: str, at: datetime) -> bool:
        """Whether a process told it before."""
        upto = self._moments.get(short(node))
        return upto is not None and at <= upto

    def tell(self, node: str, at: datetime) -> None:
        """Everything that happened in calls of this process up to then."""
        name = short(node)
        upto = self._moments.pop(name, at)
        self._moments[name] = max(at, upto)
        while len(self._moments) > MOST_PROCESSES:
            del self._moments[next(iter(self._moments))]


def short(node: str) -> str:
    """Of a process's name, what tells it from all others."""
    return node.rsplit("/", 1)[-1]
