"""What fails while the database is away and is tried again until it works, in the log: when that begins, once a minute
while it lasts, and when it is over. An outage of an hour is told in lines that can be read."""

from __future__ import annotations

import asyncio

import structlog

from store.errors import reason

SAID_SECONDS = 60.0


class Trouble:
    """``what`` cannot be done, in words."""

    def __init__(self, log: structlog.stdlib.BoundLogger, what: str) -> None:
        self._log = log
        self._what = what
        self._since: float | None = None
        self._said = 0.0

    def failed(self, error: BaseException, **details: int) -> None:
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now
        elif now - self._said < SAID_SECONDS:
            return
        self._said = now
        self._log.warning(f"{self._what}; trying again", error=reason(error), **details)

    def over(self) -> None:
        """It worked."""
        if self._since is not None:
            lasted = asyncio.get_running_loop().time() - self._since
            self._since = None
            self._log.info("works again", what=self._what, seconds=round(lasted, 1))
