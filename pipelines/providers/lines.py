"""A voice behind sockets, each of which is a *line*: phrases of all calls of a process are spoken over them.

A line begins to open when it is needed, and what is to be said meanwhile waits. One that was kept and turned out to be
gone is replaced, and the phrase spoken by another, as long as nothing of it was heard. What a vendor's messages mean is
its protocol's.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, assert_never

from media.audio import AudioFormat
from pipelines.parts import ProviderError, ProviderFault, SpeechAudio, SpeechEvent
from pipelines.providers.socket import ProviderSocket
from pipelines.providers.speaking import Broken, Finished, Said, Send, SpeakingProtocol
from pipelines.providers.wire import Failed, Malformed, Place, failure, kind_of_close

SOUND_SECONDS = 5.0
"""The longest wait for the first sound of a phrase, and for each further one."""

LEFT_SECONDS = 1.0
"""A phrase is not wanted any further: the longest wait until a vendor that breaks phrases off has done with it."""

TURN_SECONDS = 3.0
"""The longest wait while all lines speak."""

CROWDED_SECONDS = (0.15, 0.3)
"""Waits before a phrase is asked for again that the vendor had no room for: others end within moments."""

_MOST_SOUND = 600  # seconds of a phrase that were not fetched yet


@dataclass(frozen=True, slots=True)
class LineSettings:
    """Of a vendor: lines at a time, how many are kept while they have nothing to say, and for how many seconds.
    ``left_seconds`` may pass until the vendor has done with a phrase that is not wanted any further. A line that is
    older than ``longest_seconds`` gets no more phrases."""

    most: int
    most_kept: int
    kept_seconds: float
    left_seconds: float = LEFT_SECONDS
    longest_seconds: float = inf


class Lines:
    """``make`` gives the protocol of another socket."""

    def __init__(
        self,
        name: str,
        place: Place,
        format: AudioFormat,
        make: Callable[[], SpeakingProtocol],
        settings: LineSettings,
        *,
        kind_of_close: Callable[[int, str], ProviderFault] = kind_of_close,
    ) -> None:
        self.name, self.place, self.settings = name, place, settings
        self.format = format
        self.kind_of_close = kind_of_close
        self._make = make
        self._lines: list[Line] = []
        self._news = asyncio.Event()  # there may be room, for who waits
        self._closed = False

    async def prepare(self) -> None:
        """A line for the first phrase, if there is none with room for it."""
        await (await self._line()).opened()

    async def say(
        self, text: str, settings: Mapping[str, Any], heard: Callable[[], float] = lambda: 0.0
    ) -> AsyncGenerator[SpeechEvent, None]:
        """``settings`` are the protocol's; ``heard`` tells how many seconds of the phrase have sounded."""
        if not any(character.isalnum() for character in text):
            return
        crowded = iter(CROWDED_SECONDS)
        fresh = False
        while True:
            line = await self._line(fresh=fresh)
            kept, silent = line.is_open, True
            speech = line.speak(text, settings)
            try:
                while (event := await speech.next()) is not None:
                    silent = False
                    yield event
            except ProviderError as error:
                if silent and kept and line.is_gone and error.kind in ("unavailable", "timeout"):
                    fresh = True  # it had gone, and nobody had noticed; others may have, too
                elif silent and error.kind == "rate_limit" and (wait := next(crowded, None)) is not None:
                    await asyncio.sleep(random.uniform(0.5, 1.0) * wait)
                else:
                    raise
            else:
                return
            finally:
                speech.leave(heard())

    async def close(self) -> None:
        self._closed = True
        await asyncio.gather(*(line.close() for line in list(self._lines)))

    async def _line(self, *, fresh: bool = False) -> Line:
        """One with room for a phrase; ``fresh``: not one that was kept, if that can be. The first ones are filled
        first, so that the others come to rest."""
        try:
            async with asyncio.timeout(TURN_SECONDS):
                while not self._closed:
                    free = [line for line in self._lines if line.has_room]
                    more = len(self._lines) < self.settings.most
                    if fresh and (more or not all(line.is_open for line in free)):
                        free = [line for line in free if not line.is_open]
                    if free:
                        return free[0]
                    if more:
                        self._lines.append(Line(self, self._make()))
                        return self._lines[-1]
                    self._news.clear()
                    await self._news.wait()
                raise ProviderError(self.name, "unavailable", "it was closed")
        except TimeoutError:
            message = f"all its sockets spoke for {TURN_SECONDS:g} s"
            raise ProviderError(self.name, "unavailable", message) from None

    # Of lines

    def on_room(self) -> None:
        self._news.set()

    def on_gone(self, line: Line) -> None:
        if line in self._lines:
            self._lines.remove(line)
        self._news.set()

    @property
    def resting(self) -> int:
        return sum(line.is_resting for line in self._lines)


