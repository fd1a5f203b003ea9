"""One attempt of the agent to answer: the model thinks, its words are spoken as they come, its tools act.

Everything made here carries the generation's number. Cancelling the task that runs :meth:`Delivery.run` stops the
model, the synthesis and the tools at once. A model that fails is followed by another one, which goes on from the words
that were said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from media.audio import AudioFormat
from media.playout import Playout
from pipelines.early import EarlyWords
from pipelines.events import (
    EndReason,
    PartFailed,
    PipelineHost,
)
from pipelines.history import History, Step
from pipelines.parts import LanguageModel, ProviderError, TextToSpeech
from pipelines.phrasebook import phrases
from pipelines.speaker import Speaker
from pipelines.spoken import spoken
from pipelines.standby import Standby
from pipelines.thinker import Thinker
from pipelines.tools import Toolbox
from pipelines.tools.round import OnLate, Round
from pipelines.turn_events import TurnEnded

MAX_STEPS = 8
"""Requests to the model in one generation: more than this many rounds of tools is a loop."""

AHEAD_SECONDS = 30.0
"""Sound that waits to be heard, before another phrase is made: callers break in, and what a voice made for nobody is
paid for and kept all the same. A model that talks without end would have it make hours."""


@dataclass(slots=True)
class Stage:
    """What a generation works with: the same for all generations of a call."""

    models: Standby[LanguageModel]
    voices: Standby[TextToSpeech]
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
    """The agent hangs up, or hands the call over, once this generation was heard: that does not change any more."""
    on_protected: Callable[[Generation], None]
    """The generation says something that has to be heard."""
    language: str = "en"
    farewell: str | None = None
    """Said before the agent hangs up without a word."""
    notices: Sequence[str] = ()
    """Texts that have to be heard: who says one of them cannot be interrupted."""
    on_first_sound: Callable[[], None] = lambda: None
    """There is something to play, now rather than at the next tick."""
    early: EarlyWords | None = None
    """Says the first words of answers at once."""
    spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]] = asyncio.create_task
    """Runs what may live longer than a generation."""
    on_late: OnLate = lambda words: None
    """A tool has returned whose generation was interrupted."""


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
    begun: str = ""
    """What the caller has heard of this answer already, from somebody else."""
    phrases: dict[int, list[str]] = field(default_factory=dict)
    """What went to the voice, by step."""
    round: Round | None = None
    """Its tools, while they run."""
    delivery: Delivery | None = None
    task: asyncio.Task[None] | None = None

    @property
    def acting(self) -> bool:
        """A tool runs."""
        return self.round is not None

    @property
    def said(self) -> str:
        """All that it wanted to say, so far."""
        return " ".join(filter(None, (spoken(step.text) for step in self.steps)))


class Delivery:
    """The work of one generation."""

    def __init__(self, generation: Generation, stage: Stage) -> None:
        self._generation = generation
        self._stage = stage
        self._phrases: asyncio.Queue[tuple[str, int] | None] = asyncio.Queue()
        self._speaker = Speaker(generation, stage, self._on_sound)
        self._thinker = Thinker(generation, stage, self._say)
        self._group: asyncio.TaskGroup
        generation.delivery = self

    async def run(self) -> None:
        """To its end, or to its failure, of which the caller is told in words as far as there is a voice."""
        generation, stage = self._generation, self._stage
        try:
            try:
                if generation.text is not None:
                    generation.steps.append(Step(generation.text))
                    await self._speaker.say(generation.text, 0)
                else:
                    await self._answer()
            except* ProviderError:  # of the voices, each of which was told of: there is nothing to say it with
                generation.failed = True
        finally:
            generation.delivery = None
            stage.playout.finish(generation.number)

    # A caller who waits

    def hurry(self) -> None:
        """The caller has heard nothing for a while: a voice that makes no sound is not waited for."""
        self._speaker.hurry()

    def console(self, text: str) -> bool:
        """Say this while there is nothing else to say. False if a voice is at work."""
        if self._speaker.speaking or not self._phrases.empty() or not self._generation.steps:
            return False
        self._phrases.put_nowait((text, len(self._generation.steps) - 1))
        return True

    # The work

    async def _answer(self) -> None:
        async with asyncio.TaskGroup() as self._group:
            self._group.create_task(self._speak_all())
            try:
                await self._take_steps()
            except ProviderError:
                self._give_up()
            self._phrases.put_nowait(None)

    async def _take_steps(self) -> None:
        """Ask the model, run the tools it calls, tell it what they returned, until it has said what it will."""
        generation = self._generation
        for _ in range(MAX_STEPS):
            step = Step()
            generation.steps.append(step)
            late = await self._begin_early() if len(generation.steps) == 1 else None
            try:
                await self._thinker.think(step)
            finally:
                if late is not None:
                    late.cancel()
            if not step.calls or await self._use_tools(step):
                break
        else:
            raise self._report(f"the model asked for tools {MAX_STEPS} times in a row")
        if generation.ends is None and not generation.said:
            raise self._report("the model answered nothing that can be said")

    async def _begin_early(self) -> asyncio.Task[None] | None:
        """First words: said, or, where the agent's model may have a while, to be said by the task."""
        generation, early = self._generation, self._stage.early
        if early is None:
            return None
        if early.delay == 0:
            await early.begin(generation, self._say)
            return None

        async def later() -> None:
            await asyncio.sleep(early.delay)
            if not generation.steps[0].text.strip():
                await early.begin(generation, self._say)

        return self._group.create_task(later())

    def _report(self, complaint: str) -> ProviderError:
        error = ProviderError(self._stage.models.current.name, "protocol", complaint)
        self._stage.host.on_event(PartFailed("llm", error.provider, error.kind, str(error)))
        return error

    def _say(self, text: str, step: int) -> None:
        self._generation.phrases.setdefault(step, []).append(text)
        self._phrases.put_nowait((text, step))

    def _give_up(self) -> None:
        """There is no model that answers: what was said is still spoken, and the caller told, rather than left in
        silence."""
        self._generation.failed = True
        if self._stage.host.relief:
            return  # somebody else will answer
        apology = phrases(self._stage.language).went_wrong
        self._generation.steps.append(Step(apology))
        self._say(apology, len(self._generation.steps) - 1)

    async def _use_tools(self, step: Step) -> bool:
        """Run the tools of a step, once it is certain that this generation stands. True if the call is to end."""
        stage, generation = self._stage, self._generation
        generation.round = Round(
            step, stage.toolbox, tell=stage.host.on_event, spawn=stage.spawn, on_late=stage.on_late
        )
        try:
            ends = await generation.round.run(stage.decided)
        finally:
            generation.round = None
        if ends is None:
            return False
        generation.ends = ends
        generation.protected = True
        stage.on_hang_up()
        parting = phrases(stage.language).connecting if ends == "transferred" else stage.farewell
        if parting and not generation.said:
            step.text = parting
            self._say(parting, len(generation.steps) - 1)
        return True

    async def _speak_all(self) -> None:
        while (phrase := await self._phrases.get()) is not None:
            if (waiting := self._stage.playout.unheard_seconds - AHEAD_SECONDS) > 0:
                await asyncio.sleep(waiting)  # and not until there is room: whatever becomes of the ear, this ends
            await self._speaker.say(*phrase)

    def _on_sound(self) -> None:
        if self._generation.first_audio is None:
            self._generation.first_audio = self._stage.clock()
            self._stage.on_first_sound()
