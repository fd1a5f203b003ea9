"""A simulated GPT-Live (``/v1/live/sessions``), as far as its official SDK and a telephone call can tell: a stream of
sound in real time, silence included, that stops by itself when it is talked over; transcripts in steps of 200 ms; tools
by a model behind, whose events come nested. Its time is the stream's. It refuses what is wrong with an ``error``.

:class:`GptLiveSession` is pure; :func:`serve_gpt_live` puts it on a socket.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from media.g711 import alaw_to_pcm, mulaw_to_pcm, pcm_to_alaw, pcm_to_mulaw
from tests.simulators.live_wire import (
    ANY,
    Ear,
    Fault,
    Hangup,
    Out,
    Reply,
    Sender,
    Turn,
    WireServer,
    drive,
    obedient,
    serve,
    tones,
    wrong,
)

KEY = "sk-simulated-live-key"
PATH = "/v1/live/sessions"
FRAME_MS = 40
STEP_MS = 200
"""Of transcripts."""

TEXT = {"type": {"input_text", "output_text", "text"}, "text!": str}
HISTORY = {
    "type": {"message"},
    "role!": {"user", "assistant", "developer"},
    "content!": [TEXT],
    "id": str,
    "status": {"incomplete", "completed"},
}
FUNCTION = {"type!": {"function"}, "name!": str, "description": str, "parameters": dict, "strict": bool}
BEHIND = {
    "model!": str,
    "instructions": str,
    "tools": [FUNCTION],
    "tool_choice": ANY,
    "parallel_tool_calls": bool,
    "reasoning": {"effort": {"none", "minimal", "low", "medium", "high", "xhigh"}, "summary": str},
    "text": {"verbosity": {"low", "medium", "high"}},
    "service_tier": str,
    "max_output_tokens": int,
}
CONFIG = {
    "model!": str,
    "instructions": str,
    "audio": {
        "format": {"type!": {"audio/pcm", "audio/pcmu", "audio/pcma"}, "rate!": {8000, 16000, 24000}},
        "output": {"voice": str},
    },
    "delegation": {"type!": {"client", "responses"}, "responses": BEHIND, "acknowledgement_delay_ms": int},
    "input": [HISTORY],
    "store": bool,
    "safety_identifier": str,
}
APPEND = {"content!": str, "delegation_id!": (str, type(None))}
EVENTS: dict[str, dict[str, Any]] = {
    "session.start": {"session!": CONFIG},
    "session.input_audio.append": {"audio!": str},
    "session.commentary.append": APPEND,
    "session.thinking.append": APPEND,
    "session.instructions.append": APPEND,
    "response.item.create": {
        "item!": {"type!": {"function_call_output"}, "call_id!": str, "output!": str, "id": str, "status": str}
    },
    "response.create": {},
    "session.close": {},
}
LAWS: Mapping[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "audio/pcmu": (mulaw_to_pcm, pcm_to_mulaw),
    "audio/pcma": (alaw_to_pcm, pcm_to_alaw),
    "audio/pcm": (bytes, bytes),
}


@dataclass
class GptLiveServer(WireServer):
    """What all sessions of a server share, and what a test wants of them."""

    voice: Callable[[str], bytes] | None = None
    """The sound of a word, PCM16 at the session's rate; tones where there is none."""
    reply: Callable[[list[Turn]], Reply] = obedient
    said: deque[str] = field(default_factory=deque)
    """What the caller's next stretches of speech are; "hello" where there is none left."""
    usage_every: float = 5.0
    expires_after: float | None = None
    fault: Fault | None = None
    mistakes: list[str] = field(default_factory=list)
    sessions: list[GptLiveSession] = field(default_factory=list)


@dataclass(slots=True)
class _Word:
    text: str
    pcm: bytes
    told: bool = False


