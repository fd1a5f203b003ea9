"""Where long speech may be cut: at its quietest place."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_WINDOW_SECONDS = 0.2


def quietest(pcm: bytes | bytearray, rate: int, start: int) -> int:
    """The byte offset, after ``start``, of the middle of the quietest 200 ms of 16 bit samples; the last of several."""
    samples = np.frombuffer(pcm, np.int16)[start // 2 :].astype(np.float64)
    step = rate // 50
    window = round(_WINDOW_SECONDS * 50)
    frames = len(samples) // step
    if frames <= window:
        return len(pcm) - len(pcm) % 2
    energy = np.square(samples[: frames * step]).reshape(frames, step).sum(axis=1)
    loudness = np.convolve(energy, np.ones(window), "valid")
    last = len(loudness) - 1 - int(np.argmin(loudness[::-1]))
    return start - start % 2 + 2 * step * (last + window // 2)


def pieces(pcm: bytes, rate: int, longest: float) -> Iterator[bytes]:
    """``pcm`` in pieces of at most ``longest`` seconds, cut where it is quietest in the second half of each."""
    whole = round(longest * rate) * 2
    while len(pcm) > whole:
        cut = quietest(pcm[:whole], rate, whole // 2)
        yield pcm[:cut]
        pcm = pcm[cut:]
    yield pcm
