"""The conversation: an office that is asked when it is open, and looks it up."""

from __future__ import annotations

from typing import Any

GREETING = "Front desk, hello."
ASKED = "When are you open on Saturday?"
QUESTION_WORDS = ("open",)
"""What has to be understood of it: each of these, for a recogniser may well write the rest in another way."""

FUNCTION = "opening_hours"
WRITTEN = "Saturday from nine to noon"
SAID = "We are open on Saturday from nine to noon."
ANSWER_WORDS = (("nine", "9", "9am"), ("noon", "twelve", "12", "12pm"))
"""One of each has to be in the answer."""

AGENT: dict[str, Any] = {
    "prompt": "You answer the telephone of an office. When somebody asks when it is open, call the function "
    f"{FUNCTION}, and then tell the caller what it says, in one short sentence and in words, without digits.",
    "options": {"greeting": GREETING, "idle": {"timeout": None}, "turns": {"detection": "vad"}},
    "functions": [
        {
            "name": FUNCTION,
            "implementation": "stub",
            "result": WRITTEN,
            "description": "Tells when the office is open.",
        }
    ],
}
