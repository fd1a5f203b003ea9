"""A caller's stream to a recogniser behind a socket: opened in the background, replaced where it is lost.

The first 5 s of sound wait for the socket. One that is lost is replaced by another, which hears again what was not
transcribed for good, up to 5 s of it. What the vendor's messages mean is its protocol's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import assert_never

from media.audio import AudioFormat
from pipelines.parts import ProviderError, ProviderFault, SttStream, Transcript, TranscriptListener
from pipelines.providers.socket import ProviderSocket
from pipelines.providers.wire import Consumed, Failed, HearingProtocol, Place, Renew, Strange, failure, kind_of_close

KEPT_SECONDS = 5.0
"""Sound that waits for a socket, or may be heard again by another."""

TOGETHER_SECONDS = 0.06
"""Sound goes out in messages of so much, or sooner where something is asked of it: a message costs as much as the
sound in it, and what is said at a pause never waits."""

KEEP_ALIVE_SECONDS = 4.0
"""Vendors close sockets that are silent for some 10 s."""

ATTEMPTS = 3
"""Sockets in a row that brought no transcript, before the stream gives up."""

RETRY_SECONDS = 0.25
"""Before the second attempt; before the third, twice as long."""

STEADY_SECONDS = 20.0
"""A socket that lasted so long was none of those, though nobody spoke."""

_REPLAYED_SECONDS = 0.2  # in one message

SEGMENTS = 1_000_000
"""Numbers for the segments of a stream: another stream of the same call has higher ones."""


class SocketStream:
    """One caller, whose sound comes in ``format``. After ``keep_alive`` seconds without sound the protocol's ``idle``
    is sent. ``on_closed`` is told at its end."""

    def __init__(
        self,
        name: str,
        place: Place,
        protocol: HearingProtocol,
        listener: TranscriptListener,
        format: AudioFormat,
        *,
        keep_alive: float = KEEP_ALIVE_SECONDS,
        on_closed: Callable[[SocketStream], object] = lambda stream: None,
        kind_of_close: Callable[[int, str], ProviderFault] = kind_of_close,
    ) -> None:
        self._name, self._place = name, place
        self._protocol = protocol
        self._listener = listener
        self._keep_alive = keep_alive
        self._on_closed = on_closed
        self._kind_of_close = kind_of_close
        self._rate = format.bytes_per_second
        self._sent = 0  # bytes of sound that the vendor was sent, and that were not reported as used
        self._loop = asyncio.get_running_loop()
        self._socket: ProviderSocket | None = None
        self._lost: asyncio.Future[ProviderError] = self._loop.create_future()
        self._kept = bytearray()
        self._kept_from = 0  # bytes of the caller's sound before what is kept
        self._waiting = 0  # bytes at the end of what is kept that go out with what comes next
        self._together = int(TOGETHER_SECONDS * self._rate)
        self._most = int(KEPT_SECONDS * self._rate)
        self._fruitless = 0
        self._wondered = False
        self._renewing = False
        self._sent_at = 0.0
        self._closed = False
        self._task: asyncio.Task[None] = self._loop.create_task(self._run(), name=f"{name} stream")

    # SttStream

    def push(self, pcm: bytes) -> None:
        kept = self._kept
        kept += pcm
        if len(kept) > 2 * self._most:
            self._forget(self._position - KEPT_SECONDS)
        self._waiting += len(pcm)
        if self._waiting >= self._together:
            self._flush()

    def speech_started(self) -> None:
        self._flush()  # first: what the protocol says is of all the sound so far
        self._send(self._protocol.speech_started(self._position))

    def speech_paused(self) -> None:
        self._flush()
        self._send(self._protocol.speech_paused(self._position, self._loop.time()))

    def end_segment(self) -> None:
        self._flush()
        self._send(self._protocol.end_segment(self._position))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._report_sound()
        self._on_closed(self)
        self._task.cancel()
        await asyncio.wait([self._task])
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close(self._protocol.goodbye)

    # Sockets, one after another

    @property
    def _position(self) -> float:
        return (self._kept_from + len(self._kept)) / self._rate

    async def _run(self) -> None:
        while self._fruitless < ATTEMPTS:
            if self._fruitless:
                await asyncio.sleep(RETRY_SECONDS * self._fruitless)
            self._fruitless += 1
            began = self._loop.time()
            error = await self._one_socket()
            steady = self._loop.time() - began > STEADY_SECONDS
            renewed, self._renewing = steady and self._renewing, False
            if steady:
                self._fruitless = 0
            if renewed:
                continue
            self._listener.on_stt_error(error)
            if error.kind in ("auth", "bad_request"):
                break
        self._listener.on_stt_over()

    async def _one_socket(self) -> ProviderError:
        """From its opening to its loss; returns what went wrong."""
        self._lost = self._loop.create_future()
        protocol = self._protocol
        try:
            socket = await ProviderSocket.open(
                self._name,
                self._place,
                protocol.path,
                protocol.query(),
                self._on_message,
                self._on_lost,
                kind_of_close=self._kind_of_close,
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

    def _replay(self, socket: ProviderSocket) -> None:
        self._forget(max(self._position - KEPT_SECONDS, self._protocol.settled))
        for message in self._protocol.connected(self._kept_from / self._rate):
            socket.send(message)
        step = int(_REPLAYED_SECONDS * self._rate)
        for start in range(0, len(self._kept), step):
            self._send_sound(socket, bytes(self._kept[start : start + step]))
        self._sent_at = self._loop.time()
        self._waiting = 0
        self._socket = socket
        self._send(self._protocol.replayed())

    def _stay(self, socket: ProviderSocket) -> None:
        idle = self._protocol.idle
        self._sent_at = self._loop.time()
        if isinstance(idle, str):
            socket.send(idle)
        elif idle is not None:
            self.push(idle)  # it is part of the sound, and of its time
            self._flush()

    def _forget(self, position: float) -> None:
        """Sound before ``position`` will not be needed."""
        count = min(int(position * self._rate) - self._kept_from, len(self._kept))
        if count > 0:
            del self._kept[:count]
            self._kept_from += count

    def _flush(self) -> None:
        """What waits goes out, in one message."""
        if self._socket is not None and self._waiting:
            self._send_sound(self._socket, bytes(self._kept[-self._waiting :]))
            self._sent_at = self._loop.time()
            self._waiting = 0

    def _send_sound(self, socket: ProviderSocket, pcm: bytes) -> None:
        message = self._protocol.audio(pcm)
        if message:
            self._sent += len(pcm)
            socket.send(message)

    def _report_sound(self) -> None:
        if self._sent and not self._protocol.reports_usage:
            self._listener.on_stt_usage({"audio_seconds": self._sent / self._rate})
        self._sent = 0

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
                case Consumed(units):
                    self._listener.on_stt_usage(units)
                case Failed():
                    self._on_lost(failure(event, self._place, self._name))
                case Renew():
                    self._renewing = True
                    self._on_lost(ProviderError(self._name, "unavailable", "its session was over as soon as it began"))
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


class SocketRecogniser:
    """A recogniser with a socket for each call, shared by the calls of a process. ``protocol`` makes the one of a
    stream: of its language and hints, and the number of its first segment."""

    def __init__(
        self,
        name: str,
        place: Place,
        format: AudioFormat,
        protocol: Callable[[str, Sequence[str], int], HearingProtocol],
        *,
        keep_alive: float = KEEP_ALIVE_SECONDS,
        kind_of_close: Callable[[int, str], ProviderFault] = kind_of_close,
    ) -> None:
        self.name, self.format = name, format
        self._place = place
        self._protocol = protocol
        self._keep_alive = keep_alive
        self._kind_of_close = kind_of_close
        self._opened = 0
        self._streams: set[SocketStream] = set()

    async def prepare(self) -> None:
        """Nothing is shared: each stream connects by itself."""

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> SttStream:
        """The stream begins to connect."""
        stream = SocketStream(
            self.name,
            self._place,
            self._protocol(language, hints, self._opened * SEGMENTS),
            listener,
            self.format,
            keep_alive=self._keep_alive,
            on_closed=self._streams.discard,
            kind_of_close=self._kind_of_close,
        )
        self._opened += 1
        self._streams.add(stream)
        return stream

    async def close(self) -> None:
        await asyncio.gather(*(stream.close() for stream in list(self._streams)))
