"""What the simulated Deepgram says: a socket of ``/v1/speak`` (Aura) and one of ``/v2/speak`` (Flux), pure. Their
driver lets them go on, word by word."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal

from media.g711 import pcm_to_mulaw
from tests.simulators.codeword import Code, speak
from tests.simulators.deepgram_ears import LUCK, MODEL_UUID, RATE, REQUEST_ID, Heard
from tests.simulators.live_wire import Hangup, Out

WORD_SECONDS = 0.3
"""How long a voice takes for a word."""

MOST_CHARACTERS = 2000


MOST_FLUSHES, FLUSHES_SECONDS = 20, 60.0
"""Aura listens to so many in so long a time."""


@dataclass
class Spoken(Heard):
    """``spoken``: the phrases that were flushed."""

    spoken: list[str] = field(default_factory=list)
    interrupted: list[tuple[str | None, int]] = field(default_factory=list)
    """What Flux holds for heard of the phrases that were interrupted, and to which ms of the session that is."""
    late_words: int = 0
    """Of Flux, still on their way after an Interrupt."""
    refuses: list[str] = field(default_factory=list)
    """Warnings that Flux answers the next Interrupts with."""
    after_the_end: Literal["interrupted", "warning", "nothing"] = "interrupted"
    """How Flux answers an Interrupt of a turn whose sound was all made."""
    code: Code | None = None
    """Voices speak it, so that the ear can be read."""
    clock: Callable[[], float] = monotonic

    def voice(self, text: str) -> bytes:
        return voice(text) if self.code is None else pcm_to_mulaw(speak(text, code=self.code))


def voice(text: str) -> bytes:
    """``text`` as it is spoken: each word is one value, so that a test sees whose sound it is."""
    each = int(WORD_SECONDS * RATE)
    return b"".join(bytes([sum(word.encode()) % 250]) * each for word in text.split())


class _Mouth:
    """What both have in common."""

    def __init__(self, server: Spoken, query: Mapping[str, str]) -> None:
        self.server = server
        self.seconds = 0.0
        self._model = query.get("model", "")
        self._left: list[Out] = []

    def idle(self) -> Hangup:
        return Hangup(1011, "NET-0004 nothing to say in time")

    def error(self) -> str:
        return json.dumps({"type": "Error", "code": "NET-0002", "description": LUCK})

    @property
    def speaking(self) -> bool:
        return bool(self._left)

    def go_on(self) -> list[Out]:
        out = self._left.pop(0)
        if isinstance(out, bytes):
            self.seconds += len(out) / RATE
        return [out]

    def text_of(self, data: Mapping[str, Any]) -> str:
        text = data.get("text")
        if not isinstance(text, str) or not 0 < len(text) <= MOST_CHARACTERS:
            self.server.wrong(f"a Speak without text, or with more than {MOST_CHARACTERS} characters")
        return str(text)


class AuraSession(_Mouth):
    """One socket of ``/v1/speak``."""

    def __init__(self, server: Spoken, query: Mapping[str, str]) -> None:
        super().__init__(server, query)
        self._text = ""
        self._sequence = 0
        self._flushes: list[float] = []

    def opened(self) -> list[Out]:
        about = {"model_name": self._model, "model_version": "2026-01-01.0", "model_uuid": MODEL_UUID}
        return [json.dumps({"type": "Metadata", "request_id": REQUEST_ID} | about)]

    def ends_phrase(self, out: Out) -> bool:
        return isinstance(out, str) and '"Flushed"' in out

    def answers_break(self, out: Out) -> bool:
        return isinstance(out, str) and '"Cleared"' in out

    def receive(self, message: str | bytes) -> list[Out]:
        if isinstance(message, bytes):
            self.server.wrong("sound was sent to a voice")
            return []
        data = self.server.read(message, {"Speak": ("text",), "Flush": (), "Clear": (), "Close": ()})
        match data["type"]:
            case "Speak":
                if self._left:
                    self.server.wrong("two phrases at once on one socket")
                self._text += self.text_of(data)
            case "Flush":
                now = self.server.clock()
                self._flushes = [at for at in self._flushes if now - at < FLUSHES_SECONDS]
                if len(self._flushes) >= MOST_FLUSHES:
                    self.server.wrong("too many Flushes")
                    return [json.dumps({"type": "Warning", "code": "EXCESSIVE_FLUSH", "description": "Wait."})]
                self._flushes.append(now)
                self.server.spoken.append(self._text)
                self._left = [self.server.voice(word) for word in self._text.split()]
                self._left.append(self._mark("Flushed"))
                self._text = ""
            case "Clear":
                under_way: list[Out] = [out for out in self._left[:1] if isinstance(out, bytes)]
                self._left, self._text = [], ""
                return [*under_way, self._mark("Cleared")]
            case "Close":
                return [Hangup(1000)]
            case _:
                pass
        return []

    def _mark(self, kind: str) -> str:
        self._sequence += 1
        return json.dumps({"type": kind, "sequence_id": self._sequence - 1})


class FluxVoiceSession(_Mouth):
    """One socket of ``/v2/speak``. Half of a turn's sound comes after ``Flushed``."""

    def __init__(self, server: Spoken, query: Mapping[str, str]) -> None:
        super().__init__(server, query)
        self._turn = 0
        self._text = ""  # of the active turn
        self._flushed = False
        self._made = 0  # words of it
        self._begins = 0  # ms of the session before it
        self._established = 0
        self._characters = 0

    def opened(self) -> list[Out]:
        about = {"request_id": REQUEST_ID, "model_name": self._model, "model_version": "2026.06.01"}
        return [json.dumps({"type": "Connected", "model_uuids": [MODEL_UUID]} | about)]

    def receive(self, message: str | bytes) -> list[Out]:
        if isinstance(message, bytes):
            self.server.wrong("sound was sent to a voice")
            return []
        data = self.server.read(
            message, {"Speak": ("text",), "Flush": (), "Interrupt": ("playback_offset?",), "Close": ()}
        )
        match data["type"]:
            case "Speak":
                return self._speak(self.text_of(data))
            case "Flush":
                return self._flush()
            case "Interrupt":
                return self._interrupt(data.get("playback_offset"))
            case "Close":
                totals = ("total_audio_duration_ms", "total_input_character_count", "total_billable_character_count")
                amounts = (self._position, self._characters, self._characters)
                total = dict(zip(totals, amounts, strict=True))
                return [json.dumps({"type": "SessionMetadata"} | total), Hangup(1000)]
            case _:
                return []

    def ends_phrase(self, out: Out) -> bool:
        return isinstance(out, str) and '"SpeechMetadata"' in out

    def answers_break(self, out: Out) -> bool:
        return isinstance(out, str) and '"SpeechInterrupted"' in out

    def go_on(self) -> list[Out]:
        [out] = super().go_on()
        if isinstance(out, bytes):
            self._made += 1
        elif "SpeechMetadata" in str(out):
            self._begins = self._position
            self._text, self._made = "", 0
        return [out]

    @property
    def _position(self) -> int:
        return self._begins + round(self._made * WORD_SECONDS * 1000)

    def _speak(self, text: str) -> list[Out]:
        if self._flushed and self._text:
            self.server.wrong("a turn is pending behind another")
        begins, self._text = not self._text, self._text + text
        self._characters += len(text)
        self._flushed = False
        if not begins:
            return []
        self._turn += 1
        return [json.dumps({"type": "SpeechStarted", "speech_id": self._speech_id})]

    def _flush(self) -> list[Out]:
        if not self._text:
            self.server.wrong("a Flush without a turn")
            return [_warning("NO_ACTIVE_SPEECH")]
        self._flushed = True
        self.server.spoken.append(self._text)
        words: list[Out] = [self.server.voice(word) for word in self._text.split()]
        half = len(words) // 2
        flushed = json.dumps({"type": "Flushed", "speech_id": self._speech_id})
        self._left = [*words[:half], flushed, *words[half:], self._metadata(len(words))]
        return []

    def _interrupt(self, place: Any) -> list[Out]:
        offset = None
        if place is not None:
            if not isinstance(place, dict) or set(place) != {"type", "value"} or place["type"] != "time_ms":
                self.server.wrong(f"a playback_offset {place!r}")
                return [json.dumps({"type": "Error", "code": "DATA-0000", "description": "no offset"}), Hangup(1008)]
            offset = place["value"]
            if not isinstance(offset, int) or not 0 < offset <= self._position:
                self.server.wrong(f"{offset!r} ms were played of {self._position}")
        if self.server.refuses:
            return [_warning(self.server.refuses.pop(0))]
        if not self._position:
            self.server.wrong("an Interrupt before there was any sound")
            return [_warning("NO_AUDIO_GENERATED")]
        if offset is not None and offset <= self._established:
            self.server.wrong(f"an Interrupt at {offset} ms, after one at {self._established}")
            return [_warning("INVALID_INTERRUPT_OFFSET")]
        if not self._text and self.server.after_the_end != "interrupted":
            return [_warning("NO_ACTIVE_SPEECH")] if self.server.after_the_end == "warning" else []
        late = [out for out in self._left if isinstance(out, bytes)][: self.server.late_words]
        self._made += len(late)
        return [*late, self._interrupted(offset)]

    def _interrupted(self, offset: int | None) -> str:
        words = self._text.split()
        played = self._position if offset is None else offset
        count = sum(1 for n in range(len(words)) if self._begins + (n + 0.6) * WORD_SECONDS * 1000 <= played)
        spoken = None if offset is None else " ".join(words[:count])
        self.server.interrupted.append((spoken, played))
        split = {} if offset is None else {"text_spoken": spoken, "text_remaining": " ".join(words[count:])}
        metadata = json.loads(self._metadata(self._made))
        del metadata["type"]
        self._left, self._text, self._made = [], "", 0
        self._begins = self._established = played
        told = {"type": "SpeechInterrupted", "audio_played_ms": played, "metadata": metadata}
        return json.dumps(told | split)

    def _metadata(self, words: int) -> str:
        return json.dumps(
            {
                "type": "SpeechMetadata",
                "speech_id": self._speech_id,
                "audio_duration_ms": round(words * WORD_SECONDS * 1000),
                "input_character_count": len(self._text),
                "billable_character_count": len(self._text),
                "controls_applied": {
                    "pronunciations_applied": 0,
                    "breaks_applied": 0,
                    "pronunciation_warnings": 0,
                },
            }
        )

    @property
    def _speech_id(self) -> str:
        return f"dg_sp_{self._turn:012x}"


def _warning(code: str) -> str:
    return json.dumps({"type": "Warning", "code": code, "description": "The request is ignored."})
