"""The tone that a caller hears while somebody is rung: as a file, for whoever plays it to him."""

from __future__ import annotations

from functools import cache

import numpy as np

from media.audio import PCM_8K, Clip
from media.wav import wav_bytes

HERTZ, ON_SECONDS, OFF_SECONDS = 425.0, 1.0, 4.0
"""ITU-T E.180's, as most of the world has it."""

PEAK = 3000
"""About -20 dBFS, as exchanges have it."""

LONGEST_SECONDS = 120
"""Who plays it plays it once: as long as the longest ringing."""


@cache
def ringback_wav() -> bytes:
    """PCM, 16 bit, 8 kHz, mono: 1.9 MB, which are made once."""
    rate = PCM_8K.rate
    period = np.zeros(int(rate * (ON_SECONDS + OFF_SECONDS)), "<i2")
    tone = np.sin(2 * np.pi * HERTZ * np.arange(int(rate * ON_SECONDS)) / rate)
    period[: len(tone)] = np.round(PEAK * tone)
    return wav_bytes(Clip(PCM_8K, np.tile(period, int(LONGEST_SECONDS / (ON_SECONDS + OFF_SECONDS))).tobytes()))
