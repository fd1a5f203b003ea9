"""A local server of ``/v1/chat/completions`` that the official SDK connects to: it checks what we send, and misbehaves
on request. Its streams are those of OpenAI, with the divergences of servers that say they are compatible."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.simulators.loopback import on_loopback

KEY = "sk-simulated-key"


@dataclass(slots=True)
class Reply:
    """How one request is answered. ``status`` other than 200 is an error with ``message`` and ``headers``; otherwise
    ``deltas`` are streamed, then the finish and, unless ``usage`` is off, what it cost.

    ``first_after`` seconds pass before anything is sent. ``break_after`` deltas the connection is cut; ``hang_after``
    deltas nothing more comes. ``garbage`` is sent instead of the deltas.
    """

    deltas: Sequence[dict[str, Any]] = ()
    status: int = 200
    message: str = "simulated"
    headers: Mapping[str, str] = field(default_factory=dict)
    usage: bool = True
    finish: str | None = "stop"
    first_after: float = 0.0
    break_after: int | None = None
    hang_after: int | None = None
    garbage: str | None = None


def text(*words: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": ""}, *({"content": word} for word in words)]


@dataclass
class ChatServer:
    """``replies`` are used up in order; the last one stays. ``refused`` are fields that the server does not take, as
    compatible ones do not take all; models that reason take no temperature, and with tools no effort but ``none``."""

    refused: frozenset[str] = frozenset()
    replies: list[Reply] = field(default_factory=lambda: [Reply(text("Hello", " there", "."))])
    requests: list[dict[str, Any]] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    """What was asked for that is not here."""
    mistakes: list[str] = field(default_factory=list)
    """What was wrong with the requests."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """A client left before the end of its answer."""
    base_url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error(401, f"Incorrect API key provided: {request.headers.get('Authorization')}")
        body = await request.json()
        self.requests.append(body)
        self.arrived.set()
        self.mistakes += _mistakes(body)
        if (unwelcome := self._unwelcome(body)) is not None:
            return unwelcome
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        try:
            await asyncio.sleep(reply.first_after)
            if reply.status != 200:
                return _error(reply.status, reply.message, headers=reply.headers)
            return await self._stream(request, reply)
        except (asyncio.CancelledError, ConnectionResetError):
            self.left.set()
            raise

    async def missing(self, request: web.Request) -> web.Response:
        self.elsewhere.append(request.path)
        return web.json_response({"detail": "Not Found"}, status=404)

    def _unwelcome(self, body: dict[str, Any]) -> web.Response | None:
        for name in sorted(self.refused & body.keys()):
            return _error(400, f"Unrecognized request argument supplied: {name}", param=name)
        if not re.match(r"(o\d|gpt-[5-9])", body["model"]):
            return None
        if "temperature" in body:
            message = "Unsupported value: 'temperature' does not support this value with this model."
            return _error(400, message, param="temperature", code="unsupported_value")
        if body.get("tools") and body.get("reasoning_effort") != "none":
            message = f"Function tools with reasoning_effort are not supported for {body['model']} here."
            return _error(400, message, param="reasoning_effort")
        return None

    async def _stream(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if reply.garbage is not None:
            await response.write(reply.garbage.encode())
            return response
        for number, delta in enumerate(reply.deltas):
            if number == reply.hang_after:
                await asyncio.sleep(60)
            if number == reply.break_after:
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(_chunk([{"index": 0, "delta": delta, "finish_reason": None}]))
        if reply.finish is not None:
            await response.write(_chunk([{"index": 0, "delta": {}, "finish_reason": reply.finish}]))
        if reply.usage:
            details = {
                "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 2, "cache_write_tokens": 4},
                "completion_tokens_details": {"audio_tokens": 1, "reasoning_tokens": 1},
            }
            usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15, **details}
            await response.write(_chunk([], usage=usage))
        await response.write(b"data: [DONE]\n\n")
        return response


@asynccontextmanager
async def serve_chat() -> AsyncGenerator[ChatServer, None]:
    server = ChatServer()
    app = web.Application()
    for place in ("/v1/chat/completions", "/openai/v1/chat/completions"):  # the second is Groq's
        app.router.add_post(place, server.answer)
    app.router.add_route("*", "/{rest:.*}", server.missing)
    async with on_loopback(app) as address:
        server.base_url = f"{address}/v1"
        yield server


def _chunk(choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return f"data: {json.dumps({**chunk, **more})}\n\n".encode()


def _error(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    error = {"message": message, "type": "simulated", "param": param, "code": code}
    return web.json_response({"error": error}, status=status, headers=dict(headers or {}))


def _mistakes(body: dict[str, Any]) -> list[str]:
    """What OpenAI would refuse in a request, and what we always ask for."""
    found = []
    if not body.get("model") or not body.get("messages"):
        found.append("a request needs a model and messages")
    if body.get("stream") is not True or body.get("stream_options") != {"include_usage": True}:
        found.append("the answer is to be streamed, with its usage")
    if not 0 <= body.get("temperature", 1) <= 2:
        found.append("temperature is out of range")
    asked: set[str] = set()
    for message in body.get("messages", []):
        match message:
            case {"role": "system" | "user", "content": str(), **rest} if not rest:
                pass
            case {"role": "assistant", "content": str(), **rest} if not rest:
                pass
            case {"role": "assistant", "content": str() | None, "tool_calls": [*calls]}:
                for call in calls:
                    asked.add(call["id"])
                    if call["type"] != "function" or not isinstance(json.loads(call["function"]["arguments"]), dict):
                        found.append(f"not a call of a function: {call}")
            case {"role": "tool", "content": str(), "tool_call_id": str(call_id), **rest} if (
                call_id in asked and not rest
            ):
                pass
            case _:
                found.append(f"not a message: {message}")
    for tool in body.get("tools", []):
        match tool:
            case {
                "type": "function",
                "function": {"name": str(), "description": str(), "parameters": {"type": "object"}},
            }:
                pass
            case _:
                found.append(f"not a tool: {tool}")
    return found
