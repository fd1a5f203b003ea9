"""From one audio format to another: law decoding, resampling and law encoding, put together once."""

from __future__ import annotations

from collections.abc import Callable

from media.audio import AudioFormat, Encoding
from media.g711 import alaw_to_pcm, mulaw_to_pcm, pcm_to_alaw, pcm_to_mulaw
from media.resample import Resampler

_DECODE: dict[Encoding, Callable[[bytes], bytes]] = {Encoding.MULAW: mulaw_to_pcm, Encoding.ALAW: alaw_to_pcm}
_ENCODE: dict[Encoding, Callable[[bytes], bytes]] = {Encoding.MULAW: pcm_to_mulaw, Encoding.ALAW: pcm_to_alaw}


class Converter:
    """Converts one stream, given in whole 20 ms frames; between equal formats it hands back what it was given."""

    __slots__ = ("_resampler", "_steps", "dst", "src")

    def __init__(self, src: AudioFormat, dst: AudioFormat) -> None:
        self.src = src
        self.dst = dst
        self._resampler = Resampler(src.rate, dst.rate) if src.rate != dst.rate else None
        steps: list[Callable[[bytes], bytes]] = []
        if src != dst and src.encoding in _DECODE:
            steps.append(_DECODE[src.encoding])
        if self._resampler is not None:
            steps.append(self._resampler.process)
        if src != dst and dst.encoding in _ENCODE:
            steps.append(_ENCODE[dst.encoding])
        self._steps = tuple(steps)

    @property
    def delay_seconds(self) -> float:
        return self._resampler.delay_seconds if self._resampler is not None else 0.0

    def process(self, data: bytes) -> bytes:
        """The next stretch of the stream in the format ``dst``, exactly as long as ``data`` is in ``src``."""
        for step in self._steps:
            data = step(data)
        return data

    def reset(self) -> None:
        """Forget the stream so far."""
        if self._resampler is not None:
            self._resampler.reset()
