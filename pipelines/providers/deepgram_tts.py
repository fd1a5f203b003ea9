"""Text-to-speech by Deepgram: Aura, and Flux, whose voices are told where they were interrupted. A socket has one
phrase at a time, and is kept for others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from time import monotonic

from media.audio import MULAW_8K
from pipelines.parts import SpeechEvent
from pipelines.providers.deepgram_aura import AuraProtocol
from pipelines.providers.deepgram_flux_voice import FluxVoiceProtocol
from pipelines.providers.deepgram_wire import kind_of_close
from pipelines.providers.lines import Lines, LineSettings
from pipelines.providers.speaking import SpeakingProtocol
from pipelines.providers.wire import Place

VOICE = "aura-2-thalia-en"

LINES = LineSettings(most=32, most_kept=4, kept_seconds=30.0, longest_seconds=3300.0)
"""Of a voice. Flux closes a socket after an hour."""


def voice_for(language: str) -> str | None:
    """The voice for a language tag, where the vendor's name for one is known here."""
    return VOICE if language.lower().split("-")[0] == "en" else None


def is_flux(voice: str) -> bool:
    """``flux-alexis-en``, for one."""
    return voice.startswith("flux-")


class DeepgramTextToSpeech:
    """One voice, shared by the calls of a process."""

    name = "deepgram"
    format = MULAW_8K

    def __init__(self, place: Place, voice: str = VOICE, *, settings: LineSettings = LINES) -> None:
        self.voice = voice
        self._lines = Lines(self.name, place, self.format, self._protocol, settings, kind_of_close=kind_of_close)

    def _protocol(self) -> SpeakingProtocol:
        return FluxVoiceProtocol(self.voice) if is_flux(self.voice) else AuraProtocol(self.voice, monotonic)

    async def prepare(self) -> None:
        await self._lines.prepare()

    def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        return self._lines.say(text, {})

    def synthesize_heard(self, text: str, heard: Callable[[], float]) -> AsyncGenerator[SpeechEvent, None]:
        return self._lines.say(text, {}, heard)

    async def close(self) -> None:
        await self._lines.close()
