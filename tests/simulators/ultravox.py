"""A local Ultravox: the REST API that makes calls, their sockets, and its webhooks. It checks what it is sent strictly,
and misbehaves on request.

A thin driver: what happens in a call is decided in :mod:`tests.simulators.ultravox_call`, without sockets and with any
clock.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import numpy as np
from aiohttp import WSMsgType, web

from tests.simulators.ultravox_call import Close, Faults, Out, Reply, SimulatedCall, Voice
from tests.simulators.ultravox_request import message_mistakes, mistakes

KEY = "simulated-ultravox-key"

TICK_SECONDS = 0.02


def tones(rate: int, word_seconds: float = 0.2) -> Voice:
    """A voice that hums: each word is a tone."""

    def voice(text: str) -> bytes:
        samples = round(rate * word_seconds)
        wave = 6000 * np.sin(2 * np.pi * 440 * np.arange(samples) / rate)
        return wave.astype(np.int16).tobytes() * len(text.split())

    return voice


@dataclass
class UltravoxServer:
    """What the caller says is taken from ``heard``, in order; ``reply`` says what the agent makes of it; ``voice`` is
    made for the output's rate. ``faults`` are of the calls to come. Of the requests to come, each takes a status from
    ``refuse``, as long as there are any, and each waits for ``answer_after`` seconds."""

    reply: Reply = lambda heard: f"You said {heard.text}."
    voice: Callable[[int], Voice] = tones
    heard: deque[str] = field(default_factory=deque)
    think: float = 0.05
    faults: Faults = field(default_factory=Faults)
    refuse: list[int] = field(default_factory=list)
    refuse_join: list[int] = field(default_factory=list)
    """And each socket to come one from here."""
    answer_after: float = 0.0
    answer_with: str | None = None
    """Instead of a call's JSON."""
    reason_after: float = 0.0
    """Seconds from a call's end until its ``endReason`` can be read."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    calls: dict[str, SimulatedCall] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    minutes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """What was said in calls that browsers have, as messages of the REST API."""
    base_url: str = ""
    joined: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def call(self) -> SimulatedCall:
        """The latest."""
        return list(self.calls.values())[-1]

    # REST

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        self.requests.append(body)
        wrong = mistakes(body)
        if wrong:
            self.mistakes += wrong
            return _error(400, "; ".join(wrong))
        if body.get("medium", {}).keys() - {"serverWebSocket", "webRtc"}:
            return _error(400, "only the media serverWebSocket and webRtc are simulated")
        if self.answer_with is not None:
            return web.Response(text=self.answer_with, status=201)
        socket = body.get("medium", {}).get("serverWebSocket", {"inputSampleRate": 48000})
        rate = socket.get("outputSampleRate", socket["inputSampleRate"])
        call_id = f"00000000-0000-4000-8000-{len(self.calls) + 1:012}"
        self.calls[call_id] = SimulatedCall(
            call_id,
            body,
            reply=self.reply,
            voice=self.voice(rate),
            heard=self.heard,
            think=self.think,
            faults=self.faults,
        )
        return web.json_response(self._tell(call_id), status=201)

    async def get(self, request: web.Request) -> web.Response:
        call_id = request.match_info["call_id"]
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        return web.json_response(self._tell(call_id)) if call_id in self.calls else _error(404, "Not found.")

    async def messages(self, request: web.Request) -> web.Response:
        """Pages of two, so that nobody does with the first one."""
        call_id, query = request.match_info["call_id"], request.query
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        if call_id not in self.calls:
            return _error(404, "Not found.")
        if query.get("mode") != "in_call" or not 1 <= int(query.get("pageSize", 1)) <= 100:
            self.mistakes.append(f"messages are not asked for with {query}")
        start = int(query.get("cursor", "at-0").removeprefix("at-"))
        said = self.minutes.get(call_id, [])
        following = (
            f"{self.base_url}{request.path}?cursor=at-{start + 2}&mode=in_call" if len(said) > start + 2 else None
        )
        page = {"next": following, "previous": None, "total": len(said), "results": said[start : start + 2]}
        return web.json_response(page)

    async def send_data_message(self, request: web.Request) -> web.Response:
        call_id, body = request.match_info["call_id"], await request.json()
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        call = self.calls.get(call_id)
        if call is None:
            return _error(404, "Not found.")
        if call.joined_at is None or call.ended_at is not None:
            return _error(422, "The call is not active.")
        wrong = message_mistakes(body)
        if wrong or body["type"] != "hang_up":
            self.mistakes += wrong or [f"{body['type']} is not simulated here"]
            return _error(400, "; ".join(wrong))
        call.ended_at, call.end_reason = asyncio.get_running_loop().time(), "agent_hangup"
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        call_id = request.match_info["call_id"]
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        if self.calls.pop(call_id, None) is None:
            return _error(404, "Not found.")
        self.deleted.append(call_id)
        return web.Response(status=204)

    async def _refusal(self, request: web.Request) -> web.Response | None:
        await asyncio.sleep(self.answer_after)
        if request.headers.get("X-API-Key") != KEY:
            return _error(401, f"Invalid API key: {request.headers.get('X-API-Key')}")
        return _error(self.refuse.pop(0), "simulated") if self.refuse else None

    def _tell(self, call_id: str) -> dict[str, Any]:
        call = self.calls[call_id]
        now = asyncio.get_running_loop().time()
        over = call.ended_at is not None and now - call.ended_at >= self.reason_after
        lasted = (call.ended_at or 0.0) - (call.joined_at or 0.0)
        return {
            "callId": call_id,
            "created": "2026-07-02T12:00:00Z",
            "joinUrl": f"{self.base_url.replace('http', 'ws', 1)}/calls/{call_id}/server_web_socket?token=simulated",
            "joined": None if call.joined_at is None else "2026-07-02T12:00:01Z",
            "ended": None if call.ended_at is None else "2026-07-02T12:01:00Z",
            "endReason": call.end_reason if over else None,
            "billedDuration": f"{lasted:.1f}s" if over else None,
            "metadata": call.request.get("metadata", {}),
        }

    # Sockets

    async def join(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_join:
            return _error(self.refuse_join.pop(0), "simulated")
        call = self.calls.get(request.match_info["call_id"])
        if call is None or call.joined_at is not None or request.query.get("token") != "simulated":
            return _error(404, "Not found.")
        socket = web.WebSocketResponse(max_msg_size=1 << 20)
        await socket.prepare(request)
        clock = asyncio.get_running_loop().time
        self.joined.set()
        await _send(request, socket, call.join(clock()))
        turn = asyncio.Lock()  # what is made together is sent together
        ticking = asyncio.create_task(_tick(request, socket, call, clock, turn))
        try:
            while not socket.closed and not call.half_open:
                message = await socket.receive()
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    async with turn:
                        await _send(request, socket, call.receive(message.data, clock()))
                elif message.type is not WSMsgType.ERROR:
                    break
            await ticking
        finally:
            ticking.cancel()
            call.left(clock(), clean=socket.close_code in (1000, 1001))
        return socket

    # Webhooks

    async def send_webhook(
        self, url: str, call_id: str, secret: str, *, event: str = "call.ended", at: datetime | None = None
    ) -> int:
        """The status it is answered with."""
        body = json.dumps({"event": event, "call": self._tell(call_id)}).encode()
        stamp = (at or datetime.now(UTC)).isoformat()
        signature = hmac.new(secret.encode(), body + stamp.encode(), hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Ultravox-Webhook-Timestamp": stamp,
            "X-Ultravox-Webhook-Signature": signature,
        }
        async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=headers) as response:
            return response.status


@asynccontextmanager
async def serve_ultravox(**settings: Any) -> AsyncGenerator[UltravoxServer, None]:
    """``settings``: fields of :class:`UltravoxServer`."""
    server = UltravoxServer(**settings)
    app = web.Application()
    app.router.add_post("/api/calls", server.create)
    app.router.add_get("/api/calls/{call_id}", server.get)
    app.router.add_delete("/api/calls/{call_id}", server.delete)
    app.router.add_get("/api/calls/{call_id}/messages", server.messages)
    app.router.add_post("/api/calls/{call_id}/send_data_message", server.send_data_message)
    app.router.add_get("/calls/{call_id}/server_web_socket", server.join)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()


async def _tick(
    request: web.Request,
    socket: web.WebSocketResponse,
    call: SimulatedCall,
    clock: Callable[[], float],
    turn: asyncio.Lock,
) -> None:
    """Until the call is over; a socket that is half open stays as it is."""
    while call.ended_at is None and not socket.closed:
        async with turn:
            await _send(request, socket, call.tick(clock()))
        await asyncio.sleep(TICK_SECONDS)


async def _send(request: web.Request, socket: web.WebSocketResponse, messages: list[Out]) -> None:
    try:
        for message in messages:
            match message:
                case str():
                    await socket.send_str(message)
                case bytes():
                    await socket.send_bytes(message)
                case Close(1006):
                    if request.transport is not None:
                        request.transport.abort()
                case Close(code):
                    await socket.close(code=code)
    except (ConnectionError, aiohttp.ClientError, RuntimeError):
        pass  # the client left


def _error(status: int, detail: str) -> web.Response:
    return web.json_response({"detail": detail}, status=status)
