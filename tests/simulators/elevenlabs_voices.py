"""What the simulated ElevenLabs says: sockets of ``…/multi-stream-input`` and ``…/stream-input``, pure.

It speaks: each word is a sound of its own (:mod:`tests.simulators.codeword`), in pieces that do not end where words do,
with where each character is. A socket's driver lets it speak on by ``go_on``, piece by piece.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from media.g711 import pcm_to_mulaw
from tests.simulators.codeword import WORD_FRAMES, plain_words, speak
from tests.simulators.elevenlabs_ears import KEY, RATE, ElevenLabsSession, Heard
from tests.simulators.live_wire import Hangup, Out

WORD_MS = WORD_FRAMES * 20
PIECE_BYTES = 160 * 11
"""In one message: 220 ms, so that pieces and words end at different places."""
MOST_CONTEXTS = 5

_FIRST_ONLY = ("voice_settings", "generation_config", "pronunciation_dictionary_locators")
_SETTINGS = {"stability", "similarity_boost", "style", "use_speaker_boost", "speed"}
_NUMBERS = {"2": "two", "5": "five", "10": "ten"}


@dataclass
class Spoken(Heard):
    """How this vendor speaks today: each of these is a way that it was seen to have, or is allowed."""

    spoken: list[str] = field(default_factory=list)
    """The texts that were begun to be spoken."""
    refuses: dict[str, str] = field(default_factory=dict)
    """Texts of which no sound is made, each with the error that says so."""
    counts_from: Literal["piece", "text"] = "piece"
    """Where the times of characters begin."""
    plural: bool = False
    """The keys of times are in the plural."""
    gaps: bool = True
    """A piece that ends with a word has the gap after it."""
    aligned: Literal["both", "normalized", "none"] = "both"
    snake: bool = False
    """The names of fields are in snake case."""
    final: bool = True
    """A closed context is said to be final."""

    def voice(self, text: str) -> bytes:
        return pcm_to_mulaw(speak(text, code=self.code))


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of a text's sound, and which characters begin in it: each with where, and how long it lasts, in ms."""

    sound: bytes
    start: int
    given: Sequence[tuple[str, int, int]]
    normalized: Sequence[tuple[str, int, int]]


def pieces(text: str, voice: bytes) -> Iterator[Piece]:
    given, normalized = list(_characters(text, {})), list(_characters(text, _NUMBERS))
    for at in range(0, len(voice), PIECE_BYTES):
        start, end = at * 1000 // RATE, min(at + PIECE_BYTES, len(voice)) * 1000 // RATE
        last = at + PIECE_BYTES >= len(voice)
        yield Piece(
            voice[at : at + PIECE_BYTES],
            start,
            [c for c in given if start <= c[1] and (c[1] < end or last)],
            [c for c in normalized if start <= c[1] and (c[1] < end or last)],
        )


def _characters(text: str, written: Mapping[str, str]) -> Iterator[tuple[str, int, int]]:
    """Each word lasts as long as any other, and its letters share it; a mark alone, or a gap, has no time."""
    at = 0
    for number, word in enumerate(text.split()):
        if number:
            yield " ", at, 0
        said = written.get(word, word)
        lasts = WORD_MS if plain_words(word) else 0
        for index, character in enumerate(said):
            start, end = at + lasts * index // len(said), at + lasts * (index + 1) // len(said)
            yield character, start, end - start
        at += lasts
    yield " ", at, 0


@dataclass
class _Context:
    text: str = ""
    left: list[Piece] = field(default_factory=list)
    closed: bool = False


class _Mouth(ElevenLabsSession):
    def __init__(self, server: Spoken, query: Mapping[str, str]) -> None:
        self.server = server
        self._seconds = 0.0

    @property
    def seconds(self) -> float:
        return self._seconds


