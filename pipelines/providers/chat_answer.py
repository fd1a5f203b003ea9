"""Chat completions, as OpenAI and the servers that say they are compatible stream them. Pure.

What the servers differ in, and is understood: usage that is missing; calls of tools that come whole, without an index,
with one index for all of them, without an id, or with arguments that are an object; a finish that says ``stop`` after
calls; thoughts between ``<think>`` marks in the text.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.json_text import json_object, whole
from pipelines.parts import Message, ModelEvent, ToolCall, ToolSpec, Usage
from pipelines.providers.http_stream import AnswerError

_OPEN, _CLOSE = "<think>", "</think>"


class ChatAnswer:
    """What is put together from the chunks of one answer, which are the SDK's objects: it does not check that they are
    what they should be. Its methods raise :class:`AnswerError`, and ``AttributeError`` or ``TypeError`` for those."""

    def __init__(self) -> None:
        self._calls: list[dict[str, str]] = []
        self._by_index: dict[int, dict[str, str]] = {}
        self._usage: Usage | None = None
        self._finished = False
        self._thoughts = Thoughts()

    def read(self, chunk: Any) -> str:
        """Take a chunk in; answers the text in it."""
        self._usage = _usage(chunk) or self._usage
        text = ""
        for choice in chunk.choices or ():
            self._finished = self._finished or choice.finish_reason is not None
            if choice.delta is not None:
                text += self._thoughts.without(whole(choice.delta.content or ""))
                for fragment in choice.delta.tool_calls or ():
                    self._collect(fragment)
        return text

    def end(self) -> tuple[str, list[ModelEvent]]:
        """The last text, and what follows it, once the stream is over."""
        if not self._finished:
            raise AnswerError("connect", "the answer broke off before its end")
        calls = [_parse(call) for call in self._calls]
        return self._thoughts.rest(), [*calls, self._usage] if self._usage is not None else [*calls]

    def _collect(self, fragment: Any) -> None:
        """A first fragment has an id and a name, later ones their index alone."""
        function = fragment.function
        id, name = fragment.id or "", (function.name if function is not None else "") or ""
        latest = self._calls[-1] if self._calls else None
        call = latest if fragment.index is None else self._by_index.get(fragment.index)
        if call is None or (id and call["id"] and id != call["id"]) or (not id and name and call["whole"]):
            call = {"id": id, "name": "", "arguments": "", "whole": ""}
            self._calls.append(call)
        if fragment.index is not None:
            self._by_index[fragment.index] = call
        call["id"] = call["id"] or id
        call["name"] = call["name"] or name
        arguments = (function.arguments if function is not None else "") or ""
        call["arguments"] += arguments if isinstance(arguments, str) else json.dumps(arguments)
        call["whole"] = call["name"] and call["arguments"]


class Thoughts:
    """Takes the thoughts out of a text that begins with them: they are not to be spoken."""

    def __init__(self) -> None:
        self._text = ""
        self._state = "before"

    def without(self, text: str) -> str:
        if self._state == "after" or not text:
            return text
        self._text += text
        if self._state == "before":
            begun = self._text.lstrip()
            if not begun.startswith(_OPEN):
                if _OPEN.startswith(begun):
                    return ""  # it may become one
                self._state, said, self._text = "after", self._text, ""
                return said
            self._state = "within"
        _, closed, said = self._text.partition(_CLOSE)
        if not closed:
            return ""
        self._state, self._text = "after", ""
        return said

    def rest(self) -> str:
        """What was held back and is no thought."""
        return self._text if self._state == "before" else ""


def conversation(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [_message(message) for message in messages]


def tool(spec: ToolSpec) -> dict[str, Any]:
    function = {"name": spec.name, "description": spec.description, "parameters": dict(spec.parameters)}
    return {"type": "function", "function": function}


def called(call_id: str, name: str, arguments: str) -> ToolCall:
    """A call whose ``arguments`` are JSON; one without an id gets one. Raises :class:`AnswerError`."""
    parsed = json_object(arguments or "{}")
    if parsed is None:
        raise AnswerError("protocol", f"the arguments of the tool {name!r} are not a JSON object: {arguments[:80]!r}")
    return ToolCall(call_id or f"call_{uuid.uuid4().hex[:12]}", name, parsed)


def _parse(call: Mapping[str, str]) -> ToolCall:
    return called(call["id"], call["name"], call["arguments"])


def _message(message: Message) -> dict[str, Any]:
    match message.role:
        case "tool":
            return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content}
        case "assistant" if message.tool_calls:
            calls = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments))},
                }
                for call in message.tool_calls
            ]
            return {"role": "assistant", "content": message.content or None, "tool_calls": calls}
        case role:
            return {"role": role, "content": message.content}


def _usage(chunk: Any) -> Usage | None:
    usage = chunk.usage
    if usage is None:
        return None
    read, made = usage.prompt_tokens_details, usage.completion_tokens_details

    def some(details: Any, name: str) -> int:
        return getattr(details, name, None) or 0

    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        cached_tokens=some(read, "cached_tokens"),
        output_tokens=usage.completion_tokens or 0,
        reasoning_tokens=some(made, "reasoning_tokens"),
        cache_write_tokens=some(read, "cache_write_tokens"),
        input_audio_tokens=some(read, "audio_tokens"),
        output_audio_tokens=some(made, "audio_tokens"),
    )