class Line:
    """One socket: it begins to open at once."""

    def __init__(self, lines: Lines, protocol: SpeakingProtocol) -> None:
        self._lines, self._protocol = lines, protocol
        self._loop = asyncio.get_running_loop()
        self._speeches: dict[str, Speech] = {}
        self._unsent: dict[str, Sequence[str]] = {}  # by phrase, until it is open
        self._socket: ProviderSocket | None = None
        self._error: ProviderError | None = None
        self._retired = False  # it takes no more phrases
        self._began = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._opening = self._loop.create_task(self._open(), name=f"{lines.name} socket")

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    @property
    def is_gone(self) -> bool:
        return self._error is not None

    @property
    def has_room(self) -> bool:
        if self._loop.time() - self._began > self._lines.settings.longest_seconds:
            self._retired = True
        return self._error is None and not self._retired and len(self._protocol) < self._protocol.room

    @property
    def is_resting(self) -> bool:
        return self._timer is not None

    async def opened(self) -> None:
        """Wait until it is open. Raises :class:`ProviderError`."""
        await asyncio.wait([self._opening])
        if self._error is not None:
            raise self._error

    def speak(self, text: str, settings: Mapping[str, Any]) -> Speech:
        self._stop_timer()
        phrase, messages = self._protocol.begin(text, settings)
        speech = self._speeches[phrase] = Speech(self, phrase, self._lines.name, self._lines.format)
        if self._socket is None:
            self._unsent[phrase] = messages
        else:
            self._send(messages)
        return speech

    def retire(self) -> None:
        """It does not do as it should: it takes no more phrases, and is dropped once none is wanted of it."""
        self._retired = True

    def leave(self, phrase: str, heard: float) -> None:
        """Nothing more is wanted of it."""
        self._speeches.pop(phrase, None)
        if self._error is not None:
            return
        if self._unsent.pop(phrase, None) is not None:
            self._protocol.forget(phrase)
        elif self._protocol.holds(phrase):
            self._send(self._protocol.leave(phrase, heard))
            if self._protocol.holds(phrase):
                self._loop.call_later(self._lines.settings.left_seconds, self._suspect, phrase)
        self._rest()

    async def close(self) -> None:
        socket, self._socket = self._socket, None
        self._lose(ProviderError(self._lines.name, "unavailable", "it was closed"))
        await asyncio.wait([self._opening])
        if socket is not None:
            await socket.close(self._protocol.goodbye)

    async def _open(self) -> None:
        lines, protocol = self._lines, self._protocol
        try:
            socket = await ProviderSocket.open(
                lines.name,
                lines.place,
                protocol.path,
                protocol.query(),
                self._on_message,
                self._lose,
                kind_of_close=lines.kind_of_close,
            )
        except ProviderError as error:
            self._lose(error)
            return
        if self._error is not None:  # it said so at once
            socket.drop()
            return
        self._socket = socket
        for messages in self._unsent.values():
            self._send(messages)
        self._unsent.clear()
        self._rest()

    def _send(self, messages: Sequence[str]) -> None:
        if self._socket is not None:
            for message in messages:
                self._socket.send(message)

    def _on_message(self, message: str | bytes) -> None:
        try:
            events = self._protocol.receive(message)
        except Malformed:
            return  # the wait for sound is bounded, whatever else comes
        for event in events:
            match event:
                case Said(phrase, parts):
                    if phrase in self._speeches:
                        self._speeches[phrase].hear(parts)
                case Finished(phrase, parts):
                    if phrase in self._speeches:
                        self._speeches[phrase].end(parts)
                case Broken(phrase, why, retire):
                    if phrase in self._speeches:
                        self._speeches[phrase].fail(failure(why, self._lines.place, self._lines.name))
                    self._retired |= retire
                case Send(reply):
                    self._send([reply])
                case Failed():
                    self._lose(failure(event, self._lines.place, self._lines.name))
                case _:
                    assert_never(event)
        self._rest()

    def _suspect(self, phrase: str) -> None:
        if self._protocol.holds(phrase):
            self.retire()
            self._rest()

    def _rest(self) -> None:
        """Something was said, or is not wanted any more: is there room, or nothing to do?"""
        if self._error is not None:
            return
        if self._retired and not self._speeches:
            self._give_up("its socket did not do as it should")
            return
        self._stop_timer()
        if not len(self._protocol) and self._socket is not None:
            if self._lines.resting >= self._lines.settings.most_kept:
                self._give_up("its socket was one too many")
                return
            seconds = self._lines.settings.kept_seconds
            self._timer = self._loop.call_later(seconds, self._give_up, "its socket had nothing to say")
        if self.has_room:
            self._lines.on_room()

    def _give_up(self, why: str) -> None:
        self._lose(ProviderError(self._lines.name, "unavailable", why))

    def _lose(self, error: ProviderError) -> None:
        """It is gone: whoever still hears it is told why."""
        if self._error is not None:
            return
        self._error = error
        self._stop_timer()
        if not self._opening.done() and asyncio.current_task() is not self._opening:
            self._opening.cancel()
        if self._socket is not None:
            self._socket.drop()
            self._socket = None
        for speech in list(self._speeches.values()):
            speech.fail(error)
        self._lines.on_gone(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Speech:
    """One phrase, as it comes."""

    def __init__(self, line: Line, phrase: str, name: str, format: AudioFormat) -> None:
        self._line, self._phrase, self._name, self._format = line, phrase, name, format
        self._events: deque[SpeechEvent] = deque()
        self._waiting = 0.0  # seconds of sound
        self._over = False
        self._error: ProviderError | None = None
        self._news = asyncio.Event()

    async def next(self) -> SpeechEvent | None:
        """None at its end. Raises :class:`ProviderError`."""
        while not self._events:
            if self._over:
                return None
            if self._error is not None:
                raise self._error
            self._news.clear()
            try:
                async with asyncio.timeout(SOUND_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                self._line.retire()
                raise ProviderError(self._name, "timeout", f"no sound came for {SOUND_SECONDS:g} s") from None
        event = self._events.popleft()
        if isinstance(event, SpeechAudio):
            self._waiting -= self._format.seconds(event.data)
        return event

    def leave(self, heard: float) -> None:
        self._line.leave(self._phrase, heard)

    # Of the line

    def hear(self, events: Sequence[SpeechEvent]) -> None:
        if self._error is not None:
            return
        self._waiting += sum(self._format.seconds(event.data) for event in events if isinstance(event, SpeechAudio))
        if self._waiting > _MOST_SOUND:
            self._events.clear()
            self.fail(ProviderError(self._name, "protocol", "it speaks without end"))
            return
        self._events += events
        self._news.set()

    def end(self, events: Sequence[SpeechEvent]) -> None:
        self.hear(events)
        self._over = True
        self._news.set()

    def fail(self, error: ProviderError) -> None:
        self._error = self._error or error
        self._news.set()
