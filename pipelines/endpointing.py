"""When a pause is the end of a turn: a ladder of how likely that is, and how long each rung waits. Pure.

What is known is weighed in this order: the recogniser's own word that the turn is over; the text, for nobody is
interrupted in the middle of a telephone number; a semantic detector that listened to the melody; and silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipelines.completeness import Judgement, Reason

Outlook = Literal["over", "likely", "uncertain", "open"]
"""``over``: the recogniser said so. ``open``: the caller is in the middle of something."""

DICTATION: frozenset[Reason] = frozenset({"digits_pending", "digits_plausible", "spelling"})
"""Somebody dictates: the melody between two groups of digits is that of an end, and the digits alone cannot tell."""

LIKELY = 0.8
UNLIKELY = 0.35
"""What a semantic detector's probability has to be above, or below, to move the outlook that the text gives."""


@dataclass(frozen=True, slots=True)
class Endpointing:
    """Seconds of silence: at least ``min_delay``, when the turn is likely over; at most ``max_delay``, when it is open;
    half way in between, when it is uncertain."""

    min_delay: float = 0.3
    max_delay: float = 1.5

    def delay(self, outlook: Outlook) -> float:
        match outlook:
            case "over":
                return 0.0
            case "likely":
                return self.min_delay
            case "uncertain":
                return (self.min_delay + self.max_delay) / 2
            case "open":
                return self.max_delay


def outlook(text: Judgement | None, semantic: float | None, *, over: bool = False) -> Outlook:
    """``text`` is None where there are no words to go by: then only the melody tells."""
    if over:
        return "over"
    if text is not None and (text.kind == "open" or text.reason in DICTATION):
        return "open" if text.kind != "complete" else "likely"
    if semantic is not None and semantic >= LIKELY:
        return "likely"
    if semantic is not None and semantic <= UNLIKELY:
        return "uncertain" if text is not None and text.kind == "complete" else "open"
    return "likely" if text is not None and text.kind == "complete" else "uncertain"
