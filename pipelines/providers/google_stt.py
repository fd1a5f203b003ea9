"""Speech-to-text by Google (Speech-to-Text v2): mu-law at 8 kHz, one stream after another for each caller."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, assert_never

from media.audio import MULAW_8K
from pipelines.parts import ProviderError, SttStream, Transcript, TranscriptListener
from pipelines.providers.google_limits import LIMITS, Limits, Verdict
from pipelines.providers.google_locales import heard_locale
from pipelines.providers.google_speech import GoogleHearing, HearingEvent
from pipelines.providers.google_wire import MOST_BYTES, TELEPHONY, Answer, StreamEnded, recognition, tells_early
from pipelines.providers.hearing import ATTEMPTS, SEGMENTS, STEADY_SECONDS
from pipelines.providers.wire import Consumed

CHUNK_SECONDS = 0.1
"""So much sound is sent at once: a request costs about as much CPU whatever is in it."""

RETRY_SECONDS = 0.25
"""Before the second attempt, if there was no connection; before the third, twice as long."""

CLOSE_SECONDS = 1.0

_CHUNK = int(CHUNK_SECONDS * MULAW_8K.bytes_per_second)


class Recognition(Protocol):
    """One stream to Google."""

    async def write(self, pcm: bytes) -> bool:
        """Send sound; whether the stream could take it."""
        ...

    async def done_writing(self) -> None: ...

    async def read(self) -> Answer | None:
        """None is the good end. Raises :class:`ProviderError`, also after :meth:`cancel`."""
        ...

    def cancel(self) -> None: ...


class RecognitionService(Protocol):
    """The service, and the connections to it."""

    async def prepare(self) -> None: ...

    async def recognize(self, config: Mapping[str, Any]) -> Recognition:
        """Open a stream, whose ``streaming_config`` is ``config``. Bounded; raises :class:`ProviderError`."""
        ...


class GoogleSpeechToText:
    """Shared by the calls of a process; ``model`` is one of Google's."""

    name = "google"
    format = MULAW_8K

    def __init__(self, service: RecognitionService, model: str | None = None, limits: Limits = LIMITS) -> None:
        self.model = model or TELEPHONY
        self._service = service
        self._limits = limits if tells_early(self.model) else replace(limits, wordless=math.inf)
        self._opened = 0
        self._streams: set[GoogleStream] = set()

    async def prepare(self) -> None:
        await self._service.prepare()

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> SttStream:
        """The stream begins to connect; ``hints`` become phrases to adapt to, with models that take them."""
        config = recognition(self.model, heard_locale(language), hints)
        stream = GoogleStream(
            lambda: self._service.recognize(config),
            listener,
            GoogleHearing(self._opened * SEGMENTS, self._limits),
            on_closed=self._streams.discard,
        )
        self._opened += 1
        self._streams.add(stream)
        return stream

    async def close(self) -> None:
        """The service is shared, and closed by who made it."""
        await asyncio.gather(*(stream.close() for stream in list(self._streams)))


