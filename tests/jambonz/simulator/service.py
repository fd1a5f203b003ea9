"""A service for the simulator to call in tests: answers hooks from a script and holds its ends of the sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np

from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.memory import MemoryEnd, MemoryTransport
from jambonz.simulator.transport import HookResponse, SocketRefused

LISTEN: dict[str, Any] = {
    "verb": "listen",
    "url": "ws://service/audio",
    "actionHook": "/next",
    "passDtmf": True,
    "bidirectionalAudio": {"enabled": True, "streaming": True, "sampleRate": 8000},
}

Reply = Callable[[dict[str, Any]], Awaitable[Any] | Any] | Any


def tone(ms: int, amplitude: int = 8000) -> bytes:
    samples = np.rint(amplitude * np.sin(2 * np.pi * 440 * np.arange(8 * ms) / 8000)).astype("<i2")
    samples[samples == -1] = -2
    return bytes(samples.tobytes())


class Leg:
    """The service's end of a listen socket. It keeps what it gets; what it does, tests tell it."""

    def __init__(self, socket: MemoryEnd) -> None:
        self.socket = socket
        self.texts: list[Any] = []
        self.binaries: list[bytes] = []
        self.times: list[float] = []
        self.closed: int | None = None
        self.on_start: Callable[[Leg], None] = lambda _: None
        self.on_end: Callable[[int], None] = lambda _: None
        self.on_frame: Callable[[Leg, bytes], None] = lambda _leg, _data: None

    def on_text(self, text: str) -> None:
        try:
            self.texts.append(json.loads(text))
        except ValueError:
            self.texts.append(text)
        if len(self.texts) == 1:
            self.on_start(self)

    def on_binary(self, data: bytes) -> None:
        self.binaries.append(data)
        self.times.append(asyncio.get_running_loop().time())
        self.on_frame(self, data)

    def on_closed(self, code: int) -> None:
        self.closed = code
        self.on_end(code)

    def speak(self, pcm: bytes) -> None:
        """All at once, with the silence that gets the tail out."""
        for start in range(0, len(pcm), 320):
            self.socket.send_binary(pcm[start : start + 320])
        for _ in range(8):
            self.socket.send_binary(bytes(320))

    def command(self, kind: str, **data: Any) -> None:
        self.socket.send_text(json.dumps({"type": kind, "data": data}))


class Service:
    """``replies`` maps hook paths to what is answered: JSON, an HttpResponse, or a function of the hook's payload."""

    def __init__(self, verbs: Reply, *, latency: float = 0.005, **replies: Reply) -> None:
        self.replies: dict[str, Reply] = {"/jambonz/call": verbs}
        self.replies |= {"/" + name: reply for name, reply in replies.items()}
        self.hooks: list[tuple[str, dict[str, Any], Mapping[str, str], bytes]] = []
        self.upgrades: list[tuple[str, Mapping[str, str]]] = []
        self.legs: list[Leg] = []
        self.refuse_socket: int | None = None
        self.on_leg: Callable[[Leg], None] = lambda _: None
        self.transport = MemoryTransport(self.answer, self.accept, latency=latency)

    def jambonz(self, **options: Any) -> SimulatedJambonz:
        return SimulatedJambonz(base_url="http://service/jambonz/call", transport=self.transport, **options)

    async def answer(self, url: str, body: bytes, headers: Mapping[str, str]) -> HookResponse:
        path = "/" + url.split("/", 3)[3]
        payload = json.loads(body)
        self.hooks.append((path, payload, headers, body))
        reply = self.replies.get(path, "")
        if callable(reply):
            reply = reply(payload)
        if isinstance(reply, Awaitable):
            reply = await reply
        if isinstance(reply, HookResponse):
            return reply
        if reply == "":
            return HookResponse(204, "", b"")
        return HookResponse(200, "application/json", json.dumps(reply).encode())

    def accept(self, url: str, headers: Mapping[str, str], socket: MemoryEnd) -> None:
        self.upgrades.append((url, headers))
        if self.refuse_socket is not None:
            raise SocketRefused("refused", self.refuse_socket)
        leg = Leg(socket)
        self.legs.append(leg)
        self.on_leg(leg)
        socket.attach(leg)

    def posted(self, path: str) -> list[dict[str, Any]]:
        return [payload for at, payload, _, _ in self.hooks if at == path]

    @property
    def statuses(self) -> list[str]:
        """In the order of their arrival."""
        return [payload["call_status"] for payload in self.posted("/jambonz/status")]
