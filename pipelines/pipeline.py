"""What a call asks of its pipeline, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from media.audio import AudioFormat
from media.playout import PlayoutSink
from pipelines.ears import VoiceDetector
from pipelines.events import EndReason


class Pipeline(Protocol):
    """Driven by plain calls on the event loop: frames of the caller, marks of the far end, keys, and ticks."""

    hear: Callable[[bytes], None]
    """Takes 20 ms of the caller, in the leg's format."""

    async def prepare(self) -> None:
        """Connect and load what the first turn would wait for, while the phone rings. Raises ProviderError."""
        ...

    def start(self, sink: PlayoutSink, format: AudioFormat, detector: VoiceDetector) -> None:
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

    async def close(self) -> None:
        """The leg is gone: what was heard until now enters the record, and nothing goes on."""
        ...
