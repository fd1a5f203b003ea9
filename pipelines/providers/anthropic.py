"""Anthropic's Messages API, streamed."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from pipelines.parts import Message, ModelEvent, ProviderFault, TextDelta, ToolCall, ToolSpec, Usage
from pipelines.providers.conversation import instructions, turns
from pipelines.providers.http_stream import FIRST_TOKEN_SECONDS, NEXT_TOKEN_SECONDS, AnswerError, VendorConnection

BASE_URL = "https://api.anthropic.com"
VERSION = "2026-10-21"
"""Of the API: what the vendor's own SDK sends."""

MAX_TOKENS = 4096
"""The API wants a bound. An answer on the phone has a few hundred tokens, the arguments of a tool may have more."""

_CACHED = {"type": "ephemeral"}

_FAULTS: Mapping[str, ProviderFault] = {
    "authentication_error": "auth",
    "permission_error": "auth",
    "billing_error": "rate_limit",
    "rate_limit_error": "rate_limit",
    "invalid_request_error": "bad_request",
    "not_found_error": "bad_request",
    "request_too_large": "bad_request",
    "timeout_error": "timeout",
}


class _Rules:
    def refused(self, status: int, error: Mapping[str, Any]) -> ProviderFault:
        match status:
            case 401 | 403:
                return "auth"
            case 402 | 429:
                return "rate_limit"
            case _:
                return "server" if status >= 500 else "bad_request"

    def retry_after(self, error: Mapping[str, Any]) -> str | None:
        return None


class AnthropicConnection(VendorConnection):
    """``base_url`` is without ``/v1``; one that has it is understood."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str = BASE_URL,
        first_token_seconds: float = FIRST_TOKEN_SECONDS,
        next_token_seconds: float = NEXT_TOKEN_SECONDS,
    ) -> None:
        headers = {"anthropic-version": VERSION}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        super().__init__(
            "anthropic",
            _Rules(),
            api_key=api_key,
            base_url=base_url.rstrip("/").removesuffix("/v1"),
            headers=headers,
            first_token_seconds=first_token_seconds,
            next_token_seconds=next_token_seconds,
        )


class AnthropicModel:
    """One model, as an agent is set up: ``temperature`` is 0 to 1, in Anthropic's scale likewise. Models that refuse
    one (Claude 4.7 and later) go without."""

    name = "anthropic"

    def __init__(self, connection: AnthropicConnection, model: str, *, temperature: float | None = None) -> None:
        if temperature is not None and not 0 <= temperature <= 1:
            raise ValueError(f"options.temperature is {temperature:g}; it goes from 0 to 1")
        self._connection = connection
        self._request: dict[str, Any] = {"model": model, "stream": True, "max_tokens": MAX_TOKENS}
        if temperature is not None:
            self._request["temperature"] = temperature

    async def prepare(self) -> None:
        await self._connection.prepare()

    def generate(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncGenerator[ModelEvent, None]:
        request = {**self._request, **conversation(messages, tools)}
        return self._connection.ask("/v1/messages", request, MessageAnswer, optional=("temperature",))

    async def close(self) -> None:
        """The connection is shared, and closed by who made it."""


def conversation(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """What the model is told. Tools and prompt are the same in every request of a call: they are marked to be cached,
    in the order in which they are read."""
    taken = turns(messages, _blocks)
    told: dict[str, Any] = {
        "messages": [{"role": "user" if caller else "assistant", "content": blocks} for caller, blocks in taken]
    }
    if tools:
        told["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}
            for tool in tools
        ]
        told["tools"][-1]["cache_control"] = _CACHED
    if prompt := instructions(messages):
        told["system"] = [{"type": "text", "text": prompt, "cache_control": _CACHED}]
    return told


class MessageAnswer:
    """A message as it comes: blocks by index, of which text is passed on at once and calls of tools at the end."""

    def __init__(self) -> None:
        self.over = False
        self.pieces = 0
        self._calls: dict[int, dict[str, Any]] = {}
        self._tokens: dict[str, int] = {}
        self._stopped: str | None = None

    def read(self, data: Mapping[str, Any]) -> list[ModelEvent]:
        match data.get("type"):
            case "message_start":
                self._count(data["message"].get("usage"))
            case "content_block_start":
                self.pieces += 1
                return self._start(data["index"], data["content_block"])
            case "content_block_delta":
                self.pieces += 1
                return self._delta(data["index"], data["delta"])
            case "message_delta":
                self._stopped = data["delta"].get("stop_reason") or self._stopped
                self._count(data.get("usage"))
            case "message_stop":
                self.over = True
                return self._finish()
            case "error":
                error = data["error"]
                kind = _FAULTS.get(error.get("type"), "server")
                raise AnswerError(kind, f"the answer ended in an error: {error.get('type')}: {error.get('message')}")
            case _:
                pass  # pings, the ends of blocks, and what may be added: the API says to expect that
        return []

    def end(self) -> list[ModelEvent]:
        if not self.over:
            raise AnswerError("connect", "the answer broke off before its end")
        return []

    def _start(self, index: int, block: Mapping[str, Any]) -> list[ModelEvent]:
        if block["type"] == "tool_use":
            self._calls[index] = {"id": block["id"], "name": block["name"], "input": block.get("input"), "json": ""}
        elif block["type"] == "text" and block.get("text"):
            return [TextDelta(block["text"])]
        return []

    def _delta(self, index: int, delta: Mapping[str, Any]) -> list[ModelEvent]:
        if delta["type"] == "text_delta":
            return [TextDelta(delta["text"])] if delta["text"] else []
        if delta["type"] == "input_json_delta" and index in self._calls:
            self._calls[index]["json"] += delta["partial_json"]
        return []

    def _count(self, usage: Mapping[str, Any] | None) -> None:
        """The counts are cumulative; a later one replaces an earlier one."""
        self._tokens.update({name: n for name, n in (usage or {}).items() if isinstance(n, int)})

    def _finish(self) -> list[ModelEvent]:
        if self._stopped == "refusal":
            raise AnswerError("bad_request", "the model refused to answer")
        if self._stopped == "max_tokens" and self._calls:
            raise AnswerError("protocol", f"the call of a tool was cut off at {MAX_TOKENS} tokens")
        events: list[ModelEvent] = [_call(call) for _, call in sorted(self._calls.items())]
        if self._tokens:
            # Anthropic counts what it read from its cache, and what it wrote there, apart from the rest of the input.
            cached = self._tokens.get("cache_read_input_tokens", 0)
            written = self._tokens.get("cache_creation_input_tokens", 0)
            read = self._tokens.get("input_tokens", 0) + cached + written
            made = self._tokens.get("output_tokens", 0)
            events.append(Usage(read, cached, made, cache_write_tokens=written))
        return events


def _call(call: Mapping[str, Any]) -> ToolCall:
    try:
        arguments = json.loads(call["json"]) if call["json"] else call["input"] or {}
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        message = f"the arguments of the tool {call['name']!r} are not a JSON object: {call['json']!r}"
        raise AnswerError("protocol", message)
    return ToolCall(call["id"] or f"call_{uuid.uuid4().hex[:12]}", call["name"], arguments)


def _blocks(message: Message) -> list[dict[str, Any]]:
    """Blocks of nothing but blanks are refused, and are left out."""
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}]
    text = message.content.strip()
    calls: list[dict[str, Any]] = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments)}
        for call in message.tool_calls
    ]
    return [{"type": "text", "text": text}, *calls] if text else calls
