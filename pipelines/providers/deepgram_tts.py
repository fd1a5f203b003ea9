"""Text-to-speech by Deepgram's Aura, over sockets that are kept between phrases.

A socket speaks one phrase at a time. A synthesis that is broken off leaves its socket clearing: it is used again once
the vendor says that it forgot the rest, and dropped if it does not say so soon.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from enum import Enum

from media.audio import MULAW_8K
from pipelines.parts import ProviderError, ProviderFault, SpeechAudio, SpeechEvent
from pipelines.providers.deepgram_wire import AUDIO, fault_of, kind_of_close
from pipelines.providers.socket import ProviderSocket
from pipelines.providers.wire import Malformed, Place, failure, parse

VOICE = "aura-2-thalia-en"

SOUND_SECONDS = 5.0
"""The longest wait for the next sound of a phrase."""

CLEAR_SECONDS = 1.0
TURN_SECONDS = 3.0
"""The longest wait while all sockets speak."""

MOST_SOCKETS = 32
MOST_KEPT = 4
"""Sockets of a voice that are kept while they have nothing to say, for :data:`KEPT_SECONDS`."""
KEPT_SECONDS = 30.0

MOST_CHARACTERS = 2000
"""In one ``Speak``."""

_MOST_SOUND = 600 * MULAW_8K.bytes_per_second  # of a phrase that was not fetched yet: ten minutes
_FLUSH, _CLEAR, _CLOSE = '{"type":"Flush"}', '{"type":"Clear"}', '{"type":"Close"}'


class _State(Enum):
    READY = "ready"
    SPEAKING = "speaking"
    CLEARING = "clearing"
    GONE = "gone"


def voice_for(language: str) -> str | None:
    """The voice for a language tag, where the vendor's name for one is known here."""
    return VOICE if language.lower().split("-")[0] == "en" else None


def pieces(text: str, most: int = MOST_CHARACTERS) -> Iterator[str]:
    """``text`` in pieces of at most ``most`` characters, cut between words where there are any."""
    while len(text) > most:
        cut = text.rfind(" ", 1, most)
        cut = most if cut < 0 else cut + 1  # the space stays with what it follows: the pieces are one text
        yield text[:cut]
        text = text[cut:]
    yield text


class DeepgramTextToSpeech:
    """One voice, shared by the calls of a process."""

    name = "deepgram"
    format = MULAW_8K

    def __init__(self, place: Place, voice: str = VOICE, *, most: int = MOST_SOCKETS) -> None:
        self.voice = voice
        self._place = place
        self._turns = asyncio.Semaphore(most)
        self._mouths: list[_Mouth] = []  # those that are not speaking
        self._closed = False

    async def prepare(self) -> None:
        """A socket for the first phrase, if none is ready."""
        if not any(mouth.state is _State.READY for mouth in self._mouths):
            self._keep(await self._open())

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        if not any(character.isalnum() for character in text):
            return
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            message = f"all its sockets spoke for {TURN_SECONDS:g} s"
            raise ProviderError(self.name, "unavailable", message) from None
        try:
            kept = self._take()
            mouth = kept or await self._open()
            mouth.speak(text)
            silent = True
            try:
                while (data := await mouth.next(again=kept is not None and silent)) is not None:
                    if not data:  # a socket that was kept had gone, and nobody had noticed
                        kept, mouth = None, await self._open()
                        mouth.speak(text)
                        continue
                    silent = False
                    yield SpeechAudio(data)
            finally:
                mouth.hush()
                self._keep(mouth)
        finally:
            self._turns.release()

    async def close(self) -> None:
        self._closed = True
        await asyncio.gather(*(mouth.close() for mouth in list(self._mouths)))

    def _take(self) -> _Mouth | None:
        for mouth in reversed(self._mouths):
            if mouth.state is _State.READY:
                self._mouths.remove(mouth)
                return mouth
        return None

    def _keep(self, mouth: _Mouth) -> None:
        if mouth.state is _State.GONE:
            return
        if self._closed or len(self._mouths) >= MOST_KEPT:
            mouth.drop()
            return
        self._mouths.append(mouth)
        mouth.rest()

    async def _open(self) -> _Mouth:
        mouth = _Mouth(self.name, self._place, self._mouths)
        await mouth.open(self.voice)
        return mouth


