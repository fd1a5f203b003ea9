"""A realtime model on virtual time, without a socket: it hears and speaks codewords, and keeps its own history.

It behaves as burst models do: it answers faster than real time, goes on sending for a while after it was interrupted,
forgets what it is told that nobody heard, and refuses to be told what cannot be. Faults on request.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from media.audio import PCM_8K
from pipelines.parts import ProviderError, ToolCall
from pipelines.realtime.connection import CONNECT_SECONDS, ConnectionListener
from pipelines.realtime.model import (
    Address,
    AudioCame,
    CallerSaid,
    CallerSilent,
    CallerSpeaks,
    Capabilities,
    ItemHeard,
    Outgoing,
    RealtimeEvent,
    RealtimeModel,
    RealtimeProtocol,
    ResponseBegan,
    ResponseEnded,
    SessionOver,
    Setup,
    ToolOutput,
    ToolsAsked,
    Used,
    WordsCame,
)
from tests.simulators.codeword import WORD_FRAMES, heard_words, plain_words, speak

LATENCY = 0.02
CHUNK = 1600
"""Bytes of sound in a message: 100 ms."""

WORD_MS = 20 * WORD_FRAMES

Reply = tuple[str, Sequence[ToolCall]]

_CAN = Capabilities(
    PCM_8K, PCM_8K, truncates=True, detections=frozenset({"server", "semantic", "own"}), session_seconds=3600.0
)


@dataclass(slots=True)
class Item:
    name: str
    words: list[str]
    sent_ms: int = 0


@dataclass
class MemoryModel:
    """``reply`` answers what was heard, given what was said so far; ``speed`` is how many times faster than spoken an
    answer comes. ``refusals`` are used up by openings: errors, or None for one that hangs."""

    reply: Callable[[str, Sequence[tuple[str, str]]], Reply]
    speed: float = 5.0
    think: float = 0.15
    late: int = 3
    """Pieces of sound that still come of an interrupted answer."""
    refusals: list[ProviderError | None] = field(default_factory=list)
    words_late: float | None = None
    """Words come so many seconds after the first sound; before it otherwise."""
    over: SessionOver | None = None
    """Why a session ended, when the model is asked."""
    silent: int = 0
    """So many answers never come."""
    deaf: bool = False
    hesitates: tuple[int, float] | None = None
    """After so many ms of an answer's sound nothing comes for so many seconds; then it goes on."""
    capabilities: Capabilities = field(default_factory=lambda: _CAN)
    name: str = "memory"
    sessions: list[MemorySession] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    """What its sessions were told, and what tools returned."""
    setups: list[Setup] = field(default_factory=list)

    async def open(
        self,
        model: RealtimeModel,
        setup: Setup,
        listener: ConnectionListener,
        *,
        on_fault: Callable[[Exception], None],
        handle: str | None = None,
    ) -> MemorySession:
        """Takes the place of :meth:`RealtimeConnection.open`."""
        await asyncio.sleep(3 * LATENCY)
        if self.refusals:
            refusal = self.refusals.pop(0)
            if refusal is None:
                await asyncio.sleep(CONNECT_SECONDS)
                refusal = ProviderError(self.name, "timeout", "there was no session within 3 s")
            raise refusal
        self.setups.append(setup)
        session = MemorySession(self, setup, listener)
        self.sessions.append(session)
        return session

    @property
    def open_sessions(self) -> int:
        return sum(session.is_open for session in self.sessions)

    async def dial(self, setup: Setup) -> Address:
        raise NotImplementedError

    def protocol(self, setup: Setup, handle: str | None = None) -> RealtimeProtocol:
        return Commands()

    async def hang_up(self, address: Address) -> SessionOver | None:
        return self.over

    async def close(self) -> None: ...


class Commands:
    """What the call wants, as messages that a session here understands."""

    def opened(self) -> Sequence[Outgoing]:
        return []

    def audio(self, pcm: bytes) -> Outgoing:
        return pcm

    def receive(self, message: str | bytes) -> tuple[Sequence[RealtimeEvent], Sequence[Outgoing]]:
        return [], []

    def say(self, text: str) -> Sequence[Outgoing]:
        return [json.dumps(["say", text])]

    def tell(self, text: str) -> Sequence[Outgoing]:
        return [json.dumps(["tell", text])]

    def note(self, text: str) -> Sequence[Outgoing]:
        return [json.dumps(["note", text])]

    def update(self, setup: Setup) -> Sequence[Outgoing]:
        return [json.dumps(["update", setup.instructions, [tool.name for tool in setup.tools]])]

    def answer(self) -> Sequence[Outgoing]:
        return [json.dumps(["answer"])]

    def interrupt(self) -> Sequence[Outgoing]:
        return [json.dumps(["interrupt"])]

    def heard(self, items: Sequence[ItemHeard]) -> Sequence[Outgoing]:
        return [json.dumps(["heard", item.item, item.milliseconds]) for item in items]

    def results(self, outputs: Sequence[ToolOutput]) -> Sequence[Outgoing]:
        return [json.dumps(["results", *(output.text for output in outputs)])]

    def placeholder(self, call: ToolCall) -> Sequence[Outgoing]:
        return []

    def closing(self) -> Sequence[Outgoing]:
        return []


