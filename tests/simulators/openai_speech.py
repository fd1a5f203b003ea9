"""A local server of ``/audio/speech`` and ``/audio/transcriptions``, as OpenAI, Groq, speaches and Kokoro have them: it
checks what it is sent, speaks and hears the words of :mod:`tests.simulators.codeword`, and misbehaves on request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import BodyPartReader, web

from media.audio import PCM_8K
from media.wav import read_wav
from tests.simulators.codeword import heard_words, speak
from tests.simulators.loopback import on_loopback

KEY = "sk-simulated-speech-key"

_SPEECH = {"model", "input", "voice", "response_format", "speed"}
_FIELDS = {
    "openai": _SPEECH | {"instructions", "stream_format"},
    "kokoro": _SPEECH | {"stream", "lang_code", "volume_multiplier"},
    "speaches": _SPEECH | {"stream_format", "sample_rate"},
}
_VOICES = {"openai": ("alloy", "coral", "marin", "cedar"), "kokoro": ("af_", "bf_", "bm_"), "speaches": ("af_", "bf_")}
_TRANSCRIPTION = {"file", "model", "language", "prompt", "response_format", "temperature"}


@dataclass(slots=True)
class Reply:
    """How one request is answered. ``status`` other than 200 is an error with ``message``, in ``detail`` as FastAPI has
    it where ``detail`` is on; otherwise with sound or words.

    ``first_after`` seconds pass before anything is sent. The body is ``body``, if it is given. It is sent ``chunk``
    bytes at a time, ``each_after`` seconds apart; after ``break_after`` bytes the connection is cut, after
    ``hang_after`` nothing more comes.
    """

    status: int = 200
    message: str = "simulated"
    headers: Mapping[str, str] = field(default_factory=dict)
    detail: bool = False
    first_after: float = 0.0
    body: bytes | None = None
    content_type: str | None = None
    chunk: int | None = None
    each_after: float = 0.0
    break_after: int | None = None
    hang_after: int | None = None


@dataclass
class SpeechSimulation:
    """``replies`` are used up in order; the last one stays. ``texts`` are what callers say, in order; without them it
    is what their sound says. ``usage`` goes with each transcript."""

    vendor: str = "openai"
    key: str = KEY
    replies: list[Reply] = field(default_factory=lambda: [Reply()])
    texts: list[str] = field(default_factory=list)
    usage: Any = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    sounds: list[bytes] = field(default_factory=list)
    """What was to be transcribed, as PCM16 at 8 kHz."""
    peers: list[Any] = field(default_factory=list)
    """The client's end of each request's connection: two requests on one connection have the same."""
    mistakes: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """A client left before the end of its answer."""
    base_url: str = ""

    async def speech(self, request: web.Request) -> web.StreamResponse:
        if not self._knows(request):
            return self._refuse(Reply(401, f"invalid key in {request.headers.get('Authorization')}"))
        body = await request.json()
        self.mistakes += _speech_mistakes(self.vendor, body)
        sound = np.repeat(np.frombuffer(speak(body["input"]), np.int16), 3).tobytes()
        return await self._answer(request, body, sound, "audio/pcm")

    async def transcription(self, request: web.Request) -> web.StreamResponse:
        if not self._knows(request):
            return self._refuse(Reply(401, f"invalid key in {request.headers.get('Authorization')}"))
        fields: dict[str, Any] = {}
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            assert part.name is not None
            if part.name in fields:
                self.mistakes.append(f"{part.name} is there twice")
            fields[part.name] = bytes(await part.read()) if part.filename else await part.text()
            if part.name == "file" and (part.filename, part.headers.get("Content-Type")) != ("caller.wav", "audio/wav"):
                self.mistakes.append(f"the file is {part.filename}, {dict(part.headers)}")
        self.mistakes += _transcription_mistakes(fields)
        clip = read_wav(fields.pop("file"))
        if clip.format != PCM_8K:
            self.mistakes.append(f"the sound is {clip.format}")
        self.sounds.append(clip.data)
        text = self.texts.pop(0) if self.texts else " ".join(heard_words(clip.data))
        answer = {"text": text, **({} if self.usage is None else {"usage": self.usage})}
        return await self._answer(request, fields, json.dumps(answer).encode(), "application/json")

    def _knows(self, request: web.Request) -> bool:
        return not self.key or request.headers.get("Authorization") == f"Bearer {self.key}"

    async def _answer(
        self, request: web.Request, fields: dict[str, Any], made: bytes, content_type: str
    ) -> web.StreamResponse:
        self.requests.append(fields)
        assert request.transport is not None
        self.peers.append(request.transport.get_extra_info("peername"))
        self.arrived.set()
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        try:
            await asyncio.sleep(reply.first_after)
            if reply.status != 200:
                return self._refuse(reply)
            return await _send(request, reply, made, content_type)
        except (asyncio.CancelledError, ConnectionResetError):
            self.left.set()
            raise

    def _refuse(self, reply: Reply) -> web.Response:
        error = {"error": "simulated", "message": reply.message, "type": "simulated"}
        body = {"detail": error} if reply.detail else {"error": {"message": reply.message, "type": "simulated"}}
        return web.json_response(body, status=reply.status, headers=dict(reply.headers))


async def _send(request: web.Request, reply: Reply, made: bytes, content_type: str) -> web.StreamResponse:
    body = made if reply.body is None else reply.body
    response = web.StreamResponse(headers={"Content-Type": reply.content_type or content_type})
    await response.prepare(request)
    ends = [end for end in (reply.break_after, reply.hang_after) if end is not None]
    body = body[: min(ends)] if ends else body
    size = reply.chunk or max(len(body), 1)
    for start in range(0, len(body), size):
        await asyncio.sleep(reply.each_after)
        await response.write(body[start : start + size])
    if reply.hang_after is not None:
        await asyncio.sleep(60)
    if reply.break_after is not None:
        assert request.transport is not None
        await asyncio.sleep(0.02)  # what was written is read before the end is noticed
        request.transport.abort()
    return response


@asynccontextmanager
async def serve_speech(**settings: Any) -> AsyncGenerator[SpeechSimulation, None]:
    """``settings`` are :class:`SpeechSimulation`'s. ``base_url`` has no path: the settings of users may have none."""
    server = SpeechSimulation(**settings)
    app = web.Application(client_max_size=4 << 20)
    routes: Sequence[tuple[str, Callable[[web.Request], Any]]] = (
        ("/audio/speech", server.speech),
        ("/audio/transcriptions", server.transcription),
    )
    for path, handler in routes:
        app.router.add_post(f"{'/openai/v1' if server.vendor == 'groq' else '/v1'}{path}", handler)
    async with on_loopback(app) as address:
        server.base_url = address
        yield server