class GptLiveSession:
    def __init__(self, server: GptLiveServer, now: float = 0.0) -> None:
        self.server = server
        self.config: dict[str, Any] = {}
        self.messages: list[dict[str, Any]] = []
        """All that came, without the sound."""
        self.history: list[Turn] = []
        self.stopped = 0
        """How often it was talked over."""
        self._sender = Sender(server.fault)
        self._rate = 24000
        self._decode, self._encode = LAWS["audio/pcm"]
        self._ear = Ear(self._rate)
        self._started_at = now
        self._ms = 0
        """Of the stream that were sent."""
        self._reported = 0.0
        self._speech: deque[_Word] = deque()
        self._spoken: list[str] = []
        self._step: list[str] = []
        self._replies: list[tuple[int, Reply]] = []
        """What it will do, and when in the stream."""
        self._delegation = ""
        self._calls: dict[str, str] = {}
        self._results: dict[str, str] = {}
        self._numbers = 0
        self._over = False
        server.sessions.append(self)

    @property
    def seconds(self) -> float:
        """Of its stream."""
        return self._ms / 1000

    # What comes

    def receive(self, message: str | bytes, now: float) -> list[Out]:
        if self._over or self._sender.mute:
            return []
        try:
            event = json.loads(message)
        except ValueError:
            return self._refuse("invalid_json", "a message that is no JSON")
        kind = event.get("type") if isinstance(event, dict) else None
        if not isinstance(kind, str) or kind not in EVENTS:
            return self._refuse("unknown_event", f"no event is {kind!r}")
        faults = list(wrong(event, {"type": str, "event_id": str, **EVENTS[kind]}, kind))
        if faults:
            return self._refuse("invalid_value", *faults)
        if (kind == "session.start") == bool(self.config):
            return self._refuse(
                "wrong_order", "a second session.start" if self.config else f"{kind} before session.start"
            )
        if kind != "session.input_audio.append":
            self.messages.append(event)
        return self._sender.allow(self._event(kind, event, now))

    def _event(self, kind: str, event: dict[str, Any], now: float) -> list[Out]:
        match kind:
            case "session.start":
                return self._start(event["session"], now)
            case "session.input_audio.append":
                return self._hear(event["audio"])
            case "session.commentary.append":
                outs = self._appended(event)
                if not self._over and event["content"]:
                    self._plan(self.server.reply([*self.history, Turn("commentary", event["content"])]))
                return outs
            case "session.thinking.append" | "session.instructions.append":
                return self._appended(event)
            case "response.item.create":
                return self._result(event["item"])
            case "response.create":
                return self._go_on()
            case _:
                return self._close("close_requested")

    def _start(self, config: dict[str, Any], now: float) -> list[Out]:
        sound = config.get("audio", {}).get("format", {"type": "audio/pcm", "rate": 24000})
        if (sound["rate"] == 8000) == (sound["type"] == "audio/pcm"):
            return self._refuse("invalid_value", f"there is no {sound['type']} with a rate of {sound['rate']}")
        history = config.get("input", [])
        if len(history) > 128:
            return self._refuse("invalid_value", "more than 128 messages of history")
        for item in history:
            [part] = item["content"]
            if (item["role"] == "assistant") == (part.get("type") == "input_text"):
                return self._refuse("invalid_value", f"{part.get('type')} of the {item['role']}")
            self.history.append(Turn(item["role"], part["text"]))
        delegation = config.get("delegation") or {"type": "client"}
        if (delegation["type"] == "responses") != ("responses" in delegation):
            return self._refuse("invalid_value", "a delegation has what its type says")
        self.config = config
        self._rate = sound["rate"]
        self._decode, self._encode = LAWS[sound["type"]]
        self._ear = Ear(self._rate)
        self._started_at = now
        return [self._say("session.started", session=self._resource())]

    def _hear(self, audio: str) -> list[Out]:
        try:
            pcm = self._decode(base64.b64decode(audio, validate=True))
        except ValueError:
            return self._refuse("invalid_value", "sound that is no base64")
        if len(pcm) % 2:
            return self._refuse("invalid_value", "half a sample")
        outs: list[Out] = []
        for change in self._ear.hear(pcm):
            if change == "ended":
                outs += self._caller_said()
            elif self._speech or self._replies:
                self._stop()
        return outs

    def _stop(self) -> None:
        """It is talked over: it falls silent, and remembers what it said."""
        self.stopped += 1
        self._speech.clear()
        self._replies.clear()
        self._remember()

    def _caller_said(self) -> list[Out]:
        """The words in steps of the transcript, evenly over the speech, at the stream's time."""
        text = self.server.said.popleft() if self.server.said else "hello"
        self.history.append(Turn("user", text))
        words = text.split()
        late = self._ms - self._ear.ms
        began, ended = max(self._ear.began_ms + late, 0), max(self._ear.ended_ms + late, 0)
        count = max(1, min(len(words), (ended - began) // STEP_MS))
        outs: list[Out] = []
        for step in range(count):
            piece = words[step * len(words) // count : (step + 1) * len(words) // count]
            start = (began + step * (ended - began) // count) // STEP_MS * STEP_MS
            delta = "".join(f" {word}" for word in piece)
            outs.append(
                self._say("session.input_transcript.delta", delta=delta, start_ms=start, end_ms=start + STEP_MS)
            )
        self._plan(self.server.reply(list(self.history)))
        return outs

    def _appended(self, event: dict[str, Any]) -> list[Out]:
        if len(event["content"]) > 2500:
            return self._refuse("string_above_max_length", "content has more than 500 tokens")
        delegation = event["delegation_id"]
        if delegation is not None and (self._behind or delegation != self._delegation):
            return self._refuse("invalid_value", f"no delegation of the client is {delegation!r}")
        kind = event["type"].replace(".append", ".appended")
        return [self._say(kind, start_ms=self._ms, end_ms=self._ms)]

    @property
    def _behind(self) -> bool:
        return (self.config.get("delegation") or {}).get("type") == "responses"

    # The stream

    def next_at(self) -> float | None:
        if not self.config or self._over:
            return None
        return self._started_at + (self._ms + FRAME_MS) / 1000

    def advance(self, now: float) -> list[Out]:
        outs: list[Out] = []
        while (due := self.next_at()) is not None and due <= now:
            outs += self._frame()
        return self._sender.allow(outs)

    def _frame(self) -> list[Out]:
        outs: list[Out] = []
        while self._replies and self._replies[0][0] <= self._ms:
            outs += self._begin(self._replies.pop(0)[1])
        size = self._rate * FRAME_MS // 1000 * 2
        pcm = b""
        while self._speech and len(pcm) < size:
            word = self._speech[0]
            if not word.told:
                word.told = True
                self._spoken.append(word.text)
                self._step.append(word.text)
            pcm, word.pcm = pcm + word.pcm[: size - len(pcm)], word.pcm[size - len(pcm) :]
            if not word.pcm:
                self._speech.popleft()
                if not self._speech:
                    self._remember()
        delta = base64.b64encode(self._encode(pcm.ljust(size, b"\0"))).decode()
        outs += self._sender.sound(json.dumps({"type": "session.output_audio.delta", "delta": delta}))
        self._ms += FRAME_MS
        if self._ms % STEP_MS == 0 and self._step:
            delta, self._step = "".join(f" {word}" for word in self._step), []
            start = self._ms - STEP_MS
            outs.append(self._say("session.output_transcript.delta", delta=delta, start_ms=start, end_ms=self._ms))
        if self._ms / 1000 - self._reported >= self.server.usage_every:
            self._reported = self._ms / 1000
            outs.append(self._say("session.usage.updated", usage={"seconds": self._reported}))
        if self.server.expires_after is not None and self._ms / 1000 >= self.server.expires_after:
            outs += self._close("expired")
        return outs

    def _remember(self) -> None:
        if self._spoken:
            self.history.append(Turn("assistant", " ".join(self._spoken)))
            self._spoken = []

    def _plan(self, reply: Reply) -> None:
        self._replies.append((self._ms + round(1000 * reply.after), reply))

    def _begin(self, reply: Reply) -> list[Out]:
        voice = self.server.voice
        for word in reply.text.split():
            self._speech.append(_Word(word, voice(word) if voice is not None else tones(word, self._rate)))
        return self._delegate(reply) if reply.calls else []

    # The model behind

    def _delegate(self, reply: Reply) -> list[Out]:
        self._delegation = self._name("dlg")
        delegation: dict[str, Any] = {"id": self._delegation, "type": "delegation", "target": "client"}
        if not self._behind:
            return [self._say("session.delegation.created", delegation=delegation, offset_ms=self._ms)]
        response = self._name("resp")
        delegation |= {"target": "responses", "response_id": response}
        outs: list[Out] = [self._say("session.delegation.created", delegation=delegation, offset_ms=self._ms)]
        outs.append(self._nested("response.created", response={"id": response, "output": []}))
        for number, (name, arguments) in enumerate(reply.calls):
            call, text = self._name("call"), json.dumps(dict(arguments))
            item = {"type": "function_call", "id": self._name("fc"), "call_id": call, "name": name, "arguments": ""}
            self._calls[call] = name
            outs += [
                self._nested("response.output_item.added", output_index=number, item=item),
                self._nested("response.function_call_arguments.delta", item_id=item["id"], delta=text),
                self._nested("response.function_call_arguments.done", item_id=item["id"], arguments=text),
                self._nested("response.output_item.done", output_index=number, item={**item, "arguments": text}),
            ]
        return [*outs, self._completed(response)]

    def _completed(self, response: str) -> Out:
        usage = {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 60}, "output_tokens": 20}
        return self._nested("response.completed", response={"id": response, "output": [], "usage": usage})

    def _result(self, item: dict[str, Any]) -> list[Out]:
        if self._calls.pop(item["call_id"], None) is None:
            return self._refuse("invalid_value", f"nobody called {item['call_id']}")
        self._results[item["call_id"]] = item["output"]
        return []

    def _go_on(self) -> list[Out]:
        if self._calls or not self._results:
            return self._refuse("invalid_value", f"no result of {', '.join(self._calls) or 'anything'}")
        self.history += [Turn("tool", output) for output in self._results.values()]
        self._results.clear()
        response = self._name("resp")
        self._plan(self.server.reply(list(self.history)))
        return [self._nested("response.created", response={"id": response, "output": []}), self._completed(response)]

    def _nested(self, kind: str, **fields: Any) -> str:
        return self._say("response.event", delegation_id=self._delegation, event={"type": kind, **fields})

    # Ends and errors

    def _close(self, reason: str) -> list[Out]:
        self._over = True
        self._remember()
        usage = {"seconds": self._ms / 1000}
        return [self._say("session.closed", reason=reason, usage=usage, session=self._resource()), Hangup(1000)]

    def _refuse(self, code: str, *faults: str) -> list[Out]:
        """Errors of the first message end the session; later ones do not."""
        self.server.mistakes += faults
        error = {"type": "invalid_request_error", "code": code, "message": faults[0]}
        outs: list[Out] = [self._say("error", error=error)]
        if not self.config:
            self._over = True
            outs.append(Hangup(1008, "invalid session"))
        return outs

    def _resource(self) -> dict[str, Any]:
        config = {key: value for key, value in self.config.items() if value is not None}
        return {**config, "id": f"live_{len(self.server.sessions)}", "status": "active", "expires_at": 1_800_000_000}

    def _say(self, kind: str, **fields: Any) -> str:
        return json.dumps({"type": kind, "event_id": self._name("event"), **fields})

    def _name(self, kind: str) -> str:
        self._numbers += 1
        return f"{kind}_{self._numbers}"


@asynccontextmanager
async def serve_gpt_live(server: GptLiveServer | None = None) -> AsyncGenerator[GptLiveServer, None]:
    """On loopback, in clear text. ``url`` + "/v1" is what a client takes for its base URL."""
    shared = server or GptLiveServer()

    async def answer(request: web.Request) -> web.StreamResponse:
        fault = shared.fault
        if fault is not None and fault.what == "refused":
            return web.json_response({"error": {"message": "simulated"}}, status=fault.code)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": {"message": "Incorrect API key provided"}}, status=401)
        if request.query_string:
            shared.mistakes.append(f"the session's address has no query: {request.query_string}")
        return await drive(request, GptLiveSession(shared), shared)

    async with serve(shared, PATH, answer):
        yield shared
