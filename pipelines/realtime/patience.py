"""The caller waits for an answer: when he is to be consoled, and when none will come. Pure."""

from __future__ import annotations

from typing import Literal

PATIENCE_SECONDS = 2.4
"""From the end of what the caller said to "one moment", where no answer came."""

LOST_SECONDS = 6.0
"""And to the conclusion that none will come of this session."""

PATIENT_SECONDS = 30.0
"""Between two words of patience to a caller of whom the model seems to hear nothing."""


class Patience:
    """``noticed``: the model knows that there is something to be answered. ``consoled`` counts the times that the
    caller was, since he began to wait."""

    __slots__ = ("_since", "_sounded_at", "_unnoticed_until", "consoled", "noticed")

    def __init__(self) -> None:
        self.noticed = False
        self.consoled = 0
        self._since: float | None = None
        self._sounded_at = 0.0  # somebody was heard
        self._unnoticed_until = 0.0

    @property
    def waiting(self) -> bool:
        return self._since is not None

    def begin(self, since: float) -> None:
        """The caller waits, ``since`` he fell silent."""
        self._since, self.consoled = since, 0

    def stop(self) -> None:
        self._since = None

    def answered(self) -> None:
        """There is sound of an answer."""
        self._since, self.noticed = None, False

    def tick(self, now: float, *, sounding: bool, answering: bool, open: bool) -> Literal["console", "lost"] | None:
        """``sounding``: somebody is heard. ``answering``: an answer of the model is. ``open``: there is a session."""
        if self._since is None:
            return None
        if sounding:
            self._sounded_at = now
            if answering:
                self._since = max(self._since, now)  # an earlier one
            return None
        if now - self._since >= LOST_SECONDS and open:
            self._since = None
            return "lost"
        if now - max(self._since, self._sounded_at) >= PATIENCE_SECONDS and self._may_console(now):
            self.consoled += 1
            self._sounded_at = now  # as soon as the voice has made it
            return "console"
        return None

    def _may_console(self, now: float) -> bool:
        """Where the model seems to hear nothing there may be nothing to hear: not every noise is answered."""
        if self.noticed:
            return True
        if self.consoled or now < self._unnoticed_until:
            return False
        self._unnoticed_until = now + PATIENT_SECONDS
        return True
