"""The transport for tests: sockets and hooks as plain calls, on whatever clock the loop has.

A test gives :class:`MemoryTransport` two functions of the service: one that answers a hook, and one that takes the
service's end of a new socket (or raises :class:`SocketRefused`), attaches itself to it as its handler, and sends::

    async def answer(url, body, headers):
        return HookResponse(200, "application/json", json.dumps(verbs).encode())

    def accept(url, headers, socket):
        leg = Leg(send_binary=socket.send_binary, send_text=socket.send_text)
        socket.attach(leg)

    transport = MemoryTransport(answer, accept, latency=0.01)
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from jambonz.simulator.transport import NORMAL_CLOSURE, HookResponse, SocketHandler

Answer = Callable[[str, bytes, Mapping[str, str]], Awaitable[HookResponse]]
Accept = Callable[[str, Mapping[str, str], "MemoryEnd"], None]


class MemoryEnd:
    """One end of a :class:`MemoryLink`: a ``ServiceSocket``.

    What comes in before a handler is attached waits for it.
    """

    def __init__(self, link: MemoryLink) -> None:
        self.writable = True
        self.closed: int | None = None
        """The code, once this end knows that the link is closed."""
        self._link = link
        self._handler: SocketHandler | None = None
        self._waiting: deque[Callable[[SocketHandler], None]] = deque()

    def attach(self, handler: SocketHandler) -> None:
        self._handler = handler
        while self._waiting:
            self._waiting.popleft()(handler)

    def send_text(self, text: str) -> None:
        if self.closed is None:
            self._link.carry(self, lambda handler: handler.on_text(text))

    def send_binary(self, data: bytes) -> None:
        if self.closed is None:
            self._link.carry(self, lambda handler: handler.on_binary(data))

    def close(self, code: int = NORMAL_CLOSURE) -> None:
        """Tells this end's handler at once, and the peer's after the latency."""
        if self.closed is None:
            self._link.carry(self, lambda handler: handler.on_closed(code), closing=code)
            self.closed = code
            if self._handler:
                self._handler.on_closed(code)

    def receive(self, delivery: Callable[[SocketHandler], None], closing: int | None) -> None:
        """The link's side of it: something has arrived at this end."""
        if self.closed is not None:
            return
        self.closed = closing
        if self._handler:
            delivery(self._handler)
        else:
            self._waiting.append(delivery)


class MemoryLink:
    """Two ends with ``latency`` seconds one way, which may be changed at any time; order is kept."""

    def __init__(self, latency: float = 0.0) -> None:
        self.latency = latency
        self.ours, self.theirs = MemoryEnd(self), MemoryEnd(self)
        self._ways = {self.ours: _Way(self.theirs), self.theirs: _Way(self.ours)}

    def carry(self, sender: MemoryEnd, delivery: Callable[[SocketHandler], None], closing: int | None = None) -> None:
        way = self._ways[sender]
        loop = asyncio.get_running_loop()
        way.last_arrival = max(way.last_arrival, loop.time() + self.latency)
        way.under_way.append((delivery, closing))
        # Timers of the same instant fire in any order, so each delivers the oldest rather than its own.
        loop.call_at(way.last_arrival, way.arrive)


class _Way:
    """One direction of a link."""

    def __init__(self, receiver: MemoryEnd) -> None:
        self.last_arrival = 0.0
        self.under_way: deque[tuple[Callable[[SocketHandler], None], int | None]] = deque()
        self._receiver = receiver

    def arrive(self) -> None:
        self._receiver.receive(*self.under_way.popleft())


class MemoryTransport:
    """Hooks and sockets of a service in the same process. ``latency`` is one way, in seconds."""

    def __init__(self, answer: Answer, accept: Accept, *, latency: float = 0.0) -> None:
        self.latency = latency
        self.links: list[MemoryLink] = []
        self._answer = answer
        self._accept = accept

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HookResponse:
        await asyncio.sleep(self.latency)
        response = await self._answer(url, body, headers)
        await asyncio.sleep(self.latency)
        return response

    async def connect(
        self, url: str, *, subprotocol: str, headers: Mapping[str, str], handler: SocketHandler
    ) -> MemoryEnd:
        await asyncio.sleep(self.latency)
        link = MemoryLink(self.latency)
        link.ours.attach(handler)
        self._accept(url, {"Sec-WebSocket-Protocol": subprotocol, **headers}, link.theirs)
        self.links.append(link)
        await asyncio.sleep(self.latency)
        return link.ours
