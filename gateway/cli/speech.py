"""Speech for callers on the command line: a voice for what they say, and a recogniser for what they hear. Offline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from jambonz.simulator.ear import AUDIBLE_PEAK, Ear, peak_of
from media.audio import AudioFormat, Clip, Encoding
from pipelines.parts import SpeechAudio, TextToSpeech
from pipelines.providers.moonshine import MoonshineSpeechToText
from pipelines.providers.registry import Registry

STRETCH_GAP = 0.6
"""Silence at the ear from which on what follows is transcribed apart: an interruption lasts longer."""

_MARGIN = 0.2
"""Seconds of silence that a recogniser is given before and after."""


@asynccontextmanager
async def caller_voice(language: str) -> AsyncIterator[TextToSpeech]:
    """Pico where it was built and has a voice for the language, else espeak-ng."""
    registry = Registry({})
    try:
        yield registry.text_to_speech(language=language)
    finally:
        await registry.close_all()


async def speak(voice: TextToSpeech, text: str) -> Clip:
    """``text`` as sound, without the silence that voices put about it."""
    async with aclosing(voice.synthesize(text)) as sound:
        clip = Clip(voice.format, b"".join([event.data async for event in sound if isinstance(event, SpeechAudio)]))
    return await asyncio.to_thread(trimmed, clip)


def trimmed(clip: Clip) -> Clip:
    """PCM from its first audible frame to its last."""
    size = clip.format.frame_bytes
    audible = [at for at in range(0, len(clip.data), size) if peak_of(clip.data[at : at + size]) > AUDIBLE_PEAK]
    return Clip(clip.format, clip.data[audible[0] : audible[-1] + size] if audible else b"")


async def transcribe(clips: Sequence[Clip]) -> list[str]:
    """The words of each clip, in English."""
    recogniser = MoonshineSpeechToText()
    try:
        return [await recogniser.transcribe(clip) for clip in clips]
    finally:
        await recogniser.close()


def stretches(ear: Ear) -> list[Clip]:
    """The agent's speech as the caller heard it, cut where it was silent."""
    sound, started = ear.heard_audio(), ear.started or 0.0
    format = AudioFormat(Encoding.PCM16, ear.rate)

    def offset(at: float) -> int:
        return max(0, round((at - started) * 50)) * format.frame_bytes

    return [
        Clip(format, sound[offset(span.start - _MARGIN) : offset(span.end + _MARGIN)])
        for span in ear.utterances(STRETCH_GAP)
    ]
