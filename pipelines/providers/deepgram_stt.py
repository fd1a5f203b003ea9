"""Speech-to-text by Deepgram: Nova, whose turns are ours, and Flux, which detects them itself.

One socket for each call, opened in the background: the first 5 s of sound wait for it. A socket that is lost is
replaced, and hears again what was not transcribed for good, up to 5 s of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import assert_never

from media.audio import MULAW_8K
from pipelines.parts import ProviderError, SttStream, Transcript, TranscriptListener
from pipelines.providers.deepgram_flux import FluxProtocol
from pipelines.providers.deepgram_nova import NovaProtocol
from pipelines.providers.deepgram_socket import DeepgramSocket
from pipelines.providers.deepgram_wire import CLOSE_STREAM, Failed, HearingProtocol, Place, Strange, failure

NOVA = "nova-3"

KEPT_SECONDS = 5.0
"""Sound that waits for a socket, or may be heard again by another."""

KEEP_ALIVE_SECONDS = 4.0
"""Without sound for some 10 s, the vendor closes the socket."""

ATTEMPTS = 3
"""Sockets in a row that brought no transcript, before the stream gives up."""

RETRY_SECONDS = 0.25
"""Before the second attempt; before the third, twice as long."""

STEADY_SECONDS = 20.0
"""A socket that lasted so long was none of those, though nobody spoke."""

_REPLAYED_BYTES = 1600  # in one message: 200 ms
_SEGMENTS = 1_000_000  # numbers for the segments of a stream: another stream of the same call has higher ones


class DeepgramSpeechToText:
    """Shared by the calls of a process. ``flux``: which of the two."""

    format = MULAW_8K

    def __init__(
        self, place: Place, *, flux: bool = False, model: str = NOVA, keep_alive: float = KEEP_ALIVE_SECONDS
    ) -> None:
        self.name = "deepgram-flux" if flux else "deepgram"
        self._place = place
        self._flux = flux
        self._model = model
        self._keep_alive = keep_alive
        self._opened = 0
        self._streams: set[DeepgramStream] = set()

    async def prepare(self) -> None:
        """Nothing is shared: each stream connects by itself."""

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> SttStream:
        """The stream begins to connect; ``hints`` become key terms."""
        first = self._opened * _SEGMENTS
        self._opened += 1
        protocol: HearingProtocol = (
            FluxProtocol(language, hints, first=first)
            if self._flux
            else NovaProtocol(self._model, language, hints, first=first)
        )
        stream = DeepgramStream(self.name, self._place, protocol, listener, self._keep_alive, self._streams.discard)
        self._streams.add(stream)
        return stream

    async def close(self) -> None:
        await asyncio.gather(*(stream.close() for stream in list(self._streams)))


class DeepgramStream:
    """One caller. ``on_closed`` is told at its end."""

    def __init__(
        self,
        name: str,
        place: Place,
        protocol: HearingProtocol,
        listener: TranscriptListener,
        keep_alive: float,
        on_closed: Callable[[DeepgramStream], object],
    ) -> None:
        self._name, self._place = name, place
        self._protocol = protocol
        self._listener = listener
        self._keep_alive = keep_alive
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._socket: DeepgramSocket | None = None
        self._lost: asyncio.Future[ProviderError] = self._loop.create_future()
        self._kept = bytearray()
        self._kept_from = 0  # bytes of the caller's sound before what is kept
        self._most = int(KEPT_SECONDS * MULAW_8K.bytes_per_second)
        self._fruitless = 0
        self._wondered = False
        self._sent_at = 0.0
        self._closed = False
        self._task: asyncio.Task[None] = self._loop.create_task(self._run(), name=f"{name} stream")

    # SttStream

    def push(self, pcm: bytes) -> None:
        kept = self._kept
        kept += pcm
        if len(kept) > 2 * self._most:
            self._forget(self._position - KEPT_SECONDS)
        if self._socket is not None:
            self._socket.send(pcm)
            self._sent_at = self._loop.time()

    def speech_started(self) -> None:
        self._send(self._protocol.speech_started(self._position))

    def speech_paused(self) -> None:
        self._send(self._protocol.speech_paused(self._position, self._loop.time()))

    def end_segment(self) -> None:
        self._send(self._protocol.end_segment(self._position))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._on_closed(self)
        self._task.cancel()
        await asyncio.wait([self._task])
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close(CLOSE_STREAM)

    # Sockets, one after another

    @property
    def _position(self) -> float:
        return (self._kept_from + len(self._kept)) / MULAW_8K.bytes_per_second

    async def _run(self) -> None:
        while self._fruitless < ATTEMPTS:
            if self._fruitless:
                await asyncio.sleep(RETRY_SECONDS * self._fruitless)
            self._fruitless += 1
            began = self._loop.time()
            error = await self._one_socket()
            if self._loop.time() - began > STEADY_SECONDS:
                self._fruitless = 0
            self._listener.on_stt_error(error)
            if error.kind in ("auth", "bad_request"):
                return

    async def _one_socket(self) -> ProviderError:
        """From its opening to its loss; returns what went wrong."""
        self._lost = self._loop.create_future()
        protocol = self._protocol
        try:
            socket = await DeepgramSocket.open(
                self._name, self._place, protocol.path, protocol.query(), self._on_message, self._on_lost
            )
        except ProviderError as error:
            return error
        self._replay(socket)
        try:
            while not self._lost.done():
                wait = self._sent_at + self._keep_alive - self._loop.time()
                if wait <= 0:
                    self._stay(socket)
                else:
                    await asyncio.wait([self._lost], timeout=wait)
        finally:
            if not self._closed:
                self._socket = None
                socket.drop()
        return self._lost.result()

    def _replay(self, socket: DeepgramSocket) -> None:
        self._forget(max(self._position - KEPT_SECONDS, self._protocol.settled))
        self._protocol.connected(self._kept_from / MULAW_8K.bytes_per_second)
        for start in range(0, len(self._kept), _REPLAYED_BYTES):
            socket.send(bytes(self._kept[start : start + _REPLAYED_BYTES]))
        self._sent_at = self._loop.time()
        self._socket = socket
        self._send(self._protocol.replayed())

    def _stay(self, socket: DeepgramSocket) -> None:
        idle = self._protocol.idle
        self._sent_at = self._loop.time()
        if isinstance(idle, str):
            socket.send(idle)
        else:
            self.push(idle)  # it is part of the sound, and of its time

    def _forget(self, position: float) -> None:
        """Sound before ``position`` will not be needed."""
        count = min(int(position * MULAW_8K.bytes_per_second) - self._kept_from, len(self._kept))
        if count > 0:
            del self._kept[:count]
            self._kept_from += count

    def _send(self, messages: Sequence[str]) -> None:
        if self._socket is not None:
            for message in messages:
                self._socket.send(message)

    def _on_message(self, message: str | bytes) -> None:
        for event in self._protocol.receive(message, self._loop.time()):
            match event:
                case Transcript():
                    self._fruitless = 0
                    self._listener.on_transcript(event)
                case Failed():
                    self._on_lost(failure(event, self._place, self._name))
                case Strange(what):
                    if not self._wondered:
                        self._wondered = True
                        self._listener.on_stt_error(ProviderError(self._name, "protocol", f"it sent {what}"))
                case _:
                    assert_never(event)

    def _on_lost(self, error: ProviderError) -> None:
        self._socket = None
        if not self._lost.done():
            self._lost.set_result(error)