class GoogleStream:
    """One caller. ``on_closed`` is told at its end."""

    def __init__(
        self,
        open_stream: Callable[[], Awaitable[Recognition]],
        listener: TranscriptListener,
        hearing: GoogleHearing,
        *,
        on_closed: Callable[[GoogleStream], object] = lambda stream: None,
    ) -> None:
        self._open_stream = open_stream
        self._listener = listener
        self._hearing = hearing
        self._sound = hearing.sound
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._recognition: Recognition | None = None
        self._verdict = Verdict.GO_ON
        self._news = asyncio.Event()  # there is something to send
        self._at_once = False  # however little
        self._timer: asyncio.TimerHandle | None = None
        self._fruitless = 0  # streams in a row that brought nothing
        self._opened = False  # the latest one could be
        self._closed = False
        self._task: asyncio.Task[None] = self._loop.create_task(self._run(), name="google stream")

    # SttStream

    def push(self, pcm: bytes) -> None:
        sound = self._sound
        sound.push(pcm)
        if sound.unsent >= _CHUNK:
            self._news.set()

    def speech_started(self) -> None:
        self._hearing.speech_started(self._loop.time())
        self._look()

    def speech_paused(self) -> None:
        self._hearing.speech_paused(self._loop.time())
        self._at_once = True
        self._news.set()
        self._look()

    def end_segment(self) -> None:
        self._hearing.end_segment()
        self._look()

    async def close(self) -> None:
        """What was used is told by the end of the stream, if that comes soon."""
        if self._closed:
            return
        self._closed = True
        self._on_closed(self)
        if self._recognition is not None:
            if not self._hearing.ending:
                self._hearing.finish(self._loop.time())
            self._news.set()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
        self._task.cancel()
        await asyncio.wait([self._task])
        self._deliver(self._hearing.broken())

    # Streams, one after another

    async def _run(self) -> None:
        while self._fruitless < ATTEMPTS and not self._closed:
            began = self._loop.time()
            error = await self._one_stream()
            if error is None:
                await self._more_sound()
                continue
            steady = self._loop.time() - began > STEADY_SECONDS
            at_once = steady or (self._opened and not self._fruitless)
            self._fruitless = 0 if steady else self._fruitless + 1
            if not (steady and isinstance(error, StreamEnded) and error.worn_out):
                self._listener.on_stt_error(error)
            if error.kind in ("auth", "bad_request"):
                break
            if not at_once and self._fruitless < ATTEMPTS:
                await asyncio.sleep(RETRY_SECONDS * self._fruitless)
        if not self._closed:
            self._listener.on_stt_over()

    async def _more_sound(self) -> None:
        """Until there is sound that was not heard."""
        while not self._closed and not self._sound.waiting:
            self._news.clear()
            await self._news.wait()

    async def _one_stream(self) -> ProviderError | None:
        """From its opening to its end; what went wrong, if it was not to end."""
        hearing = self._hearing
        self._opened = False
        try:
            recognition = await self._open_stream()
        except ProviderError as error:
            return error
        self._opened = True
        hearing.begin(self._loop.time())
        self._recognition, self._verdict = recognition, Verdict.GO_ON
        writer = self._loop.create_task(self._write(recognition), name="google sound")
        try:
            self._look()
            while (answer := await recognition.read()) is not None:
                if answer.results:
                    self._fruitless = 0
                self._deliver(hearing.receive(answer, self._loop.time()))
                self._look()
            answered = hearing.answered
            self._deliver(hearing.finished(self._loop.time()))
        except ProviderError as error:
            self._deliver(hearing.broken())
            match self._verdict:
                case Verdict.REPLACE:
                    return None
                case Verdict.GIVE_UP:
                    return ProviderError("google", "timeout", "it did not answer in time")
                case Verdict.GO_ON | Verdict.FINISH:
                    return error
                case _:
                    assert_never(self._verdict)
        else:
            if not answered:
                return ProviderError("google", "unavailable", "it ended the stream")
            self._fruitless = 0
            return None
        finally:
            self._recognition = None
            self._set_timer(None)
            recognition.cancel()
            writer.cancel()
            await asyncio.wait([writer])

    async def _write(self, recognition: Recognition) -> None:
        """All sound to the end that is set, a tenth of a second at a time; what is wanted at once, at once."""
        hearing, sound = self._hearing, self._sound
        while True:
            while sound.unsent and (self._at_once or hearing.ending or sound.unsent >= _CHUNK):
                self._at_once = False
                if not await recognition.write(sound.take(MOST_BYTES)):
                    return
            if hearing.ending:
                await recognition.done_writing()
                return
            self._news.clear()
            await self._news.wait()

    def _look(self) -> None:
        if self._recognition is None:
            return
        now = self._loop.time()
        verdict = self._hearing.look(now)
        if verdict is not Verdict.GO_ON:
            self._verdict = verdict
        match verdict:
            case Verdict.FINISH:
                self._news.set()
            case Verdict.REPLACE | Verdict.GIVE_UP:
                self._set_timer(None)
                self._recognition.cancel()
                return
            case Verdict.GO_ON:
                pass
            case _:
                assert_never(verdict)
        self._set_timer(self._hearing.due(now))

    def _set_timer(self, due: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if due is None else self._loop.call_at(due, self._look)

    def _deliver(self, events: Sequence[HearingEvent]) -> None:
        for event in events:
            match event:
                case Transcript():
                    if not self._closed:
                        self._listener.on_transcript(event)
                case Consumed(units):
                    self._listener.on_stt_usage(units)
                case _:
                    assert_never(event)
