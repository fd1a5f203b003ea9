"""The simulated model's ear: voice activity by energy, as the vendor's server_vad counts it."""

from __future__ import annotations

from dataclasses import dataclass

from media.audio import AudioFormat, Encoding
from media.g711 import alaw_to_pcm, mulaw_to_pcm
from media.levels import energies

LOUD = 200.0
"""Root mean square of a frame that is speech at the default threshold."""

SPEECH_FRAMES = 3
"""So many loud frames in a row are speech."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    audio_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    audio_end_ms: int
    sound: bytes


def to_pcm(sound: bytes, format: AudioFormat) -> bytes:
    match format.encoding:
        case Encoding.MULAW:
            return mulaw_to_pcm(sound)
        case Encoding.ALAW:
            return alaw_to_pcm(sound)
        case Encoding.PCM16:
            return sound


class ServerVad:
    """Times are milliseconds of all sound written so far, as in the vendor's events."""

    def __init__(self, format: AudioFormat, *, threshold: float, prefix_ms: int, silence_ms: int) -> None:
        self._format = format
        self._loud = format.frame_samples * (LOUD * threshold / 0.5) ** 2
        self._prefix_ms, self._silence_ms = prefix_ms, silence_ms
        self._rest = b""
        self._sound = bytearray()
        self._ms = 0
        self._loud_frames = self._quiet_ms = 0
        self.speaking = False

    def hear(self, sound: bytes) -> list[SpeechStarted | SpeechStopped]:
        found: list[SpeechStarted | SpeechStopped] = []
        self._rest += sound
        size = self._format.frame_bytes
        whole = len(self._rest) - len(self._rest) % size
        frames, self._rest = self._rest[:whole], self._rest[whole:]
        if not frames:
            return found
        loudness = energies(to_pcm(frames, self._format), self._format.frame_samples)
        for at, energy in zip(range(0, whole, size), loudness, strict=True):
            found += self._frame(frames[at : at + size], loud=energy >= self._loud)
        return found

    def clear(self) -> None:
        self._rest, self._sound, self.speaking = b"", bytearray(), False
        self._loud_frames = self._quiet_ms = 0

    def _frame(self, frame: bytes, *, loud: bool) -> list[SpeechStarted | SpeechStopped]:
        self._ms += 20
        self._sound += frame
        if self.speaking:
            self._quiet_ms = 0 if loud else self._quiet_ms + 20
            if self._quiet_ms < self._silence_ms:
                return []
            stopped = SpeechStopped(self._ms, bytes(self._sound))
            self.clear()
            return [stopped]
        self._loud_frames = self._loud_frames + 1 if loud else 0
        kept_ms = self._prefix_ms + 20 * SPEECH_FRAMES
        del self._sound[: max(0, len(self._sound) - kept_ms * self._format.bytes_per_second // 1000)]
        if self._loud_frames < SPEECH_FRAMES:
            return []
        self.speaking, self._loud_frames = True, 0
        return [SpeechStarted(max(0, self._ms - kept_ms))]
