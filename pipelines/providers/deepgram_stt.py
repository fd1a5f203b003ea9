"""Speech-to-text by Deepgram: Nova, whose turns are ours, and Flux, which detects them itself. One socket for each
call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from media.audio import MULAW_8K
from pipelines.parts import SttStream, TranscriptListener
from pipelines.providers.deepgram_flux import FluxProtocol
from pipelines.providers.deepgram_nova import NovaProtocol
from pipelines.providers.deepgram_wire import kind_of_close
from pipelines.providers.hearing import KEEP_ALIVE_SECONDS, SEGMENTS, SocketStream
from pipelines.providers.wire import HearingProtocol, Place

NOVA = "nova-3"


class DeepgramSpeechToText:
    """Shared by the calls of a process. ``flux``: which of the two; ``model``: which of its models, if not the usual
    one for the language; ``eager``: Flux tells of likely ends of turns."""

    format = MULAW_8K

    def __init__(
        self,
        place: Place,
        *,
        flux: bool = False,
        model: str | None = None,
        eager: bool = False,
        keep_alive: float = KEEP_ALIVE_SECONDS,
    ) -> None:
        self.name = "deepgram-flux" if flux else "deepgram"
        self._place = place
        self._flux = flux
        self._model = model
        self._eager = eager
        self._keep_alive = keep_alive
        self._opened = 0
        self._streams: set[SocketStream] = set()

    async def prepare(self) -> None:
        """Nothing is shared: each stream connects by itself."""

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> SttStream:
        """The stream begins to connect; ``hints`` become key terms."""
        first = self._opened * SEGMENTS
        self._opened += 1
        protocol: HearingProtocol = (
            FluxProtocol(language, hints, first=first, model=self._model, eager=self._eager)
            if self._flux
            else NovaProtocol(self._model or NOVA, language, hints, first=first)
        )
        stream = SocketStream(
            self.name,
            self._place,
            protocol,
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
