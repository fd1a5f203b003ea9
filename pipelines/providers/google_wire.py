"""Google's Speech-to-Text v2 and streaming Text-to-Speech: what requests hold, and what answers mean. Pure.

Source: google-cloud-speech 2.41.0, google-cloud-texttospeech 2.38.0 and Google's documentation. Nothing of it was tried
against the services themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from media.audio import MULAW_8K
from pipelines.parts import ProviderError, ProviderFault
from pipelines.providers.wire import MOST_DESCRIPTION

TELEPHONY = "telephony"
"""The model for 8 kHz, unless an agent names another."""

MOST_BYTES = 24_000
"""Of sound in one request: three seconds. Google takes 25,600."""

MOST_PHRASES = 200
MOST_PHRASE = 100
"""Characters."""

_UNADAPTED = ("telephony",)
"""Models that refuse phrases. A model's name may go on after an underscore: ``telephony_short``."""

_LATE = ("chirp_2", "chirp_3")
"""Models that hardly tell anything before a sentence is whole."""

_UNTIMED = ("chirp_3",)
"""Models that do not tell where words are."""


@dataclass(frozen=True, slots=True)
class Result:
    """What is said of one stretch of sound. ``end`` and the words' times are seconds since the stream began; 0 is not
    told. ``stability`` (0 to 1) is how likely an interim result will stay."""

    text: str
    final: bool
    end: float = 0.0
    stability: float = 0.0
    words: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """One message of a recognition. ``billed`` are seconds of the whole stream, where the message tells."""

    results: tuple[Result, ...] = ()
    billed: float | None = None


def recognition(model: str, language: str, hints: Sequence[str]) -> Mapping[str, Any]:
    """The ``streaming_config`` of a stream."""
    features: dict[str, Any] = {"enable_automatic_punctuation": True}
    if not _is_one_of(model, _UNTIMED):
        features["enable_word_time_offsets"] = True
    streaming: dict[str, Any] = {"interim_results": True}
    if _is_one_of(model, _UNTIMED):
        # It waits for whole sentences otherwise, and no other model knows the setting.
        streaming["endpointing_sensitivity"] = "ENDPOINTING_SENSITIVITY_SHORT"
    config: dict[str, Any] = {
        "explicit_decoding_config": {
            "encoding": "MULAW",
            "sample_rate_hertz": MULAW_8K.rate,
            "audio_channel_count": 1,
        },
        "model": model,
        "language_codes": [language],
        "features": features,
    }
    phrases = [{"value": hint[:MOST_PHRASE]} for hint in hints[:MOST_PHRASES]]
    if phrases and not _is_one_of(model, _UNADAPTED):
        config["adaptation"] = {"phrase_sets": [{"inline_phrase_set": {"phrases": phrases}}]}
    return {"config": config, "streaming_features": streaming}


def tells_early(model: str) -> bool:
    """Whether there are words while the caller speaks on."""
    return not _is_one_of(model, _LATE)


def synthesis(voice: str, language: str, model: str | None) -> Mapping[str, Any]:
    """The ``streaming_config`` of a phrase. Chirp 3's voices have to go without a model."""
    selection = {"language_code": language, "name": voice, **({"model_name": model} if model else {})}
    return {
        "voice": selection,
        "streaming_audio_config": {"audio_encoding": "MULAW", "sample_rate_hertz": MULAW_8K.rate},
    }


def answer(message: Any) -> Answer:
    """Of a ``StreamingRecognizeResponse``, as protobuf has it. Speech events are none of ours."""
    results = []
    for result in message.results:
        best = result.alternatives[0] if result.alternatives else None
        words = () if best is None else tuple((w.word, *_times(w)) for w in best.words)
        timed = words if any(end for _, _, end in words) else ()
        text = "" if best is None else best.transcript.strip()
        results.append(Result(text, result.is_final, _seconds(result.result_end_offset), result.stability, timed))
    billed = _seconds(message.metadata.total_billed_duration) if message.HasField("metadata") else 0.0
    return Answer(tuple(results), billed or None)


def _times(word: Any) -> tuple[float, float]:
    return _seconds(word.start_offset), _seconds(word.end_offset)


def _seconds(duration: Any) -> float:
    return max(0.0, float(duration.seconds) + float(duration.nanos) / 1e9)


def without_header(data: bytes) -> bytes:
    """The samples of a voice's first message. Google's documentation gives mu-law a WAV header, and does not tell
    whether streams have it."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return data
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8
        if name == b"data":
            return data[at:]
        at += size + size % 2
    return b""


_KINDS: Mapping[str, ProviderFault] = {
    "INVALID_ARGUMENT": "bad_request",
    "FAILED_PRECONDITION": "bad_request",
    "NOT_FOUND": "bad_request",
    "UNIMPLEMENTED": "bad_request",
    "UNAUTHENTICATED": "auth",
    "PERMISSION_DENIED": "auth",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "DEADLINE_EXCEEDED": "timeout",
    "UNAVAILABLE": "unavailable",
    "CANCELLED": "unavailable",
    "ABORTED": "unavailable",
    "OUT_OF_RANGE": "unavailable",
}

_WORN_OUT = ("ABORTED", "OUT_OF_RANGE")
_CREDENTIALS = "getting metadata from plugin failed"
_UNREACHED = ("failed to connect", "dns resolution failed", "name resolution", "connection refused")


class StreamEnded(ProviderError):
    """A stream ended with the gRPC status of the name ``status``."""

    def __init__(self, provider: str, status: str, details: str) -> None:
        short = " ".join(details.split())[:MOST_DESCRIPTION]
        super().__init__(provider, kind_of(status, details), f"{status}: {short}" if short else status)
        self.status = status

    @property
    def worn_out(self) -> bool:
        """So Google ends streams that lasted too long, or had no sound for too long."""
        return self.status in _WORN_OUT


def kind_of(status: str, details: str) -> ProviderFault:
    """The kind of a call that ended with the gRPC status of this name."""
    said = details.lower()
    if _CREDENTIALS in said:
        return "auth"  # the account could not get a token
    if status == "UNAVAILABLE" and any(sign in said for sign in _UNREACHED):
        return "connect"
    return _KINDS.get(status, "server")


def _is_one_of(model: str, names: Sequence[str]) -> bool:
    return any(model == name or model.startswith(f"{name}_") for name in names)
