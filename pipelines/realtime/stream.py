"""A model's sound that never ends: utterances are what is between its silences. Pure."""

from __future__ import annotations

from media.audio import FRAME_SECONDS, AudioFormat, Encoding
from media.convert import Converter
from media.framer import Framer
from media.levels import energies

_SILENT = 20.0
"""Root mean square of a frame that is silence (full scale is 32768): -64 dBov, the level that others gate at, too."""

HANGOVER_SECONDS = 0.8
"""So much silence ends an utterance."""


class Utterances:
    """Gates the stream of one call. ``words`` gathers what was told of them; ``count`` numbers utterances from 1."""

    def __init__(self, format: AudioFormat) -> None:
        self.words = ""
        self.count = 0
        self._framer = Framer(format)
        plain = AudioFormat(Encoding.PCM16, format.rate)
        self._to_pcm = Converter(format, plain) if format != plain else None
        self._samples = plain.frame_samples
        self._threshold = self._samples * _SILENT**2
        self._open = False
        self._silence = 0.0

    @property
    def sounding(self) -> bool:
        """Whether the latest of the stream was sound."""
        return self._open and not self._silence

    def stopped(self, seconds: float) -> bool:
        """Nothing has come for so long: whether that ends an utterance, because the latest of it was silence."""
        if not self._open or self.sounding or self._silence + seconds < HANGOVER_SECONDS:
            return False
        self._open = False
        return True

    def take_words(self) -> str:
        words, self.words = self.words, ""
        return words

    def push(self, data: bytes) -> list[bytes | None]:
        """The sound of utterances in ``data``, in the stream's format; None where an utterance ends."""
        out: list[bytes | None] = []
        for frame in self._framer.push(data):
            pcm = frame if self._to_pcm is None else self._to_pcm.process(frame)
            if energies(pcm, self._samples)[0] > self._threshold:
                if not self._open:
                    self._open = True
                    self.count += 1
                self._silence = 0.0
                out.append(frame)
            elif self._open:
                self._silence += FRAME_SECONDS
                if self._silence >= HANGOVER_SECONDS:
                    self._open = False
                    out.append(None)
                else:
                    out.append(frame)
        return out
