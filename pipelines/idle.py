"""The caller says nothing: ask, ask again, say goodbye. A pure clock that runs only while nobody speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IdlePrompt:
    """Say this, and go on waiting."""

    text: str


@dataclass(frozen=True, slots=True)
class IdleFarewell:
    """Say this, and hang up."""

    text: str


class IdleClock:
    """``timeout`` seconds of quiet lead to the next prompt, and after the last one to the farewell.

    Quiet begins when the agent was *heard* to the end: :meth:`quiet` is called then, and :meth:`stop` when somebody
    speaks. What the caller says starts the ladder anew (:meth:`reset`).
    """

    def __init__(self, timeout: float | None, prompts: Sequence[str], farewell: str) -> None:
        self._timeout = timeout
        self._prompts = tuple(prompts)
        self._farewell = farewell
        self._asked = 0
        self._since: float | None = None

    def quiet(self, now: float) -> None:
        if self._since is None:
            self._since = now

    def stop(self) -> None:
        self._since = None

    def wait(self, now: float) -> None:
        """What happens is no silence, and nobody speaks either."""
        if self._since is not None:
            self._since = now

    def reset(self) -> None:
        self._since = None
        self._asked = 0

    def tick(self, now: float) -> IdlePrompt | IdleFarewell | None:
        if self._since is None or self._timeout is None or now - self._since < self._timeout:
            return None
        self._since = None
        if self._asked < len(self._prompts):
            self._asked += 1
            return IdlePrompt(self._prompts[self._asked - 1])
        return IdleFarewell(self._farewell)
