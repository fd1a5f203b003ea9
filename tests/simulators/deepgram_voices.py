"""What the simulated Deepgram says: a socket of ``/v1/speak`` (Aura), pure. Its driver lets it go on, word by word."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.simulators.deepgram_ears import LUCK, MODEL_UUID, RATE, REQUEST_ID, Heard
from tests.simulators.live_wire import Hangup, Out

WORD_SECONDS = 0.3
"""How long a voice takes for a word."""

MOST_CHARACTERS = 2000


@dataclass
class Spoken(Heard):
    """``spoken``: the phrases that were flushed."""

    spoken: list[str] = field(default_factory=list)


def voice(text: str) -> bytes:
    """``text`` as it is spoken: each word is one value, so that a test sees whose sound it is."""
    each = int(WORD_SECONDS * RATE)
    return b"".join(bytes([sum(word.encode()) % 250]) * each for word in text.split())


class AuraSession:
    """One socket of ``/v1/speak``."""

    def __init__(self, server: Spoken, query: Mapping[str, str]) -> None:
        self.server = server
        self.seconds = 0.0
        self._model = query.get("model", "")
        self._text = ""
        self._left: list[Out] = []
        self._sequence = 0

    def opened(self) -> list[Out]:
        about = {"model_name": self._model, "model_version": "2026-01-01.0", "model_uuid": MODEL_UUID}
        return [json.dumps({"type": "Metadata", "request_id": REQUEST_ID} | about)]

    def error(self) -> str:
        return json.dumps({"type": "Error", "code": "NET-0002", "description": LUCK})

    def idle(self) -> Hangup:
        return Hangup(1011, "NET-0001 nothing to say in time")

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
                if not isinstance(data.get("text"), str) or not 0 < len(data["text"]) <= MOST_CHARACTERS:
                    self.server.wrong(f"a Speak without text, or with more than {MOST_CHARACTERS} characters")
                elif self._left:
                    self.server.wrong("two phrases at once on one socket")
                self._text += str(data.get("text"))
            case "Flush":
                self.server.spoken.append(self._text)
                self._left = [voice(word) for word in self._text.split()]
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

    @property
    def speaking(self) -> bool:
        return bool(self._left)

    def go_on(self) -> list[Out]:
        out = self._left.pop(0)
        if isinstance(out, bytes):
            self.seconds += len(out) / RATE
        return [out]

    def _mark(self, kind: str) -> str:
        self._sequence += 1
        return json.dumps({"type": kind, "sequence_id": self._sequence - 1})
