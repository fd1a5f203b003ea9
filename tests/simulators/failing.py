"""Parts that fail when they are told to, in the way that they are told: for calls that have to go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from pipelines.parts import (
    Message,
    ModelEvent,
    ProviderError,
    ProviderFault,
    SpeechAudio,
    SpeechEvent,
    SttStream,
    TextDelta,
    ToolSpec,
    TranscriptListener,
    WordTiming,
)
from tests.simulators.codeword import (
    WORD_FRAMES,
    CodewordRecogniser,
    CodewordStream,
    CodewordVoice,
    plain_words,
    speak,
)

Way = ProviderFault | Literal["stall", "ends"]
"""An error of that kind; or nothing more comes; or it ends as if that were all."""


@dataclass(slots=True)
class Failure:
    """``times`` times, after so many words."""

    way: Way
    words: int
    times: int = 1

    async def happen(self, name: str) -> None:
        """What is left to do afterwards is to end."""
        if self.way == "stall":
            await asyncio.Event().wait()
        if self.way not in ("ends", "stall"):
            raise ProviderError(name, cast(ProviderFault, self.way), "simulated")

    def due(self, words: int) -> bool:
        if self.times and words >= self.words:
            self.times -= 1
            return True
        return False


class FailingVoice(CodewordVoice):
    """``timed``: it tells where its words are. It fails from its ``phrase``-th phrase on, counted from 1."""

    name = "failing-voice"

    def __init__(self, failure: Failure, *, timed: bool = True, phrase: int = 2) -> None:
        super().__init__(first=0.15, per_word=0.02)
        self.failure = failure
        self.timed = timed
        self.phrase = phrase

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        self.spoken.append(text)
        self.open += 1
        try:
            await asyncio.sleep(self.first)
            for index, word in enumerate([*plain_words(text), ""]):
                if len(self.spoken) >= self.phrase and self.failure.due(index):
                    await self.failure.happen(self.name)
                    return
                if not word:
                    return
                await asyncio.sleep(self.per_word)
                if self.timed:
                    start = index * WORD_FRAMES / 50
                    yield WordTiming(word, start, start + WORD_FRAMES / 50)
                yield SpeechAudio(speak(word))
        finally:
            self.open -= 1


class FailingModel:
    """Says what ``answer`` finds to its messages, and fails in the middle of it."""

    def __init__(
        self,
        answer: Callable[[Sequence[Message]], str],
        failure: Failure | None = None,
        *,
        name: str = "failing-model",
        first: float = 0.3,
        per_word: float = 0.03,
    ) -> None:
        self.name = name
        self.answer = answer
        self.failure = failure
        self.first, self.per_word = first, per_word
        self.told: list[Sequence[Message]] = []
        self.open = 0

    async def prepare(self) -> None: ...

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[ModelEvent, None]:
        self.told.append(tuple(messages))
        self.open += 1
        try:
            await asyncio.sleep(self.first)
            words = self.answer(messages).split(" ")
            for index, word in enumerate([*words, ""]):
                if self.failure is not None and self.failure.due(index):
                    await self.failure.happen(self.name)
                    return
                await asyncio.sleep(self.per_word)
                if word:
                    yield TextDelta(word + " ")
        finally:
            self.open -= 1

    async def close(self) -> None: ...


class FailingRecogniser(CodewordRecogniser):
    """Its streams give up, ``times`` of them, ``after`` seconds from when they were told of speech."""

    name = "failing-recogniser"

    def __init__(self, kind: ProviderFault, *, after: float, times: int = 1) -> None:
        super().__init__()
        self.kind: ProviderFault = kind
        self.after = after
        self.times = times

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> SttStream:
        self.open_streams += 1
        return _FailingStream(self, listener)


class _FailingStream(CodewordStream):
    def __init__(self, recogniser: FailingRecogniser, listener: TranscriptListener) -> None:
        super().__init__(recogniser, listener)
        self._failing = recogniser
        self._over = False

    def speech_started(self) -> None:
        super().speech_started()
        if self._failing.times:
            self._failing.times -= 1
            asyncio.get_running_loop().call_later(self._failing.after, self._give_up)

    def _give_up(self) -> None:
        listener = self._listener
        self._over = True
        if listener is not None:
            listener.on_stt_error(ProviderError(self._failing.name, self._failing.kind, "simulated"))
            listener.on_stt_over()

    def _deliver(self, segment: int, sound: bytes) -> None:
        if not self._over:
            super()._deliver(segment, sound)
