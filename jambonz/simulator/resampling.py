"""What speex does in the media server: a streaming resampler for blocks of any length, plain rather than fast."""

from __future__ import annotations

from math import gcd

import numpy as np

ZERO_CROSSINGS = 12
"""The filter's half-length, in samples of the lower of the two rates."""


class BlockResampler:
    """PCM16 at ``rate_in`` in, PCM16 at ``rate_out`` out; delays by 12 samples of the lower rate."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        common = gcd(rate_in, rate_out)
        self._up, self._down = rate_out // common, rate_in // common
        half = ZERO_CROSSINGS * max(self._up, self._down)
        at = np.arange(-half, half + 1) / max(self._up, self._down)
        taps = np.sinc(at) * np.kaiser(at.size, 7.0)
        self._taps = (taps * self._up / taps.sum()).astype(np.float32)
        self._past = np.zeros(self._taps.size - 1, dtype=np.float32)
        self._phase = 0

    def process(self, pcm: bytes) -> bytes:
        samples = np.frombuffer(pcm, "<i2")
        stretched = np.zeros(samples.size * self._up, dtype=np.float32)
        stretched[:: self._up] = samples
        stream = np.concatenate([self._past, stretched])
        self._past = stream[stream.size - self._past.size :]
        filtered = np.convolve(stream, self._taps, mode="valid")[self._phase :: self._down]
        self._phase = (self._phase - stretched.size) % self._down
        return np.clip(np.rint(filtered), -32768, 32767).astype("<i2").tobytes()
