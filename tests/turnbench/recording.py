"""A piece of telephone audio, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from media.audio import FRAME_SECONDS, PCM_8K
from tests.turnbench.voices import Word


@dataclass(frozen=True, slots=True)
class Recording:
    """PCM at 8 kHz; times in seconds.

    ``group`` says what it is for: ``speech``, ``word`` (a turn of one word), ``noise``, ``echo`` (the agent's own),
    ``double talk``, ``turn`` (the end of one, and pauses within), ``over`` (sounds while the agent speaks).
    """

    name: str
    group: str
    condition: str
    pcm: bytes
    speech: tuple[tuple[float, float], ...] = ()
    """Where the caller speaks, from true edge to true edge; between two stretches he pauses within his turn."""
    words: tuple[Word, ...] = ()
    played: bytes = b""
    """What the agent says meanwhile, as it is sent."""
    expects: Literal["free", "digits", "yes_no"] = "free"
    """What the agent had asked for."""

    @property
    def seconds(self) -> float:
        return PCM_8K.seconds(self.pcm)

    @property
    def pauses(self) -> list[tuple[float, float]]:
        return [(before[1], after[0]) for before, after in pairwise(self.speech)]

    def frames(self) -> Iterator[tuple[bytes, bytes | None]]:
        """20 ms of the caller, and of the agent if he speaks in this recording, at a time."""
        size = PCM_8K.frame_bytes
        for at in range(0, len(self.pcm) - size + 1, size):
            yield self.pcm[at : at + size], self.played[at : at + size] or None


def frame_time(index: int) -> float:
    """When the frame has been heard."""
    return (index + 1) * FRAME_SECONDS
