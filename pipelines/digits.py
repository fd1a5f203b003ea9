"""Keys pressed by the caller, gathered into one input. Pure."""

from __future__ import annotations

from pipelines.events import UserSaid


class DigitCollector:
    """Digits until the ``terminator`` is pressed, or none came for ``timeout`` seconds."""

    def __init__(self, timeout: float, terminator: str | None) -> None:
        self._timeout = timeout
        self._terminator = terminator
        self._digits = ""
        self._last = 0.0

    def press(self, digit: str, now: float) -> str | None:
        """The whole input, if this key ends it."""
        if digit == self._terminator:
            return self._take()
        self._digits += digit
        self._last = now
        return None

    def tick(self, now: float) -> str | None:
        """The whole input, if it ended by time."""
        return self._take() if self._digits and now - self._last >= self._timeout else None

    def _take(self) -> str | None:
        digits, self._digits = self._digits, ""
        return digits or None


def keys_said(digits: str, *, masked: bool) -> UserSaid:
    """An input, for the call's log."""
    return UserSaid("*" * len(digits), hides=digits) if masked else UserSaid(digits)
