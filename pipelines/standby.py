"""Several parts that can do one job in a call, of which one does it until it fails. Pure.

Whoever stepped in stays for the rest of the call: a voice that changes with every sentence is worse than another voice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Literal, Protocol, TypeVar

from pipelines.breaker import Breakers
from pipelines.parts import ProviderError


class Named(Protocol):
    @property
    def name(self) -> str: ...


P = TypeVar("P", bound=Named)


class Standby(Generic[P]):
    """``parts`` in order of preference, the first of which a call begins with, unless its breaker is open.

    ``clock`` is the monotonic time in seconds.
    """

    def __init__(
        self,
        part: Literal["stt", "llm", "tts"],
        parts: Sequence[P],
        *,
        breakers: Breakers | None = None,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        if not parts:
            raise ValueError(f"there is nothing that could be the {part} of a call")
        self._part = part
        self._parts = tuple(parts)
        self._breakers = breakers or Breakers()
        self._clock = clock
        self._at = self._next(0)

    @property
    def current(self) -> P:
        return self._parts[self._at]

    @property
    def count(self) -> int:
        return len(self._parts)

    def worked(self) -> None:
        self._breakers.of(self._part, self.current.name).worked()

    def failed(self, error: ProviderError) -> bool:
        """The current one did. Whether another one is current now."""
        self._breakers.failed(self._part, self.current.name, error.kind, self._clock())
        before = self._at
        self._at = self._next(before + 1)
        return self._at != before

    def _next(self, start: int) -> int:
        """From ``start`` on, in turn, the first that may be asked; where none may, the very next: a caller waits."""
        now, count = self._clock(), len(self._parts)
        if count == 1:
            return 0
        turn = [(start + step) % count for step in range(count)]
        for at in turn:
            if self._breakers.of(self._part, self._parts[at].name).allows(now):
                return at
        return turn[0]
