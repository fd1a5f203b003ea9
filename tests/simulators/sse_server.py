"""What simulators of models that answer in server-sent events have in common: a local server, and its bad days."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.simulators.loopback import on_loopback

Handler = Callable[[web.Request], Any]


@dataclass(slots=True)
class Reply:
    """How one request is answered. ``status`` other than 200 is an error with ``message``, ``headers`` and, in the
    vendor's place for them, ``details``; otherwise ``events`` are streamed.

    ``first_after`` seconds pass before anything is sent, ``each_after`` before each event, and ``linger`` between the
    last one and the end of the stream. After ``break_after`` events the connection is cut; after ``hang_after`` nothing
    more comes, but ``pings``, many a second, if they are on; after ``error_after`` the vendor's own error event of the
    kind ``error`` does. ``garbage`` is sent instead of the events. ``chunk`` is how many bytes are sent at once.
    """

    events: Sequence[Mapping[str, Any]] = ()
    status: int = 200
    message: str = "simulated"
    headers: Mapping[str, str] = field(default_factory=dict)
    details: Sequence[Mapping[str, Any]] = ()
    first_after: float = 0.0
    each_after: float = 0.0
    break_after: int | None = None
    hang_after: int | None = None
    pings: bool = False
    error_after: int | None = None
    error: str = ""
    garbage: str | None = None
    content_type: str = "text/event-stream"
    chunk: int | None = None
    linger: float = 0.0


@dataclass
class SseServer:
    """``replies`` are used up in order; the last one stays."""

    replies: list[Reply] = field(default_factory=list)
    given: list[Reply] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    peers: list[Any] = field(default_factory=list)
    """The client's end of each request's connection: two requests on one connection have the same."""
    mistakes: list[str] = field(default_factory=list)
    """What was wrong with the requests."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """A client left before the end of its answer."""
    base_url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if not self.knows(request):
            return self.refusal(401, Reply(message=f"invalid key in {dict(request.headers)}"))
        body = await request.json()
        self.requests.append(body)
        assert request.transport is not None
        self.peers.append(request.transport.get_extra_info("peername"))
        self.arrived.set()
        self.mistakes += self.check(request, body)
        if (refused := self.refuses(request, body)) is not None:
            return self.refusal(refused.status, refused)
        reply = self.reply_to(body)
        self.given.append(reply)
        try:
            await asyncio.sleep(reply.first_after)
            if reply.status != 200:
                return self.refusal(reply.status, reply)
            return await self._stream(request, reply)
        except (asyncio.CancelledError, ConnectionResetError):
            self.left.set()
            raise

    def knows(self, request: web.Request) -> bool:
        raise NotImplementedError

    def check(self, request: web.Request, body: dict[str, Any]) -> list[str]:
        """What the vendor would refuse, and what we always ask for."""
        raise NotImplementedError

    def reply_to(self, body: dict[str, Any]) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def refuses(self, request: web.Request, body: dict[str, Any]) -> Reply | None:
        """What the vendor refuses by its rules, whatever the reply would be, and how it says so."""
        return None

    def refusal(self, status: int, reply: Reply) -> web.Response:
        raise NotImplementedError

    def encode(self, event: Mapping[str, Any]) -> bytes:
        raise NotImplementedError

    def failure(self, reply: Reply) -> Mapping[str, Any]:
        """The error event in mid-stream."""
        raise NotImplementedError

    async def _stream(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": reply.content_type})
        await response.prepare(request)
        if reply.garbage is not None:
            await response.write(reply.garbage.encode())
            return response
        for number in range(len(reply.events) + 1):
            await asyncio.sleep(reply.each_after)
            if number == reply.error_after:
                await response.write(self.encode(self.failure(reply)))
                return response
            if number == reply.hang_after:
                while reply.pings:
                    await response.write(b'event: ping\ndata: {"type": "ping"}\n\n: a comment\n\n')
                    await asyncio.sleep(0.02)
                await asyncio.sleep(60)
            if number == reply.break_after:
                assert request.transport is not None
                await asyncio.sleep(0.02)  # what was written is read before the end is noticed
                request.transport.abort()
                return response
            if number < len(reply.events):
                data = self.encode(reply.events[number])
                size = reply.chunk or len(data)
                for start in range(0, len(data), size):
                    await response.write(data[start : start + size])
        await asyncio.sleep(reply.linger)
        return response


@asynccontextmanager
async def serve_sse(server: SseServer, path: str) -> AsyncGenerator[None, None]:
    app = web.Application()
    app.router.add_post(path, server.answer)
    async with on_loopback(app) as address:
        server.base_url = address
        yield


def data_line(event: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"