class _Mouth:
    """One socket. It takes itself out of ``kept`` when it is gone."""

    def __init__(self, name: str, place: Place, kept: list[_Mouth]) -> None:
        self._name, self._place, self._kept = name, place, kept
        self._loop = asyncio.get_running_loop()
        self._socket: ProviderSocket | None = None
        self._sound: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._error: ProviderError | None = None
        self._flushed = False
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.state = _State.READY

    async def open(self, voice: str) -> None:
        query = [("model", voice), *AUDIO]
        self._socket = await ProviderSocket.open(
            self._name,
            self._place,
            "/v1/speak",
            query,
            self._on_message,
            self._on_lost,
            kind_of_close=kind_of_close,
        )
        if self._error is not None:  # it said so at once
            self.drop()
            raise self._error

    def speak(self, text: str) -> None:
        self._stop_timer()
        if self.state is _State.READY:
            self.state, self._flushed = _State.SPEAKING, False
        for piece in pieces(text):
            self._send(json.dumps({"type": "Speak", "text": piece}))
        self._send(_FLUSH)

    async def next(self, *, again: bool) -> bytes | None:
        """Sound; None at the end of the phrase; with ``again``, nothing (``b""``) where the socket is gone."""
        while not self._sound:
            if self._flushed:
                return None
            if self._error is not None:
                if again and self._error.kind in ("unavailable", "timeout"):
                    return b""
                raise self._error
            self._news.clear()
            try:
                async with asyncio.timeout(SOUND_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                self.drop()
                raise ProviderError(self._name, "timeout", f"no sound came for {SOUND_SECONDS:g} s") from None
        data = self._sound.popleft()
        self._waiting_bytes -= len(data)
        return data

    def hush(self) -> None:
        """The phrase is not wanted any further; nothing, if it is at its end."""
        if self.state is _State.SPEAKING:
            if self._flushed:
                self.state = _State.READY
            else:
                self.state = _State.CLEARING
                self._send(_CLEAR)
        self._sound.clear()
        self._waiting_bytes = 0

    def rest(self) -> None:
        """Kept for the next phrase, for a while."""
        self._stop_timer()
        if self.state is not _State.GONE:
            wait = CLEAR_SECONDS if self.state is _State.CLEARING else KEPT_SECONDS
            self._timer = self._loop.call_later(wait, self.drop)

    def drop(self) -> None:
        self._stop_timer()
        self.state = _State.GONE
        if self in self._kept:
            self._kept.remove(self)
        if self._socket is not None:
            self._socket.drop()

    async def close(self) -> None:
        if self._socket is not None and self.state is _State.READY:
            self._stop_timer()
            self.state = _State.GONE
            await self._socket.close(_CLOSE)
        self.drop()

    def _send(self, message: str) -> None:
        if self._socket is not None:
            self._socket.send(message)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_message(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            if self.state is _State.SPEAKING and message:
                self._hear(message)
            return
        try:
            data = parse(message)
        except Malformed:
            return  # the wait for sound is bounded, whatever else comes
        match data["type"], self.state:
            case "Flushed", _State.SPEAKING:
                self._flushed = True
                self._news.set()
            case "Cleared", _State.CLEARING:
                self.state = _State.READY
                self.rest()
            case "Error", _:
                self._on_lost(failure(fault_of(data), self._place, self._name))
            case _:
                pass  # Metadata, warnings, and what belongs to a phrase that was broken off

    def _hear(self, data: bytes) -> None:
        self._waiting_bytes += len(data)
        if self._waiting_bytes > _MOST_SOUND:
            self._fail("protocol", "it speaks without end")
            return
        self._sound.append(data)
        self._news.set()

    def _fail(self, kind: ProviderFault, message: str) -> None:
        self._on_lost(ProviderError(self._name, kind, message))

    def _on_lost(self, error: ProviderError) -> None:
        self._error = self._error or error
        self.drop()
        self._news.set()
