"""A simulated Deepgram on loopback: ``/v1/listen`` (Nova), ``/v2/listen`` (Flux) and ``/v1/speak`` (Aura).

Strict about queries and messages: what was sent and should not have been is noted in ``mistakes``. It does not
recognise anything: what callers say is what a test put into ``texts``. Each session is pure; time is the sound's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from aiohttp import WSMsgType, web

from media.audio import MULAW_8K
from tests.simulators.live_wire import GARBAGE, Hangup, Out, Stall

KEY = "simulated-deepgram-key"
RATE = MULAW_8K.bytes_per_second
WORD_SECONDS = 0.3
"""How long Aura takes for a word."""

_QUIET = b"\xff"
_BOOLEANS = ("true", "false")
_CALLERS = {"encoding": ("mulaw",), "sample_rate": ("8000",)}
_NOVA = _CALLERS | {
    "model": None,
    "language": None,
    "channels": ("1",),
    "interim_results": _BOOLEANS,
    "endpointing": None,
    "punctuate": _BOOLEANS,
    "smart_format": _BOOLEANS,
    "numerals": _BOOLEANS,
    "vad_events": _BOOLEANS,
    "utterance_end_ms": None,
    "keyterm": None,
}
_FLUX = _CALLERS | {
    "model": ("flux-general-en", "flux-general-multi"),
    "eager_eot_threshold": None,
    "eot_threshold": None,
    "eot_timeout_ms": None,
    "language_hint": None,
    "keyterm": None,
}
_AURA = _CALLERS | {"model": None}
_REPEATED = ("keyterm", "language_hint")


@dataclass(frozen=True, slots=True)
class Fault:
    """A bad day of one socket. ``refused``: the upgrade is answered with ``code``. Once ``after`` seconds of sound were
    sent (heard, or spoken): ``drop`` cuts the connection, ``close`` closes it with ``code``, ``error`` sends the
    vendor's Error, ``silence`` sends nothing more, ``garbage`` sends what is no message and goes on, ``half_open``
    neither reads nor writes. ``late``: all that is sent comes ``after`` seconds late. ``uncleared``: a Clear is not
    answered. ``forgotten``: after its first phrase, the socket is cut at the next message."""

    what: Literal[
        "refused", "drop", "close", "error", "silence", "garbage", "half_open", "late", "uncleared", "forgotten"
    ]
    code: int = 1011
    after: float = 0.0


class _Session(Protocol):
    @property
    def seconds(self) -> float:
        """Of sound so far."""
        ...

    def opened(self) -> list[Out]: ...

    def receive(self, message: str | bytes) -> list[Out]: ...


@dataclass
class DeepgramServer:
    """``faults`` are for the sockets to come, in their order; None is a good day. A text is said once: by the next
    pause that is transcribed."""

    key: str = KEY
    idle_seconds: float = 10.0
    """Without a message, Nova's socket is closed."""
    base_url: str = ""
    texts: list[str] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    queries: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    """Of each upgrade, with its path."""
    messages: list[str] = field(default_factory=list)
    """The types of the text messages."""
    spoken: list[str] = field(default_factory=list)
    """The phrases that were flushed."""
    sound: list[bytearray] = field(default_factory=list)
    """Of each socket that hears."""
    open: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def wrong(self, what: str) -> None:
        self.mistakes.append(what)

    def read(self, message: str, known: Sequence[str]) -> dict[str, Any]:
        """A control message: its type is one of ``known``, and it has no fields but those that it needs."""
        try:
            data = json.loads(message)
        except ValueError:
            data = None
        if not isinstance(data, dict) or data.get("type") not in known:
            self.wrong(f"the message {message[:60]!r} is none of {', '.join(known)}")
            return {"type": ""}
        needed = {"type", "text"} if data["type"] == "Speak" else {"type"}
        if set(data) != needed:
            self.wrong(f"{data['type']} has the fields {', '.join(data)}")
        self.messages.append(data["type"])
        return data


class _Hearing:
    """What Nova and Flux have in common: 20 ms of sound that are not all silence are loud."""

    def __init__(self, server: DeepgramServer) -> None:
        self.server = server
        self.sound = bytearray()
        server.sound.append(self.sound)
        self._judged = 0
        self.loud_from: float | None = None
        self.loud_to = 0.0

    @property
    def seconds(self) -> float:
        return len(self.sound) / RATE

    def hear(self, data: bytes) -> None:
        if not data or len(data) > RATE:
            self.server.wrong(f"{len(data)} bytes of sound in one message")
        self.sound += data
        while self._judged + 160 <= len(self.sound):
            loud = self.sound[self._judged : self._judged + 160].strip(_QUIET)
            self._judged += 160
            if loud:
                self.loud_to = self._judged / RATE
                if self.loud_from is None:
                    self.loud_from = self.loud_to - 0.02

    def words(self, text: str) -> list[dict[str, Any]]:
        """``text``, spread over what was loud."""
        found = text.split()
        start = self.loud_from or 0.0
        each = (self.loud_to - start) / max(len(found), 1)
        return [
            {
                "word": word.strip(".,?!").lower(),
                "start": round(start + each * index, 3),
                "end": round(start + each * (index + 1), 3),
                "confidence": 0.9,
                "punctuated_word": word,
            }
            for index, word in enumerate(found)
        ]


