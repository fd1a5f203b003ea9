"""Runs of a function that did not return in their time, and go on: how many there are, and when it is enough. Pure."""

from __future__ import annotations

from typing import Any, Protocol

MOST_STRAYS = 4
"""Of one function: it is not run again until one of them has returned."""


class StrayWatch(Protocol):
    """Who counts them, by the name of the function."""

    def stray(self, function: str, change: int) -> None:
        """One more, or one less."""
        ...

    def refused(self, function: str) -> None: ...


class Strays:
    """Of one function."""

    def __init__(self, function: str, watch: StrayWatch | None, log: Any) -> None:
        self._function = function
        self._watch = watch
        self._log = log
        self.count = 0

    @property
    def are_too_many(self) -> bool:
        return self.count >= MOST_STRAYS

    def add(self, at: str) -> None:
        """``at`` is the line that it hangs at, if that is known."""
        self._change(1)
        self._log.warning(
            "a function goes on past its time", function=self._function, at=at, under_way=self.count, most=MOST_STRAYS
        )

    def remove(self) -> None:
        self._change(-1)
        self._log.info("a function has returned past its time", function=self._function, under_way=self.count)

    def refuse(self) -> None:
        if self._watch is not None:
            self._watch.refused(self._function)
        self._log.warning("a function is not run: too many go on", function=self._function, under_way=self.count)

    def _change(self, change: int) -> None:
        self.count += change
        if self._watch is not None:
            self._watch.stray(self._function, change)
