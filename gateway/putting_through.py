"""A caller is put through to a telephone: by Jambonz, once our socket is closed and it asks what comes next. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from jambonz import verbs
from jambonz.hooks import ActionHook, Hook
from jambonz.verbs import Verb
from pipelines.events import EndReason

RING_SECONDS = 45.0
"""The longest that the telephone rings."""

NEWS_SECONDS = RING_SECONDS + 15.0
"""From the end of our socket: by then it is known whether anybody answered."""

ENDED = frozenset({"completed", "failed", "busy", "no-answer"})


class PuttingThrough:
    """``number`` is the digits of the telephone, ``caller_id`` whose call it sees, where that is known."""

    def __init__(self, number: str, *, caller_id: str | None, hook: str) -> None:
        self.number = f"+{number}"
        self.asked = False
        """Jambonz was told to dial."""
        self.outcome = ""
        """Jambonz's word for what became of it: ``in-progress`` once somebody answered."""
        digits = (caller_id or "").removeprefix("+")
        dial = verbs.dial(
            [verbs.phone(self.number)],
            action_hook=hook,
            caller_id=f"+{digits}" if digits.isascii() and digits.isdigit() else None,
            timeout=RING_SECONDS,
        )
        self._verbs = [dial, verbs.hangup()]

    def next(self, hook: ActionHook) -> Sequence[Verb] | None:
        """What comes after our verb: the same each time that it is asked. None where the caller is gone."""
        if hook.call_status in ENDED:
            return None
        self.asked = True
        return self._verbs

    def heard_of(self, hook: Hook) -> EndReason | None:
        """News of the telephone, or of how the dialling ended: why our part of the call is over, if it is."""
        if isinstance(hook, ActionHook):
            answered, ended = hook.dial_call_status == "completed", True
            self.outcome = self.outcome or hook.dial_call_status
            if not answered and hook.call_status in ENDED:
                return "caller"
        else:
            answered, ended = hook.call_status == "in-progress", False
            if answered:
                self.outcome = hook.call_status
        if answered:
            return "transferred"
        return "failed" if ended else None
