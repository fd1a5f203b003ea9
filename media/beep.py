"""The beep of an answering machine: one tone, pure and steady, and then none. Pure.

A beep has one frequency and hardly any overtones, and no two machines have the same: from 500 Hz, which is below nearly
all, to 2200 Hz. Dial and ring-back tones are lower, keys and busy tones of North America are two tones at once, and
speech is never so pure for so long. What goes on is no beep: a fax calls on and on.
"""

from __future__ import annotations

import numpy as np

from media.audio import FRAME_SECONDS, AudioFormat

LOWEST_HERTZ, HIGHEST_HERTZ = 500, 2200
SHORTEST_SECONDS, LONGEST_SECONDS = 0.12, 2.5

_PURE = 0.9
"""The part of a frame's energy, without its mean, that is at the peak and in the bins beside it."""

_FAINTEST = 32768 * 10 ** (-38 / 20)
"""-38 dBFS, as the amplitude of a sine."""

_STRAY_BINS = 1
"""A bin is 50 Hz; the peak of a steady tone may be in either of two."""


class BeepDetector:
    """``format`` is PCM16; frames are of 20 ms."""

    def __init__(self, format: AudioFormat) -> None:
        samples = format.frame_samples
        self._window = np.hanning(samples).astype(np.float32)
        bin_hertz = format.rate / samples
        self._low, self._high = round(LOWEST_HERTZ / bin_hertz), round(HIGHEST_HERTZ / bin_hertz)
        self._loud = (_FAINTEST * float(self._window.sum()) / 2) ** 2
        self._peak = 0
        self._frames = 0

    def hear(self, frame: bytes) -> bool:
        """Whether a beep has just ended."""
        samples = np.frombuffer(frame, np.int16).astype(np.float32)
        power = np.abs(np.fft.rfft((samples - samples.mean()) * self._window)) ** 2
        peak = int(power.argmax())
        near = float(power[max(peak - 2, 0) : peak + 3].sum())
        total = float(power.sum())
        pure = self._low <= peak <= self._high and power[peak] >= self._loud and near >= _PURE * total
        if pure and (not self._frames or abs(peak - self._peak) <= _STRAY_BINS):
            self._peak = peak
            self._frames += 1
            return False
        seconds, self._frames, self._peak = self._frames * FRAME_SECONDS, int(pure), peak
        return SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS
