"""What the simulated ElevenLabs hears: a session of ``/v1/speech-to-text/realtime`` (Scribe), pure.

It listens: what was said is read from the sound (:mod:`tests.simulators.codeword`), and time is the sound's.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from media.audio import MULAW_8K
from media.g711 import mulaw_to_pcm
from tests.simulators.codeword import Code, HeardWord, mulaw_code, read
from tests.simulators.live_wire import Hangup, Out

KEY = "simulated-elevenlabs-key"
RATE = MULAW_8K.bytes_per_second
LEAST_COMMIT = 0.3
WORKS_AFTER = 2.0
"""Nothing is transcribed before so much sound has come, a commit included. (Documented; what it does with a commit is a
guess.)"""
OWN_COMMIT = 90.0
PARTIAL_SECONDS = 0.4
_FIELDS = {"message_type", "audio_base_64", "commit", "sample_rate"}


@dataclass
class Heard:
    """What was sent and should not have been is in ``mistakes``."""

    code: Code = field(default_factory=mulaw_code)
    """How what is said sounds."""
    mistakes: list[str] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    """The messages."""
    sound: list[bytearray] = field(default_factory=list)
    """Of each session."""
    commits: list[float] = field(default_factory=list)
    """How much sound each commit ended, in seconds."""
    messages: int = 0
    """That brought sound."""
    throttles: int = 0
    """So many commits are passed over."""
    spellings: dict[str, str] = field(default_factory=dict)
    """How words are written that are not written as they are spoken."""
    limit_seconds: float = 3600.0
    """The longest session, in seconds of sound."""

    def wrong(self, what: str) -> None:
        self.mistakes.append(what)


class ElevenLabsSession:
    """What all of its sockets have in common."""

    error_name = "error"

    def idle(self) -> Hangup:
        return Hangup(1008, "input_timeout_exceeded")

    def answers_break(self, out: Out) -> bool:
        return False

    def ends_phrase(self, out: Out) -> bool:
        return isinstance(out, str) and "isFinal" in out

    def error(self) -> str:
        return json.dumps({"message": f"No luck, {KEY}.", "error": self.error_name, "code": 1008})

    @property
    def seconds(self) -> float:
        raise NotImplementedError

    def opened(self) -> list[Out]:
        return []

    def receive(self, message: str | bytes) -> list[Out]:
        raise NotImplementedError


class ScribeSession(ElevenLabsSession):
    """One socket."""

    def __init__(self, server: Heard, query: Mapping[str, str]) -> None:
        self.server = server
        self._query = query
        self._timed = self._query.get("include_timestamps") == "true"
        self.sound = bytearray()
        server.sound.append(self.sound)
        self._committed = 0
        self._told, self._partial = 0, ""
        self._waiting: deque[tuple[int, int]] = deque()  # what was committed before it works
        self._over = False

    @property
    def seconds(self) -> float:
        return len(self.sound) / RATE

    def opened(self) -> list[Out]:
        config = {
            "sample_rate": 8000,
            "audio_format": self._query["audio_format"],
            "language_code": self._query.get("language_code", ""),
            "model_id": self._query["model_id"],
            "commit_strategy": self._query.get("commit_strategy", "manual"),
        }
        return [_message("session_started", session_id="0b0a72b57fd743ebbed6555d44836cf2", config=config)]

    def receive(self, message: str | bytes) -> list[Out]:
        data = self._read(message)
        if data is None:
            return [_message("input_error", error="This is no input_audio_chunk."), Hangup(1008, "input_error")]
        sound = b64decode(data["audio_base_64"])
        if len(sound) > RATE:
            self.server.wrong(f"{len(sound)} bytes of sound in one message")
            return [_message("chunk_size_exceeded", error="The chunk is too large."), Hangup(1009)]
        self.server.messages += bool(sound)
        self.sound += sound
        if self.seconds > self.server.limit_seconds:
            return [_message("session_time_limit_exceeded", error="The session is too long."), Hangup(1008)]
        outs = self._commit() if data["commit"] else self._suppose()
        if len(self.sound) - self._committed >= OWN_COMMIT * RATE:
            outs += self._answer(self._take())
        return outs

    def error(self) -> str:
        return _message(self.error_name, error=f"No luck, {KEY}.")

    def _read(self, message: str | bytes) -> dict[str, Any] | None:
        try:
            data = json.loads(message) if isinstance(message, str) else None
        except ValueError:
            data = None
        if not isinstance(data, dict) or data.get("message_type") != "input_audio_chunk":
            self.server.wrong(f"the message {message[:60]!r} is no input_audio_chunk")
            return None
        previous = data.get("previous_text")
        if previous is not None and self.sound:
            self.server.wrong("previous_text came after the first chunk")
        if set(data) - {"previous_text"} != _FIELDS or not isinstance(data["commit"], bool):
            self.server.wrong(f"input_audio_chunk has the fields {', '.join(data)}")
            return None
        if data["sample_rate"] != 8000:
            self.server.wrong(f"sample_rate is {data['sample_rate']!r}")
        self.server.sent.append(data)
        return data

    def _commit(self) -> list[Out]:
        uncommitted = (len(self.sound) - self._committed) / RATE
        if uncommitted < LEAST_COMMIT:
            self.server.wrong(f"a commit of {uncommitted:.2f} s of sound")
            error = f"Commit request ignored: only {uncommitted:.2f}s of uncommitted audio. You need at least 0.3s."
            return [_message("commit_throttled", error=error), Hangup(1008, "commit_throttled")]
        if self.server.throttles:
            self.server.throttles -= 1
            return [_message("commit_throttled", error="Commit request ignored: too many of them.")]
        self.server.commits.append(uncommitted)
        span = self._take()
        if self.seconds < WORKS_AFTER:
            self._waiting.append(span)
            return []
        return self._answer(span)

    def _take(self) -> tuple[int, int]:
        span = self._committed, len(self.sound)
        self._committed, self._partial = len(self.sound), ""
        return span

    def _suppose(self) -> list[Out]:
        outs: list[Out] = []
        if self.seconds >= WORKS_AFTER:
            while self._waiting:
                outs += self._answer(self._waiting.popleft())
            if len(self.sound) - self._told >= PARTIAL_SECONDS * RATE:
                self._told = len(self.sound)
                text = self._text(self._words(self._committed, len(self.sound)))
                if text != self._partial:
                    self._partial = text
                    outs.append(_message("partial_transcript", text=text))
        return outs

    def _answer(self, span: tuple[int, int]) -> list[Out]:
        words = self._words(*span)
        outs: list[Out] = [_message("committed_transcript", text=self._text(words))]
        if self._timed:
            outs.append(
                _message(
                    "committed_transcript_with_timestamps",
                    text=self._text(words),
                    language_code=self._query.get("language_code", "en"),
                    words=list(self._timings(words, span[0] / RATE)),
                )
            )
        return outs

    def _words(self, start: int, end: int) -> list[HeardWord]:
        """Those of which enough is in that part of the sound to know them."""
        pcm = mulaw_to_pcm(bytes(self.sound[start:end]))
        return [word for word in read(pcm, code=self.server.code) if word.frames >= 8]

    def _text(self, words: Sequence[HeardWord]) -> str:
        text = " ".join(self.server.spellings.get(word.word, word.word) for word in words)
        return f"{text[0].upper()}{text[1:]}." if text else ""

    def _timings(self, words: Sequence[HeardWord], origin: float) -> list[Mapping[str, Any]]:
        timings: list[Mapping[str, Any]] = []
        for word in words:
            end = origin + word.end / 50
            start = end - word.frames / 50
            if timings:
                timings.append({"text": " ", "start": timings[-1]["end"], "end": start, "type": "spacing"})
            timings.append({"text": word.word, "start": start, "end": end, "type": "word", "logprob": -0.1})
        return timings


def _message(kind: str, **fields: Any) -> str:
    return json.dumps({"message_type": kind} | fields)
