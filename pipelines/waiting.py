"""A caller to whom an answer is due, and who hears nothing: when a voice is given up, and what is said when. Pure.

Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from pipelines.agent.options import Fillers
from pipelines.phrasebook import phrases

HURRY_SECONDS = 1.0
"""After so much silence a voice that makes no sound is not waited for."""

PATIENCE_SECONDS = 2.2
"""After so much the caller is asked for a moment, again and again. While a tool runs, the agent says after how much."""

ESCALATE_AFTER = 2
"""Fillers, before those of the escalation."""


class WaitingCaller:
    """``since``: the caller has heard nothing since then."""

    def __init__(self, fillers: Fillers, language: str) -> None:
        self.since = 0.0
        self._fillers = fillers
        self._phrases = phrases(language)
        self._consoled = 0

    def begin(self, since: float) -> None:
        """Another answer is due; the silence before it counts."""
        self.since, self._consoled = since, 0

    def heard(self, now: float) -> None:
        """Somebody is heard."""
        self.since = now

    def impatient(self, now: float) -> bool:
        return now - self.since >= HURRY_SECONDS

    def words(self, now: float, *, acting: bool) -> str | None:
        """What is to be said by now, if anything; ``acting``: a tool runs."""
        if now - self.since < (self._fillers.delay if acting else PATIENCE_SECONDS):
            return None
        own = self._fillers.phrases
        if self._consoled >= ESCALATE_AFTER and self._fillers.escalation:
            own = self._fillers.escalation
        if acting and own:
            return own[self._consoled % len(own)]
        return self._phrases.one_moment if self._consoled == 0 else self._phrases.still_here

    def consoled(self, now: float) -> None:
        """That is said, as soon as the voice has made it."""
        self._consoled += 1
        self.since = now
