"""ElevenLabs' ``multi-stream-input``: several texts are spoken over one socket, each in a *context* of its own. Pure.

A text is sent whole, and its context is closed with it: what was flushed the vendor makes nevertheless, and then says
that this was all (``isFinal``), which it says of closed contexts alone. What still comes of a text that is not wanted
any further is passed over. Until the vendor says that it was all, a context counts among the few that it allows.

Source: elevenlabs 2.78.0 (its types), and what others found who tried it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from media.audio import MULAW_8K
from pipelines.base64_sound import decode
from pipelines.parts import SpeechAudio, SpeechEvent
from pipelines.providers.elevenlabs_wire import bare, fault_of, kind_of
from pipelines.providers.speaking import Broken, Finished, Said, SpeakingEvent
from pipelines.providers.wire import Failed, Malformed, parse, text
from pipelines.providers.word_times import WordTimes, is_time

MOST_CONTEXTS = 5
"""On one socket, by the vendor's rule."""

INACTIVITY_SECONDS = 180
"""The most that the vendor allows; otherwise it closes a socket after 20 s."""

# The models that are told a language, and those that they know: any other would be refused. The rest hear it from the
# text. Source: the vendor's models page, as of 2026.
_TOLD = frozenset({"eleven_flash_v2_5", "eleven_turbo_v2_5"})
_LANGUAGES = frozenset(
    "ar bg cs da de el en es fi fil fr hi hr hu id it ja ko ms nl no pl pt ro ru sk sv ta tr uk vi zh".split()  # noqa: SIM905
)


@dataclass(slots=True, eq=False)
class _Context:
    words: WordTimes
    sound: int = 0  # bytes of it that came
    wanted: bool = True

    @property
    def seconds(self) -> float:
        return self.sound / MULAW_8K.bytes_per_second


class ContextProtocol:
    """See :class:`pipelines.providers.speaking.SpeakingProtocol`. Its settings are the voice's, none of them needed:
    ``stability`` and so on. ``language`` is a tag, or nothing."""

    room = MOST_CONTEXTS
    goodbye: str | None = '{"close_socket":true}'

    def __init__(self, voice: str, model: str, language: str) -> None:
        self.path = f"/v1/text-to-speech/{quote(voice, safe='')}/multi-stream-input"
        self._model, self._language = model, bare(language)
        self._contexts: dict[str, _Context] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._contexts)

    def query(self) -> list[tuple[str, str]]:
        told = self._model in _TOLD and self._language in _LANGUAGES
        return [
            ("model_id", self._model),
            ("output_format", "ulaw_8000"),
            *([("language_code", self._language)] if told else []),
            ("auto_mode", "true"),  # phrases come whole: there is no more text to wait for
            ("sync_alignment", "true"),
            ("inactivity_timeout", str(INACTIVITY_SECONDS)),
        ]

    def begin(self, text: str, settings: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
        self._number += 1
        name = f"phrase-{self._number}"
        self._contexts[name] = _Context(WordTimes(text))
        first = {"text": " ", "context_id": name}
        return name, (
            json.dumps({**first, "voice_settings": dict(settings)} if settings else first),
            json.dumps({"text": f"{' '.join(text.split())} ", "context_id": name, "flush": True}),
            json.dumps({"context_id": name, "close_context": True}),
        )

    def leave(self, phrase: str, heard: float) -> Sequence[str]:
        """Its context is closed: there is nothing more to be said about it."""
        self._contexts[phrase].wanted = False
        return ()

    def forget(self, phrase: str) -> None:
        self._contexts.pop(phrase, None)

    def holds(self, phrase: str) -> bool:
        return phrase in self._contexts

    def receive(self, message: str | bytes) -> Sequence[SpeakingEvent]:
        data = parse(message, kind=None)
        # Both spellings of each name are in use.
        name = data.get("contextId") or data.get("context_id")
        context = self._contexts.get(name) if isinstance(name, str) else None
        if isinstance(data.get("error"), str) and data["error"]:
            return self._failed(data, name if context is not None else None)
        if context is None or not isinstance(name, str):
            return ()  # it is over, or this is about none
        events = self._said(name, context, data) if context.wanted else []
        if data.get("isFinal") is True or data.get("is_final") is True:
            del self._contexts[name]
            if context.wanted:
                events.append(Finished(name, context.words.rest(context.seconds)))
        return events

    def _said(self, name: str, context: _Context, data: Mapping[str, Any]) -> list[SpeakingEvent]:
        try:
            sound = _sound(data)
        except Malformed as error:
            return [Broken(name, Failed("protocol", f"it sent {error}"))]
        parts: list[SpeechEvent] = [*context.words.hear(list(_words(data, context.seconds)))]
        if sound:
            context.sound += len(sound)
            parts.append(SpeechAudio(sound))
        return [Said(name, parts)] if parts else []

    def _failed(self, data: Mapping[str, Any], name: str | None) -> Sequence[SpeakingEvent]:
        code = data["error"]
        why = Failed(kind_of(code), code) if " " in code else fault_of(code, data)
        if name is None:
            return (why,)
        return (Broken(name, why),) if self._contexts.pop(name).wanted else ()


def _sound(data: Mapping[str, Any]) -> bytes:
    if data.get("audio") is None:
        return b""
    try:
        return decode(text(data, "audio"))
    except (Malformed, ValueError):
        raise Malformed("sound that is not in base64") from None


def _words(data: Mapping[str, Any], before: float) -> Iterator[tuple[str, float, float]]:
    """The words, or parts of them, in a piece of sound that begins ``before`` seconds after the text did, each with
    where it begins and ends in the text.

    The vendor tells of the text as it was given (``alignment``), whose words were to be said, and as it is read aloud,
    with numbers spelled out.
    """
    timed = _characters(data.get("alignment")) or _characters(data.get("normalizedAlignment"))
    if not timed:
        return
    # By its documentation the vendor counts from where the piece begins; it was also seen to count from where the text
    # begins. What comes in the middle of a text tells which it is.
    base = before if timed[0][1] < before / 2 else 0.0
    word, start, end = "", 0.0, 0.0
    for characters, at, seconds in [*timed, (" ", 0.0, 0.0)]:
        for character in characters:
            if not character.isspace():
                word, start, end = word + character, start if word else base + at, base + at + seconds
            elif word:
                yield word, start, end
                word = ""


def _characters(told: object) -> list[tuple[str, float, float]]:
    """Characters with where each begins and how long it lasts, in seconds; nothing if that is not what it is."""
    if not isinstance(told, dict):
        return []
    starts = told.get("charStartTimesMs", told.get("charsStartTimesMs"))
    durations = told.get("charDurationsMs", told.get("charsDurationsMs"))
    found = told.get("chars")
    if not (isinstance(found, list) and isinstance(starts, list) and isinstance(durations, list)):
        return []
    if not len(found) == len(starts) == len(durations):
        return []
    if not all(isinstance(character, str) for character in found) or not all(map(is_time, [*starts, *durations])):
        return []
    return [(c, start / 1000, took / 1000) for c, start, took in zip(found, starts, durations, strict=True)]
