"""How a call with a realtime model ends: after its last words were heard, and within a bound. Pure."""

from __future__ import annotations

from pipelines.events import EndReason

GOODBYE_SECONDS = 2.0
"""So long after it hung up a model may begin to say goodbye ..."""

LONGEST_GOODBYE = 20.0
"""... and so long it may take."""


class Ending:
    """``begun``: nothing that the caller says changes it. ``hung_up``: the model has, and may say goodbye yet.
    ``leaving``: there is no model any more, and somebody else goes on. ``why`` the model has left. ``max_wait``:
    seconds, beyond what is to be heard."""

    __slots__ = ("_by", "_max_wait", "_wordless", "begun", "hung_up", "leaving", "why")

    def __init__(self, max_wait: float) -> None:
        self.begun = False
        self.hung_up = False
        self.leaving = False
        self.why: EndReason = "agent"
        self._wordless = False
        self._by: float | None = None
        self._max_wait = max_wait

    @property
    def is_closed(self) -> bool:
        """The model has nothing to add."""
        return self.begun and not self.hung_up

    def wait_until_heard(self, now: float, unheard: float) -> None:
        """The last words are out: so many seconds of them are still to be heard."""
        self._by = now + unheard + self._max_wait

    def wait_for_goodbye(self, now: float, *, wordless: bool) -> None:
        """The model has hung up, ``wordless`` if it was saying nothing."""
        self.hung_up, self._wordless = True, wordless
        self._by = now + GOODBYE_SECONDS

    def goodbye_begins(self, now: float) -> None:
        self.hung_up = False
        self._by = now + LONGEST_GOODBYE

    def is_due(self, now: float, *, stuck: bool, heard_at: float) -> bool:
        """Once: what is waited for does not come. ``stuck``: all that came of an answer was heard, by ``heard_at``."""
        if not ((self._by is not None and now >= self._by) or (stuck and now - heard_at >= GOODBYE_SECONDS)):
            return False
        self._by = None
        return True

    def take_farewell(self) -> bool:
        """Whether somebody else has to say goodbye: the model hung up without a word, and did not find one."""
        wanted = self.hung_up and self._wordless
        if wanted:
            self.hung_up = False
        return wanted
