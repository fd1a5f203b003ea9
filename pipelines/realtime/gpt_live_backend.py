"""The model behind GPT-Live's voice, which thinks and calls tools: its events come nested in the session's. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.json_text import json_object
from pipelines.parts import ToolCall
from pipelines.realtime.model import (
    ModelFault,
    NotUnderstood,
    Outgoing,
    RealtimeEvent,
    ToolOutput,
    ToolsAsked,
    Used,
)

Events = list[RealtimeEvent]


@dataclass(slots=True)
class _Nested:
    """An answer of the model behind, as far as it came."""

    response: str
    calls: list[ToolCall] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Ids of calls whose arguments cannot be read."""


class Backend:
    """It goes on once every call that it waits for has its result: not before, and not for a part of them."""

    def __init__(self) -> None:
        self._nested: dict[str, _Nested] = {}
        """By the delegation."""
        self._outstanding: set[str] = set()
        """Calls without a result."""

    def results(self, outputs: Sequence[ToolOutput]) -> Sequence[Outgoing]:
        known = [output for output in outputs if output.call.id in self._outstanding]
        messages: list[Outgoing] = [_output(output.call.id, output.text) for output in known]
        self._outstanding.difference_update(output.call.id for output in known)
        if known and not self._outstanding:
            messages.append(_CREATE)
        return messages

    def event(self, event: dict[str, Any]) -> tuple[Events, Sequence[Outgoing]]:
        """Calls of tools are told of once their answer is complete: none is run of one that fails."""
        delegation, inner = str(event.get("delegation_id") or ""), as_object(event, "event")
        response = as_object(inner, "response")
        name = str(response.get("id") or delegation)
        match inner.get("type"):
            case "response.created":
                self._nested[delegation] = _Nested(name)
            case "response.output_item.done":
                item = as_object(inner, "item")
                if item.get("type") == "function_call":
                    _add_call(self._nested.setdefault(delegation, _Nested(name)), item)
            case "response.completed":
                return self._done(self._nested.pop(delegation, _Nested(name)), response)
            case "response.failed" | "response.incomplete" | "error":
                self._nested.pop(delegation, None)
                problem = as_object(response, "error") or as_object(response, "incomplete_details") or inner
                said = problem.get("message") or problem.get("reason") or inner.get("type")
                used = _tokens(as_object(response, "usage"))
                fault = ModelFault("server", f"the model behind failed: {one_line(said)}")
                return [fault, *([Used(used)] if used else [])], ()
            case _:
                pass
        return [], ()

    def _done(self, nested: _Nested, response: dict[str, Any]) -> tuple[Events, Sequence[Outgoing]]:
        events: Events = []
        used = _tokens(as_object(response, "usage"))
        if used:
            events.append(Used(used))
        replies = [_output(call_id, "The arguments are no JSON object.") for call_id in nested.broken]
        events += [NotUnderstood("the arguments of a call of a tool") for _ in nested.broken]
        self._outstanding.update(call.id for call in nested.calls)
        if nested.calls:
            events.append(ToolsAsked(nested.response, tuple(nested.calls)))
        elif nested.broken and not self._outstanding:
            replies.append(_CREATE)
        return events, replies


_CREATE = '{"type":"response.create"}'


def _add_call(nested: _Nested, item: dict[str, Any]) -> None:
    call_id, name = item.get("call_id"), item.get("name")
    if not isinstance(call_id, str) or not isinstance(name, str):
        return
    written = item.get("arguments") or "{}"
    arguments = json_object(written) if isinstance(written, str) else None
    if arguments is not None:
        nested.calls.append(ToolCall(call_id, name, arguments))
    else:
        nested.broken.append(call_id)


def _output(call_id: str, text: str) -> str:
    item = {"type": "function_call_output", "call_id": call_id, "output": text}
    return json.dumps({"type": "response.item.create", "item": item}, ensure_ascii=False)


def _tokens(usage: dict[str, Any]) -> dict[str, float]:
    counts = {
        "input_tokens": usage.get("input_tokens"),
        "cached_tokens": as_object(usage, "input_tokens_details").get("cached_tokens"),
        "output_tokens": usage.get("output_tokens"),
    }
    return {unit: float(count) for unit, count in counts.items() if isinstance(count, int) and 0 < count < 2**53}


def as_object(of: dict[str, Any], key: str) -> dict[str, Any]:
    value = of.get(key)
    return value if isinstance(value, dict) else {}


def one_line(said: object) -> str:
    return " ".join(str(said).split())[:200]
