"""A local server of OpenAI Realtime that the official SDK connects to unchanged: the simulation behind real sockets.

async with serve_realtime(reply=lambda text, history: Reply("It is noon.")) as server:
    server.said.append("what time is it")
    ...  # connect to server.base_url with KEY, send sound
    assert server.sessions[0].history() == [("user", "what time is it"), ("assistant", "It is noon.")]
    assert server.mistakes == []
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from media.audio import AudioFormat
from tests.simulators.openai_realtime_scene import Behaviour, Close, Faults, History, Reply, Script, Sent, echo
from tests.simulators.openai_realtime_simulation import RealtimeSimulation
from tests.simulators.openai_realtime_voice import Voice, Voiced, codewords, spoken, tones

__all__ = [
    "KEY",
    "Behaviour",
    "Close",
    "Faults",
    "History",
    "RealtimeServer",
    "RealtimeSimulation",
    "Reply",
    "Script",
    "Voice",
    "Voiced",
    "codewords",
    "echo",
    "serve_realtime",
    "spoken",
    "tones",
]

KEY = "sk-simulated-key"
_STATUS = {401: "invalid_api_key", 429: "rate_limit_exceeded", 503: "server_error"}


@dataclass
class RealtimeServer:
    reply: Script = echo
    voice: Voice = tones
    understand: Callable[[bytes, AudioFormat], str] | None = None
    behaviour: Behaviour = field(default_factory=Behaviour)
    faults: deque[Faults] = field(default_factory=deque)
    """Of the next connections, in order."""
    said: deque[str] = field(default_factory=deque)
    """What the caller says in his next turns, in all sessions."""
    sessions: list[RealtimeSimulation] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    """What was wrong with requests for a connection."""
    base_url: str = ""
    session_seconds: float = 3600.0

    @property
    def mistakes(self) -> list[str]:
        return [*self.refusals, *(mistake for session in self.sessions for mistake in session.mistakes)]

    async def connect(self, request: web.Request) -> web.StreamResponse:
        faults = self.faults.popleft() if self.faults else Faults()
        if faults.refuse is not None:
            return _refusal(faults.refuse, "simulated")
        if KEY not in (
            request.headers.get("Authorization", "").removeprefix("Bearer "),
            request.headers.get("api-key"),
        ):
            self.refusals.append("the key is wrong")
            return _refusal(401, "Incorrect API key provided")
        model = request.query.get("model") or request.query.get("deployment")
        if not model:
            self.refusals.append("a session needs a model")
            return _refusal(400, "You must provide a model parameter.")
        socket = web.WebSocketResponse(max_msg_size=0, compress=False)
        await socket.prepare(request)
        if "OpenAI-Beta" in request.headers:
            self.refusals.append("the old shape of the API was asked for")
            return await _no_beta(socket)
        simulation = RealtimeSimulation(
            model=model,
            reply=self.reply,
            voice=self.voice,
            understand=self.understand,
            behaviour=self.behaviour,
            faults=faults,
            expires_at=int(time.time() + self.session_seconds),
        )
        simulation.said = self.said
        self.sessions.append(simulation)
        await _Driver(simulation, socket, request).run()
        return socket


class _Driver:
    def __init__(self, simulation: RealtimeSimulation, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._simulation = simulation
        self._socket = socket
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._out: deque[Sent] = deque()
        self._due: float | None = None  # until when the writer sleeps

    async def run(self) -> None:
        self._out += self._simulation.opened(self._loop.time())
        writing = asyncio.create_task(self._write())
        try:
            await self._read()
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await writing

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self._out += self._simulation.receive(message.data, self._loop.time())
                if self._out or self._simulation.next_at != self._due:
                    self._wake.set()
            if self._simulation.stalled and not self._out:
                await asyncio.Event().wait()  # until the server is closed

    async def _write(self) -> None:
        while True:
            self._out += self._simulation.tick(self._loop.time())
            while self._out:
                await self._send(self._out.popleft())
            self._wake.clear()
            self._due = self._simulation.next_at
            alarm = None if self._due is None else self._loop.call_at(self._due, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                if alarm is not None:
                    alarm.cancel()

    async def _send(self, sent: Sent) -> None:
        match sent:
            case str():
                await self._socket.send_str(sent)
            case Close(code=1006):
                assert self._request.transport is not None
                self._request.transport.abort()
            case Close(code, reason):
                await self._socket.close(code=code, message=reason.encode())


@asynccontextmanager
async def serve_realtime(**settings: Any) -> AsyncGenerator[RealtimeServer, None]:
    """``settings`` are fields of :class:`RealtimeServer`. Its ``base_url`` ends in ``/v1``, as the SDK wants it."""
    server = RealtimeServer(**settings)
    app = web.Application()
    app.router.add_get("/v1/realtime", server.connect)
    app.router.add_get("/openai/v1/realtime", server.connect)
    app.router.add_get("/openai/realtime", server.connect)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        await runner.cleanup()


def _refusal(status: int, message: str) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "code": _STATUS.get(status), "param": None}
    return web.json_response({"error": error}, status=status)


async def _no_beta(socket: web.WebSocketResponse) -> web.WebSocketResponse:
    message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
    error = {"type": "invalid_request_error", "code": "beta_api_shape_disabled", "message": message}
    await socket.send_str(json.dumps({"type": "error", "event_id": "event_1", "error": error}))
    await socket.close(code=4000, message=b"invalid_request_error.beta_api_shape_disabled")
    return socket
