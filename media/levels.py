"""How loud sound is, and where in a recording there is any.

Levels are in dBov: 0 is a square wave at full scale, a sine at full scale is -3.01 (ITU-T G.100.1).
"""

from __future__ import annotations

import math

import numpy as np

from media.audio import FRAME_SECONDS

FULL_SCALE = 32768.0
SILENCE_DBOV = -100.0
"""What stands for the level of digital silence, whose logarithm does not exist."""


def energies(pcm: bytes, frame_samples: int) -> list[float]:
    """Of each of some whole frames: the sum of the squares of its samples (signed 16 bit)."""
    frames = np.frombuffer(pcm, np.int16).astype(np.float32).reshape(-1, frame_samples)
    loudness: list[float] = np.vecdot(frames, frames).tolist()
    return loudness


def rms_dbov(pcm: bytes) -> float:
    """The root mean square of signed 16 bit samples."""
    samples = np.frombuffer(pcm, np.int16).astype(np.float64)
    power = float(np.dot(samples, samples)) / (len(samples) * FULL_SCALE**2) if len(samples) else 0.0
    return max(10 * math.log10(power), SILENCE_DBOV) if power else SILENCE_DBOV


def sounding(pcm: bytes, rate: int, above_dbov: float = -50.0, bridge: float = 0.2) -> list[tuple[float, float]]:
    """The stretches (start, end in seconds, in steps of 20 ms) louder than ``above_dbov``; pauses shorter than
    ``bridge`` seconds do not part them. What does not fill a frame at the end is left out."""
    samples = np.frombuffer(pcm, np.int16).astype(np.float64)
    size = rate // 50
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    loud = np.flatnonzero((frames**2).mean(axis=1) > 10 ** (above_dbov / 10) * FULL_SCALE**2)
    if not len(loud):
        return []
    breaks = np.flatnonzero(np.diff(loud) - 1 >= round(bridge / FRAME_SECONDS))
    starts, ends = loud[np.r_[0, breaks + 1]], loud[np.r_[breaks, len(loud) - 1]] + 1
    return [(int(s) * FRAME_SECONDS, int(e) * FRAME_SECONDS) for s, e in zip(starts, ends, strict=True)]
