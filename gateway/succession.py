"""Who goes on with a call that cannot go on, in which order, and each at most once. Pure.

When a call is set up: another agent, then other models of the agent, then a telephone. In the middle of it a model that
hears and speaks by itself is followed by other models first: they are the same agent. A cascade has tried those by
itself then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from pipelines.agent import AgentDefinition, ModelName
from pipelines.agent.options import Fallback
from pipelines.agent.telephone import digits


@dataclass(frozen=True, slots=True)
class AnotherAgent:
    id: str


@dataclass(frozen=True, slots=True)
class OtherModels:
    """The same agent with the first of these; the others step in for that."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Telephone:
    digits: str


Successor = AnotherAgent | OtherModels | Telephone


class Succession:
    """Of a call that begins with ``agent``."""

    def __init__(self, agent: AgentDefinition) -> None:
        fallback = agent.options.fallback or Fallback()
        self._agent = fallback.agent
        self._number = fallback.number
        self._inside = not agent.model.is_realtime
        self._models = deque(fallback.models if self._agent or not self._inside else ())

    @property
    def left(self) -> bool:
        """Whether there is anybody."""
        return bool(self._agent or self._models or self._number)

    @property
    def agent_first(self) -> bool:
        """Whether another agent is to be asked before other models are, when the call is set up."""
        return self._agent is not None

    def next(self, *, setup: bool) -> Successor | None:
        """``setup``: nothing was said yet."""
        if self._inside and not setup:
            self._models.clear()
        if self._agent is not None and (setup or not self._models):
            agent, self._agent = self._agent, None
            return AnotherAgent(agent)
        if self._models:
            return OtherModels(self._take_models())
        if self._number is not None:
            number, self._number = self._number, None
            return Telephone(digits(number))
        return None

    def _take_models(self) -> tuple[str, ...]:
        """One that is a call's pipeline by itself, or all that are parts of one."""
        names = [self._models.popleft()]
        if not ModelName.parse(names[0]).is_realtime:
            names += self._models
            self._models.clear()
        return tuple(names)

    def took_over(self, agent: AgentDefinition) -> None:
        """Another agent has the call now: its own models and number are next, and not its agent."""
        fallback = agent.options.fallback or Fallback()
        self._agent = None
        self._inside = not agent.model.is_realtime
        self._models = deque(() if self._inside else fallback.models)
        self._number = fallback.number or self._number
