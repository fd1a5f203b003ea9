"""Speech-to-text by ElevenLabs' Scribe, whose turns are ours. One socket for each call."""

from __future__ import annotations

from media.audio import MULAW_8K
from pipelines.providers.elevenlabs_scribe import MODEL, ScribeProtocol
from pipelines.providers.elevenlabs_wire import kind_of_close
from pipelines.providers.hearing import KEEP_ALIVE_SECONDS, SocketRecogniser
from pipelines.providers.wire import Place


class ElevenLabsSpeechToText(SocketRecogniser):
    """Hints become key terms."""

    def __init__(self, place: Place, model: str = MODEL, *, keep_alive: float = KEEP_ALIVE_SECONDS) -> None:
        super().__init__(
            "elevenlabs",
            place,
            MULAW_8K,
            lambda language, hints, first: ScribeProtocol(model, language, hints, first=first),
            keep_alive=keep_alive,
            kind_of_close=kind_of_close,
        )
