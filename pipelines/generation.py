"""One attempt of the agent to answer: the model thinks, its words are spoken as they come, its tools act.

Everything made here carries the generation's number. Cancelling the task that runs :meth:`Delivery.run` stops the
model, the synthesis and the tools at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from media.audio import AudioFormat
from media.convert import Converter
from media.framer import Framer
from media.ledger import Segment
from media.playout import Playout
from media.words import TimedWord
from pipelines.events import (
    EndReason,
    PartFailed,
    PipelineHost,
    ToolCalled,
    ToolReturned,
    UsageReported,
    WatchdogFired,
)
from pipelines.history import History, Step
from pipelines.parts import (
    LanguageModel,
    Message,
    ProviderError,
    SpeechAudio,
    SpeechUsed,
    TextDelta,
    TextToSpeech,
    ToolCall,
    Usage,
    WordTiming,
)
from pipelines.phrasebook import phrases
from pipelines.phrases import PhraseSplitter
from pipelines.spoken import spoken
from pipelines.tools import Toolbox
from pipelines.turn_events import TurnEnded

T = TypeVar("T")

MAX_STEPS = 8
"""Requests to the model in one generation: more than this many rounds of tools is a loop."""

MODEL_SECONDS = 15.0
"""The longest wait for the model's next words."""

SPEECH_SECONDS = 10.0
"""The longest wait for the synthesiser's next sound."""

PATIENCE_SECONDS = 3.0
"""The longest that the caller waits for the first word of an answer, before being asked for a moment."""


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
    """Waits while it is undecided whether the caller interrupts, or whether a turn is really over: nothing acts
    meanwhile."""
    on_hang_up: Callable[[], None]
    """The agent hangs up once this generation was heard: that does not change any more."""
    on_protected: Callable[[Generation], None]
    """The generation says something that has to be heard."""
    language: str = "en"
    farewell: str | None = None
    """Said before the agent hangs up without a word."""
    notices: Sequence[str] = ()
    """Texts that have to be heard: who says one of them cannot be interrupted."""


@dataclass(slots=True, eq=False)
class Generation:
    """``text`` is said as it stands; without it the model is asked. ``ends`` says that the call ends once this was
    heard, and why. ``guess`` is what the caller has likely said, while that is not certain: nothing of a guess is
    spoken, acts or is remembered."""

    number: int
    text: str | None = None
    protected: bool = False
    ends: EndReason | None = None
    turn: TurnEnded | None = None
    guess: str | None = None
    steps: list[Step] = field(default_factory=list)
    first_token: float | None = None
    first_audio: float | None = None
    failed: bool = False
    withheld: list[str] = field(default_factory=list)
    """Phrases of a guess, of which nobody was told yet."""
    task: asyncio.Task[None] | None = None

    @property
    def said(self) -> str:
        """All that it wanted to say, so far."""
        return " ".join(spoken(step.text) for step in self.steps if step.text.strip())


