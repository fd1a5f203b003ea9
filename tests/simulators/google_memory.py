"""The simulated Google without a wire, for virtual time: what :mod:`pipelines.providers.google_cloud` is in calls."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.parts import ProviderError
from pipelines.providers.google_wire import Answer, StreamEnded, answer
from tests.simulators.google_sessions import (
    Ended,
    Google,
    RecognitionSession,
    RecognizeRequest,
    SynthesisSession,
    SynthesizeRequest,
)


@dataclass
class MemoryGoogle(Google):
    """Both services. ``latency``: seconds that each message takes, either way."""

    latency: float = 0.02

    async def prepare(self) -> None: ...

    async def recognize(self, config: Mapping[str, Any]) -> MemoryRecognition:
        await asyncio.sleep(self.latency)
        recognition = MemoryRecognition(self)
        recognition.send(
            RecognizeRequest(recognizer="projects/p/locations/global/recognizers/_", streaming_config=config)
        )
        return recognition

    async def synthesize(self, config: Mapping[str, Any], texts: Sequence[str]) -> MemorySynthesis:
        await asyncio.sleep(self.latency)
        return MemorySynthesis(self, config, texts)

    async def close(self) -> None: ...


class MemoryRecognition:
    def __init__(self, google: MemoryGoogle) -> None:
        self._google = google
        self._loop = asyncio.get_running_loop()
        self._session = RecognitionSession(google, self._loop.time())
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._under_way: deque[Any] = deque()  # timers that are due at once have no order of their own
        self._timer: asyncio.TimerHandle | None = None
        self._over = False
        google.open += 1

    def send(self, request: Any) -> None:
        """As the server has it, on its arrival."""
        if self._over or self._session.blind:
            return
        try:
            for message in self._session.receive(request, self._loop.time()):
                self._tell(message)
        except Ended as ended:
            self._end(ended)
        self._watch()

    async def write(self, pcm: bytes) -> bool:
        await asyncio.sleep(self._google.latency)
        if self._over:
            return False
        self.send(RecognizeRequest(audio=pcm))
        return not self._over

    async def done_writing(self) -> None:
        if self._over or self._session.blind:
            return
        try:
            for message in self._session.half_closed():
                self._tell(message)
        except Ended as ended:
            self._end(ended)
            return
        if not self._session.mute:
            self._end(Ended("OK", ""))

    async def read(self) -> Answer | None:
        message = await self._answers.get()
        if isinstance(message, ProviderError):
            raise message
        if isinstance(message, Ended):
            if message.status == "OK":
                return None
            raise StreamEnded("google", message.status, message.details)
        return answer(message)

    def cancel(self) -> None:
        if not self._over:
            self._close()
        self._answers.put_nowait(ProviderError("google", "unavailable", "the stream was broken off"))

    def _tell(self, what: Any) -> None:
        fault = self._session.fault
        late = fault.seconds if fault is not None and fault.what == "slow" else 0.0
        self._under_way.append(what)
        self._loop.call_later(self._google.latency + self._google.delay + late, self._arrive)

    def _arrive(self) -> None:
        self._answers.put_nowait(self._under_way.popleft())

    def _end(self, ended: Ended) -> None:
        if not self._over:
            self._tell(ended)
            self._close()

    def _close(self) -> None:
        self._over = True
        self._google.open -= 1
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self) -> None:
        """Its time is up without a request, too."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._over:
            self._timer = self._loop.call_at(self._session.due() + 0.001, self._check)

    def _check(self) -> None:
        try:
            self._session.check(self._loop.time())
        except Ended as ended:
            self._end(ended)


class MemorySynthesis:
    def __init__(self, google: MemoryGoogle, config: Mapping[str, Any], texts: Sequence[str]) -> None:
        self._google = google
        self._session = SynthesisSession(google)
        self._answers: Iterator[Any] | None = None
        self._requests = [SynthesizeRequest(streaming_config=config)]
        self._requests += [SynthesizeRequest(input={"text": text}) for text in texts]
        self._cancelled = False

    async def read(self) -> bytes | None:
        try:
            if self._answers is None:
                for request in self._requests:
                    self._session.receive(request)
                await asyncio.sleep(self._google.first_sound_seconds + self._google.latency)
                self._answers = self._session.half_closed()
            else:
                await asyncio.sleep(self._google.per_word_seconds)
            message = next(self._answers, None)
        except Ended as ended:
            raise StreamEnded("google", ended.status, ended.details) from None
        if self._session.mute:
            await asyncio.Event().wait()
        return None if message is None else bytes(message.audio_content)

    def cancel(self) -> None:
        self._cancelled = True
