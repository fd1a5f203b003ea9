"""Speech-to-text by Deepgram: Nova, whose turns are ours, and Flux, which detects them itself. One socket for each
call."""

from __future__ import annotations

from collections.abc import Sequence

from media.audio import MULAW_8K
from pipelines.providers.deepgram_flux import FluxProtocol
from pipelines.providers.deepgram_nova import NovaProtocol
from pipelines.providers.deepgram_wire import kind_of_close
from pipelines.providers.hearing import KEEP_ALIVE_SECONDS, SocketRecogniser
from pipelines.providers.wire import HearingProtocol, Place

NOVA = "nova-3"


class DeepgramSpeechToText(SocketRecogniser):
    """``flux``: which of the two; ``model``: which of its models, if not the usual one for the language; ``eager``:
    Flux tells of likely ends of turns. Hints become key terms."""

    def __init__(
        self,
        place: Place,
        *,
        flux: bool = False,
        model: str | None = None,
        eager: bool = False,
        keep_alive: float = KEEP_ALIVE_SECONDS,
    ) -> None:
        def protocol(language: str, hints: Sequence[str], first: int) -> HearingProtocol:
            if flux:
                return FluxProtocol(language, hints, first=first, model=model, eager=eager)
            return NovaProtocol(model or NOVA, language, hints, first=first)

        name = "deepgram-flux" if flux else "deepgram"
        super().__init__(name, place, MULAW_8K, protocol, keep_alive=keep_alive, kind_of_close=kind_of_close)
