"""The conversation as the model is told it: what the caller said, what the caller heard, what tools did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipelines.parts import Message, ToolCall


@dataclass(slots=True)
class Step:
    """One request to the model within a generation: what it said, the tools it called, what they returned."""

    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    results: list[Message] = field(default_factory=list)

    def messages(self) -> list[Message]:
        """Calls without a result are left out: vendors refuse them."""
        answered = {result.tool_call_id for result in self.results}
        calls = tuple(call for call in self.calls if call.id in answered)
        if not self.text and not calls:
            return []
        return [Message("assistant", self.text, tool_calls=calls), *self.results]


class History:
    """Entries in order. The agent's words enter when it is known what was heard of them, and no sooner."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self._entries: list[Message] = []

    def user(self, text: str) -> None:
        """The caller said this. What is said on without an answer in between is one message."""
        self._entries = _with_user(self._entries, text)

    def agent(self, steps: Sequence[Step], heard: Sequence[str]) -> None:
        """A generation is over: of the text of its steps, the caller heard ``heard`` (one for each step, or fewer)."""
        for index, step in enumerate(steps):
            text = heard[index] if index < len(heard) else ""
            self._entries += replace_text(step, text).messages()

    @property
    def length(self) -> int:
        return len(self._entries)

    def complete(self, at: int, text: str) -> bool:
        """More is known of what the agent said in the entry ``at``, as :attr:`length` was before it: it goes on with
        ``text``. Whether an entry had to be made for it."""
        said = self._entries[at] if at < len(self._entries) else None
        if said is None or said.role != "assistant":
            self._entries.insert(at, Message("assistant", text))
            return True
        self._entries[at] = replace(said, content=f"{said.content} {text}".strip())
        return False

    def messages(self, pending: Sequence[Step] = (), *, guess: str | None = None) -> list[Message]:
        """For the model: the prompt, the conversation, and the steps of the generation under way as it said them.

        ``guess`` is what the caller has likely said: told to the model, and not remembered.
        """
        entries = _with_user(self._entries, guess) if guess is not None else self._entries
        messages = [Message("system", self.prompt), *entries] if self.prompt else list(entries)
        for step in pending:
            messages += step.messages()
        return messages

    @property
    def entries(self) -> Sequence[Message]:
        return tuple(self._entries)


def _with_user(entries: Sequence[Message], text: str) -> list[Message]:
    last = entries[-1] if entries else None
    if last is not None and last.role == "user":
        return [*entries[:-1], replace(last, content=f"{last.content} {text}")]
    return [*entries, Message("user", text)]


def replace_text(step: Step, text: str) -> Step:
    return Step(text, step.calls, step.results)
