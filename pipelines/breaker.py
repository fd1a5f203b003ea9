"""Circuit breakers: who failed again and again is not asked for a while, by none of the calls of a process. Pure.

One that opened lets a single attempt through after :data:`OPEN_SECONDS`; that one decides whether it closes again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

from pipelines.parts import ProviderFault

State = Literal["closed", "half_open", "open"]

FAILURES = 5
WINDOW_SECONDS = 30.0
"""So many failures within so long open the breaker."""

OPEN_SECONDS = 20.0

_OURS: frozenset[ProviderFault] = frozenset({"bad_request"})
"""Faults of one agent's definition: they say nothing of the provider."""

_AT_ONCE: frozenset[ProviderFault] = frozenset({"auth"})
"""The same key will be refused the next time."""


class Breaker:
    """Of one provider in one part. Times are seconds of a monotonic clock."""

    __slots__ = ("_failures", "_tried_at", "_until")

    def __init__(self) -> None:
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._until: float | None = None  # open until then
        self._tried_at: float | None = None  # the attempt that was let through since

    def state(self, now: float) -> State:
        if self._until is None:
            return "closed"
        return "open" if now < self._until else "half_open"

    def allows(self, now: float) -> bool:
        """Whether it may be asked. Of a half-open one: by whoever asks first, until that is decided."""
        match self.state(now):
            case "closed":
                return True
            case "open":
                return False
            case "half_open":
                if self._tried_at is not None and now - self._tried_at < OPEN_SECONDS:
                    return False
                self._tried_at = now
                return True

    def worked(self) -> None:
        self._until = self._tried_at = None
        self._failures.clear()

    def failed(self, kind: ProviderFault, now: float) -> bool:
        """Whether that opened it."""
        if kind in _OURS:
            return False
        was_closed = self._until is None
        self._failures.append(now)
        often = len(self._failures) == FAILURES and now - self._failures[0] <= WINDOW_SECONDS
        if often or kind in _AT_ONCE or not was_closed:
            self._until, self._tried_at = now + OPEN_SECONDS, None
        return was_closed and self._until is not None


class Breakers:
    """Those of a process, by part and provider. ``on_opened`` is told when one opens."""

    def __init__(self, on_opened: Callable[[str, str], None] = lambda part, provider: None) -> None:
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._on_opened = on_opened

    def of(self, part: str, provider: str) -> Breaker:
        return self._breakers.setdefault((part, provider), Breaker())

    def failed(self, part: str, provider: str, kind: ProviderFault, now: float) -> None:
        if self.of(part, provider).failed(kind, now):
            self._on_opened(part, provider)

    def states(self, now: float) -> dict[tuple[str, str], State]:
        """Of all that ever failed or worked."""
        return {key: breaker.state(now) for key, breaker in self._breakers.items()}
