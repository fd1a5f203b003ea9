"""Speech-to-text by OpenAI's transcription sessions: a socket for each call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from media.audio import MULAW_8K
from pipelines.parts import ProviderFault
from pipelines.providers.compatible import HOMES
from pipelines.providers.hearing import SocketRecogniser
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


class OpenAISpeechToText(SocketRecogniser):
    """Hints become keywords, or the prompt of models that take none."""

    def __init__(self, place: Place, model: str = MODEL, *, options: Mapping[str, Any] | None = None) -> None:
        self._elsewhere = urlsplit(place.base_url).hostname != urlsplit(HOMES["openai"].url).hostname
        super().__init__(
            "openai",
            place,
            MULAW_8K,
            lambda language, hints, first: TranscriptionProtocol(
                session_fields(model, language, hints, options or {}),
                first=first,
                tells_model=self._elsewhere,
                secret=place.api_key,
            ),
            kind_of_close=kind_of_close,
        )
