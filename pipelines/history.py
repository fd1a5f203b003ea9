"""The conversation as the model is told it: what the caller said, what the caller heard, what tools did."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from pipelines.messages import Say, Tell
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


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a pipeline that cannot go on leaves to the one that goes on with its call: all that was said, as it was
    heard."""

    entries: Sequence[Message] = ()
    owed: bool = False
    """The caller waits for an answer: to the last entry, or to the end of one that broke off there."""
    silent_since: float = 0.0
    """When the caller last heard something, or said something."""
    waiting: Sequence[Tell | Say] = ()
    """Messages that wait for their time."""

    def known_to(self, tools: Collection[str]) -> Sequence[Message]:
        """The entries for a model that has these tools: vendors refuse calls of others."""
        entries: list[Message] = []
        for entry in self.entries:
            if entry.role == "tool" and entry.name not in tools:
                continue
            calls = tuple(call for call in entry.tool_calls if call.name in tools)
            if entry.role == "assistant" and not entry.content and not calls:
                continue
            entries.append(replace(entry, tool_calls=calls))
        return entries

    def told(self, call_id: str | None, text: str, at: float) -> Conversation:
        """The agent is back at ``at``, and owes an answer to what it learns by ``text``: the result of that call of a
        tool, in place of the one that it had."""
        entries = list(self.entries)
        for index, entry in enumerate(entries):
            if entry.role == "tool" and entry.tool_call_id == call_id:
                entries[index] = replace(entry, content=text)
                break
        else:
            entries = list(_with_user(entries, text))
        return replace(self, entries=entries, owed=True, silent_since=at)

    def broken_off(self) -> Conversation:
        """The agent was cut off: if the caller had said anything before, he waits for the rest."""
        return replace(self, owed=self.owed or any(entry.role == "user" for entry in self.entries))

    def stopped(self, calls: Collection[str], text: str) -> Conversation:
        """These calls of tools were still running, and nothing more comes of them: ``text`` is their result."""
        told = [replace(one, content=text) if one.tool_call_id in calls else one for one in self.entries]
        return replace(self, entries=told) if calls else self

    def heard(self, text: str) -> bool:
        """Whether the agent has said it already."""
        words = text.split()
        said = [entry.content.split() for entry in self.entries if entry.role == "assistant"]
        return any(words == some[at : at + len(words)] for some in said for at in range(len(some)))

    @property
    def question(self) -> str | None:
        """What the caller said last; None where tools have acted since: to be told again, it would be done again."""
        last = next((entry for entry in reversed(self.entries) if entry.role in ("user", "tool")), None)
        return last.content if last is not None and last.role == "user" else None

    @property
    def begun(self) -> str:
        """The answer that broke off, as far as it was heard."""
        if not self.owed:
            return ""
        since = list(takewhile(lambda entry: entry.role == "assistant", reversed(self.entries)))
        return " ".join(entry.content for entry in reversed(since))


class History:
    """Entries in order. The agent's words enter when it is known what was heard of them, and no sooner."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self._entries: list[Message] = []

    def go_on_from(self, entries: Sequence[Message]) -> None:
        """What was said before."""
        self._entries = list(entries)

    def user(self, text: str) -> None:
        """The caller said this. What is said on without an answer in between is one message."""
        self._entries = _with_user(self._entries, text)

    def agent(self, steps: Sequence[Step], heard: Sequence[str]) -> None:
        """A generation is over: of the text of its steps, the caller heard ``heard`` (one for each step, or fewer)."""
        for index, step in enumerate(steps):
            text = heard[index] if index < len(heard) else ""
            self._entries += replace_text(step, text).messages()

    def agent_unknown(self) -> int:
        """The agent was heard, and its words are not known yet: the place for :meth:`complete` to put them."""
        self._entries.append(Message("assistant", ""))
        return len(self._entries) - 1

    @property
    def next_place(self) -> int:
        """Of what is entered next."""
        return len(self._entries)

    def complete(self, place: int, text: str) -> None:
        """More is known of what the agent said there."""
        said = self._entries[place]
        self._entries[place] = replace(said, content=f"{said.content} {text}".strip())

    def messages(self, pending: Sequence[Step] = (), *, guess: str | None = None) -> list[Message]:
        """For the model: the prompt, the conversation, and the steps of the generation under way as it said them.

        ``guess`` is what the caller has likely said: told to the model, and not remembered.
        """
        entries = _with_user(self.entries, guess) if guess is not None else self.entries
        messages = [Message("system", self.prompt), *entries] if self.prompt else list(entries)
        for step in pending:
            messages += step.messages()
        return messages

    @property
    def entries(self) -> Sequence[Message]:
        return tuple(entry for entry in self._entries if entry.content or entry.role != "assistant" or entry.tool_calls)


def _with_user(entries: Sequence[Message], text: str) -> list[Message]:
    last = entries[-1] if entries else None
    if last is not None and last.role == "user":
        return [*entries[:-1], replace(last, content=f"{last.content} {text}")]
    return [*entries, Message("user", text)]


def replace_text(step: Step, text: str) -> Step:
    return Step(text, step.calls, step.results)
