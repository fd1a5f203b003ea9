"""Speech-to-text by OpenAI's transcription sessions: a socket for each call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from media.audio import MULAW_8K
from pipelines.parts import ProviderFault, SttStream, TranscriptListener
from pipelines.providers.compatible import HOMES
from pipelines.providers.hearing import SEGMENTS, SocketStream
from pipelines.providers.openai_hearing import TranscriptionProtocol
from pipelines.providers.wire import Place
from pipelines.providers.wire import kind_of_close as usual_kind_of_close
from pipelines.realtime.openai_session import transcription_settings

MODEL = "gpt-live-transcribe"
"""What the vendor advises for live sound. Words come while the caller speaks."""


OPTIONS = frozenset({"delay", "noise_reduction", "prompt"})
"""What an agent may set as ``vendorSpecific.openai.transcription``."""


def session_fields(model: str, language: str, hints: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The session as it is wanted; ``options`` are the agent's, of :data:`OPTIONS`."""
    heard: dict[str, Any] = {"format": {"type": "audio/pcmu"}, "turn_detection": None}
    heard["transcription"] = transcription_settings(model, language, hints)
    heard["transcription"] |= {name: options[name] for name in ("delay", "prompt") if name in options}
    if "noise_reduction" in options:
        heard["noise_reduction"] = options["noise_reduction"]
    return {"type": "transcription", "audio": {"input": heard}}


def transcription_options(vendor_specific: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the agent wants to have otherwise in the session: ``vendorSpecific.openai.transcription``. Raises ValueError
    for what cannot be set."""
    where = "options.vendorSpecific.openai"
    options = vendor_specific.get("openai", {})
    fields = options.get("transcription", {}) if isinstance(options, Mapping) else None
    if not isinstance(fields, Mapping):
        raise ValueError(f"{where} is an object, and so is its transcription: fields of the session")  # noqa: TRY004
    if unknown := sorted(set(fields) - OPTIONS):
        raise ValueError(f"{where}.transcription has no {', '.join(unknown)}; it takes {', '.join(sorted(OPTIONS))}")
    return fields


def kind_of_close(code: int, reason: str) -> ProviderFault:
    return "bad_request" if reason.startswith("invalid_request_error") else usual_kind_of_close(code, reason)


class OpenAISpeechToText:
    """Shared by the calls of a process."""

    name = "openai"
    format = MULAW_8K

    def __init__(self, place: Place, model: str = MODEL, *, options: Mapping[str, Any] | None = None) -> None:
        self._place = place
        self._model = model
        self._options = options or {}
        self._elsewhere = urlsplit(place.base_url).hostname != urlsplit(HOMES["openai"].url).hostname
        self._opened = 0
        self._streams: set[SocketStream] = set()

    async def prepare(self) -> None:
        """Nothing is shared: each stream connects by itself."""

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> SttStream:
        """The stream begins to connect; ``hints`` become keywords, or the prompt of models that take none."""
        protocol = TranscriptionProtocol(
            session_fields(self._model, language, hints, self._options),
            first=self._opened * SEGMENTS,
            tells_model=self._elsewhere,
            secret=self._place.api_key,
        )
        self._opened += 1
        stream = SocketStream(
            self.name,
            self._place,
            protocol,
            listener,
            self.format,
            on_closed=self._streams.discard,
            kind_of_close=kind_of_close,
        )
        self._streams.add(stream)
        return stream

    async def close(self) -> None:
        await asyncio.gather(*(stream.close() for stream in list(self._streams)))
