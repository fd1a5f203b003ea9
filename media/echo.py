"""Is it the caller, or the agent's own voice that comes back? A gate that knows what the agent says, and how loud.

A telephone returns some of what it plays: 15 to 45 dB weaker, a fraction of a second later, bent by its speaker. To a
voice detector that is speech. But it is not louder than what was played a moment ago times the *coupling* of the line,
which shows while the agent speaks and the caller listens. What is clearly louder than that is the caller.

Pure. Levels are energies, the sums of the squares of a frame's samples (full scale is 32768); times are seconds.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from media.audio import FRAME_SECONDS, AudioFormat
from media.levels import FULL_SCALE

REACH_FRAMES = 25
"""Echo comes back within 500 ms of when the sound left for the ear: 350 ms of lines and rooms, and what we err by."""
REACH = REACH_FRAMES * FRAME_SECONDS


def _ratio(db: float) -> float:
    return 10 ** (db / 10)


_MARGIN = _ratio(7.0)
"""What the caller stands out by. Echo itself exceeds its coupling by some dB: rooms ring, and speakers distort."""
_AUDIBLE = _ratio(-45.0)
"""Of full scale: the echo of what is fainter than this is no matter."""

_LEAST, _MOST = _ratio(-45.0), _ratio(-12.0)
"""The coupling's bounds. With more than that, callers as loud as the agent would no longer be heard."""
_UNKNOWN = _ratio(-15.0)
"""The coupling until it is known, which takes 2 s of the agent's speech."""
_UNPROVEN = _ratio(-20.0)
"""How high it rises for sound that does not look like echo, but does not stop either."""

_MEMORY_FRAMES = 75
_JUDGE_FRAMES = 25
_BEFORE = np.arange(_MEMORY_FRAMES)[:, None] + np.arange(REACH_FRAMES + 1)
_STEP, _CREEP = _ratio(10.0), _ratio(2.0)
"""How much the coupling changes with each judgement: on evidence, and without."""
_LIKENESS = 0.8
"""Correlation of the levels of what came in and of what had gone out, at the best delay, over 1.5 s. Of echo it is 0.85
to 0.98 in nineteen cases of twenty, in rooms that ring as well; of people who talk at the same time 0.7 or less."""

Floats = NDArray[np.float64]


class EchoGate:
    """The gate of one call. It is transparent unless sound of the agent is on its way or may be coming back."""

    __slots__ = (
        "_coming",
        "_coupling",
        "_fresh",
        "_full_scale",
        "_inbound",
        "_outbound",
        "_peaks",
        "_returns",
        "until",
    )

    def __init__(self, format: AudioFormat) -> None:
        self._full_scale = format.frame_samples * FULL_SCALE**2
        self._coupling = _UNKNOWN
        self._coming: deque[tuple[float, float]] = deque()  # (at, energy): not yet at the ear
        self._peaks: deque[tuple[float, float]] = deque()  # those within reach that no later one outdoes
        self.until = 0.0
        """From here on everything passes, and nothing is to be learnt, unless more is played."""
        self._inbound: deque[float] = deque(maxlen=_MEMORY_FRAMES)
        self._outbound: deque[float] = deque(maxlen=_MEMORY_FRAMES + REACH_FRAMES)
        self._returns: deque[float] = deque(maxlen=_MEMORY_FRAMES)  # of each, what part of the loudest that it may echo
        self._fresh = 0

    @property
    def coupling_db(self) -> float:
        """How loud echo is at most, compared with what was played, as far as that is known."""
        return 10 * math.log10(self._coupling)

    def played(self, energy: float, at: float) -> None:
        """A frame of the agent, in the order of playing. ``at`` is when it leaves for the ear, now or soon."""
        if energy > self._full_scale * _AUDIBLE:
            self._coming.append((at, energy))
            self.until = at + REACH

    def silenced(self, at: float) -> None:
        """What was to leave from ``at`` on never does."""
        coming = self._coming
        while coming and coming[-1][0] >= at:
            coming.pop()

    def passes(self, energy: float, now: float) -> bool:
        """Whether an inbound frame that ends ``now`` may be the caller. It wants each frame, since it learns."""
        if now >= self.until:
            return True
        coming, peaks = self._coming, self._peaks
        while coming and coming[0][0] <= now:
            sound = coming.popleft()
            while peaks and peaks[-1][1] <= sound[1]:
                peaks.pop()
            peaks.append(sound)
        while peaks and peaks[0][0] <= now - REACH:
            peaks.popleft()
        if not peaks:
            return True
        at, outbound = peaks[-1]  # the latest; frames of both ways come with some jitter
        loudest = peaks[0][1]
        self._inbound.append(energy)
        self._outbound.append(outbound if at > now - 2 * FRAME_SECONDS else 0.0)
        self._returns.append(energy / loudest)
        self._fresh += 1
        if self._fresh >= _JUDGE_FRAMES and len(self._outbound) == _MEMORY_FRAMES + REACH_FRAMES:
            self._fresh = 0
            self._learn()
        return energy > loudest * self._coupling * _MARGIN

    def _learn(self) -> None:
        """How loud was what came in, for what had gone out? The coupling is not higher than that. Nor is it as high
        if that was the caller, or a noise; then it rises a little, in case that it was an echo beyond recognition."""
        level = sorted(self._returns)[-2]  # one alone may be a click
        coupling = self._coupling
        if level <= coupling:
            coupling = max(level, coupling / _STEP, _LEAST)
        elif self._likeness() >= _LIKENESS:
            coupling = min(level, coupling * _STEP, _MOST)
        elif coupling < _UNPROVEN:
            coupling = min(level, coupling * _CREEP, _UNPROVEN)
        self._coupling = coupling

    def _likeness(self) -> float:
        inbound = np.array(self._inbound)
        before = np.array(self._outbound)[_BEFORE]  # for each frame, what it may echo
        came = np.log(inbound + self._full_scale * 1e-6)  # what is fainter than -60 dBov is alike
        went = np.log(before + self._full_scale * 1e-5)
        came -= came.mean()
        went -= went.mean(axis=0)
        return float((came @ went / np.sqrt((went**2).sum(axis=0) * (came @ came) + 1e-9)).max())
