"""Text-to-speech by Google's streaming synthesis: mu-law at 8 kHz, a call for each phrase on a connection that is kept.

There is no message that breaks a phrase off: its call is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

from media.audio import MULAW_8K
from pipelines.parts import ProviderError, SpeechAudio, SpeechEvent
from pipelines.providers.deepgram_wire import pieces
from pipelines.providers.google_wire import synthesis, without_header

FIRST_SOUND_SECONDS = 5.0
NEXT_SOUND_SECONDS = 5.0
"""The longest waits for the first sound of a phrase, and for each further one."""

MOST_CHARACTERS = 1200
"""In one input: Google takes 5000 bytes, and a character may have four."""

_MOST_SOUND = 600 * MULAW_8K.bytes_per_second


class Synthesis(Protocol):
    """One phrase on its way."""

    async def read(self) -> bytes | None:
        """Sound; None at the end. Raises :class:`ProviderError`, also after :meth:`cancel`."""
        ...

    def cancel(self) -> None: ...


class SynthesisService(Protocol):
    """The service, and the connections to it."""

    async def prepare(self) -> None: ...

    async def synthesize(self, config: Mapping[str, Any], texts: Sequence[str]) -> Synthesis:
        """Ask for a phrase in pieces, with ``config`` as ``streaming_config``. Bounded; raises
        :class:`ProviderError`."""
        ...


class GoogleTextToSpeech:
    """One voice, shared by the calls of a process. ``model`` is none for Chirp 3's voices."""

    name = "google"
    format = MULAW_8K

    def __init__(
        self,
        service: SynthesisService,
        voice: str,
        language: str,
        model: str | None = None,
        *,
        first_sound_seconds: float = FIRST_SOUND_SECONDS,
        next_sound_seconds: float = NEXT_SOUND_SECONDS,
    ) -> None:
        self.voice = voice
        self._service = service
        self._config = synthesis(voice, language, model)
        self._first_sound_seconds = first_sound_seconds
        self._next_sound_seconds = next_sound_seconds

    async def prepare(self) -> None:
        await self._service.prepare()

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        """A connection that had gone, unnoticed, is worth a second attempt, as long as nothing was heard."""
        if not any(character.isalnum() for character in text):
            return
        heard = 0
        for attempt in (1, 2):
            try:
                phrase = await self._service.synthesize(self._config, list(pieces(text, MOST_CHARACTERS)))
                try:
                    while (data := await self._next(phrase, first=not heard)) is not None:
                        if not heard:
                            data = without_header(data)
                        heard += len(data)
                        if heard > _MOST_SOUND:
                            raise ProviderError(self.name, "protocol", "it speaks without end")
                        if data:
                            yield SpeechAudio(data)
                finally:
                    phrase.cancel()
            except ProviderError as error:
                if heard or attempt == 2 or error.kind != "unavailable":
                    raise
            else:
                return

    async def close(self) -> None:
        """The service is shared, and closed by who made it."""

    async def _next(self, phrase: Synthesis, *, first: bool) -> bytes | None:
        seconds = self._first_sound_seconds if first else self._next_sound_seconds
        try:
            async with asyncio.timeout(seconds):
                return await phrase.read()
        except TimeoutError:
            raise ProviderError(self.name, "timeout", f"no sound came for {seconds:g} s") from None
