"""Text-to-speech by Cartesia's Sonic, over sockets that all of its voices in a process share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any
from uuid import uuid4

from media.audio import MULAW_8K
from pipelines.parts import SpeechEvent
from pipelines.providers.cartesia_wire import CartesiaProtocol
from pipelines.providers.lines import Lines, LineSettings
from pipelines.providers.wire import Place

MODEL = "sonic-3"
"""Of the current models the one that speaks every language that any of them does."""

VOICES: Mapping[str, str] = {"en": "f786b574-daa5-4673-aa0c-cbe3e8534c02"}
"""By language: the voice of an agent that names none. Katie is the one that the vendor's own examples have."""

LINES = LineSettings(most=8, most_kept=2, kept_seconds=240.0)
"""The vendor closes sockets that were idle for 5 minutes."""

_SPEECH = {"speed": (0.6, 1.5), "volume": (0.5, 2.0)}


def voice_for(language: str) -> str | None:
    return VOICES.get(_bare(language))


def speech_settings(language: str, vendor_specific: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fields of requests: the language, and what the agent has under ``vendorSpecific.cartesia.speech``. Raises
    ValueError for what Cartesia does not take."""
    where = "options.vendorSpecific.cartesia"
    options = vendor_specific.get("cartesia", {})
    speech = options.get("speech", {}) if isinstance(options, Mapping) else None
    if not isinstance(speech, Mapping):
        raise ValueError(f"{where} is an object, and so is its speech: speed, volume and emotion")  # noqa: TRY004
    if unknown := set(speech) - {*_SPEECH, "emotion"}:
        raise ValueError(f"{where}.speech has no {', '.join(sorted(unknown))}; it takes speed, volume and emotion")
    for name, (least, most) in _SPEECH.items():
        value = speech.get(name, least)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{where}.speech.{name} is {value!r}; it goes from {least:g} to {most:g}")
    if not isinstance(speech.get("emotion", ""), str):
        raise ValueError(f"{where}.speech.emotion is {speech['emotion']!r}; it is a word, such as calm")  # noqa: TRY004
    return {"language": _bare(language), **({"generation_config": dict(speech)} if speech else {})}


def cartesia_lines(place: Place) -> Lines:
    return Lines("cartesia", place, MULAW_8K, lambda: CartesiaProtocol(uuid4().hex[:12]), LINES)


class CartesiaTextToSpeech:
    """One voice with its model, shared by the calls of a process; ``lines`` are shared by all of Cartesia's, and not
    closed with it. ``more`` are further fields of its requests."""

    name = "cartesia"
    format = MULAW_8K

    def __init__(self, lines: Lines, voice: str, model: str = MODEL, *, more: Mapping[str, Any]) -> None:
        self.voice, self.model = voice, model
        self._lines = lines
        self._settings = {**more, "model_id": model, "voice": {"mode": "id", "id": voice}}

    async def prepare(self) -> None:
        await self._lines.prepare()

    def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        return self._lines.say(text, self._settings)

    async def close(self) -> None:
        """Nothing is its own."""


def _bare(language: str) -> str:
    return language.lower().replace("_", "-").split("-")[0]
