"""Anthropic's Messages API, streamed."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from pipelines.json_text import json_object
from pipelines.parts import Message, ModelEvent, ProviderFault, TextDelta, ToolCall, ToolSpec, Usage
from pipelines.providers.compatible import CompatibleRules, bearer
from pipelines.providers.conversation import Kept, instructions, turns
from pipelines.providers.http_stream import FIRST_TOKEN_SECONDS, NEXT_TOKEN_SECONDS, AnswerError, VendorConnection
from pipelines.providers.thinking import claude_fields

BASE_URL = "https://api.anthropic.com"
VERSION = "2026-10-21"
"""Of the API: what the vendor's own SDK sends."""

MAX_TOKENS = 4096
"""The API wants a bound. An answer on the phone has a few hundred tokens, the arguments of a tool may have more."""

SETTINGS = frozenset({"thinking", "output_config", "service_tier", "speed"})
"""What an agent may set as ``vendorSpecific.anthropic``: fields of the Messages API."""

Blocks = list[dict[str, Any]]

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
        super().__init__(
            "anthropic",
            CompatibleRules(),
            api_key=api_key,
            base_url=base_url.rstrip("/").removesuffix("/v1"),
            headers={"anthropic-version": VERSION, **bearer(api_key)},
            first_token_seconds=first_token_seconds,
            next_token_seconds=next_token_seconds,
        )


def model_settings(vendor_specific: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of :data:`SETTINGS` that the agent has. Raises ValueError for what cannot be set."""
    where = "options.vendorSpecific.anthropic"
    settings = vendor_specific.get("anthropic", {})
    if not isinstance(settings, Mapping):
        raise ValueError(f"{where} is no object; it takes fields of the Messages API")  # noqa: TRY004
    if unknown := sorted(set(settings) - SETTINGS):
        raise ValueError(f"{where} has no {', '.join(unknown)}; it takes {', '.join(sorted(SETTINGS))}")
    return settings


class AnthropicModel:
    """One model, as the agent of one call is set up: ``temperature`` is 0 to 1, in Anthropic's scale likewise; models
    that refuse one (Claude 4.7 and later) go without. ``settings`` are the agent's, of :data:`SETTINGS`; without them
    the model thinks as little as it can.

    What it thought before a call of a tool is given back to it with the result, sealed as it came, by the call's id.
    """

    name = "anthropic"

    def __init__(
        self,
        connection: AnthropicConnection,
        model: str,
        *,
        temperature: float | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._connection = connection
        self._request: dict[str, Any] = {"model": model, "stream": True, "max_tokens": MAX_TOKENS, **(settings or {})}
        self._optional = {"temperature": "temperature"}
        if not {"thinking", "output_config"} & set(settings or {}):
            self._request |= claude_fields(model)
            self._optional |= {"thinking": "thinking", "output_config": "effort|output_config"}
        self._thoughts = Kept[Blocks]()
        if temperature is not None:
            self._request["temperature"] = temperature

    async def prepare(self) -> None:
        await self._connection.prepare()

    def generate(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncGenerator[ModelEvent, None]:
        request = {**self._request, **conversation(messages, tools, self._thoughts)}
        return self._connection.ask(
            "/v1/messages", request, lambda: MessageAnswer(self._thoughts.keep), optional=self._optional
        )

    async def close(self) -> None:
        """The connection is shared, and closed by who made it."""


def conversation(
    messages: Sequence[Message], tools: Sequence[ToolSpec], thoughts: Mapping[str, Blocks] | None = None
) -> dict[str, Any]:
    """What the model is told. Tools and prompt are the same in every request of a call: they are marked to be cached,
    in the order in which they are read. ``thoughts`` came before calls, by the calls' ids; they hold only as long as
    what they came after is unchanged, and so are told within their turn."""
    latest = max((at for at, message in enumerate(messages) if message.role == "user"), default=-1)
    recent = {call.id for message in messages[latest + 1 :] for call in message.tool_calls}
    given = {call_id: blocks for call_id, blocks in (thoughts or {}).items() if call_id in recent}
    taken = turns(messages, lambda message: _blocks(message, given))
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
    """A message as it comes: blocks by index, of which text is passed on at once and calls of tools at the end.
    ``remember`` is told what was thought before the first call, by its id."""

    def __init__(self, remember: Callable[[str, Blocks], None] = lambda call_id, thoughts: None) -> None:
        self._remember = remember
        self._thoughts: dict[int, dict[str, Any]] = {}
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
        elif block["type"] in ("thinking", "redacted_thinking"):
            self._thoughts[index] = dict(block)
        elif block["type"] == "text" and block.get("text"):
            return [TextDelta(block["text"])]
        return []

    def _delta(self, index: int, delta: Mapping[str, Any]) -> list[ModelEvent]:
        if delta["type"] == "text_delta":
            return [TextDelta(delta["text"])] if delta["text"] else []
        if delta["type"] == "input_json_delta" and index in self._calls:
            self._calls[index]["json"] += delta["partial_json"]
        elif delta["type"] == "thinking_delta" and index in self._thoughts:
            self._thoughts[index]["thinking"] = self._thoughts[index].get("thinking", "") + delta["thinking"]
        elif delta["type"] == "signature_delta" and index in self._thoughts:
            self._thoughts[index]["signature"] = delta["signature"]
        return []

    def _count(self, usage: Mapping[str, Any] | None) -> None:
        """The counts are cumulative; a later one replaces an earlier one."""
        counted = {**(usage or {}), **((usage or {}).get("output_tokens_details") or {})}
        self._tokens.update({name: n for name, n in counted.items() if isinstance(n, int)})

    def _finish(self) -> list[ModelEvent]:
        if self._stopped == "refusal":
            raise AnswerError("bad_request", "the model refused to answer")
        if self._stopped == "max_tokens" and self._calls:
            raise AnswerError("protocol", f"the call of a tool was cut off at {MAX_TOKENS} tokens")
        calls = [_call(call) for _, call in sorted(self._calls.items())]
        if calls and self._thoughts:
            self._remember(calls[0].id, [thought for _, thought in sorted(self._thoughts.items())])
        events: list[ModelEvent] = [*calls]
        if self._tokens:
            # Anthropic counts what it read from its cache, and what it wrote there, apart from the rest of the input.
            cached = self._tokens.get("cache_read_input_tokens", 0)
            written = self._tokens.get("cache_creation_input_tokens", 0)
            read = self._tokens.get("input_tokens", 0) + cached + written
            made, thought = self._tokens.get("output_tokens", 0), self._tokens.get("thinking_tokens", 0)
            events.append(Usage(read, cached, made, thought, written))
        return events


def _call(call: Mapping[str, Any]) -> ToolCall:
    arguments = json_object(call["json"]) if call["json"] else call["input"] or {}
    if not isinstance(arguments, dict):
        message = f"the arguments of the tool {call['name']!r} are not a JSON object: {call['json'][:80]!r}"
        raise AnswerError("protocol", message)
    return ToolCall(call["id"] or f"call_{uuid.uuid4().hex[:12]}", call["name"], arguments)


def _blocks(message: Message, thoughts: Mapping[str, Blocks]) -> Blocks:
    """Blocks of nothing but blanks are refused, and are left out."""
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}]
    text = message.content.strip()
    calls: list[dict[str, Any]] = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments)}
        for call in message.tool_calls
    ]
    before = [thought for call in message.tool_calls for thought in thoughts.get(call.id, ())]
    return [*before, *([{"type": "text", "text": text}] if text else []), *calls]
