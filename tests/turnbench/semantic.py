"""Smart Turn, where it is installed: what it makes of each pause, without the wait for a worker."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from media.audio import PCM_8K, Clip
from pipelines.ears import PAUSE_LEFT_OUT, PRE_ROLL_SECONDS
from pipelines.providers import smart_turn
from tests.turnbench.recording import Recording

LATENCY = 0.06
"""Seconds from the question to the answer on a machine that is not idle."""

WEIGHTS = "TRUNKLINE_SMART_TURN_MODEL"


class Semantic:
    """Asked about a pause of a recording as the cascade asks, with the same sound."""

    def __init__(self, model: smart_turn.Model) -> None:
        self._model = model
        self._cached = lru_cache(maxsize=16)(self._probability)

    def probability(self, recording: Recording, onset: float, now: float) -> float:
        first, last = (
            max(0, round(at * 50)) * PCM_8K.frame_bytes for at in (onset - PRE_ROLL_SECONDS, now - PAUSE_LEFT_OUT)
        )
        return self._cached(recording.pcm[first:last])

    def _probability(self, pcm: bytes) -> float:
        return self._model(smart_turn.features(Clip(PCM_8K, pcm)))


def find() -> Semantic | None:
    """With the weights that the environment names, or those of an installed pipecat-ai; None where there are none."""
    named = os.environ.get(WEIGHTS)
    path = Path(named) if named else smart_turn._shipped()
    if path is None or find_spec("onnxruntime") is None:
        return None
    return Semantic(smart_turn._load(path))
