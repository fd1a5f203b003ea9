"""Deepgram's Flux voices on ``/v2/speak``: one phrase at a time, each a *turn* of the vendor's. Pure.

A phrase that is broken off is interrupted, at the place to which it was heard. The vendor counts from the beginning of
the session, over all of its turns: to the end of those that were made, and to where those that were interrupted were
heard. It says how it takes that, and a phrase counts until then.

Source: deepgram-sdk 7.17.0, and the vendor's documentation. The vendor tells what it takes to have been heard
(``text_spoken``); that is known from the call's own ledger, and sooner.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from media.audio import MULAW_8K
from pipelines.parts import SpeechAudio, SpeechUsed
from pipelines.providers.deepgram_wire import AUDIO, fault_of, pieces
from pipelines.providers.speaking import Finished, Said, Send, SpeakingEvent
from pipelines.providers.wire import Failed, Malformed, number, parse, text

MOST_CHARACTERS = 2000
"""In one ``Speak``, as of Aura: of Flux it is only known that there is a size that is too much."""

_FLUSH, _CLOSE = '{"type":"Flush"}', '{"type":"Close"}'


class FluxVoiceProtocol:
    """See :class:`pipelines.providers.speaking.SpeakingProtocol`."""

    path = "/v2/speak"
    room = 1
    goodbye: str | None = _CLOSE

    def __init__(self, voice: str) -> None:
        self._voice = voice
        self._number = 0
        self._phrase: str | None = None
        self._speech: str | None = None  # what the vendor calls it, once it has begun
        self._left_at: float | None = None  # it is not wanted any more; ms of it that were heard
        self._asked = 0  # how often it was to be interrupted
        self._sound = 0  # bytes of it that came
        self._begins = 0.0  # ms of the session before it
        self._established = 0.0  # ms at which the latest interruption was, which others have to be beyond

    def __len__(self) -> int:
        return int(self._phrase is not None)

    def query(self) -> list[tuple[str, str]]:
        return [("model", self._voice), *AUDIO]

    def begin(self, text: str, settings: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
        self._number += 1
        self._phrase = f"phrase-{self._number}"
        self._speech = self._left_at = None
        self._asked = self._sound = 0
        speak = [json.dumps({"type": "Speak", "text": piece}) for piece in pieces(text, MOST_CHARACTERS)]
        return self._phrase, (*speak, _FLUSH)

    def leave(self, phrase: str, heard: float) -> Sequence[str]:
        """What has no sound yet cannot be interrupted: it is as soon as it has."""
        self._left_at = heard * 1000
        return (self._interrupt(),) if self._sound else ()

    def forget(self, phrase: str) -> None:
        self._phrase = None

    def holds(self, phrase: str) -> bool:
        return self._phrase == phrase

    def receive(self, message: str | bytes) -> Sequence[SpeakingEvent]:
        if isinstance(message, bytes):
            return self._hear(message)
        data = parse(message)
        match data["type"]:
            case "SpeechStarted":
                if self._phrase is not None:
                    self._speech = text(data, "speech_id")
            case "SpeechMetadata":
                return self._finish(data)
            case "SpeechInterrupted":
                self._begins = self._established = number(data, "audio_played_ms")
                if self._left_at is not None:
                    self._over()
            case "Warning":
                return self._heed(text(data, "code"))
            case "Error":
                return (fault_of(data),)
            case _:
                pass  # Connected, Flushed (sound may come after it), SessionMetadata, and what may come to be
        return ()

    def _hear(self, sound: bytes) -> Sequence[SpeakingEvent]:
        if self._speech is None or self._phrase is None or not sound:
            return ()  # of a phrase that is over
        first, self._sound = not self._sound, self._sound + len(sound)
        if self._left_at is None:
            return (Said(self._phrase, (SpeechAudio(sound),)),)
        return (Send(self._interrupt()),) if first and not self._asked else ()

    def _interrupt(self, *, placed: bool = True) -> str:
        self._asked += 1
        made = self._sound * 1000 / MULAW_8K.bytes_per_second
        offset = max(self._begins + min(self._left_at or 0.0, made), self._established + 1)
        where = {"playback_offset": {"type": "time_ms", "value": round(offset)}} if placed else {}
        return json.dumps({"type": "Interrupt", **where})

    def _finish(self, data: Mapping[str, Any]) -> Sequence[SpeakingEvent]:
        """All of a turn was made. If it is not wanted any more, the answer to its interruption is yet to come."""
        if self._phrase is None or text(data, "speech_id") != self._speech:
            return ()
        self._begins += number(data, "audio_duration_ms")
        self._speech = None
        if self._left_at is not None:
            if not self._asked:
                self._over()
            return ()
        phrase = self._phrase
        self._over()
        try:
            used = (SpeechUsed({"characters": number(data, "billable_character_count")}),)
        except Malformed:
            return (Finished(phrase),)
        return (Finished(phrase, used),)

    def _heed(self, code: str) -> Sequence[SpeakingEvent]:
        """A warning that an interruption was not heeded. One that is under way still is left to be answered."""
        if self._left_at is None or not self._asked:
            return ()
        match code:
            case "NO_AUDIO_GENERATED":
                self._asked = self._sound = 0  # again, once there is sound
            case "INVALID_INTERRUPT_OFFSET" if self._asked == 1:
                return (Send(self._interrupt(placed=False)),)
            case "INVALID_INTERRUPT_OFFSET":
                return (Failed("protocol", "it cannot be interrupted"),)
            case "NO_ACTIVE_SPEECH":
                self._over()
            case _:
                pass
        return ()

    def _over(self) -> None:
        self._phrase = self._speech = self._left_at = None
