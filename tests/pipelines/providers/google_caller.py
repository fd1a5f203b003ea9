"""A caller of Google's recogniser: our own ears, which hear 20 ms at a time, and what they make of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

from media.audio import FRAME_SECONDS, MULAW_8K
from pipelines.ears import Ears
from pipelines.parts import ProviderError
from pipelines.providers.google_stt import GoogleSpeechToText
from pipelines.standby import Standby
from pipelines.turn_events import SpeechDropped, TurnEnded, TurnEvent
from pipelines.turns import TurnSettings
from tests.simulators.mulaw_words import speak

QUIET = MULAW_8K.silence(20)


class NeverWrong:
    """Voice activity that is never wrong."""

    echo = None
    closely = True

    def hear(self, frame: bytes, now: float) -> bool:
        return frame != QUIET

    def hear_all(self, frames: Sequence[bytes], now: float) -> list[bool]:
        return [self.hear(frame, now) for frame in frames]


class Caller:
    """What became of the caller's words. Made by :func:`calling`."""

    def __init__(self, stt: GoogleSpeechToText, *, language: str, hints: Sequence[str], settings: TurnSettings) -> None:
        loop = asyncio.get_running_loop()
        self.turns: list[TurnEvent] = []
        self.errors: list[ProviderError] = []
        self.seconds = 0.0
        """What was used."""

        self.delays: list[float] = []
        """From the last word to the end of each turn."""

        self.heard = 0.0
        self._loop = loop
        self.ears = Ears(
            Standby("stt", [stt]),
            None,
            settings,
            language=language,
            hints=hints,
            format=MULAW_8K,
            detector=NeverWrong(),
            on_turn=self._on_turn,
            on_error=self.errors.append,
            on_usage=self._on_usage,
            spawn=loop.create_task,
            clock=loop.time,
        )
        self._due = loop.time()

    async def say(self, text: str = "", pause: float = 0.0, frames: int | None = None) -> None:
        """``text`` in real time, and then ``pause`` seconds of silence. ``frames``: of the text, no more than those."""
        sound = speak(text)
        size = MULAW_8K.frame_bytes
        spoken = [sound[at : at + size] for at in range(0, len(sound), size)][:frames]
        for frame in [*spoken, *[QUIET] * round(pause / FRAME_SECONDS)]:
            self._due += FRAME_SECONDS
            await asyncio.sleep(self._due - self._loop.time())
            self.ears.hear(frame)
            self.heard += FRAME_SECONDS

    async def send_nothing(self, seconds: float) -> None:
        """No frames at all, as callers do who suppress silence."""
        for _ in range(round(seconds / FRAME_SECONDS)):
            self._due += FRAME_SECONDS
            await asyncio.sleep(self._due - self._loop.time())
            self.ears.tick(self._loop.time())

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.turns if isinstance(event, TurnEnded)]

    @property
    def dropped(self) -> list[SpeechDropped]:
        return [event for event in self.turns if isinstance(event, SpeechDropped)]

    def _on_turn(self, event: TurnEvent, now: float) -> None:
        self.turns.append(event)
        if isinstance(event, TurnEnded):
            self.delays.append(now - event.speech_ended)

    def _on_usage(self, provider: str, units: Mapping[str, float]) -> None:
        self.seconds += units["audio_seconds"]


@asynccontextmanager
async def calling(
    stt: GoogleSpeechToText, *, language: str = "en-GB", hints: Sequence[str] = (), settings: TurnSettings | None = None
) -> AsyncGenerator[Caller, None]:
    """``stt`` is closed at the end."""
    caller = Caller(stt, language=language, hints=hints, settings=settings or TurnSettings())
    try:
        yield caller
    finally:
        await caller.ears.close()
        await stt.close()