class MemorySession:
    def __init__(self, model: MemoryModel, setup: Setup, listener: ConnectionListener) -> None:
        self.protocol: RealtimeProtocol = Commands()
        self.seconds: float | None = None
        self.setup = setup
        self.truncations: list[tuple[str, int]] = []
        self.turns: list[bytes] = []
        """The sound of the caller's turns."""
        self.history: list[tuple[str, str | Item]] = [(m.role, m.content) for m in setup.history if m.content]
        self._model = model
        self._listener: ConnectionListener | None = listener
        self._loop = asyncio.get_running_loop()
        self.heard_at = self._loop.time()
        self._sound: list[bytes] = []
        self._loud = self._quiet = 0
        self._speaking = False
        self._number = 0
        self._items: dict[str, Item] = {}
        self._timers: list[asyncio.TimerHandle] = []
        self._commands: deque[list[Any]] = deque()
        self._events: deque[RealtimeEvent] = deque()
        self._answering: tuple[str, list[asyncio.TimerHandle]] | None = None
        self._opened_at = self._loop.time()
        self._returned = ""
        if setup.greeting:
            self._respond(setup.greeting, ())

    @property
    def is_open(self) -> bool:
        return self._listener is not None

    def said(self, role: str) -> list[str]:
        """What the model believes was said."""
        texts = [" ".join(what.words) if isinstance(what, Item) else what for who, what in self.history if who == role]
        return [text for text in texts if text]

    # The session, as a link drives it

    def send(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            if isinstance(message, bytes):
                self.send_audio(message)
            else:
                self._commands.append(json.loads(message))
                self._after(LATENCY, self._next_command)

    def send_audio(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), 320):
            self._hear(pcm[at : at + 320])

    def tell(self, event: RealtimeEvent) -> None:
        """The model says this."""
        self._tell(event)

    def ping(self) -> None:
        self._after(2 * LATENCY, self._pong)

    def _pong(self) -> None:
        self.heard_at = self._loop.time()

    def lose(self, reason: str) -> None:
        listener, self._listener = self._listener, None
        self._stop()
        if listener is not None:
            listener.on_model_lost(self, reason)  # type: ignore[arg-type]  # as a link's session

    async def close(self, model: RealtimeModel) -> SessionOver | None:
        self._listener = None
        self._stop()
        return self._model.over

    # What it hears

    def _hear(self, frame: bytes) -> None:
        if self._model.deaf:
            return
        loud = bool(np.abs(np.frombuffer(frame, np.int16).astype(np.int32)).max() > 200)
        self._loud, self._quiet = (self._loud + 1, 0) if loud else (0, self._quiet + 1)
        self._sound.append(frame)
        if not self._speaking:
            if self.setup.detection != "own":
                del self._sound[:-25]
            if self._loud >= 4:
                self._speaking = True
                if self.setup.detection != "own":
                    self._cancel(late=self._model.late)
                    self._tell(CallerSpeaks())
        elif self._quiet >= 15:
            self._speaking = False
            if self.setup.detection != "own":
                self._tell(CallerSilent())
                self._take_turn()

    def _take_turn(self) -> None:
        text = " ".join(heard_words(b"".join(self._sound)))
        self.turns.append(b"".join(self._sound))
        self._sound.clear()
        if text:
            self._number += 1
            self._after(0.1, self._tell, CallerSaid(f"u{self._number}", text))
            self._reply(text)

    def _reply(self, text: str) -> None:
        words, calls = self._model.reply(text, [(who, str(what)) for who, what in self.history])
        self.history.append(("user", text))
        self._returned = ""
        if self._model.silent:
            self._model.silent -= 1
            return
        self._after(self._model.think, self._respond, words, calls)

    def _next_command(self) -> None:
        """The oldest: timers of the same instant fire in any order, and a socket keeps it."""
        match self._commands.popleft():
            case ["say", text]:
                self._cancel(late=0)
                self._respond(text, ())
            case ["tell", text]:
                self._model.commands.append(f"tell: {text}")
                self._reply(text)
            case ["note", text]:
                self._model.commands.append(f"note: {text}")
                self.history.append(("user", text))
            case ["update", instructions, tools]:
                self._model.commands.append(f"update: {instructions} {tools}")
            case ["answer"]:
                self._take_turn()
                self._answer_returned()
            case ["interrupt"]:
                self._cancel(late=self._model.late)
            case ["heard", name, milliseconds]:
                self._truncate(name, milliseconds)
            case ["results", *texts]:
                self._model.commands.append(f"results: {', '.join(texts)}")
                self._returned = " ".join(texts)
                if self.setup.detection != "own":
                    self._answer_returned()
            case command:
                self._model.mistakes.append(f"unknown command {command}")

    def _answer_returned(self) -> None:
        """What functions have returned, unless what was heard since is answered."""
        returned, self._returned = self._returned, ""
        if returned:
            words, calls = self._model.reply(returned, [(who, str(what)) for who, what in self.history])
            self._after(self._model.think, self._respond, words, calls)

    def _truncate(self, name: str, milliseconds: int) -> None:
        item = self._items.get(name)
        self.truncations.append((name, milliseconds))
        if item is None:
            self._model.mistakes.append(f"there is no item {name}")
        elif milliseconds > item.sent_ms:
            self._model.mistakes.append(f"{name} has {item.sent_ms} ms, not {milliseconds}")
        else:
            item.words = [w for n, w in enumerate(item.words) if (n + 0.6) * WORD_MS <= milliseconds]

    # What it says

    def _respond(self, text: str, calls: Sequence[ToolCall]) -> None:
        if self._listener is None:
            return
        self._number += 1
        name, item = f"r{self._number}", Item(f"i{self._number}", plain_words(text))
        self._tell(ResponseBegan(name))
        at, timers = 0.0, list[asyncio.TimerHandle]()
        late = self._model.words_late
        if text and late is not None:
            self._after(late, self._tell, WordsCame(name, item.name, text))
        if text:
            self._items[item.name] = item
            self.history.append(("assistant", item))
            sound = speak(text)
            for start in range(0, len(sound), CHUNK):
                piece = sound[start : start + CHUNK]
                timers.append(
                    self._after(at, self._send_piece, name, item, piece, text if start == 0 and late is None else "")
                )
                at += len(piece) / 16000 / self._model.speed
                if (
                    self._model.hesitates is not None
                    and start // 16 < self._model.hesitates[0] <= (start + CHUNK) // 16
                ):
                    at += self._model.hesitates[1]
        timers.append(self._after(at, self._finish, name, tuple(calls)))
        self._answering = name, timers

    def _send_piece(self, response: str, item: Item, piece: bytes, words: str) -> None:
        item.sent_ms += len(piece) // 16
        if words:
            self._tell(WordsCame(response, item.name, words))
        self._tell(AudioCame(response, item.name, piece))

    def _finish(self, name: str, calls: tuple[ToolCall, ...]) -> None:
        self._answering = None
        self._tell(Used({"output_tokens": 10}))
        if calls:
            self._tell(ToolsAsked(name, calls))
        self._tell(ResponseEnded(name))

    def _cancel(self, *, late: int) -> None:
        if self._answering is None:
            return
        name, timers = self._answering
        self._answering = None
        left = [timer for timer in timers if not timer.cancelled() and timer.when() > self._loop.time()]
        for timer in left[late:] if len(left) > late else left[-1:]:
            timer.cancel()
        self._tell(ResponseEnded(name, "cancelled"))

    def _tell(self, event: RealtimeEvent) -> None:
        self._events.append(event)
        self._after(LATENCY, self._deliver)

    def _deliver(self) -> None:
        event = self._events.popleft()
        if self._listener is not None:
            self.heard_at = self._loop.time()
            self._listener.on_model_event(self, event)  # type: ignore[arg-type]  # as a link's session

    def _after(self, seconds: float, what: Callable[..., object], *arguments: Any) -> asyncio.TimerHandle:
        timer = self._loop.call_later(seconds, what, *arguments)
        self._timers = [one for one in self._timers if not one.cancelled() and one.when() >= self._loop.time()]
        self._timers.append(timer)
        return timer

    def _stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._commands.clear()
        self._events.clear()


def short_sessions(model: MemoryModel, seconds: float) -> MemoryModel:
    """The same with sessions that last so long."""
    model.capabilities = replace(model.capabilities, session_seconds=seconds)
    return model
