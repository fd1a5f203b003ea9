"""One request to the model, and to others where it fails: its words go on to be spoken, phrase by phrase.

A model that dies in the middle of its answer has said some of it: the next one is told so, and goes on from there. What
it says again all the same is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from pipelines.bounded import Patience
from pipelines.events import PartFailed, UsageReported
from pipelines.going_on import Unrepeated, with_begun
from pipelines.history import Step
from pipelines.parts import LanguageModel, ProviderError, ProviderFault, TextDelta, ToolCall, Usage
from pipelines.phrases import PhraseSplitter

if TYPE_CHECKING:
    from pipelines.generation import Generation, Stage

MODEL_SECONDS = 15.0
"""The longest wait for the model's next words, where there is nobody else to ask."""

FIRST_WORDS_SECONDS = 4.0
NEXT_WORDS_SECONDS = 3.0
"""Where there is."""

_PASSING: frozenset[ProviderFault] = frozenset({"connect", "server", "unavailable", "protocol"})
"""Faults after which the same model may be asked again, where there is no other: to go on with its answer, or for all
of it, before the call is somebody else's."""


class Thinker:
    """``say`` takes each phrase with the number of its step."""

    def __init__(self, generation: Generation, stage: Stage, say: Callable[[str, int], None]) -> None:
        self._generation = generation
        self._stage = stage
        self._say = say
        self._came = False  # some of an answer

    async def think(self, step: Step) -> None:
        """Fill ``step``. Each failure is reported; raises :class:`ProviderError` where nobody answers."""
        stage = self._stage
        attempts = max(2, stage.models.count)
        for attempt in range(1, attempts + 1):
            self._came = False
            try:
                await self._ask(stage.models.current, step)
            except ProviderError as error:
                stage.host.on_event(PartFailed("llm", error.provider, error.kind, str(error)))
                another = stage.models.failed(error)
                again = (self._came or stage.host.relief) and error.kind in _PASSING
                if attempt == attempts or not (another or again):
                    raise
            else:
                stage.models.worked()
                return

    async def _ask(self, model: LanguageModel, step: Step) -> None:
        stage, generation = self._stage, self._generation
        number = len(generation.steps) - 1
        begun = step.text  # somebody else's
        heard = begun or (generation.begun if number == 0 else "")
        splitter, unrepeated = PhraseSplitter(stage.language), Unrepeated(heard)
        messages = stage.history.messages(generation.steps[:-1], guess=generation.guess)
        alone = stage.models.count == 1
        patience = Patience(*(MODEL_SECONDS, MODEL_SECONDS) if alone else (FIRST_WORDS_SECONDS, NEXT_WORDS_SECONDS))
        answer = model.generate(with_begun(messages, heard), stage.toolbox.specs)
        if begun:
            step.text = begun.rstrip() + " "

        def speak(phrases: list[str]) -> None:
            for phrase in phrases:
                self._say(phrase, number)

        try:
            async with aclosing(patience.of(answer, model.name, "the model did not go on")) as events:
                async for event in events:
                    match event:
                        case TextDelta(text):
                            self._came = True
                            if generation.first_token is None and text.strip():
                                generation.first_token = stage.clock()
                            text = unrepeated.push(text)
                            step.text += text
                            speak(splitter.push(text))
                        case ToolCall():
                            step.calls.append(event)
                        case Usage():
                            stage.host.on_event(UsageReported("llm", model.name, event.units))
        except ProviderError:
            step.text = " ".join(generation.phrases.get(number, ()))  # the rest, half a phrase, was not said
            step.calls.clear()
            raise
        text = unrepeated.flush()
        step.text += text
        speak(splitter.push(text) + splitter.flush())
