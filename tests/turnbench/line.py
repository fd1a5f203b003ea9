"""The way to the detector's ear: the line's noise, the agent's own echo, lost packets, and mu-law."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tests.media.speech import RATE, Samples, amplitude, over_the_line
from tests.turnbench.voices import band_limited

FRAME = RATE // 50
CLEAN_DBOV = -68.0
"""The noise of a good line."""

Concealment = Literal["silence", "repeat"]


def line_noise(length: int, dbov: float, random: np.random.Generator) -> Samples:
    """What a line adds: noise in its band."""
    noise = band_limited(random.normal(0, 1, length))
    noise *= amplitude(dbov) / noise.std()
    return noise


def echo(played: Samples, loss_db: float, random: np.random.Generator) -> Samples:
    """The agent's voice as it comes back: 60 to 200 ms late, from the loudspeaker and from the walls, duller, and
    ``loss_db`` fainter."""
    room = np.zeros(RATE // 25)
    room[0] = 1.0
    later = random.integers(8, len(room), 12)
    room[later] += random.normal(0, 0.5, 12) * np.exp(-later / 100)
    dull = np.array([0.2, 0.6, 0.2])
    back = np.convolve(np.convolve(band_limited(played), room), dull)[: len(played)]
    back *= np.sqrt((played**2).sum() / (back**2).sum()) * 10 ** (-loss_db / 20)
    delay = int(random.uniform(0.06, 0.2) * RATE)
    return np.concatenate([np.zeros(delay), back])[: len(played)]


def lose_packets(samples: Samples, share: float, conceal: Concealment, random: np.random.Generator) -> Samples:
    """Some frames are lost, a third of them two in a row, and replaced by silence or by the frame before, fading."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).copy()
    lost = random.random(len(frames)) < share * 0.75
    lost[1:] |= lost[:-1] & (random.random(len(lost) - 1) < 1 / 3)
    for index in np.flatnonzero(lost):
        frames[index] = 0.0 if conceal == "silence" or not index else 0.7 * frames[index - 1]
    return frames.reshape(-1)


def received(samples: Samples) -> bytes:
    """PCM of whole frames, after mu-law."""
    return over_the_line(samples[: len(samples) // FRAME * FRAME])
