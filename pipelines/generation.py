"""One attempt of the agent to answer: the model thinks, its words are spoken as they come, its tools act.

Everything made here carries the generation's number. Cancelling the task that runs :meth:`Generation.run` stops the
model, the synthesis and the tools at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from media.audio import AudioFormat
from media.convert import Converter
from media.framer import Framer
from media.ledger import Segment
from media.playout import Playout
from media.words import TimedWord
from pipelines.events import EndReason, PartFailed, PipelineHost, ToolCalled, ToolReturned, UsageReported
from pipelines.history import History, Step
from pipelines.parts import (
    LanguageModel,
    Message,
    ProviderError,
    SpeechAudio,
    TextDelta,
    TextToSpeech,
    ToolCall,
    Usage,
    WordTiming,
)
from pipelines.phrases import PhraseSplitter
from pipelines.spoken import spoken
from pipelines.tools import Toolbox
from pipelines.turns import TurnEnded

T = TypeVar("T")

MAX_STEPS = 8
"""Requests to the model in one generation: more than this many rounds of tools is a loop."""

MODEL_SECONDS = 15.0
"""The longest wait for the model's next words."""

SPEECH_SECONDS = 10.0
"""The longest wait for the synthesiser's next sound."""

APOLOGY = "I'm sorry, something went wrong on my side. Could you say that again?"


@dataclass(slots=True)
class Stage:
    """What a generation works with: the same for all generations of a call."""

    model: LanguageModel
    voice: TextToSpeech
    history: History
    toolbox: Toolbox
    playout: Playout
    format: AudioFormat
    host: PipelineHost
    clock: Callable[[], float]
    decided: Callable[[], Awaitable[None]]
    """Waits while it is undecided whether the caller interrupts: no tool acts meanwhile."""
    language: str = "en"
    farewell: str | None = None
    """Said before the agent hangs up without a word."""