class Delivery:
    """The work of one generation."""

    def __init__(self, generation: Generation, stage: Stage) -> None:
        self._generation = generation
        self._stage = stage
        self._phrases: asyncio.Queue[tuple[str, int] | None] = asyncio.Queue()
        self._spoke = False

    async def run(self) -> None:
        """To its end, or to its failure, of which the caller is told in words as far as there is a voice."""
        generation, stage = self._generation, self._stage
        try:
            try:
                if generation.text is not None:
                    generation.steps.append(Step(generation.text))
                    await self._speak(generation.text, 0)
                else:
                    await self._answer()
            except* ProviderError as errors:  # the voice: there is nothing to say it with
                generation.failed = True
                error = _first(errors)
                stage.host.on_event(PartFailed("tts", error.provider, error.kind, str(error)))
        finally:
            stage.playout.finish(generation.number)

    async def _answer(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._speak_all())
            impatient = group.create_task(self._bridge())
            try:
                await self._take_steps()
            except ProviderError as error:
                self._give_up(error)
            impatient.cancel()
            self._phrases.put_nowait(None)

    async def _take_steps(self) -> None:
        """Ask the model, run the tools it calls, tell it what they returned, until it has said what it will."""
        generation, name = self._generation, self._stage.model.name
        for _ in range(MAX_STEPS):
            step = Step()
            generation.steps.append(step)
            await self._think(step)
            if not step.calls or await self._use_tools(step):
                break
        else:
            raise ProviderError(name, "protocol", f"the model asked for tools {MAX_STEPS} times in a row")
        if generation.ends is None and not any(step.text.strip() for step in generation.steps):
            raise ProviderError(name, "protocol", "the model answered nothing")

    def _say(self, text: str, step: int) -> None:
        self._spoke = True
        self._phrases.put_nowait((text, step))

    def _give_up(self, error: ProviderError) -> None:
        """The model has failed: what it said is still spoken, and the caller told, rather than left in silence."""
        self._generation.failed = True
        self._stage.host.on_event(PartFailed("llm", error.provider, error.kind, str(error)))
        apology = phrases(self._stage.language).went_wrong
        self._generation.steps.append(Step(apology))
        self._say(apology, len(self._generation.steps) - 1)

    async def _bridge(self) -> None:
        """The answer takes long: the caller is asked for a moment."""
        await self._stage.decided()
        await asyncio.sleep(PATIENCE_SECONDS)
        if not self._spoke:
            self._stage.host.on_event(WatchdogFired("audio"))
            self._phrases.put_nowait((phrases(self._stage.language).one_moment, len(self._generation.steps) - 1))

    async def _think(self, step: Step) -> None:
        """One request to the model; its words go on to be spoken, phrase by phrase."""
        stage, generation = self._stage, self._generation
        number = len(generation.steps) - 1
        splitter = PhraseSplitter(stage.language)
        messages = stage.history.messages(generation.steps[:-1], guess=generation.guess)
        answer = stage.model.generate(messages, stage.toolbox.specs)
        async for event in _bounded(answer, MODEL_SECONDS, stage.model.name, "the model did not go on"):
            match event:
                case TextDelta(text):
                    if generation.first_token is None and text.strip():
                        generation.first_token = stage.clock()
                    step.text += text
                    for phrase in splitter.push(text):
                        self._say(phrase, number)
                case ToolCall():
                    step.calls.append(event)
                case Usage():
                    stage.host.on_event(UsageReported("llm", stage.model.name, event.units))
        for phrase in splitter.flush():
            self._say(phrase, number)

    async def _use_tools(self, step: Step) -> bool:
        """Run the tools of a step, once it is certain that this generation stands. True if the call is to end."""
        stage, generation = self._stage, self._generation
        for call in step.calls:
            await stage.decided()
            stage.host.on_event(ToolCalled(call.name, call.arguments))
            result = stage.toolbox.call(call)
            step.results.append(Message("tool", result.text, tool_call_id=call.id, name=call.name))
            stage.host.on_event(ToolReturned(call.name, call.arguments, result.text))
            if result.hang_up:
                generation.ends = "agent"
                generation.protected = True
                stage.on_hang_up()
                if stage.farewell and not any(earlier.text.strip() for earlier in generation.steps):
                    step.text = stage.farewell
                    self._say(stage.farewell, len(generation.steps) - 1)
                return True
        return False

    async def _speak_all(self) -> None:
        while (phrase := await self._phrases.get()) is not None:
            await self._speak(*phrase)

    async def _speak(self, text: str, step: int) -> None:
        """Synthesise one phrase into the playout: what is said, counted as heard and remembered is one text."""
        stage, generation = self._stage, self._generation
        text = spoken(text)
        if not text:
            return
        if any(notice in text for notice in stage.notices):
            stage.on_protected(generation)
        if generation.guess is None:
            stage.host.on_saying(text)
        else:
            generation.withheld.append(text)
        segment = stage.playout.segment(generation.number, text, step)
        framer, converter = Framer(stage.voice.format), Converter(stage.voice.format, stage.format)
        speech = stage.voice.synthesize(text)
        used: dict[str, float] = {"characters": len(text)}
        try:
            async for event in _bounded(speech, SPEECH_SECONDS, stage.voice.name, "the voice did not go on"):
                match event:
                    case SpeechAudio(data):
                        self._write(segment, converter, framer.push(data))
                    case WordTiming(word, start, end):
                        segment.add_word(TimedWord(word, start, end))
                    case SpeechUsed(units):
                        used.update(units)
            self._write(segment, converter, framer.flush())
            segment.close()
        except ProviderError:
            if not segment.frames:
                used.clear()  # nobody pays for what was refused
            raise
        finally:
            segment.close(broken=True)  # unless it is closed already: cancelled, or failed, in the middle
            if used:
                stage.host.on_event(UsageReported("tts", stage.voice.name, used))

    def _write(self, segment: Segment, converter: Converter, frames: list[bytes]) -> None:
        if not frames or not segment.write(converter.process(b"".join(frames))):
            return
        if self._generation.first_audio is None:
            self._generation.first_audio = self._stage.clock()


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
