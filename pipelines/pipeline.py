"""What a call asks of its pipeline, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from media.playout import Playout
from pipelines.agent import AgentDefinition
from pipelines.ears import VoiceDetector
from pipelines.events import EndReason
from pipelines.history import Conversation
from pipelines.messages import CallMessage


class Pipeline(Protocol):
    """Driven by plain calls on the event loop: frames of the caller, marks of the far end, keys, and ticks."""

    hear: Callable[[bytes], None]
    """Takes 20 ms of the caller, in the leg's format."""

    def take_over(self, so_far: Conversation) -> None:
        """It goes on with a call that others began: told before it prepares, and again where the caller has heard more
        when it starts."""
        ...

    async def prepare(self) -> None:
        """Connect and load what the first turn would wait for, while the phone rings. Raises ProviderError."""
        ...

    def start(self, playout: Playout, detector: VoiceDetector) -> None:
        """The caller can hear us. Raises ProviderError."""
        ...

    def mark(self, name: str, cleared: bool) -> None: ...

    def dtmf(self, digit: str) -> None: ...

    def tick(self, now: float) -> float:
        """Every 20 ms. Returns the time until which it can be left out, unless the call is woken."""
        ...

    def say_and_end(self, text: str | None, reason: EndReason) -> None:
        """Interrupt whatever is said, say this to its end, and hang up."""
        ...

    @property
    def is_leaving(self) -> bool:
        """It says its last words: whatever happens, it is gone after them."""
        ...

    async def ready_for(self, agent: AgentDefinition) -> None:
        """Beside the call: what this agent has that is not known yet, before it is told to become that. In bounded
        time. Raises :class:`~pipelines.messages.NotReachable`."""
        ...

    def take(self, message: CallMessage) -> None:
        """Raises :class:`~pipelines.messages.NotNow` and :class:`~pipelines.messages.NotPossible`."""
        ...

    def learn(self, text: str) -> None:
        """The agent is to know this, and to say something of it, once nobody speaks. It is no word of the caller's."""
        ...

    async def close(self) -> None:
        """The leg is gone, or somebody else's: what was heard until now enters the record, and nothing goes on."""
        ...

    def hand_over(self) -> Conversation:
        """Once it is closed: what whoever goes on with the call has to know."""
        ...
