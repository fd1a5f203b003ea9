"""Speech parts that behave like a vendor's and cost nothing, so that what is measured is the audio path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from importlib.util import find_spec
from typing import Any

from media.audio import FRAME_SECONDS, PCM_8K, PCM_16K
from pipelines.parts import SpeechAudio, SpeechEvent, TextToSpeech, Transcript, TranscriptListener
from pipelines.providers.espeak import EspeakTextToSpeech
from pipelines.providers.pico import PicoTextToSpeech
from pipelines.providers.registry import Registry

HEARD = "I would like a table on Tuesday."
"""What every caller is understood to say."""

RECOGNISED_AFTER = 0.1
"""Seconds from being asked to the transcript."""

PRE_ROLL_FRAMES = 15


def offline_voice() -> TextToSpeech:
    """A voice that is understood to be one by voice activity: Pico, and espeak-ng where it could not be built."""
    return PicoTextToSpeech() if find_spec("ttspico") else EspeakTextToSpeech()


async def sound_of(voice: TextToSpeech, text: str) -> bytes:
    """``text`` as PCM at 16 kHz, as both voices give it."""
    voice.format.require(PCM_16K, "the bench")
    async with aclosing(voice.synthesize(text)) as events:
        return b"".join([event.data async for event in events if isinstance(event, SpeechAudio)])


class Recogniser:
    name = "bench"
    format = PCM_8K

    async def prepare(self) -> None: ...

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> RecogniserStream:
        return RecogniserStream(listener)

    async def close(self) -> None: ...


class RecogniserStream:
    """Knows how much sound the segment has, and what is in it without listening."""

    def __init__(self, listener: TranscriptListener) -> None:
        self._listener = listener
        self._frames = 0
        self._speaking = False
        self._segment = 0

    def push(self, pcm: bytes) -> None:
        self._frames += 1

    def speech_started(self) -> None:
        if not self._speaking:
            self._speaking, self._frames = True, PRE_ROLL_FRAMES

    def speech_paused(self) -> None:
        asyncio.get_running_loop().call_later(RECOGNISED_AFTER, self._recognised, self._segment, self._frames)

    def end_segment(self) -> None:
        self._speaking = False
        self._segment += 1

    async def close(self) -> None:
        self._segment = -1

    def _recognised(self, segment: int, frames: int) -> None:
        if segment == self._segment:
            seconds = frames * FRAME_SECONDS
            self._listener.on_transcript(Transcript(segment, HEARD, final=False, audio_seconds=seconds))


class Voice:
    """Speaks each phrase the first time with a real voice, and from memory ever after: all of it at once, as Pico."""

    name = "bench"
    format = PCM_16K

    def __init__(self) -> None:
        self._voice = offline_voice()
        self._known: dict[str, bytes] = {}

    async def prepare(self) -> None:
        await self._voice.prepare()

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        if text not in self._known:
            self._known[text] = await sound_of(self._voice, text)
        yield SpeechAudio(self._known[text])

    async def close(self) -> None:
        await self._voice.close()


class Parts(Registry):
    """The registry of the service under test: a model that echoes, and speech that costs nothing."""

    def __init__(self) -> None:
        super().__init__({})
        self._recogniser = Recogniser()
        self._voice = Voice()

    def speech_to_text(
        self,
        vendor: str | None = None,
        *,
        model: str | None = None,
        eager: bool = False,
        vendor_specific: Mapping[str, Any] | None = None,
    ) -> Recogniser:
        return self._recogniser

    def text_to_speech(
        self,
        vendor: str | None = None,
        language: str | None = None,
        voice: str | None = None,
        *,
        model: str | None = None,
        vendor_specific: Mapping[str, Any] | None = None,
    ) -> Voice:
        return self._voice

    async def close_all(self) -> None:
        await self._voice.close()
        await super().close_all()
