"""Language models for tests: what they answer is a function of what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from pipelines.parts import Message, ModelEvent, ProviderError, TextDelta, ToolCall, ToolSpec

Answer = str | ToolCall | ProviderError
Script = Callable[[Sequence[Message]], Sequence[Answer]]


class ReplyModel:
    """``first`` seconds to the first token, then ``per_word`` for each; errors among the answers are raised."""

    name = "reply-model"

    def __init__(self, script: Script, *, first: float = 0.0, per_word: float = 0.0) -> None:
        self.script = script
        self.first = first
        self.per_word = per_word
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
            for answer in self.script(messages):
                match answer:
                    case str():
                        for word in answer.split(" "):
                            await asyncio.sleep(self.per_word)
                            yield TextDelta(word + " ")
                    case ToolCall():
                        yield answer
                    case ProviderError():
                        raise answer
        finally:
            self.open -= 1

    async def close(self) -> None: ...


def always(*answers: Answer) -> Script:
    return lambda messages: answers
