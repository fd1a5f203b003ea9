"""Text-to-speech by ElevenLabs, over sockets that the calls of a process share: each phrase is a context of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from media.audio import MULAW_8K
from pipelines.parts import SpeechEvent
from pipelines.providers.elevenlabs_contexts import ContextProtocol
from pipelines.providers.elevenlabs_wire import bare, kind_of_close, needs_dialogue
from pipelines.providers.lines import Lines, LineSettings
from pipelines.providers.wire import Place

MODEL = "eleven_flash_v2_5"
VOICE = "JBFqnCBsd6RMkjVDRZzb"
"""George, one of the voices that every account has, in the examples of the vendor's SDK. It speaks every language."""

LINES = LineSettings(most=32, most_kept=2, kept_seconds=120.0, left_seconds=10.0)
"""Of one voice with its model and language. The vendor closes sockets after 180 s, and makes to its end what is not
wanted any further."""

_NUMBERS = {"stability": (0.0, 1.0), "similarity_boost": (0.0, 1.0), "style": (0.0, 1.0), "speed": (0.7, 1.2)}
_SWITCHES = ("use_speaker_boost",)


def speech_settings(language: str, vendor_specific: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a voice is told besides: ``language``, and as ``settings`` what the agent has under
    ``vendorSpecific.elevenlabs.speech``. Raises ValueError for what ElevenLabs does not take."""
    where = "options.vendorSpecific.elevenlabs"
    options = vendor_specific.get("elevenlabs", {})
    speech = options.get("speech", {}) if isinstance(options, Mapping) else None
    known = ", ".join([*_NUMBERS, *_SWITCHES])
    if not isinstance(speech, Mapping):
        raise ValueError(f"{where} is an object, and so is its speech: {known}")  # noqa: TRY004
    if unknown := set(speech) - {*_NUMBERS, *_SWITCHES}:
        raise ValueError(f"{where}.speech has no {', '.join(sorted(unknown))}; it takes {known}")
    for name, value in speech.items():
        least, most = _NUMBERS.get(name, (0.0, 0.0))
        if name in _SWITCHES:
            if not isinstance(value, bool):
                raise ValueError(f"{where}.speech.{name} is {value!r}; it is true or false")
        elif not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{where}.speech.{name} is {value!r}; it goes from {least:g} to {most:g}")
    return {"language": bare(language), "settings": dict(speech)}


class ElevenLabsTextToSpeech:
    """One voice with its model and language, shared by the calls of a process. ``settings`` are the voice's, where they
    are not to be left to the vendor. Raises ValueError for a model that is not to be had on this wire."""

    name = "elevenlabs"
    format = MULAW_8K

    def __init__(
        self,
        place: Place,
        voice: str = VOICE,
        model: str = MODEL,
        *,
        language: str = "",
        settings: Mapping[str, Any] | None = None,
        lines: LineSettings = LINES,
    ) -> None:
        if needs_dialogue(model):
            raise ValueError(
                f"elevenlabs' {model} is to be had on another wire only, that of dialogues, which is not spoken here; "
                f"name an earlier one in tts.model, such as {MODEL}"
            )
        self.voice, self.model = voice, model
        self._settings = settings or {}
        self._lines = Lines(
            self.name,
            place,
            self.format,
            lambda: ContextProtocol(voice, model, language),
            lines,
            kind_of_close=kind_of_close,
        )

    async def prepare(self) -> None:
        await self._lines.prepare()

    def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        return self._lines.say(text, self._settings)

    async def close(self) -> None:
        await self._lines.close()
