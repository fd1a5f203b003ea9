"""Typed sound: a stream or a buffer of audio knows its encoding and its rate.

Formats are compared where things are put together, so that a mismatch is an error there and never a strange noise in a
call. On the audio path itself sound travels as plain ``bytes`` in the format its two ends agreed on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

FRAME_MS = 20
"""The packet time of telephony: every frame of ours is 20 ms of sound."""

FRAME_SECONDS = FRAME_MS / 1000


class Encoding(Enum):
    """How samples are stored. PCM is signed 16 bit, little endian; the G.711 laws are 8 bit."""

    PCM16 = "pcm16"
    MULAW = "mulaw"
    ALAW = "alaw"

    @property
    def sample_bytes(self) -> int:
        return 2 if self is Encoding.PCM16 else 1


class AudioMismatch(TypeError):
    """Two ends of a wire do not speak the same audio format."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Mono audio: an encoding and a rate in samples a second."""

    encoding: Encoding
    rate: int
    frame_samples: int = field(init=False, repr=False, compare=False)
    frame_bytes: int = field(init=False, repr=False, compare=False)
    bytes_per_second: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.rate <= 0 or self.rate % 50:
            raise ValueError(f"a rate of {self.rate} Hz does not divide into frames of 20 ms; use a multiple of 50")
        object.__setattr__(self, "frame_samples", self.rate // 50)
        object.__setattr__(self, "frame_bytes", self.frame_samples * self.encoding.sample_bytes)
        object.__setattr__(self, "bytes_per_second", self.rate * self.encoding.sample_bytes)

    def seconds(self, data: bytes | bytearray | memoryview) -> float:
        """How long ``data`` lasts."""
        return len(data) / self.bytes_per_second

    def silence(self, ms: int) -> bytes:
        """``ms`` milliseconds of digital silence."""
        samples = self.rate * ms // 1000
        match self.encoding:
            case Encoding.PCM16:
                return bytes(2 * samples)
            case Encoding.MULAW:
                return b"\xff" * samples
            case Encoding.ALAW:
                return b"\xd5" * samples

    def require(self, other: AudioFormat, where: str) -> None:
        """Raise :class:`AudioMismatch` unless ``other`` is this very format."""
        if self != other:
            raise AudioMismatch(f"{where} takes {self}, but was given {other}; put a media.convert.Converter between")

    def __str__(self) -> str:
        return f"{self.encoding.value} at {self.rate} Hz"


PCM_8K = AudioFormat(Encoding.PCM16, 8000)
PCM_16K = AudioFormat(Encoding.PCM16, 16000)
PCM_24K = AudioFormat(Encoding.PCM16, 24000)
PCM_48K = AudioFormat(Encoding.PCM16, 48000)
MULAW_8K = AudioFormat(Encoding.MULAW, 8000)
ALAW_8K = AudioFormat(Encoding.ALAW, 8000)


@dataclass(frozen=True, slots=True)
class Clip:
    """A finished piece of sound with its format."""

    format: AudioFormat
    data: bytes

    @property
    def seconds(self) -> float:
        return self.format.seconds(self.data)
