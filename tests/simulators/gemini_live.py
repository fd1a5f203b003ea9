"""A simulated Gemini Live (``BidiGenerateContent``), as far as its official SDK and a telephone call can tell: it hears
turns by the sound's energy, answers in bursts, is interrupted, asks for tools and takes the question back, says goodbye
before it hangs up, and remembers a conversation by its handle. It ends a session at the first message that is wrong.

:class:`GeminiSession` is pure; :func:`serve_gemini` puts it on a socket.
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from ssl import SSLContext
from typing import Any

from aiohttp import web

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

KEY = "gemini-simulated-key"
PATH = "/ws/google.ai.generativelanguage.{version:v1|v1beta|v1alpha}.GenerativeService.BidiGenerateContent"
RATE = 24000
CHUNK_BYTES = RATE // 5 * 2
"""200 ms."""

NUMBER = (int, float)
PART = {"text!": str}
CONTENT = {"role": {"user", "model"}, "parts!": [PART]}
BLOB = {"mimeType!": str, "data!": str}
DETECTION = {
    "disabled": bool,
    "startOfSpeechSensitivity": {"START_SENSITIVITY_HIGH", "START_SENSITIVITY_LOW"},
    "endOfSpeechSensitivity": {"END_SENSITIVITY_HIGH", "END_SENSITIVITY_LOW"},
    "prefixPaddingMs": int,
    "silenceDurationMs": int,
}
GENERATION = {
    "responseModalities!": [{"AUDIO"}],
    "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName!": str}}, "languageCode": str},
    "temperature": NUMBER,
    "topP": NUMBER,
    "topK": NUMBER,
    "seed": int,
    "maxOutputTokens": int,
    "thinkingConfig": ANY,
    "enableAffectiveDialog": bool,
}
TRANSCRIPTION = {"languageCodes": [str], "customVocabulary": [str]}
DECLARATION = {"name!": str, "description": str, "parameters": dict, "behavior": {"BLOCKING", "NON_BLOCKING"}}
SETUP = {
    "model!": str,
    "generationConfig!": GENERATION,
    "systemInstruction": {"role": {"user"}, "parts!": [PART]},
    "tools": [{"functionDeclarations!": [DECLARATION]}],
    "realtimeInputConfig": {
        "automaticActivityDetection": DETECTION,
        "activityHandling": {"START_OF_ACTIVITY_INTERRUPTS", "NO_INTERRUPTION"},
        "turnCoverage": str,
    },
    "inputAudioTranscription": TRANSCRIPTION,
    "outputAudioTranscription": TRANSCRIPTION,
    "sessionResumption": {"handle": str, "transparent": bool},
    "contextWindowCompression": {"triggerTokens": int, "slidingWindow": {"targetTokens": int}},
    "proactivity": ANY,
    "safetySettings": ANY,
    "historyConfig": {"initialHistoryInClientContent": bool},
}
ANSWERED = {"id!": str, "name!": str, "response!": dict, "scheduling": {"SILENT", "WHEN_IDLE", "INTERRUPT"}}
MESSAGES: dict[str, Any] = {
    "setup": SETUP,
    "clientContent": {"turns": [CONTENT], "turnComplete": bool},
    "realtimeInput": {
        "audio": BLOB,
        "text": str,
        "audioStreamEnd": bool,
        "activityStart": {},
        "activityEnd": {},
    },
    "toolResponse": {"functionResponses!": [ANSWERED]},
}
FREE = {"parameters", "response", "thinkingConfig"}
SCHEMA_KEYS = (
    "anyOf default description enum example format items maxItems maxLength maxProperties maximum minItems minLength "
    "minProperties minimum nullable pattern properties propertyOrdering required title type"
)
SCHEMA = frozenset(SCHEMA_KEYS.split())


def words_as_tones(text: str) -> bytes:
    return tones(text, RATE)


@dataclass
class GeminiServer(WireServer):
    """What all sessions of a server share, and what a test wants of them."""

    voice: Callable[[str], bytes] = words_as_tones
    """The sound of a word, PCM16 at 24 kHz."""
    reply: Callable[[list[Turn]], Reply] = obedient
    said: deque[str] = field(default_factory=deque)
    """What the caller's next stretches of speech are; "hello" where there is none left."""
    speed: float = 5.0
    """How much faster than it is spoken an answer comes."""
    binary: bool = True
    go_away_after: float | None = None
    go_away_left: float = 2.0
    fault: Fault | None = None
    mistakes: list[str] = field(default_factory=list)
    sessions: list[GeminiSession] = field(default_factory=list)
    handles: dict[str, list[Turn]] = field(default_factory=dict)


