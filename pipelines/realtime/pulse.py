"""Whether a session's socket is alive: when it is asked, and when it is given up. Pure.

A half-open socket takes what it is sent, and says nothing. While something of it is waited for it is asked soon, so
that nobody waits in vain for long; otherwise now and then.
"""

from __future__ import annotations

from typing import Literal

IDLE_SECONDS, PONG_SECONDS = 3.0, 3.0
"""A socket that has said nothing for so long is pinged, and lost where nothing comes then ..."""

AWAITED_SECONDS, AWAITED_PONG_SECONDS = 0.6, 2.0
"""... and so long, while somebody waits."""

DOUBT_SECONDS = 1.0
"""Without an answer for so long it may well be lost: the round trips of a call are a tenth of it."""

STALL_SECONDS = 0.5
"""Between two ticks: it was we who were away, and what came meanwhile was not read yet."""


class Pulse:
    """Of one socket, since ``now``."""

    __slots__ = ("_asked", "_ticked")

    def __init__(self, now: float) -> None:
        self._asked: float | None = None  # and nothing came since
        self._ticked = now

    def tick(self, now: float, heard: float, *, awaited: bool) -> Literal["ask", "lost"] | None:
        """``heard``: when the socket last said anything. ``awaited``: something of it is."""
        before, self._ticked = self._ticked, now
        if self._asked is not None and heard >= self._asked:  # the clock may count milliseconds, and the pong be there
            self._asked = None
        if self._asked is None:
            if now - heard < (AWAITED_SECONDS if awaited else IDLE_SECONDS):
                return None
            self._asked = now
            return "ask"
        if now - before > STALL_SECONDS:
            self._asked = now
        patience = AWAITED_PONG_SECONDS if awaited else PONG_SECONDS
        return "lost" if now - self._asked >= patience else None

    def doubtful(self, now: float) -> bool:
        return self._asked is not None and now - self._asked >= DOUBT_SECONDS