def _speech_mistakes(vendor: str, body: dict[str, Any]) -> list[str]:
    found = [f"no such field: {name}" for name in sorted(body.keys() - _FIELDS[vendor])]
    found += [f"{name} is missing" for name in ("model", "input", "voice") if not isinstance(body.get(name), str)]
    if not 0 < len(body.get("input", "")) <= 4096:
        found.append("the input is empty, or too long")
    if body.get("response_format") != "pcm":
        found.append(f"it is {body.get('response_format')} that is wanted")
    if not str(body.get("voice")).startswith(_VOICES[vendor]):
        found.append(f"there is no voice {body.get('voice')}")
    if not 0.25 <= body.get("speed", 1) <= 4:
        found.append("speed is out of range")
    if vendor == "speaches" and body.get("sample_rate") != 24000:
        found.append("it would speak at the rate of its model")
    return found


def _transcription_mistakes(fields: Mapping[str, Any]) -> list[str]:
    found = [f"no such field: {name}" for name in sorted(fields.keys() - _TRANSCRIPTION)]
    found += [f"{name} is missing" for name in ("file", "model") if not fields.get(name)]
    if len(fields.get("language", "en")) != 2:
        found.append(f"the language is {fields['language']}")
    if len(fields.get("prompt", "")) > 896:
        found.append("the prompt is too long")
    if fields.get("response_format") != "json":
        found.append("an answer in JSON is wanted")
    return found
