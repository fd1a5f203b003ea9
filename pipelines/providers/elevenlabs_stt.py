"""Speech-to-text by ElevenLabs' Scribe, whose turns are ours. One socket for each call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from media.audio import MULAW_8K
from pipelines.parts import SttStream, TranscriptListener
from pipelines.providers.elevenlabs_scribe import MODEL, ScribeProtocol
from pipelines.providers.elevenlabs_wire import kind_of_close
from pipelines.providers.hearing import KEEP_ALIVE_SECONDS, SEGMENTS, SocketStream
from pipelines.providers.wire import Place


class ElevenLabsSpeechToText:
    """Shared by the calls of a process."""

    name = "elevenlabs"
    format = MULAW_8K

    def __init__(self, place: Place, model: str = MODEL, *, keep_alive: float = KEEP_ALIVE_SECONDS) -> None:
        self._place = place
        self._model = model
        self._keep_alive = keep_alive
        self._opened = 0
        self._streams: set[SocketStream] = set()

    async def prepare(self) -> None:
        """Nothing is shared: each stream connects by itself."""

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> SttStream:
        """The stream begins to connect; ``hints`` become key terms."""
        first = self._opened * SEGMENTS
        self._opened += 1
        stream = SocketStream(
            self.name,
            self._place,
            ScribeProtocol(self._model, language, hints, first=first),
            listener,
            self.format,
            keep_alive=self._keep_alive,
            on_closed=self._streams.discard,
            kind_of_close=kind_of_close,
        )
        self._streams.add(stream)
        return stream

    async def close(self) -> None:
        await asyncio.gather(*(stream.close() for stream in list(self._streams)))
