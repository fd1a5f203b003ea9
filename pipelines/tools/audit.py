"""One run of a function, for the audit: what, with which values, what became of it, how long it took. Pure.

The values themselves are not told: the same values of the same function have the same digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pipelines.agent import Function
from pipelines.events import PipelineEvent, ToolRan
from pipelines.parts import ToolCall


class Audit:
    """Told once, when it has ended. ``clock`` in seconds; without one it took no time."""

    def __init__(
        self,
        function: Function,
        call: ToolCall,
        tell: Callable[[PipelineEvent], None],
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._function = function
        self._values: Mapping[str, Any] = call.arguments
        self._tell = tell
        self._clock = clock
        self._began: float | None = None

    def begin(self, values: Mapping[str, Any]) -> None:
        """Its values are in order, and now it is run."""
        self._values = values
        self._began = self._clock()

    def end(self, outcome: Literal["done", "failed", "stopped"]) -> None:
        """One that has not begun was refused, or was stopped before it did anything."""
        kind, name = self._function.implementation, self._function.name
        digest = digest_of(name, self._values)
        if self._began is None:
            self._tell(ToolRan(name, kind, digest, "refused", 0.0))
        else:
            self._tell(ToolRan(name, kind, digest, outcome, self._clock() - self._began))


def digest_of(name: str, values: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of the name and the values as JSON in the order of their names."""
    try:
        text = json.dumps([name, values], sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps([name, None])
    return hashlib.sha256(text.encode()).hexdigest()
