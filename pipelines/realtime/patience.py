"""The caller waits for an answer: when he is to be consoled, and when none will come. Pure."""

from __future__ import annotations

from typing import Literal

PATIENCE_SECONDS = 2.4
"""From the last that was heard to "one moment", where no answer came."""

LOST_SECONDS = 6.0
"""And from what the model was to answer, to the conclusion that nothing will come of this session."""

SUSPECT_SECONDS = 4.0
"""So long the model, if it is alive, may take to say that it has heard something."""

PATIENT_SECONDS = 30.0
"""Between two words of patience to a caller of whom the model seems to hear nothing."""


class Patience:
    """``noticed``: the model knows that there is something to be answered. ``consoled`` counts the times that the
    caller was, since he began to wait."""

    __slots__ = ("_asked", "_consoled_at", "_since", "_suspected", "_unnoticed_until", "consoled", "noticed")

    def __init__(self) -> None:
        self.noticed = False
        self.consoled = 0
        self._since: float | None = None  # the caller waits
        self._asked = 0.0  # the model was last given something to answer
        self._suspected: float | None = None
        self._consoled_at = 0.0
        self._unnoticed_until = 0.0

    @property
    def waiting(self) -> bool:
        return self._since is not None

    def begin(self, since: float, *, asked: float | None = None) -> None:
        """The caller waits ``since`` he fell silent, or still does: the model was ``asked`` (by default then) for
        something new."""
        if self._since is None and since > self._consoled_at:
            self.consoled = 0
        self._since = since if self._since is None else min(self._since, since)
        self._asked = since if asked is None else asked
        self._suspected = None

    def suspect(self, since: float) -> None:
        """The caller made a sound, and fell silent ``since``. As long as all is well the model knows whether he said
        something; where it may be gone, he did."""
        if self._since is None:
            self._suspected = since

    def suspects(self, now: float) -> bool:
        return self._suspected is not None and now - self._suspected < SUSPECT_SECONDS

    def stop(self) -> None:
        self._since = self._suspected = None

    def answered(self) -> None:
        """There is sound of an answer."""
        self.stop()
        self.noticed, self.consoled = False, 0

    def tick(
        self,
        now: float,
        *,
        heard: float,
        sounding: Literal["caller", "model", "we"] | None,
        stuck: bool,
        open: bool,
        doubt: bool,
    ) -> Literal["console", "lost"] | None:
        """``heard``: when anybody was last heard. ``sounding``: who is; the model with an answer, or we in our own
        voice. ``stuck``: an answer is under way, and nothing more of it comes. ``open``: there is a session.
        ``doubt``: it may be gone."""
        if sounding == "model" and self._since is not None:  # an earlier answer
            self._since, self._asked = max(self._since, now), max(self._asked, now)
        if sounding in ("caller", "model"):
            return None
        since = self._since
        if since is not None and now - self._asked >= LOST_SECONDS and open:
            self._asked = now
            return "lost"
        if sounding is not None:
            return None
        if since is None and doubt and self.suspects(now):
            since = self._suspected
        if since is None and stuck:
            since = heard
        if since is None or now - max(since, heard, self._consoled_at) < PATIENCE_SECONDS:
            return None
        if not (stuck or doubt or self._may_console(now)):
            return None
        self.consoled += 1
        self._consoled_at = now  # as soon as the voice has made it
        return "console"

    def _may_console(self, now: float) -> bool:
        """Where the model seems to hear nothing there may be nothing to hear: not every noise is answered."""
        if self.noticed:
            return True
        if self.consoled or now < self._unnoticed_until:
            return False
        self._unnoticed_until = now + PATIENT_SECONDS
        return True