class GeminiSession:
    def __init__(self, server: GeminiServer, now: float = 0.0) -> None:
        self.server = server
        self.setup: dict[str, Any] = {}
        """As it came, in camelCase."""
        self.messages: list[dict[str, Any]] = []
        """All that came, without the sound."""
        self.history: list[Turn] = []
        self.interruptions = 0
        self._sender = Sender(server.fault)
        self._due: list[tuple[float, Callable[[], list[Out]]]] = []
        """Of the answer under way, in order."""
        self._go_away_at: float | None = None
        self._end_at: float | None = None
        self._ear: Ear | None = None
        self._manual = False
        self._active = False
        self._interrupts = True
        self._seeding = False
        self._spoken: list[str] = []
        self._asked: dict[str, str] = {}
        self._calls = 0
        self._over = False
        server.sessions.append(self)

    # What comes

    def receive(self, message: str | bytes, now: float) -> list[Out]:
        if self._over or self._sender.mute:
            return []
        try:
            content = _camelised(json.loads(message))
        except ValueError:
            return self._refuse("a message that is no JSON")
        faults = list(wrong(content, MESSAGES, "message"))
        if not faults and len(content) != 1:
            faults = [f"a message has one field, and not {sorted(content)}"]
        if faults:
            return self._refuse(*faults)
        [(kind, body)] = content.items()
        if (kind == "setup") == bool(self.setup):
            return self._refuse("a second setup" if self.setup else f"{kind} before the setup")
        if "audio" not in body:
            self.messages.append(content)
        match kind:
            case "setup":
                outs = self._set_up(body, now)
            case "clientContent":
                outs = self._content(body, now)
            case "realtimeInput":
                outs = self._realtime(body, now)
            case _:
                outs = self._tool_response(body["functionResponses"], now)
        return self._sender.allow(outs)

    def _set_up(self, setup: dict[str, Any], now: float) -> list[Out]:
        faults = [] if setup["model"].startswith("models/") else [f"the model {setup['model']!r} is no models/…"]
        for tool in setup.get("tools", ()):
            for function in tool["functionDeclarations"]:
                faults += _schema_faults(function.get("parameters", {"properties": {"": {}}}), function["name"])
        if not 0 <= setup["generationConfig"].get("temperature", 1) <= 2:
            faults.append("a temperature is between 0 and 2")
        if faults:
            return self._refuse(*faults)
        self.setup = setup
        listening = setup.get("realtimeInputConfig", {})
        self._manual = listening.get("automaticActivityDetection", {}).get("disabled", False)
        self._interrupts = listening.get("activityHandling") != "NO_INTERRUPTION"
        self._seeding = setup.get("historyConfig", {}).get("initialHistoryInClientContent", False)
        handle = setup.get("sessionResumption", {}).get("handle")
        if handle is not None:
            if handle not in self.server.handles:
                return self._hang_up(1008, "BidiGenerateContent session not found")
            self.history = list(self.server.handles[handle])
        if self.server.go_away_after is not None:
            self._go_away_at = now + self.server.go_away_after
        return [self._say({"setupComplete": {"sessionId": f"session-{len(self.server.sessions)}"}})]

    def _content(self, body: dict[str, Any], now: float) -> list[Out]:
        turns, complete = body.get("turns", []), body.get("turnComplete", False)
        if any(not part["text"] for turn in turns for part in turn["parts"]):
            return self._refuse("a part of a turn is empty")
        modern = not re.search(r"models/gemini-(live-)?[12]\.", self.setup["model"])
        if modern and not self._seeding:
            return self._refuse("clientContent is for the beginning, and a historyConfig has to say so")
        seeding, outs = self._seeding, [] if self._seeding else self._interrupt()
        for turn in turns:
            role = turn.get("role", "user")
            self.history.append(Turn(role, "".join(part["text"] for part in turn["parts"])))
        if seeding:
            self._seeding = not complete
            return []
        return [*outs, *self._answer(now)] if complete else outs

    def _realtime(self, body: dict[str, Any], now: float) -> list[Out]:
        if len(body) != 1:
            return self._refuse(f"realtimeInput has one field, and not {sorted(body)}")
        if self._seeding:
            return self._refuse("realtimeInput before the initial history was complete")
        match body:
            case {"audio": blob}:
                return self._hear(blob, now)
            case {"text": text}:
                outs = self._interrupt()
                self.history.append(Turn("user", text))
                return [*outs, *self._answer(now)]
            case {"audioStreamEnd": _}:
                return []
            case _:
                return self._signal(body, now)

    def _signal(self, body: dict[str, Any], now: float) -> list[Out]:
        if not self._manual:
            return self._refuse("activity signals while the detection is automatic")
        start = "activityStart" in body
        if start == self._active:
            return self._refuse("activityStart twice" if start else "activityEnd without activityStart")
        self._active = start
        return self._began() if start else self._ended(now)

    def _hear(self, blob: dict[str, Any], now: float) -> list[Out]:
        found = re.fullmatch(r"audio/pcm;rate=(\d+)", blob["mimeType"])
        if found is None:
            return self._refuse(f"sound of the type {blob['mimeType']!r}")
        try:
            pcm = base64.b64decode(blob["data"].translate({45: "+", 95: "/"}), validate=True)
        except ValueError:
            return self._refuse("sound that is no base64")
        if len(pcm) % 2:
            return self._refuse("half a sample")
        if self._ear is None:
            detection = self.setup.get("realtimeInputConfig", {}).get("automaticActivityDetection", {})
            self._ear = Ear(int(found[1]), silence_ms=detection.get("silenceDurationMs", 500))
        outs: list[Out] = []
        for change in self._ear.hear(pcm):
            if not self._manual:
                outs += self._began() if change == "began" else self._ended(now)
        return outs

    def _began(self) -> list[Out]:
        return self._interrupt() if self._interrupts else []

    def _ended(self, now: float) -> list[Out]:
        text = self.server.said.popleft() if self.server.said else "hello"
        self.history.append(Turn("user", text))
        pieces: list[dict[str, Any]] = [
            {"text": f" {word}" if number else word} for number, word in enumerate(text.split())
        ]
        outs = [self._heard(piece) for piece in [*pieces, {"finished": True}]]
        return [*outs, *self._answer(now)]

    def _heard(self, transcription: dict[str, Any]) -> Out:
        return self._say({"serverContent": {"inputTranscription": transcription}})

    def _tool_response(self, responses: list[dict[str, Any]], now: float) -> list[Out]:
        for response in responses:
            if self._asked.pop(response["id"], None) != response["name"]:
                return self._refuse(f"a result of {response['name']} ({response['id']}), which nobody asked for")
            self.history.append(Turn("tool", json.dumps(response["response"])))
        return [] if self._asked else self._answer(now)

    # What it says

    def next_at(self) -> float | None:
        times = [self._due[0][0] if self._due else None, self._go_away_at, self._end_at]
        return min((time for time in times if time is not None), default=None)

    def advance(self, now: float) -> list[Out]:
        outs: list[Out] = []
        while self._due and self._due[0][0] <= now and not self._over:
            outs += self._due.pop(0)[1]()
        if self._go_away_at is not None and now >= self._go_away_at:
            self._end_at, self._go_away_at = self._go_away_at + self.server.go_away_left, None
            outs.append(self._say({"goAway": {"timeLeft": f"{self.server.go_away_left:g}s"}}))
        if self._end_at is not None and now >= self._end_at:
            outs += self._hang_up(1011, "Deadline expired before operation could complete.")
        return self._sender.allow(outs)

    def _answer(self, now: float) -> list[Out]:
        """Plan an answer: faster than it is spoken, its turn complete when it was."""
        reply = self.server.reply(list(self.history))
        at = max(now, self._due[-1][0] if self._due else now) + reply.after
        spoken_until = at
        for number, word in enumerate(reply.text.split()):
            text, sound = f" {word}" if number else word, self.server.voice(word)
            self._due.append((at, partial(self._word, text)))
            for start in range(0, len(sound), CHUNK_BYTES):
                self._due.append((at, partial(self._sound, sound[start : start + CHUNK_BYTES])))
                at += len(sound[start : start + CHUNK_BYTES]) / (2 * RATE) / self.server.speed
            spoken_until += len(sound) / (2 * RATE)
        if reply.calls:
            self._due.append((at, partial(self._ask, reply)))
        else:
            self._due.append((at, lambda: [self._say({"serverContent": {"generationComplete": True}})]))
            self._due.append((max(at, spoken_until), self._complete))
        if "sessionResumption" in self.setup:
            return [self._say({"sessionResumptionUpdate": {"resumable": False}})]
        return []

    def _word(self, text: str) -> list[Out]:
        self._spoken.append(text)
        return [self._say({"serverContent": {"outputTranscription": {"text": text}}})]

    def _sound(self, pcm: bytes) -> list[Out]:
        blob = {"mimeType": f"audio/pcm;rate={RATE}", "data": base64.b64encode(pcm).decode()}
        return self._sender.sound(self._say({"serverContent": {"modelTurn": {"parts": [{"inlineData": blob}]}}}))

    def _ask(self, reply: Reply) -> list[Out]:
        self._remember()
        calls = []
        for name, arguments in reply.calls:
            self._calls += 1
            self._asked[f"call-{self._calls}"] = name
            calls.append({"id": f"call-{self._calls}", "name": name, "args": dict(arguments)})
        return [self._say({"toolCall": {"functionCalls": calls}})]

    def _complete(self) -> list[Out]:
        outs: list[Out] = [self._turn_complete()]
        self._remember()
        if "sessionResumption" in self.setup:
            handle = f"handle-{len(self.server.handles) + 1}"
            self.server.handles[handle] = list(self.history)
            outs.append(self._say({"sessionResumptionUpdate": {"newHandle": handle, "resumable": True}}))
        return outs

    def _interrupt(self) -> list[Out]:
        """What was sent stays in the history, heard or not."""
        if not self._due and not self._asked:
            return []
        self.interruptions += 1
        outs: list[Out] = [self._say({"serverContent": {"interrupted": True}})]
        if self._asked:
            outs.append(self._say({"toolCallCancellation": {"ids": list(self._asked)}}))
            self._asked.clear()
        self._due.clear()
        outs.append(self._turn_complete())
        self._remember()
        return outs

    def _turn_complete(self) -> Out:
        heard = sum(len(turn.text.split()) for turn in self.history) or 1
        usage = {
            "promptTokenCount": 10 * heard,
            "responseTokenCount": 10 * len(self._spoken),
            "totalTokenCount": 10 * (heard + len(self._spoken)),
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 10 * heard}],
            "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 10 * len(self._spoken)}],
        }
        return self._say({"serverContent": {"turnComplete": True}, "usageMetadata": usage})

    def _remember(self) -> None:
        if self._spoken:
            self.history.append(Turn("model", "".join(self._spoken)))
            self._spoken = []

    def _say(self, message: dict[str, Any]) -> str | bytes:
        text = json.dumps(message, indent=2)
        return text.encode() if self.server.binary else text

    def _refuse(self, *faults: str) -> list[Out]:
        self.server.mistakes += faults
        return self._hang_up(1007, faults[0])

    def _hang_up(self, code: int, reason: str) -> list[Out]:
        self._over = True
        self._due.clear()
        self._go_away_at = self._end_at = None
        return [Hangup(code, reason[:120])]


