"""A call that we place, until there is an answer: what the network says of it, and what comes of that."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway import metrics
from jambonz.endings import ending_of
from jambonz.hooks import ActionHook, CallProgress
from pipelines.agent.options import AnswerDetection
from pipelines.events import EndReason

TAG = "trunkline_call"
"""The key of the call's tag: its own id, by which its hooks are known before its sid is."""

NEWS_SECONDS = 15.0
"""After Jambonz was to stop ringing: until then it says so."""

Outcome = Literal["answered", "busy", "no_answer", "declined", "failed", "cancelled"]

_WORDS: dict[Outcome, str] = {
    "busy": "busy",
    "no_answer": "no answer",
    "declined": "declined",
    "failed": "the call could not be put through",
    "cancelled": "cancelled",
}
_REASONS: dict[Outcome, EndReason] = {
    "busy": "busy",
    "no_answer": "no_answer",
    "declined": "declined",
    "failed": "failed",
    "cancelled": "cancelled",
}


def outcome_of(progress: CallProgress) -> Outcome | None:
    """None while it is open."""
    if progress.answered:
        return "answered"
    return ending_of(progress.state, progress.sip_status) if progress.ended else None


@dataclass(slots=True)
class Dialling:
    """``number`` as it is rung, for ``ring_seconds``."""

    number: str
    ring_seconds: float
    detection: AnswerDetection | None = None
    """Where it is to be found out who answers."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """Jambonz has asked what to do: from here on there is somebody."""
    outcome: Outcome | None = None
    found: deque[ActionHook] = field(default_factory=lambda: deque(maxlen=20))
    """What Jambonz has found out about who answers, and nobody has looked at."""
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    """There is something."""

    @property
    def patience(self) -> float:
        """How long news may take."""
        return self.ring_seconds + NEWS_SECONDS

    @property
    def rings(self) -> bool:
        """As far as is known: or Jambonz was not told yet."""
        return not self.answered.is_set() and self.outcome is None

    def end_reason(self, wanted: EndReason) -> EndReason:
        """Why a call ends now. Who hangs up on somebody who was never there has cancelled it."""
        if not self.rings:
            return wanted
        match wanted:
            case "agent" | "caller" | "api":
                self.outcome = "cancelled"
                return "cancelled"
            case "no_answer":
                self.outcome = "no_answer"
            case _:
                self.outcome = "failed"
        return wanted

    def learn(self, progress: CallProgress, note: Callable[[str, Any], None]) -> EndReason | None:
        """There are news, for the call's log, too. Why the call is over, if it is and nobody answered."""
        if progress.state in ("ringing", "early-media", "in-progress"):
            state = "answered" if progress.answered else "ringing"
            note("status", {"originate": {"state": state, "earlyMedia": progress.state == "early-media"}})
        outcome = outcome_of(progress)
        if outcome is None or self.outcome is not None:
            return None
        self.outcome = outcome
        return _REASONS.get(outcome)

    def tell(self, hook: ActionHook) -> None:
        self.found.append(hook)
        self.heard.set()

    def close(self, progress: CallProgress, note: Callable[[str, Any], None]) -> str | None:
        """The call is over. The status of its record, where nobody answered."""
        if self.rings:
            self.outcome = "failed"
        metrics.calls_placed.labels(self.outcome or "answered").inc()
        if self.outcome in (None, "answered"):
            return None
        note("call_failed", {"outcome": self.outcome, "sipStatus": progress.sip_status})
        return f"failed: {_WORDS[self.outcome]}"
