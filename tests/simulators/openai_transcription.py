"""A simulated ``/v1/realtime?intent=transcription`` on loopback: OpenAI's transcription sessions.

Strict about queries, settings and messages: what was sent and should not have been is noted in ``mistakes``, and
refused as the vendor does. It hears exactly: a word is 300 ms of one byte of mu-law (see :func:`spoken`), and what it
transcribes is what was committed, so that a test sees whether a word was lost or heard twice. Sessions are pure; time
is the sound's.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import WSMsgType, web

from media.audio import MULAW_8K
from tests.simulators.live_wire import GARBAGE, HUGE_BYTES, Hangup, Out, Stall, send_out
from tests.simulators.loopback import on_loopback

KEY = "sk-simulated-transcription-key"
RATE = MULAW_8K.bytes_per_second
QUIET = MULAW_8K.silence(20)
WORD_FRAMES = 15

_STREAM = ("gpt-live-transcribe", "gpt-realtime-whisper")
_MODELS = (*_STREAM, "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "whisper-1")
_KEYWORDS = ("gpt-live-transcribe", "gpt-transcribe")
_vocabulary: dict[str, int] = {}


def spoken(text: str) -> bytes:
    """``text`` as sound; no word may follow itself."""
    words = text.split()
    for word in words:
        _vocabulary.setdefault(word, 1 + len(_vocabulary))
    return b"".join(bytes([_vocabulary[word]]) * (160 * WORD_FRAMES) for word in words)


def heard(sound: bytes, share: float = 0.5) -> str:
    """The words of which at least ``share`` is in ``sound``."""
    values = {value: word for word, value in _vocabulary.items()}
    runs = re.finditer(rb"(.)\1*", sound, re.DOTALL)
    return " ".join(
        values[run[0][0]] for run in runs if run[0][0] in values and len(run[0]) >= share * 160 * WORD_FRAMES
    )


@dataclass(frozen=True, slots=True)
class Fault:
    """A bad day of one socket. ``refused``: the upgrade is answered with ``code``. ``mute``: nothing is ever sent. The
    others come once ``after`` seconds of speech were received: ``drop`` cuts the connection, ``close`` closes it with
    ``code``, ``half_open`` neither reads nor writes, ``silence`` sends nothing more, ``garbage`` and ``huge`` send what
    is no message, or one of 5 MB, once, and go on. ``late``: transcripts come ``after`` seconds late. ``failed``: the
    first ``times`` transcriptions fail with the ``error``; ``error``: it is sent instead of the first transcript.
    ``reversed``: two transcripts come in the wrong order. ``unnamed``: commits are not acknowledged."""

    what: Literal[
        "refused",
        "mute",
        "drop",
        "close",
        "half_open",
        "silence",
        "garbage",
        "huge",
        "late",
        "failed",
        "error",
        "reversed",
        "unnamed",
    ]
    code: int = 1011
    after: float = 0.0
    error: Mapping[str, Any] = field(default_factory=lambda: {"type": "server_error", "code": "server_error"})
    times: int = 1


@dataclass
class TranscriptionServer:
    """``faults`` are for the sockets to come, in their order; None is a good day. ``vendor``: it is OpenAI's own, that
    takes no model in the query; a gateway needs one. ``usage`` goes with each transcript; ``tokens`` or ``duration``
    make one."""

    key: str = KEY
    vendor: bool = False
    lives: float = 3600.0
    """Seconds until a session expires, by what it says."""
    usage: Literal["tokens", "duration", "none"] = "duration"
    base_url: str = ""
    faults: list[Fault | None] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    sessions: list[TranscriptionSession] = field(default_factory=list)
    open: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """An upgrade."""
        self.queries.append(dict(request.query))
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None and fault.what == "refused":
            return web.Response(status=fault.code)
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.Response(status=401)
        if request.query.get("intent") != "transcription" or not (self.vendor or request.query.get("model")):
            self.mistakes.append(f"the query is {dict(request.query)}")
            return web.Response(status=400)
        return await _drive(request, self, fault)

    @property
    def transcripts(self) -> list[str]:
        """All that was transcribed, socket by socket."""
        return [text for session in self.sessions for text in session.transcripts]


class TranscriptionSession:
    """One socket."""

    def __init__(self, server: TranscriptionServer, fault: Fault | None = None, *, model: str = "") -> None:
        self.server = server
        self.settings: dict[str, Any] = {}
        self.messages: list[str] = []
        self.transcripts: list[str] = []
        self.received = 0
        """Bytes of sound."""
        self._fault = fault
        self._happened = 0
        self._model_asked = model
        self._buffer = bytearray()
        self._item = ""
        self._told = ""
        self._previous: str | None = None
        self._held: list[Out] = []
        self._ids = 0

    # The wire

    def opened(self) -> list[Out]:
        default = {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": None, "turn_detection": None}
        return self._day([self._event("session.created", session=self._session(default))])

    def receive(self, message: str | bytes) -> list[Out]:
        try:
            event = json.loads(message) if isinstance(message, str) else None
        except ValueError:
            event = None
        if not isinstance(event, dict):
            self.server.mistakes.append(f"{message[:40]!r} is no event")
            return []
        kind = event.get("type")
        self.messages.append(str(kind))
        match kind:
            case "session.update":
                return self._day(self._update(event))
            case "input_audio_buffer.append":
                return self._day(self._append(event))
            case "input_audio_buffer.commit":
                return self._day(self._commit(event))
            case "input_audio_buffer.clear":
                self._buffer.clear()
                self._item = self._told = ""
                return self._day([self._event("input_audio_buffer.cleared")])
            case _:
                return [self._refuse(event, "invalid_value", f"there is no event {kind}")]

    def _update(self, event: dict[str, Any]) -> list[Out]:
        if self.server.vendor and self._model_asked:
            return [self._refuse(event, "invalid_model", "this is a session for a conversation")]
        if wrong := _settings_mistakes(event.get("session")):
            return [self._refuse(event, "invalid_value", "; ".join(wrong))]
        self.settings = event["session"]["audio"]["input"]
        return [self._event("session.updated", session=self._session(self.settings))]

    def _append(self, event: dict[str, Any]) -> list[Out]:
        sound = base64.b64decode(event.get("audio", ""), validate=True)
        if not sound or len(sound) > RATE or not self.settings:
            self.server.mistakes.append(f"{len(sound)} bytes of sound in one message, or before the settings")
        self.received += len(sound)
        self._buffer += sound
        said = heard(bytes(self._buffer), share=1.0)
        if self.settings["transcription"]["model"] not in _STREAM or said in (self._told, ""):
            return []
        self._item = self._item or self._id("item")
        words, self._told = said.removeprefix(self._told), said
        return [self._transcription("delta", self._item, content_index=0, delta=words)]

    def _commit(self, event: dict[str, Any]) -> list[Out]:
        sound = bytes(self._buffer)
        if len(sound) < RATE // 10:
            return [self._refuse(event, "input_audio_buffer_commit_empty", "the buffer has less than 100ms of audio")]
        item, told = self._item or self._id("item"), self._told
        self._buffer.clear()
        self._item = self._told = ""
        previous, self._previous = self._previous, item
        named = self._event("input_audio_buffer.committed", item_id=item, previous_item_id=previous)
        outs: list[Out] = [] if self._is("unnamed") else [named]
        self._happened += 1
        if self._fault is not None and self._fault.what in ("failed", "error") and self._happened <= self._fault.times:
            error = {"message": f"it went wrong, {KEY}", "param": None, **self._fault.error}
            if self._fault.what == "error":
                return [*outs, self._event("error", error={**error, "event_id": None})]
            return [*outs, self._transcription("failed", item, content_index=0, error=error)]
        text = heard(sound)
        self.transcripts.append(text)
        if self.settings["transcription"]["model"] not in _STREAM:
            outs += [self._transcription("delta", item, content_index=0, delta=f"{word} ") for word in text.split()]
        elif rest := text.removeprefix(told):
            outs.append(self._transcription("delta", item, content_index=0, delta=rest))
        usage = self._usage(len(sound) / RATE)
        done = self._transcription("completed", item, content_index=0, transcript=f"{text} ", **usage)
        if self._is("reversed") and not self._held:
            self._held = [done]
            return outs
        held, self._held = self._held, []
        return [*outs, done, *held]

    # Its words

    def _session(self, heard: Mapping[str, Any]) -> dict[str, Any]:
        expires = int(time.time() + self.server.lives)
        named = {"id": "sess_1", "object": "realtime.transcription_session", "type": "transcription"}
        return {**named, "expires_at": expires, "audio": {"input": dict(heard)}}

    def _usage(self, seconds: float) -> dict[str, Any]:
        match self.server.usage:
            case "none":
                return {}
            case "duration":
                return {"usage": {"type": "duration", "seconds": round(seconds, 3)}}
            case "tokens":
                tokens = {"input_tokens": round(10 * seconds), "output_tokens": 4}
                return {"usage": {"type": "tokens", "total_tokens": sum(tokens.values()), **tokens}}

    def _refuse(self, event: Mapping[str, Any], code: str, message: str) -> Out:
        self.server.mistakes.append(f"{event.get('type')}: {code}: {message}")
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
        return self._event("error", error={**error, "event_id": event.get("event_id")})

    def _transcription(self, what: str, item: str, **fields: Any) -> str:
        return self._event(f"conversation.item.input_audio_transcription.{what}", item_id=item, **fields)

    def _event(self, kind: str, **fields: Any) -> str:
        return json.dumps({"type": kind, "event_id": self._id("event"), **fields}, separators=(",", ":"))

    def _id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}_{self._ids:05d}"

    # Bad days

    def _is(self, what: str) -> bool:
        return self._fault is not None and self._fault.what == what

    @property
    def late(self) -> float:
        return self._fault.after if self._fault is not None and self._fault.what == "late" else 0.0

    def _day(self, outs: list[Out]) -> list[Out]:
        fault = self._fault
        if fault is None or fault.what in ("late", "failed", "error", "reversed", "unnamed"):
            return outs
        if fault.what == "mute":
            return []
        if self.received < fault.after * RATE or (self._happened and fault.what in ("garbage", "huge")):
            return outs
        self._happened += 1
        match fault.what:
            case "drop":
                return [Hangup()]
            case "close":
                return [Hangup(fault.code, "simulated")]
            case "half_open":
                return [Stall()]
            case "garbage":
                return [*GARBAGE, '{"type":"neverHeardOf"}', '{"type":5}', *outs]
            case "huge":
                return [json.dumps({"type": "x", "x": "x" * HUGE_BYTES}), *outs]
            case _:
                return []


def _settings_mistakes(session: Any) -> list[str]:
    match session:
        case {"type": "transcription", "audio": {"input": dict(heard), **rest}, **more} if not rest and not more:
            pass
        case _:
            return [f"not a session: {session}"]
    found = [
        f"no field {name}" for name in heard.keys() - {"format", "noise_reduction", "transcription", "turn_detection"}
    ]
    if heard.get("format") != {"type": "audio/pcmu"}:
        found.append(f"the format {heard.get('format')}")
    settings = heard.get("transcription") or {}
    model = settings.get("model", "")
    if model not in _MODELS:
        found.append(f"no model {model}")
    if heard.get("turn_detection", {}) is not None:
        found.append("it would cut turns itself")
    found += [f"no setting {name}" for name in settings.keys() - {"model", "language", "keywords", "prompt", "delay"}]
    if "keywords" in settings and (model not in _KEYWORDS or not settings["keywords"]):
        found.append(f"{model} takes no such keywords")
    if "prompt" in settings and model == "gpt-realtime-whisper":
        found.append(f"{model} takes no prompt")
    if "delay" in settings and model != "gpt-realtime-whisper":
        found.append(f"{model} takes no delay")
    if len(settings.get("language", "en")) != 2:
        found.append(f"no language {settings['language']}")
    return found


@asynccontextmanager
async def serve_transcription(**settings: Any) -> AsyncGenerator[TranscriptionServer, None]:
    """``settings`` are :class:`TranscriptionServer`'s; ``base_url`` is with ``/v1``."""
    server = TranscriptionServer(**settings)
    app = web.Application()
    app.router.add_get("/v1/realtime", server.answer)
    async with on_loopback(app) as address:
        server.base_url = f"{address}/v1"
        yield server


async def _drive(request: web.Request, server: TranscriptionServer, fault: Fault | None) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    session = TranscriptionSession(server, fault, model=request.query.get("model", ""))
    server.sessions.append(session)
    server.open += 1
    try:
        outs = session.opened()
        while True:
            for out in outs:
                if session.late and isinstance(out, str) and "completed" in out:
                    await asyncio.sleep(session.late)
                if not await send_out(request, socket, out):
                    return socket
            message = await socket.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return socket
            outs = session.receive(message.data)
    except ConnectionResetError:
        return socket
    finally:
        server.open -= 1
