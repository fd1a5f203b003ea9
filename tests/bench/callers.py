"""Many callers at once, each a socket that sends its tape in real time and counts what comes back.

As cheap as can be: the frames are ready, one timer paces all callers, and of what comes in only the headers are read.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from jambonz.listen import SUBPROTOCOLS
from media.audio import FRAME_SECONDS
from tests.bench.tape import Tape, closing, text

SLOTS = 10
"""Callers are spread over the 20 ms of a frame, as they are in life."""

OPEN_SECONDS = 30.0
CLOSE_SECONDS = 5.0
AT_ONCE = 20
"""Calls that are being set up at the same time."""

_TEXT, _BINARY, _CLOSE = 0x81, 0x82, 0x88


class BenchFailed(Exception):
    """What was measured is not what was to be measured."""


@dataclass(slots=True)
class Tally:
    """What the callers of one window counted."""

    frames: int = 0
    late: int = 0
    """Frames of the agent that came after their time: a gap at the caller's ear."""
    asked: int = 0
    answered: int = 0

    def reset(self) -> None:
        self.frames = self.late = self.asked = self.answered = 0


@dataclass(frozen=True, slots=True)
class Line:
    """Where a caller's socket goes, and the text that introduces the call, if there is one."""

    url: str
    introduction: str | None = None


class Caller(asyncio.Protocol):
    def __init__(self, line: Line, tape: Tape, start: int, tally: Tally) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._line = line
        self._tape = tape
        self._frame_bytes = tape.rate // 50 * 2
        self._at = start
        self._tally = tally
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._has_asked = False
        self._burst: float | None = None  # when the agent's answer began to come in
        self._burst_frames = 0
        self._marks: dict[str, asyncio.TimerHandle] = {}

    @property
    def is_up(self) -> bool:
        return self._transport is not None

    async def open(self) -> None:
        address = urlsplit(self._line.url)
        await self._loop.create_connection(lambda: self, address.hostname or "", address.port or 0)
        await self.opened

    def speak(self) -> None:
        """Send the next 20 ms."""
        if self._transport is None:
            return
        if self._at in self._tape.onsets:
            if self._has_asked:
                self._tally.asked += 1
                self._tally.answered += self._burst is not None
            self._has_asked = True
            self._burst = None
        self._transport.write(self._tape.frames[self._at])
        self._at = (self._at + 1) % len(self._tape.frames)

    def hang_up(self) -> None:
        self._forget_marks()
        if self._transport is not None:
            self._transport.write(closing())

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        address = urlsplit(self._line.url)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Protocol: {SUBPROTOCOLS[0]}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        if not self.opened.done():
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = head
                return
            self._answered(head)
        at, end = 0, len(data)
        while end - at >= 4:
            length, start = data[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            if start + length > end:
                break
            match data[at]:
                case opcode if opcode == _BINARY:
                    self._heard(length)
                case opcode if opcode == _TEXT:
                    self._told(json.loads(data[start : start + length]))
                case opcode if opcode == _CLOSE and self._transport is not None:
                    self._transport.close()
            at = start + length
        self._rest = data[at:]

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._forget_marks()
        if not self.opened.done():
            self.opened.set_exception(BenchFailed("a server closed a socket instead of opening it"))
        self.closed.set_result(None)

    # Jambonz's media module, as far as a playout needs it

    def _answered(self, head: bytes) -> None:
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            self.opened.set_exception(BenchFailed(f"a socket was refused: {head[:60]!r}"))
            return
        self.opened.set_result(None)
        if self._line.introduction is not None and self._transport is not None:
            self._transport.write(text(self._line.introduction))

    def _heard(self, length: int) -> None:
        now = self._loop.time()
        if self._burst is None:
            self._burst, self._burst_frames = now, 0
        behind = now - self._burst - self._burst_frames * FRAME_SECONDS
        if behind > 0.0:  # the ear has waited, and goes on from here
            self._tally.late += 1
            self._burst += behind
        self._tally.frames += 1
        self._burst_frames += length // self._frame_bytes

    def _told(self, message: dict[str, object]) -> None:
        match message:
            case {"type": "mark", "data": {"name": str(name)}}:
                played = (self._burst or 0.0) + self._burst_frames * FRAME_SECONDS
                self._marks[name] = self._loop.call_at(max(played, self._loop.time()), self._report, name, "playout")
            case {"type": "killAudio"}:
                for name in self._forget_marks():
                    self._report(name, "cleared")
            case _:
                pass

    def _report(self, name: str, event: str) -> None:
        self._marks.pop(name, None)
        if self._transport is not None:
            self._transport.write(text(json.dumps({"type": "mark", "data": {"name": name, "event": event}})))

    def _forget_marks(self) -> list[str]:
        marks, self._marks = self._marks, {}
        for timer in marks.values():
            timer.cancel()
        return list(marks)


class Callers:
    """So many callers on one server, spread evenly over the tape; ``async with`` opens them and hangs up at the end."""

    def __init__(self, ring: Callable[[], Awaitable[Line]], tape: Tape, count: int) -> None:
        self._ring = ring
        self._tape = tape
        self._count = count
        self._slots: list[list[Caller]] = [[] for _ in range(SLOTS)]
        self._callers: list[Caller] = []
        self._timer: asyncio.TimerHandle | None = None
        self._turn = 0
        self._due = 0.0
        self.tally = Tally()

    async def __aenter__(self) -> Callers:
        loop = asyncio.get_running_loop()
        self._due = loop.time()
        self._tick(loop)
        places = asyncio.Semaphore(AT_ONCE)
        try:
            async with asyncio.timeout(OPEN_SECONDS), asyncio.TaskGroup() as group:
                for number in range(self._count):
                    group.create_task(self._open(number, places))
        except BaseException as error:
            await self._close()
            if isinstance(error, TimeoutError):
                raise BenchFailed(f"{self._count} calls were not up within {OPEN_SECONDS:g} s") from None
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    def check(self) -> None:
        """Raises :class:`BenchFailed` if a call is not up any more."""
        if not all(caller.is_up for caller in self._callers):
            raise BenchFailed("a server ended a call that was to go on")

    async def _open(self, number: int, places: asyncio.Semaphore) -> None:
        async with places:
            start = number * len(self._tape.frames) // self._count
            caller = Caller(await self._ring(), self._tape, start, self.tally)
            self._callers.append(caller)
            await caller.open()
            self._slots[number % SLOTS].append(caller)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        for caller in self._slots[self._turn]:
            caller.speak()
        self._turn = (self._turn + 1) % SLOTS
        self._due += FRAME_SECONDS / SLOTS
        self._timer = loop.call_at(self._due, self._tick, loop)

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for caller in self._callers:
            caller.hang_up()
        waiting = [caller.closed for caller in self._callers if caller.is_up]
        if waiting:
            _, pending = await asyncio.wait(waiting, timeout=CLOSE_SECONDS)
            for caller in self._callers:
                caller.abort()
            if pending:
                raise BenchFailed(f"{len(pending)} sockets were not closed within {CLOSE_SECONDS:g} s of the hang-up")
