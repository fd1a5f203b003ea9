"""Cartesia's ``/tts/websocket``: several texts are spoken over one socket, each in a *context* of its own. Pure.

A text is sent whole. One that is not wanted any further is cancelled, and what still comes of it is passed over.

Source: cartesia 4.2.0 and its documentation. Nothing of it was tried against the service itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from media.audio import MULAW_8K
from pipelines.base64_sound import decode
from pipelines.parts import ProviderFault, SpeechAudio
from pipelines.providers.speaking import Broken, Finished, Said, SpeakingEvent
from pipelines.providers.wire import Failed, Malformed, Place, parse, text
from pipelines.providers.word_times import WordTimes, is_time

HOME = "https://api.cartesia.ai"
VERSION = "2026-08-14"
"""Of the interface: the one that the SDK asks for."""

MOST_CONTEXTS = 20
"""On one socket: the vendor speaks of "dozens"."""

_FORMAT = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": MULAW_8K.rate}


def cartesia_at(api_key: str, base_url: str = HOME) -> Place:
    return Place(api_key, base_url, headers_besides={"cartesia-version": VERSION})


class _Context:
    __slots__ = ("sound", "words")

    def __init__(self, said: str) -> None:
        self.words = WordTimes(said)
        self.sound = 0  # bytes of it that came


class CartesiaProtocol:
    """See :class:`pipelines.providers.speaking.SpeakingProtocol`. Its settings are fields of requests: ``model_id``,
    ``voice``, and what there is besides. Contexts are named ``prefix``-1 and so on: no two of an account the same."""

    path = "/tts/websocket"
    room = MOST_CONTEXTS
    goodbye: str | None = None

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._number = 0
        self._contexts: dict[str, _Context] = {}

    def __len__(self) -> int:
        return len(self._contexts)

    def query(self) -> list[tuple[str, str]]:
        return []

    def begin(self, text: str, settings: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
        self._number += 1
        name = f"{self._prefix}-{self._number}"
        self._contexts[name] = _Context(text)
        request = {
            **settings,
            "context_id": name,
            "transcript": text,
            "continue": False,
            "output_format": _FORMAT,
            "add_timestamps": True,
            "use_normalized_timestamps": False,  # of the words as they were sent
            "max_buffer_delay_ms": 0,  # there is nothing to wait for: the phrase is whole
        }
        return name, (json.dumps(request),)

    def leave(self, phrase: str, heard: float) -> Sequence[str]:
        self.forget(phrase)
        return (json.dumps({"context_id": phrase, "cancel": True}),)

    def forget(self, phrase: str) -> None:
        self._contexts.pop(phrase, None)

    def holds(self, phrase: str) -> bool:
        return phrase in self._contexts

    def receive(self, message: str | bytes) -> Sequence[SpeakingEvent]:
        data = parse(message)
        kind = data["type"]
        if kind == "error":
            return self._failed(data)
        name = data.get("context_id")
        context = self._contexts.get(name) if isinstance(name, str) else None
        if context is None or not isinstance(name, str):
            return ()  # it was cancelled, or is over
        match kind:
            case "chunk":
                sound = _sound(data)
                context.sound += len(sound)
                return (Said(name, (SpeechAudio(sound),)),) if sound else ()
            case "timestamps":
                words = context.words.hear(_timed(data.get("word_timestamps")))
                return (Said(name, words),) if words else ()
            case "done":
                del self._contexts[name]
                return (Finished(name, context.words.rest(context.sound / MULAW_8K.bytes_per_second)),)
            case _:
                return ()  # flush_done, phoneme_timestamps, and what may come to be

    def _failed(self, data: Mapping[str, Any]) -> Sequence[SpeakingEvent]:
        """An error of a context, or of the socket as a whole. The id of a request may name its context, too."""
        why = _fault_of(data)
        names = [data.get("context_id"), *str(data.get("request_id") or "").split(":")]
        named = [name for name in names if isinstance(name, str) and name.startswith(f"{self._prefix}-")]
        if not named:
            return (why,)
        return (Broken(named[0], why),) if self._contexts.pop(named[0], None) is not None else ()


def _sound(data: Mapping[str, Any]) -> bytes:
    try:
        return decode(text(data, "data"))
    except ValueError:
        raise Malformed("sound that is not in base64") from None


def _timed(told: object) -> list[tuple[str, float, float]]:
    """Words with where each begins and ends; nothing if that is not what it is."""
    if not isinstance(told, dict):
        return []
    words, starts, ends = (told.get(name) for name in ("words", "start", "end"))
    if not (isinstance(words, list) and isinstance(starts, list) and isinstance(ends, list)):
        return []
    if not len(words) == len(starts) == len(ends) or not all(isinstance(word, str) for word in words):
        return []
    if not all(map(is_time, [*starts, *ends])):
        return []
    return [(word, float(start), float(end)) for word, start, end in zip(words, starts, ends, strict=True)]


def _fault_of(data: Mapping[str, Any]) -> Failed:
    status = data.get("status_code")
    said = [str(data[name]) for name in ("error_code", "title", "message") if data.get(name)]
    number = status if isinstance(status, int) else 0
    return Failed(_kind_of(number), f"{': '.join(said) or 'an error without a description'} (status {number})")


def _kind_of(status: int) -> ProviderFault:
    match status:
        case 401 | 402 | 403:
            return "auth"
        case 408:
            return "timeout"
        case 429:
            return "rate_limit"
        case _:
            return "bad_request" if 400 <= status < 500 else "server"
