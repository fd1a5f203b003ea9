"""A caller is put through to somebody else: by Jambonz, once our socket is closed and it asks what comes next. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from jambonz import verbs
from jambonz.endings import ending_of
from jambonz.hooks import ActionHook, Hook
from jambonz.verbs import Target, Verb
from pipelines.tools.transfer import TransferOutcome

NEWS_AFTER = 15.0
"""Seconds, besides those that it may ring, from the end of our socket: by then it is known whether anybody answered. A
REFER that nobody answers takes 32 s, and one whose call nobody tells of 15; the least ringing is 5."""

LEAST_NEWS = 50.0

ORIGIN_HEADER = "X-Aplisay-Origin-Caller-Id"
"""Tells the other side of a bridge who the caller is, whatever number it sees."""

RINGBACK_PATH = "/jambonz/ringback.wav"

ENDED = frozenset({"completed", "failed", "busy", "no-answer"})

Way = Literal["refer", "bridge", "room"]
_WAYS: Mapping[str, Way] = {"sip:refer": "refer", "dial": "bridge", "conference": "room"}


JOINED = "joined"
"""The id of the verb that brings two of our calls together: all that its hook is known by."""


class PuttingThrough:
    """``verb`` is what Jambonz is answered: ``dial``, ``sip:refer``, or ``conference``, of which whoever sends two
    there says when they have met. ``back`` are the verbs by which the caller comes back where it fails; without any,
    the call is over then."""

    def __init__(self, number: str, verb: Verb, *, back: Sequence[Verb] = ()) -> None:
        self.number = number
        self.caller_id: str | None = verb.get("callerId")
        self.by = _WAYS[verb["verb"]]
        self.back = back
        self.returns = bool(back)
        self.asked = False
        """Jambonz was told to."""
        self.word = ""
        """Jambonz's own for what became of it: ``in-progress`` once somebody answered."""
        self.sip_status: int | None = None
        self.outcome: TransferOutcome | None = None
        self._told: TransferOutcome | None = None  # by a status hook of the leg: it comes before the verb is over
        self._verbs = [verb, *(back or [verbs.hangup()])]

    def next(self, hook: ActionHook) -> Sequence[Verb] | None:
        """What comes after our verb: the same each time that it is asked. None where the caller is gone."""
        if hook.call_status in ENDED:
            return None
        if self.returns and self.outcome == "answered":  # it was theirs, whose news were lost
            return self.after()
        self.asked = True
        return self._verbs

    def after(self) -> Sequence[Verb] | None:
        """What comes after theirs: who was answered does not come back."""
        return [verbs.hangup()] if self.returns and self.outcome == "answered" else None

    def came_back(self) -> None:
        """Without a word of what became of it."""
        if self.outcome is None:
            self.outcome = self._told or "failed"

    def heard_of(self, hook: Hook) -> TransferOutcome | None:
        """News of whoever is rung, or of how it ended: the outcome, when it is known, once."""
        outcome = self._read(hook)
        if outcome is None or self.outcome is not None:
            return None
        self.outcome = outcome
        return outcome

    def _read(self, hook: Hook) -> TransferOutcome | None:
        if not isinstance(hook, ActionHook):
            if hook.call_status == "in-progress":
                self.word = hook.call_status
                return "answered"
            if hook.call_status in ENDED:
                self._told = ending_of(hook.call_status, hook.sip_status)
                self.sip_status = hook.sip_status
            return None
        if hook.is_refer_event:
            return "answered" if hook.call_status == "200" else None
        outcome: TransferOutcome
        if hook.verb_id == JOINED:  # over before they have met
            outcome = "failed"
        elif hook.refer_status is not None:
            self.sip_status = hook.final_referred_call_status or hook.refer_status
            self.word = self.word or str(self.sip_status)
            accepted = hook.refer_status < 300
            # Accepted, and no news of it within 15 s: whoever was rung has not answered by then.
            outcome = (
                "no_answer"
                if accepted and hook.final_referred_call_status is None
                else ending_of("completed" if self.sip_status < 300 else "failed", self.sip_status)
            )
        else:
            self.word = self.word or hook.dial_call_status
            self.sip_status = hook.dial_sip_status or self.sip_status
            outcome = ending_of(hook.dial_call_status, self.sip_status)
        return "caller_gone" if outcome != "answered" and hook.call_status in ENDED else outcome


def bridge(
    target: Target,
    *,
    hook: str,
    caller_id: str | None,
    caller: str | None,
    music: str | None,
    ring_seconds: float,
    time_limit: float,
) -> Verb:
    """``caller_id`` is whose call is seen there, and ``caller`` who it is. Raises :class:`VerbError`."""
    origin = e164(caller) or (caller if caller and caller.isascii() and caller.isprintable() else None)
    return verbs.dial(
        [target],
        action_hook=hook,
        caller_id=e164(caller_id),
        timeout=ring_seconds,
        time_limit=time_limit,
        music=music,
        headers={ORIGIN_HEADER: origin} if origin else None,
    )


def e164(number: str | None) -> str | None:
    """With its ``+``; None of what is no number."""
    digits = (number or "").removeprefix("+")
    return f"+{digits}" if digits.isascii() and digits.isdigit() else None
