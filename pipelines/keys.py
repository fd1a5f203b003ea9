"""Keys that are pressed for the far end to hear, with pauses between them. Pure."""

from __future__ import annotations

KEYS = frozenset("0123456789ABCD*#")

PAUSES_MS = {"w": 500, "p": 2000}
"""What these stand for between keys."""

TONE_MS = 250
"""How long a key is pressed, as Jambonz has it."""

GAP_MS = 100

MOST_KEYS = 64

MOST_SECONDS = 40.0
"""Of one sequence of keys, pauses included."""


def keys_problem(digits: str, *, milliseconds: int = TONE_MS) -> str | None:
    """What is wrong with them, as the rest of a sentence that begins with their name."""
    if not digits or len(digits) > MOST_KEYS or not KEYS.union(PAUSES_MS).issuperset(digits):
        return f"takes up to {MOST_KEYS} of 0-9, *, # and A-D, and w and p for pauses of 0.5 and 2 s"
    if KEYS.isdisjoint(digits):
        return "has pauses, and no key"
    if keys_seconds(digits, milliseconds=milliseconds) > MOST_SECONDS:
        return f"takes longer than {MOST_SECONDS:g} s to be pressed"
    return None


def keys_seconds(digits: str, *, milliseconds: int = TONE_MS) -> float:
    return sum(PAUSES_MS.get(digit, milliseconds + GAP_MS) for digit in digits) / 1000
