"""When speech is noticed, and what is taken for speech that is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from tests.turnbench.detectors import Ear, Open, Voice
from tests.turnbench.recording import Recording

EARLY = 0.1
"""Who starts this long before the labelled edge has heard its beginning; who was there before that was open already."""


@dataclass(slots=True)
class Costs:
    """Seconds that each detector took, and the frames it heard."""

    seconds: dict[str, float] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)

    def microseconds(self, detector: str) -> float:
        return 1e6 * self.seconds.get(detector, 0.0) / self.frames.get(detector, 1)


def hear(recording: Recording, ears: Mapping[str, Callable[[], Ear]], costs: Costs) -> dict[str, Voice]:
    """What each detector makes of a recording, each from its beginning."""
    frames = list(recording.frames())
    voice: dict[str, Voice] = {}
    for name, make in ears.items():
        ear = make()
        began = perf_counter()
        voice[name] = [ear.hear(frame, played) for frame, played in frames]
        costs.seconds[name] = costs.seconds.get(name, 0.0) + perf_counter() - began
        costs.frames[name] = costs.frames.get(name, 0) + len(frames)
    return voice


@dataclass(slots=True)
class Onsets:
    """Of one detector, under one condition."""

    delays: list[float] = field(default_factory=list)
    already_open: int = 0
    missed: int = 0

    @property
    def count(self) -> int:
        return len(self.delays) + self.already_open + self.missed

    def add(self, recording: Recording, intervals: Open) -> None:
        begin, end = recording.speech[0][0], recording.speech[-1][1]
        if any(start < begin - EARLY < stop for start, stop in intervals):
            self.already_open += 1
            return
        start = next((start for start, _ in intervals if begin - EARLY <= start <= end + 0.3), None)
        if start is None:
            self.missed += 1
        else:
            self.delays.append(start - begin)


@dataclass(slots=True)
class FalseStarts:
    """Where nobody speaks."""

    starts: int = 0
    open_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def per_minute(self) -> float:
        return 60 * self.starts / self.seconds if self.seconds else 0.0

    @property
    def open_share(self) -> float:
        return self.open_seconds / self.seconds if self.seconds else 0.0

    def add(self, seconds: float, intervals: Open) -> None:
        self.starts += len(intervals)
        self.open_seconds += sum(stop - start for start, stop in intervals)
        self.seconds += seconds


def percentile_ms(seconds: list[float], percent: float) -> float:
    """In milliseconds; nan of nothing."""
    return 1000 * float(np.percentile(seconds, percent)) if seconds else float("nan")
