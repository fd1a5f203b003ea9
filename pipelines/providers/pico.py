"""Text-to-speech by SVOX Pico, offline: small, fast (3.7 s of speech in some 20 ms), understood by recognisers."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from media.audio import PCM_16K
from pipelines.parts import SpeechAudio, SpeechEvent
from pipelines.providers.workers import Emit, WorkerPool

VOICES = ("en-US", "en-GB", "de-DE", "es-ES", "fr-FR", "it-IT")

RATE = 80
"""Percent of the voice's own speed: at 80 the recogniser of :mod:`pipelines.providers.moonshine` errs least (en-US 4 %
of words, en-GB 13 %)."""

VOLUME = 60
"""Percent of the voice's own volume: above some 65 the peaks are clipped, and the recogniser errs twice as often."""

_WAITING = 64  # phrases; each takes some 20 ms of a core
_DEADLINE = 10.0
# Pico obeys markup in angle brackets; a phrase is never markup.
_PLAIN = {ord("<"): " ", ord(">"): " ", **dict.fromkeys(range(32), " ")}


def voice_for(language: str) -> str | None:
    """Pico's voice for a language tag: the same tag, else the first voice of that language."""
    tag = language.lower().replace("_", "-")
    exact = [voice for voice in VOICES if voice.lower() == tag]
    return next(iter(exact + [voice for voice in VOICES if voice[:2].lower() == tag.split("-")[0]]), None)


class PicoTextToSpeech:
    """One voice of Pico, with an engine for each of at most two threads.

    Engines are kept: making one leaks some 40 kB. Pico hands out its sound in pieces of up to 4 s.
    """

    name = "pico"
    format = PCM_16K

    def __init__(self, voice: str = "en-US", *, rate: int = RATE) -> None:
        if voice not in VOICES:
            raise ValueError(f"pico has no voice {voice!r}; it has {', '.join(VOICES)}")
        self.voice = voice
        self._rate = rate
        workers = min(2, os.cpu_count() or 1)
        self._pool = WorkerPool[Any](self.name, self._engine, workers=workers, waiting=_WAITING, deadline=_DEADLINE)

    async def prepare(self) -> None:
        await self._pool.prepare()

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        if not any(character.isalnum() for character in text):
            return
        plain = text.translate(_PLAIN)

        def speak(engine: Any, emit: Emit) -> None:
            engine.speak(plain, lambda _format, audio, _final: emit(audio) if audio else True)

        async with aclosing(self._pool.stream(speak)) as sound:
            async for data in sound:
                yield SpeechAudio(data)

    async def close(self) -> None:
        await self._pool.close()

    def _engine(self) -> Any:
        from ttspico import TtsEngine

        engine = TtsEngine(self.voice)
        engine.rate, engine.volume = self._rate, VOLUME
        return engine
