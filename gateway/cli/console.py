"""Printing that never waits: a terminal that is held, or a pipe that nobody reads, stops a thread and not the audio."""

from __future__ import annotations

import queue
import threading
from types import TracebackType

import click

CLOSE_SECONDS = 2.0
"""The longest that the end of the program waits for a reader who does not read."""


class Console:
    """Lines to standard output, in order; colours only where a person looks. Use it in a ``with``."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="console", daemon=True)

    def __enter__(self) -> Console:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.put(None)
        self._thread.join(CLOSE_SECONDS)

    def print(self, line: str = "") -> None:
        self._lines.put(line)

    def _write(self) -> None:
        gone = False
        while (line := self._lines.get()) is not None:
            try:
                if not gone:
                    click.echo(line)
            except OSError:  # the reader of the pipe has left
                gone = True