class MultiContextSession(_Mouth):
    """One socket of ``…/multi-stream-input``. Its contexts take turns; one that is closed says what was flushed."""

    def __init__(self, server: Spoken, query: Mapping[str, str]) -> None:
        super().__init__(server, query)
        self._contexts: dict[str, _Context] = {}
        self._failed: set[str] = set()
        self._turn = 0

    def receive(self, message: str | bytes) -> list[Out]:
        data = _read(message)
        if data is None:
            return self._refuse("invalid_message", f"the message {message[:60]!r} is no JSON object")
        self.server.sent.append(data)
        if data.get("close_socket") is True:
            return [Hangup(1000)]
        name = data.get("context_id")
        if not isinstance(name, str):
            return self._refuse("invalid_message", "there is no context_id")
        unknown = set(data) - {"text", "context_id", "flush", "close_context", *_FIRST_ONLY}
        if unknown:
            return self._refuse("invalid_message", f"there is no field {', '.join(sorted(unknown))}")
        if name in self._failed:
            return []
        context = self._contexts.get(name)
        if context is None:
            return self._begin(name, data)
        if any(field in data for field in _FIRST_ONLY):
            return self._refuse("invalid_message", "settings are in a later message of a context")
        if context.closed:
            return self._refuse("invalid_message", f"{name} is closed")
        if data.get("close_context") is True:
            return self._close(name, context)
        return self._add(name, context, data)

    @property
    def speaking(self) -> bool:
        return any(context.left for context in self._contexts.values())

    def go_on(self) -> list[Out]:
        """The next piece of the next context that has one."""
        names = [name for name, context in self._contexts.items() if context.left]
        self._turn += 1
        name = names[self._turn % len(names)]
        context = self._contexts[name]
        piece = context.left.pop(0)
        self._seconds += len(piece.sound) / RATE
        outs: list[Out] = [self._sound(name, piece)]
        if context.closed and not context.left:
            outs += self._finish(name)
        return outs

    def _begin(self, name: str, data: dict[str, Any]) -> list[Out]:
        if data.get("close_context") is True or "flush" in data:
            return self._refuse("invalid_message", f"{name} is closed or flushed, and was never begun")
        if data.get("text") != " ":
            return self._refuse("invalid_message", f"{name} begins with {data.get('text')!r}")
        if set(data.get("voice_settings") or {}) - _SETTINGS:
            return self._refuse("invalid_message", "there are no such voice_settings")
        if len(self._contexts) >= MOST_CONTEXTS:
            sentence = "Maximum simultaneous contexts per WebSocket connection exceeded (5)."
            return self._refuse("max_active_conversations", sentence)
        self._contexts[name] = _Context()
        return []

    def _add(self, name: str, context: _Context, data: dict[str, Any]) -> list[Out]:
        text = data.get("text", "")
        if not isinstance(text, str) or (text and (not text.endswith(" ") or text.endswith("  "))):
            return self._refuse("invalid_message", f"the text {text!r} does not end with one space")
        context.text += text
        if data.get("flush") is True and context.text.strip():
            spoken, context.text = context.text.strip(), ""
            self.server.spoken.append(spoken)
            if spoken in self.server.refuses:
                return self._fail(name, self.server.refuses[spoken])
            context.left += pieces(spoken, self.server.voice(spoken))
        return []

    def _close(self, name: str, context: _Context) -> list[Out]:
        context.closed = True
        return [] if context.left else self._finish(name)

    def _finish(self, name: str) -> list[Out]:
        if not self.server.final:
            return []
        del self._contexts[name]
        fields = {"is_final": True, "context_id": name} if self.server.snake else {"isFinal": True, "contextId": name}
        return [json.dumps(fields)]

    def _sound(self, name: str, piece: Piece) -> str:
        return json.dumps(
            {
                "audio": b64encode(piece.sound).decode(),
                "normalizedAlignment": self._alignment(piece, piece.normalized) if self._tells("normalized") else None,
                "alignment": self._alignment(piece, piece.given) if self._tells("both") else None,
                "context_id" if self.server.snake else "contextId": name,
            }
        )

    def _tells(self, what: str) -> bool:
        return self.server.aligned in ("both", what)

    def _alignment(self, piece: Piece, characters: Sequence[tuple[str, int, int]]) -> dict[str, Any]:
        base = piece.start if self.server.counts_from == "piece" else 0
        kept = list(characters)
        while not self.server.gaps and kept and kept[-1][0] == " ":
            kept.pop()
        s = "s" if self.server.plural else ""
        return {
            "chars": [character for character, _, _ in kept],
            f"char{s}StartTimesMs": [start - base for _, start, _ in kept],
            f"char{s}DurationsMs": [lasts for _, _, lasts in kept],
        }

    def _fail(self, name: str, code: str) -> list[Out]:
        self._failed.add(name)
        del self._contexts[name]
        return [json.dumps({"message": f"No luck, {KEY}.", "error": code, "code": 1008, "contextId": name})]

    def _refuse(self, code: str, sentence: str) -> list[Out]:
        self.server.wrong(sentence)
        return [json.dumps({"message": sentence, "error": code, "code": 1008}), Hangup(1008, code)]


class StreamInputSession(_Mouth):
    """One socket of ``…/stream-input``: one text, as the vendor's SDK sends it."""

    def __init__(self, server: Spoken, query: Mapping[str, str]) -> None:
        super().__init__(server, query)
        self._begun = self._ended = False
        self._text = ""
        self._left: list[Piece] = []

    def receive(self, message: str | bytes) -> list[Out]:
        data = _read(message)
        allowed = {"text", "try_trigger_generation", "flush"} | (set() if self._begun else set(_FIRST_ONLY))
        if data is None or set(data) - allowed or not isinstance(data.get("text"), str) or self._ended:
            self.server.wrong(f"the message {message[:60]!r} is none of the wire's")
            return [json.dumps({"message": "No.", "error": "invalid_message", "code": 1008}), Hangup(1008)]
        if not self._begun:
            self._begun = True
            if data["text"] != " ":
                self.server.wrong(f"the text begins with {data['text']!r}")
            return []
        self._ended = data["text"] == ""
        self._text += data["text"]
        if self._ended:
            text = self._text.strip()
            self.server.spoken.append(text)
            self._left = list(pieces(text, self.server.voice(text)))
        return []

    @property
    def speaking(self) -> bool:
        return bool(self._left)

    def go_on(self) -> list[Out]:
        piece = self._left.pop(0)
        self._seconds += len(piece.sound) / RATE
        told = [
            {
                "chars": [c for c, _, _ in characters],
                "charStartTimesMs": [start - piece.start for _, start, _ in characters],
                "charDurationsMs": [lasts for _, _, lasts in characters],
            }
            for characters in (piece.normalized, piece.given)
        ]
        audio = b64encode(piece.sound).decode()
        outs: list[Out] = [
            json.dumps({"audio": audio, "isFinal": None, "normalizedAlignment": told[0], "alignment": told[1]})
        ]
        if not self._left:
            outs += [json.dumps({"isFinal": True}), Hangup(1000)]
        return outs


def _read(message: str | bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(message) if isinstance(message, str) else None
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