class NovaSession(_Hearing):
    """One socket of ``/v1/listen``. Words are supposed each 400 ms of speech, and final at a Finalize."""

    def __init__(self, server: DeepgramServer) -> None:
        super().__init__(server)
        self._done = 0.0  # final up to here
        self._supposed = 0.0

    def opened(self) -> list[Out]:
        return []

    def receive(self, message: str | bytes) -> list[Out]:
        if isinstance(message, bytes):
            self.hear(message)
            if self.loud_from is not None and self.loud_to >= max(self._supposed, self.loud_from) + 0.4:
                self._supposed = self.loud_to
                words = (self.server.texts[0] if self.server.texts else "").split()
                return [self._results(" ".join(words[: len(words) // 2]), final=False)]
            return []
        match self.server.read(message, ("KeepAlive", "Finalize", "CloseStream"))["type"]:
            case "Finalize":
                text = self.server.texts.pop(0) if self.loud_from is not None and self.server.texts else ""
                return [self._results(text, final=True)]
            case "CloseStream":
                metadata = {"type": "Metadata", "request_id": "r", "duration": self.seconds, "channels": 1}
                return [json.dumps(metadata), Hangup(1000)]
            case _:
                return []

    def _results(self, text: str, *, final: bool) -> str:
        start, end = self._done, self.seconds
        alternative = {"transcript": text, "confidence": 0.9, "words": self.words(text)}
        if final:
            self._done, self.loud_from = end, None
        return json.dumps(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "start": start,
                "duration": end - start,
                "is_final": final,
                "speech_final": False,
                "from_finalize": final,
                "channel": {"alternatives": [alternative]},
                "metadata": {"request_id": "r"},
            }
        )


class FluxSession(_Hearing):
    """One socket of ``/v2/listen``: an Update each 240 ms, and the end of a turn after 400 ms of silence."""

    def __init__(self, server: DeepgramServer) -> None:
        super().__init__(server)
        self._turn = 0
        self._began = False
        self._from = self._told = 0.0
        self._sequence = 0

    def opened(self) -> list[Out]:
        return [self._message("Connected")]

    def receive(self, message: str | bytes) -> list[Out]:
        if isinstance(message, bytes):
            self.hear(message)
            return self._listen()
        match self.server.read(message, ("CloseStream", "ForceEndTurn"))["type"]:
            case "ForceEndTurn":
                return [self._end("manual")] if self._began else []
            case "CloseStream":
                return [Hangup(1000)]
            case _:
                return []

    def _listen(self) -> list[Out]:
        words = (self.server.texts[0] if self.server.texts else "").split()
        if self._began and self.seconds >= self.loud_to + 0.4:
            return [self._end("model")]
        if not self._began and words and self.loud_from is not None and self.loud_to >= self.loud_from + 0.1:
            self._began = True
            return [self._info("StartOfTurn", words[0])]
        if self.seconds >= self._told + 0.24:
            said = words if self.seconds > self.loud_to else words[: max(1, len(words) // 2)]
            return [self._info("Update", " ".join(said) if self._began else "")]
        return []

    def _end(self, trigger: str) -> str:
        text = self.server.texts.pop(0)
        ended = self._info("EndOfTurn", text, end_of_turn_confidence=0.9, trigger=trigger)
        self._turn += 1
        self._began, self.loud_from, self._from = False, None, self.seconds
        return ended

    def _info(self, event: str, text: str, **more: Any) -> str:
        self._told = self.seconds
        return self._message(
            "TurnInfo",
            event=event,
            turn_index=self._turn,
            audio_window_start=self._from,
            audio_window_end=self.seconds,
            transcript=text,
            words=self.words(text),
            **({"end_of_turn_confidence": 0.1} | more),
        )

    def _message(self, kind: str, **fields: Any) -> str:
        self._sequence += 1
        return json.dumps({"type": kind, "request_id": "r", "sequence_id": self._sequence - 1} | fields)


def voice(text: str) -> bytes:
    """``text`` as Aura speaks it: each word is one value, so that a test sees whose sound it is."""
    each = int(WORD_SECONDS * RATE)
    return b"".join(bytes([sum(word.encode()) % 250]) * each for word in text.split())


class AuraSession:
    """One socket of ``/v1/speak``. It speaks a word for each 10 ms, so that it can be interrupted."""

    def __init__(self, server: DeepgramServer) -> None:
        self.server = server
        self.seconds = 0.0
        self._text = ""
        self._left: list[Out] = []
        self._sequence = 0

    def opened(self) -> list[Out]:
        return [json.dumps({"type": "Metadata", "request_id": "r", "model_name": "aura", "model_version": "1"})]

    def receive(self, message: str | bytes) -> list[Out]:
        if isinstance(message, bytes):
            self.server.wrong("sound was sent to a voice")
            return []
        data = self.server.read(message, ("Speak", "Flush", "Clear", "Close"))
        match data["type"]:
            case "Speak":
                if not isinstance(data.get("text"), str) or not 0 < len(data["text"]) <= 2000:
                    self.server.wrong("a Speak without text, or with more than 2000 characters")
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


class _Day:
    """Makes a bad day of what a session sends."""

    def __init__(self, fault: Fault | None) -> None:
        self._fault = fault
        self._happened = False

    def allow(self, outs: list[Out], seconds: float) -> list[Out]:
        fault = self._fault
        if fault is None or fault.what in ("late", "refused"):
            return outs
        if fault.what == "uncleared":
            return [out for out in outs if not (isinstance(out, str) and "Cleared" in out)]
        if fault.what == "forgotten":
            forgotten = self._happened
            self._happened |= any(isinstance(out, str) and "Flushed" in out for out in outs)
            return [Hangup()] if forgotten else outs
        if seconds < fault.after or (self._happened and fault.what == "garbage"):
            return outs
        first, self._happened = not self._happened, True
        match fault.what:
            case "drop":
                return [Hangup()]
            case "close":
                return [Hangup(fault.code, "NET-0000 simulated")]
            case "half_open":
                return [Stall()]
            case "garbage":
                return [*GARBAGE, *outs]
            case "error":
                error = {"type": "Error", "code": "NET-0002", "variant": "V", "description": f"no luck, {KEY}"}
                return [json.dumps(error)] if first else []
            case _:
                return []


@asynccontextmanager
async def serve_deepgram(**settings: Any) -> AsyncGenerator[DeepgramServer, None]:
    """``settings`` are :class:`DeepgramServer`'s."""
    server = DeepgramServer(**settings)
    app = web.Application()
    app.router.add_get("/v1/listen", _answer(server, NovaSession, _NOVA))
    app.router.add_get("/v2/listen", _answer(server, FluxSession, _FLUX))
    app.router.add_get("/v1/speak", _answer(server, AuraSession, _AURA))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()


def _answer(server: DeepgramServer, make: Callable[[DeepgramServer], _Session], allowed: dict[str, Any]) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        query = [(name, value) for name, value in request.query.items()]
        server.queries.append((request.path, query))
        fault = server.faults.pop(0) if server.faults else None
        if fault is not None and fault.what == "refused":
            return web.Response(status=fault.code)
        if request.headers.get("Authorization") not in (f"Token {server.key}", f"Bearer {server.key}"):
            return web.Response(status=401)
        wrong = list(_wrong(query, allowed))
        if wrong:
            server.mistakes += wrong
            return web.Response(status=400)
        return await _drive(request, server, make(server), fault)

    return answer


def _wrong(query: list[tuple[str, str]], allowed: dict[str, Any]) -> list[str]:
    names = [name for name, _ in query]
    return [
        *(f"the query has no {name}" for name in ("model", "encoding", "sample_rate") if name not in names),
        *(f"{name} is repeated" for name in set(names) if names.count(name) > 1 and name not in _REPEATED),
        *(f"there is no parameter {name}" for name in names if name not in allowed),
        *(
            f"{name} is {value!r}"
            for name, value in query
            if name in allowed and (not value or (allowed[name] is not None and value not in allowed[name]))
        ),
    ]


async def _drive(
    request: web.Request, server: DeepgramServer, session: _Session, fault: Fault | None
) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    server.open += 1
    day = _Day(fault)
    late = fault.after if fault is not None and fault.what == "late" else 0.0
    try:
        outs = session.opened()
        while True:
            for out in day.allow(outs, session.seconds):
                if late:
                    await asyncio.sleep(late)
                if not await _send(request, socket, out):
                    return socket
            speaking = isinstance(session, AuraSession) and session.speaking
            try:
                message = await socket.receive(timeout=0.01 if speaking else server.idle_seconds)
            except TimeoutError:
                if speaking:
                    assert isinstance(session, AuraSession)
                    outs = session.go_on()
                    continue
                await socket.close(code=1011, message=b"NET-0001 no audio or KeepAlive in time")
                return socket
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return socket
            outs = session.receive(message.data)
    except ConnectionResetError:
        return socket
    finally:
        server.open -= 1
        server.closed.set()


async def _send(request: web.Request, socket: web.WebSocketResponse, out: Out) -> bool:
    """Whether the socket is open still."""
    match out:
        case str():
            await socket.send_str(out)
        case bytes():
            await socket.send_bytes(out)
        case Hangup(None, _):
            assert request.transport is not None
            request.transport.abort()
            return False
        case Hangup(code, reason):
            assert code is not None
            await socket.close(code=code, message=reason.encode())
            return False
        case Stall():
            await asyncio.sleep(60)
            return False
    return True
