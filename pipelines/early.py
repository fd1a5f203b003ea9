"""Pre-response: the first words of an answer, at once, while the model that knows the answer is still thinking.

A small fast model finds them, or they are one of the agent's phrases. They are part of the answer: spoken, remembered
as far as they were heard, and told to the large model, which goes on from them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipelines.agent.options import PreResponse
from pipelines.events import PartFailed, UsageReported
from pipelines.history import History
from pipelines.parts import LanguageModel, Message, ProviderError, TextDelta, Usage

if TYPE_CHECKING:
    from pipelines.generation import Generation

FIRST_SECONDS = 0.8
"""The longest that the small model may take: beyond it the large one is asked without."""

MOST_CHARACTERS = 120
"""Of what the small model says: an acknowledgement, not the answer."""

REMEMBERED = 4
"""Entries of the conversation that the small model is told."""

INSTRUCTIONS = (
    "You are the first reflex of an agent on the telephone, whose answer takes a moment. Say the first words of the "
    "answer, in the language of the conversation: one short sentence of at most ten words that shows that you have "
    "understood and are on it. State no facts, decide nothing, promise nothing, ask nothing, and do not greet."
)

_SENTENCE_END = re.compile(r"[.!?…。！？](?=\s|$)")


class EarlyWords:
    """One call's. ``model`` is the small one, if there is one; ``clock`` the monotonic time."""

    def __init__(
        self,
        options: PreResponse,
        model: LanguageModel | None,
        history: History,
        tell: Callable[[PartFailed | UsageReported], None],
    ) -> None:
        self._options = options
        self._model = model
        self._history = history
        self._tell = tell
        self._turns = 0

    @property
    def delay(self) -> float:
        """How long the large model may take before first words are wanted. With 0 they always are, and it is told."""
        return self._options.delay

    async def begin(self, generation: Generation, say: Callable[[str, int], None]) -> None:
        """Say the first words of ``generation``'s only step so far; what was said is its text."""
        words = await self._words(generation.guess) if self._model is not None else ""
        if not words and self._options.phrases:
            words = self._options.phrases[self._turns % len(self._options.phrases)]
        self._turns += 1
        if words and not generation.steps[0].text:
            generation.steps[0].text = words + " "
            say(words, 0)

    async def _words(self, guess: str | None) -> str:
        model = self._model
        if model is None:
            return ""
        said = ""
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                answer = model.generate(self._messages(guess))
                try:
                    async for event in answer:
                        match event:
                            case TextDelta(text):
                                said += text
                                if (end := _SENTENCE_END.search(said)) and end.end() < len(said):
                                    return said[: end.end()].strip()
                                if len(said) > MOST_CHARACTERS:
                                    return ""
                            case Usage():
                                self._tell(UsageReported("llm", model.name, event.units))
                            case _:
                                pass
                finally:
                    await answer.aclose()
        except TimeoutError:
            error = ProviderError(model.name, "timeout", f"there were no first words within {FIRST_SECONDS:g} s")
            self._tell(PartFailed("llm", error.provider, error.kind, str(error)))
            return ""
        except ProviderError as error:
            self._tell(PartFailed("llm", error.provider, error.kind, str(error)))
            return ""
        return said.strip()

    def _messages(self, guess: str | None) -> list[Message]:
        told = [m for m in self._history.messages(guess=guess) if m.role in ("user", "assistant") and m.content]
        prompt = self._options.prompt or INSTRUCTIONS
        return [Message("system", prompt), *(Message(m.role, m.content) for m in told[-REMEMBERED:])]
