"""A language model that follows a script: deterministic, offline, for the demo and for tests.

The conversation's state is worked out anew from the message list each time, so that it is right whatever of an answer
was heard, cancelled or said again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field

from pipelines.parts import Message, ModelEvent, ProviderError, TextDelta, ToolCall, ToolSpec
from pipelines.providers.listening import captures, find, time_of_day, words
from pipelines.providers.script import Rule, Script, Slot, fill

_TOKEN = re.compile(r"\s*\S+")

ECHO = Script(rules=(Rule(say="You said: {said}"),))
"""What ``scripted/echo`` follows."""


@dataclass(slots=True)
class Conversation:
    """Where a conversation stands: the messages so far, replayed against the script."""

    script: Script
    state: str = "start"
    slots: dict[str, str] = field(default_factory=dict)
    rule: Rule | None = None
    values: dict[str, str] = field(default_factory=dict)

    def hear(self, text: str) -> None:
        """The caller said ``text``."""
        said = words(text)
        for name, slot in self.script.slots.items():
            if (not slot.states or self.state in slot.states) and (value := _value(slot, said)) is not None:
                self.slots[name] = value
        self._take(self.script.rules, said, {"said": text.strip()})

    def learn(self, result: str) -> None:
        """A tool that the last rule called answered ``result``."""
        self._take(self.rule.after if self.rule is not None else (), [], {**self.values, "result": result})

    def _take(self, rules: Iterable[Rule], said: Sequence[str], extra: dict[str, str]) -> None:
        self.rule = next((rule for rule in rules if self._holds(rule, said, extra.get("result", ""))), None)
        self.values = {**self.slots, **extra}
        if self.rule is not None:
            self.state = self.rule.then or self.state
            for name in self.rule.forget:
                self.slots.pop(name, None)

    def _holds(self, rule: Rule, said: Sequence[str], result: str) -> bool:
        return (
            (not rule.states or self.state in rule.states)
            and all(name in self.slots for name in rule.filled)
            and not any(name in self.slots for name in rule.missing)
            and (not rule.said or any(find(phrase, said) is not None for phrase in rule.said))
            and (rule.result is None or rule.result.lower() in result.lower())
        )


def _value(slot: Slot, said: Sequence[str]) -> str | None:
    for value, phrases in slot.words.items():
        if any(find(phrase, said) is not None for phrase in (value, *phrases)):
            return value
    captured = next(captures(slot.patterns, said), None)
    return captured if captured is not None or not slot.time else time_of_day(said)


class ScriptedLanguageModel:
    """Streams word by word, ``token_delay`` seconds apart."""

    def __init__(self, script: Script, *, name: str = "scripted", token_delay: float = 0.0) -> None:
        self.name = name
        self._script = script
        self._token_delay = token_delay

    async def prepare(self) -> None:
        """Nothing to load."""

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[ModelEvent, None]:
        text, call = self._answer(messages)
        if call is not None and call.name not in {tool.name for tool in tools}:
            message = f"the script calls the tool {call.name!r}, which is not among the agent's functions; add it there"
            raise ProviderError("scripted", "bad_request", message)
        for token in _TOKEN.findall(text):
            if self._token_delay:
                await asyncio.sleep(self._token_delay)
            yield TextDelta(token)
        if call is not None:
            yield call

    async def close(self) -> None:
        """Nothing to close."""

    def _answer(self, messages: Sequence[Message]) -> tuple[str, ToolCall | None]:
        conversation = Conversation(self._script)
        last = ""
        for message in messages:
            if message.role == "user":
                conversation.hear(message.content)
            elif message.role == "tool":
                conversation.learn(message.content)
            if message.role != "system":
                last = message.role
        if last == "assistant":
            return self._script.silence, None
        if not last:
            return self._script.opening, None
        rule = conversation.rule
        if rule is None:
            return (self._script.otherwise if last == "user" else ""), None
        values = conversation.values
        call = None
        if rule.call is not None:
            arguments = {
                name: fill(value, values) if isinstance(value, str) else value
                for name, value in rule.call.arguments.items()
            }
            call = ToolCall(f"call_{len(messages)}", rule.call.tool, arguments)
        return fill(rule.say, values), call
