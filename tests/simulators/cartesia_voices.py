"""What the simulated Cartesia says: a socket of ``/tts/websocket``, pure.

It speaks: each word is a sound of its own (:mod:`tests.simulators.codeword`), in pieces that do not end where words do,
and tells where each word is. Contexts take turns. Its driver lets it go on, piece by piece.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from media.audio import MULAW_8K
from media.g711 import pcm_to_mulaw
from tests.simulators.codeword import WORD_FRAMES, Code, mulaw_code, plain, speak
from tests.simulators.live_wire import ANY, Hangup, Out, wrong

KEY = "simulated-cartesia-key"
RATE = MULAW_8K.bytes_per_second
WORD_SECONDS = WORD_FRAMES / 50
PIECE_BYTES = 160 * 11
"""In one message: 220 ms, so that pieces and words end at different places."""

LONGEST = 5000
"""Milliseconds that a request may ask it to wait for more text."""

_REQUEST = {
    "context_id!": str,
    "model_id!": str,
    "transcript!": str,
    "voice!": {"mode!": {"id"}, "id!": str},
    "output_format!": {"container!": {"raw"}, "encoding!": {"pcm_mulaw"}, "sample_rate!": {8000}},
    "language": str,
    "continue": bool,
    "flush": bool,
    "add_timestamps": bool,
    "add_phoneme_timestamps": bool,
    "use_normalized_timestamps": bool,
    "max_buffer_delay_ms": int,
    "pronunciation_dict_id": str,
    "generation_config": {"speed": (int, float), "volume": (int, float), "emotion": str},
    "speed": ANY,
}
_CANCEL = {"context_id!": str, "cancel!": {True}}
_READ_AS = {"2": "two", "5": "five", "10": "ten", "$20": "twenty dollars", "dr": "doctor"}


@dataclass
class Spoken:
    """How this vendor speaks today: each of these is a way that it may have."""

    spoken: list[str] = field(default_factory=list)
    """The texts that were begun to be spoken."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    """The contexts that were cancelled before all of their sound was sent."""
    mistakes: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    """Of all contexts: none is used twice."""
    code: Code = field(default_factory=mulaw_code)
    most_contexts: int = 1000
    """At a time, over all sockets: one more is an error."""
    active: int = 0
    late_pieces: int = 0
    """What still comes of a context after it was cancelled."""
    marks: bool = False
    """Words are timed with the marks that they have in the text."""
    timed: Literal["before", "after", "never"] = "before"
    """Where words are told of: with the sound that they begin in, after all of the sound, or not at all."""

    def wrong(self, what: str) -> None:
        self.mistakes.append(what)

    def voice(self, text: str) -> bytes:
        return pcm_to_mulaw(speak(text, code=self.code))


@dataclass(slots=True, eq=False)
class _Context:
    name: str
    outs: deque[dict[str, Any]]


class CartesiaSession:
    """One socket."""

    def __init__(self, server: Spoken, query: Mapping[str, str]) -> None:
        self.server = server
        self.seconds = 0.0
        self._contexts: deque[_Context] = deque()  # that next speaks first

    def opened(self) -> list[Out]:
        return []

    def receive(self, message: str | bytes) -> list[Out]:
        server = self.server
        try:
            data = json.loads(message)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            server.wrong(f"the message {message[:60]!r} is no object")
            return [json.dumps(_error(400, "invalid_request", "Invalid request", "It is no JSON object."))]
        if "cancel" in data:
            server.mistakes += wrong(data, _CANCEL, "cancel")
            return self._cancel(str(data.get("context_id")))
        return self._generate(data)

    def error(self) -> str:
        return json.dumps(_error(500, None, "Internal error", f"no luck, {KEY}"))

    def idle(self) -> Hangup:
        return Hangup(1000, "idle for too long")

    def ends_phrase(self, out: Out) -> bool:
        return isinstance(out, str) and '"type": "done"' in out

    def answers_break(self, out: Out) -> bool:
        return False

    @property
    def speaking(self) -> bool:
        return bool(self._contexts)

    def go_on(self) -> list[Out]:
        context = self._contexts.popleft()
        outs: list[Out] = []
        while context.outs:
            out = context.outs.popleft()
            outs.append(json.dumps(out))
            if out["type"] == "chunk":
                self.seconds += PIECE_BYTES / RATE
                break
        if context.outs:
            self._contexts.append(context)
        else:
            self.server.active -= 1
        return outs

    def gone(self) -> None:
        """What was to be said over it is not said."""
        self.server.active -= len(self._contexts)
        self._contexts.clear()

    def _generate(self, data: dict[str, Any]) -> list[Out]:
        server = self.server
        mistakes = list(wrong(data, _REQUEST, "request"))
        name, delay = data.get("context_id"), data.get("max_buffer_delay_ms", 0)
        if not mistakes and not 0 <= delay <= LONGEST:
            mistakes.append(f"max_buffer_delay_ms is {delay}")
        if not mistakes and not any(map(str.isalnum, data["transcript"])):
            mistakes.append("there is nothing to say in the transcript")
        if name in server.names:
            mistakes.append(f"the context {name} is used twice")
        if mistakes:
            server.mistakes += mistakes
            return [json.dumps(_error(400, "invalid_request", "Invalid request", mistakes[0], name))]
        assert isinstance(name, str)
        server.names.add(name)
        server.requests.append(data)
        if server.active >= server.most_contexts:
            return [json.dumps(_error(429, "concurrency_limited", "Too many concurrent requests", "Wait.", name))]
        server.active += 1
        server.spoken.append(data["transcript"])
        self._contexts.append(_Context(name, deque(self._speech(name, data))))
        return []

    def _cancel(self, name: str) -> list[Out]:
        context = next((context for context in self._contexts if context.name == name), None)
        if context is None:
            return []  # it has said all, and the two have crossed
        self.server.cancelled.append(name)
        late = [out for out in context.outs if out["type"] != "done"][: self.server.late_pieces]
        context.outs = deque(late)
        if not late:
            self._contexts.remove(context)
            self.server.active -= 1
        return []

    def _speech(self, name: str, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """All that is said of a request, in its order."""
        text, server = data["transcript"], self.server
        words = list(_timed(text, normalized=data.get("use_normalized_timestamps") is True, marks=server.marks))
        voice = server.voice(text)
        asked = data.get("add_timestamps") is True and server.timed != "never"
        told = 0
        for at in range(0, len(voice), PIECE_BYTES):
            until = (at + PIECE_BYTES) / RATE
            begun = sum(start < until for _, start, _ in words)
            if asked and server.timed == "before" and begun > told:
                yield _told(name, words[told:begun])
                told = begun
            sound = b64encode(voice[at : at + PIECE_BYTES]).decode()
            yield {"type": "chunk", "data": sound, "step_time": 12.5} | _of(name)
        if asked and told < len(words):
            yield _told(name, words[told:])
        yield {"type": "flush_done", "flush_done": True, "flush_id": 1} | _of(name)
        yield {"type": "done"} | _of(name, done=True)


def _timed(text: str, *, normalized: bool, marks: bool) -> Iterator[tuple[str, float, float]]:
    """Each word of the text with where it sounds; one that is read as several shares its time among them."""
    at = 0.0
    for word in text.split():
        if not plain(word):
            continue
        written = word if marks else plain(word)
        read = _READ_AS.get(plain(word), written).split() if normalized else [written]
        for number, one in enumerate(read):
            each = WORD_SECONDS / len(read)
            yield one, round(at + number * each, 3), round(at + (number + 1) * each, 3)
        at += WORD_SECONDS


def _told(name: str, words: list[tuple[str, float, float]]) -> dict[str, Any]:
    told = {"words": [w for w, _, _ in words], "start": [s for _, s, _ in words], "end": [e for _, _, e in words]}
    return {"type": "timestamps", "word_timestamps": told} | _of(name)


def _of(name: str, *, done: bool = False) -> dict[str, Any]:
    return {"context_id": name, "done": done, "status_code": 200 if done else 206}


def _error(status: int, code: str | None, title: str, message: str, name: Any = None) -> dict[str, Any]:
    request = "550e8400-e29b-41d4-a716-446655440000"
    found = {"type": "error", "done": True, "status_code": status, "error_code": code, "title": title}
    found |= {"message": message, "request_id": request}
    return found | ({"context_id": name} if isinstance(name, str) else {})