@dataclass(slots=True, eq=False)
class Generation:
    """``text`` is said as it stands; without it the model is asked. ``ends`` says that the call ends once this was
    heard, and why."""

    number: int
    text: str | None = None
    protected: bool = False
    ends: EndReason | None = None
    turn: TurnEnded | None = None
    steps: list[Step] = field(default_factory=list)
    first_token: float | None = None
    first_audio: float | None = None
    failed: bool = False
    voice_failed: bool = False
    task: asyncio.Task[None] | None = None

    async def run(self, stage: Stage, on_hang_up: Callable[[], None]) -> None:
        """To its end, or to its failure, of which the caller is told in words as far as there is a voice."""
        try:
            try:
                if self.text is not None:
                    self.steps.append(Step(self.text))
                    await self._speak(stage, self.text, 0)
                else:
                    await self._answer(stage, on_hang_up)
            except* ProviderError as errors:
                self.failed = True
                await self._apologise(stage, _first(errors))
        finally:
            stage.playout.finish(self.number)

    async def _answer(self, stage: Stage, on_hang_up: Callable[[], None]) -> None:
        phrases: asyncio.Queue[tuple[str, int] | None] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._speak_all(stage, phrases))
            for _ in range(MAX_STEPS):
                step = Step()
                self.steps.append(step)
                await self._think(stage, step, phrases)
                if not step.calls or await self._use_tools(stage, step, phrases, on_hang_up):
                    break
            else:
                self._give_up(stage, phrases, f"the model asked for tools {MAX_STEPS} times in a row")
            if self.ends is None and not any(step.text.strip() for step in self.steps):
                self._give_up(stage, phrases, "the model answered nothing")
            phrases.put_nowait(None)

    def _give_up(self, stage: Stage, phrases: asyncio.Queue[tuple[str, int] | None], complaint: str) -> None:
        """The model does not fail, and has nothing to say: the caller is told so, rather than left in silence."""
        self.failed = True
        name = stage.model.name
        stage.host.on_event(PartFailed("llm", name, "protocol", f"{name}: {complaint}"))
        self.steps.append(Step(APOLOGY))
        phrases.put_nowait((APOLOGY, len(self.steps) - 1))

    async def _think(self, stage: Stage, step: Step, phrases: asyncio.Queue[tuple[str, int] | None]) -> None:
        """One request to the model; its words go on to be spoken, phrase by phrase."""
        number = len(self.steps) - 1
        splitter = PhraseSplitter(stage.language)
        messages = stage.history.messages(self.steps[:-1])
        answer = stage.model.generate(messages, stage.toolbox.specs)
        async for event in _bounded(answer, MODEL_SECONDS, stage.model.name, "the model did not go on"):
            match event:
                case TextDelta(text):
                    if self.first_token is None and text.strip():
                        self.first_token = stage.clock()
                    step.text += text
                    for phrase in splitter.push(text):
                        phrases.put_nowait((phrase, number))
                case ToolCall():
                    step.calls.append(event)
                case Usage():
                    units = {"input_tokens": event.input_tokens, "cached_tokens": event.cached_tokens}
                    units["output_tokens"] = event.output_tokens
                    stage.host.on_event(UsageReported("llm", stage.model.name, units))
        for phrase in splitter.flush():
            phrases.put_nowait((phrase, number))

    async def _use_tools(
        self,
        stage: Stage,
        step: Step,
        phrases: asyncio.Queue[tuple[str, int] | None],
        on_hang_up: Callable[[], None],
    ) -> bool:
        """Run the tools of a step, once it is certain that this generation stands. True if the call is to end."""
        for call in step.calls:
            await stage.decided()
            stage.host.on_event(ToolCalled(call.name, call.arguments))
            result = stage.toolbox.call(call)
            step.results.append(Message("tool", result.text, tool_call_id=call.id, name=call.name))
            stage.host.on_event(ToolReturned(call.name, call.arguments, result.text))
            if result.hang_up:
                self.ends = "agent"
                self.protected = True
                on_hang_up()
                if stage.farewell and not any(earlier.text.strip() for earlier in self.steps):
                    step.text = stage.farewell
                    phrases.put_nowait((stage.farewell, len(self.steps) - 1))
                return True
        return False

    async def _speak_all(self, stage: Stage, phrases: asyncio.Queue[tuple[str, int] | None]) -> None:
        while (phrase := await phrases.get()) is not None:
            await self._speak(stage, *phrase)

    async def _speak(self, stage: Stage, text: str, step: int) -> None:
        """Synthesise one phrase into the playout: what is said, counted as heard and remembered is one text."""
        text = spoken(text)
        if not text:
            return
        stage.host.on_saying(text)
        segment = stage.playout.segment(self.number, text, step)
        framer, converter = Framer(stage.voice.format), Converter(stage.voice.format, stage.format)
        speech = stage.voice.synthesize(text)
        try:
            async for event in _bounded(speech, SPEECH_SECONDS, stage.voice.name, "the voice did not go on"):
                match event:
                    case SpeechAudio(data):
                        self._write(stage, segment, converter, framer.push(data))
                    case WordTiming(word, start, end):
                        segment.add_word(TimedWord(word, start, end))
            self._write(stage, segment, converter, framer.flush())
            stage.host.on_event(UsageReported("tts", stage.voice.name, {"characters": len(text)}))
        except ProviderError:
            self.voice_failed = True
            raise
        finally:
            segment.close()

    def _write(self, stage: Stage, segment: Segment, converter: Converter, frames: list[bytes]) -> None:
        if frames and segment.write(converter.process(b"".join(frames))) and self.first_audio is None:
            self.first_audio = stage.clock()

    async def _apologise(self, stage: Stage, error: ProviderError) -> None:
        part: Literal["llm", "tts"] = "tts" if self.voice_failed else "llm"
        stage.host.on_event(PartFailed(part, error.provider, error.kind, str(error)))
        if self.voice_failed or self.text is not None:
            return
        self.steps.append(Step(APOLOGY))
        try:
            await self._speak(stage, APOLOGY, len(self.steps) - 1)
        except ProviderError as second:
            stage.host.on_event(PartFailed("tts", second.provider, second.kind, str(second)))


async def _bounded(stream: AsyncGenerator[T, None], seconds: float, provider: str, complaint: str) -> AsyncIterator[T]:
    """``stream``, with a bound on each wait; closed however this ends."""
    try:
        while True:
            try:
                async with asyncio.timeout(seconds):
                    item = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise ProviderError(provider, "timeout", f"{complaint} within {seconds:g} s") from None
            yield item
    finally:
        await stream.aclose()


def _first(errors: BaseExceptionGroup[ProviderError]) -> ProviderError:
    inner = errors.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