def _camelised(value: Any) -> Any:
    """Both spellings of field names mean the same; the SDK mixes them."""
    if isinstance(value, list):
        return [_camelised(element) for element in value]
    if not isinstance(value, dict):
        return value
    names = {name: re.sub("_([a-z])", lambda found: found[1].upper(), name) for name in value}
    return {names[name]: inner if names[name] in FREE else _camelised(inner) for name, inner in value.items()}


def _schema_faults(schema: dict[str, Any], where: str) -> list[str]:
    faults = [f"{where}: a schema has no {key!r}" for key in _camelised(dict.fromkeys(schema)) if key not in SCHEMA]
    if str(schema.get("type")).lower() == "object" and not schema.get("properties"):
        faults.append(f"{where}: an object without properties")
    inner = {**schema.get("properties", {}), "items": schema.get("items")}
    for name, part in inner.items():
        if isinstance(part, dict):
            faults += _schema_faults(part, f"{where}.{name}")
    return faults


@asynccontextmanager
async def serve_gemini(
    server: GeminiServer | None = None, ssl_context: SSLContext | None = None
) -> AsyncGenerator[GeminiServer, None]:
    """On loopback, over TLS where there is a context. ``url`` is what a client takes for its base URL."""
    shared = server or GeminiServer()

    async def answer(request: web.Request) -> web.StreamResponse:
        if shared.fault is not None and shared.fault.what == "refused":
            return web.json_response({"error": {"code": shared.fault.code}}, status=shared.fault.code)
        if request.headers.get("x-goog-api-key") != KEY:
            return web.json_response({"error": {"code": 401, "message": "API key not valid"}}, status=401)
        return await drive(request, GeminiSession(shared), shared)

    async with serve(shared, PATH, answer, ssl_context):
        yield shared
