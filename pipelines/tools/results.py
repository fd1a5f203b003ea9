"""What a model is told of what a tool did: bounded, cleaned, and, where it went wrong, in words for it. Pure."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from pipelines.tools.parameters import text_of

LONGEST_RESULT = 4000
"""Characters of a result that a model is told."""

REDACTED, REDACTED_FAILURE = "OK - function completed", "FAILED - invocation failed"
"""All that a model is told of a function with ``redact``."""

UNKNOWN_OUTCOME = "the caller interrupted while it ran; it may have been done or not: ask before doing it again"
NOT_DONE = "the caller interrupted before it ran: it was not done"
STILL_RUNNING = "it is still running; its result will be told as soon as it is there: do not call it again meanwhile"

TOO_MANY_ROUNDS = "it was not run: there were too many calls without a word to the caller; say something to him now"

_KEPT = "\n\t\u200c\u200d"  # joiners are part of words and emoji
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a function returned, or why it did not: ``error`` is a sentence for the model, ``about`` more of it."""

    value: Any = None
    error: str | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def text(self, *, redact: bool) -> str:
        if redact:
            return REDACTED if self.error is None else REDACTED_FAILURE
        if self.error is None:
            return clean(text_of(self.value))
        value = {"result": self.value} if self.value not in (None, "") else {}
        return clean(json.dumps({"error": self.error, **self.about, **value}, ensure_ascii=False))

    def as_metadata(self) -> dict[str, Any]:
        """For the parameters of later calls."""
        told: dict[str, Any] = {"result": self.value}
        return told if self.error is None else {**told, "error": {"message": self.error, **self.about}}


def clean(text: str) -> str:
    """Without what is not seen: control characters, and those that hide text from people or turn it round."""
    shown = "".join(c for c in text[: 4 * LONGEST_RESULT] if c in _KEPT or unicodedata.category(c) not in _HIDDEN)
    if len(shown) <= LONGEST_RESULT:
        return shown
    return shown[:LONGEST_RESULT] + "… (the rest is left out)"


def parsed(text: str) -> Any:
    """``text`` as JSON where it is an object or a list: whatever else it may be, it stays as it was written."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict | list) else text


STOPPED = Outcome(
    error="it was stopped before it returned; it may have been done or not: ask before doing it again"
).text(redact=False)
"""Of a call that went on until whoever had the conversation had it no more."""
