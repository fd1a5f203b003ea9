"""OpenAI's Responses API, streamed. Nothing is stored at the vendor: each request has the whole conversation."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from pipelines.parts import LanguageModel, Message, ModelEvent, ProviderFault, TextDelta, ToolCall, ToolSpec, Usage
from pipelines.providers.chat_answer import called
from pipelines.providers.compatible import CompatibleRules, bearer
from pipelines.providers.conversation import Kept
from pipelines.providers.http_account import RefusedError
from pipelines.providers.http_stream import FIRST_TOKEN_SECONDS, NEXT_TOKEN_SECONDS, AnswerError, VendorConnection
from pipelines.providers.unwelcome import OptionalFields

OPTIONAL: OptionalFields = {name: name for name in ("temperature", "reasoning", "include")}
"""Fields that a model may refuse, and that it is then asked without."""

_ENCRYPTED = "reasoning.encrypted_content"
_FAULTS: Mapping[str, ProviderFault] = {
    "rate_limit_exceeded": "rate_limit",
    "insufficient_quota": "rate_limit",
    "server_error": "server",
    "server_is_overloaded": "server",
}
Items = list[dict[str, Any]]


class ResponsesConnection(VendorConnection):
    """``missing``: the server has turned out to have no such API."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        first_token_seconds: float = FIRST_TOKEN_SECONDS,
        next_token_seconds: float = NEXT_TOKEN_SECONDS,
    ) -> None:
        super().__init__(
            "openai",
            CompatibleRules(),
            api_key=api_key,
            base_url=base_url,
            headers=bearer(api_key),
            first_token_seconds=first_token_seconds,
            next_token_seconds=next_token_seconds,
        )
        self.missing = False


class ResponsesModel:
    """One model, as the agent of one call is set up: ``temperature`` is 0 to 1, which is 0 to 2 in OpenAI's scale;
    ``fields`` are further ones of its requests, ``optional`` those that are left out where the model refuses them.
    ``instead`` answers where the server has no such API: compatible ones
    have chat completions at the least.

    What a model thought before it called a tool is given back to it, sealed as it came, by the call's id.
    """

    name = "openai"

    def __init__(
        self,
        connection: ResponsesConnection,
        model: str,
        *,
        temperature: float | None = None,
        fields: Mapping[str, Any] | None = None,
        optional: OptionalFields = OPTIONAL,
        instead: LanguageModel | None = None,
    ) -> None:
        self._connection = connection
        self._instead = instead
        self._optional = optional
        self._request: dict[str, Any] = {"model": model, "stream": True, "store": False, **(fields or {})}
        if self._request.get("reasoning", {"effort": "none"}).get("effort") != "none":
            self._request["include"] = [_ENCRYPTED]
        if temperature is not None:
            self._request["temperature"] = 2 * temperature
        self._thoughts = Kept[Items]()

    async def prepare(self) -> None:
        if self._connection.missing and self._instead is not None:
            await self._instead.prepare()
        else:
            await self._connection.prepare()

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[ModelEvent, None]:
        if not self._connection.missing or self._instead is None:
            request = {**self._request, **conversation(messages, tools, self._thoughts)}
            answer = self._connection.ask(
                "/responses", request, lambda: ResponseAnswer(self._thoughts.keep), optional=self._optional
            )
            try:
                async with aclosing(answer) as events:
                    async for event in events:
                        yield event
            except RefusedError as error:
                if self._instead is None or not _is_missing(error):
                    raise
            else:
                return
        async with aclosing(self._instead.generate(messages, tools)) as events:
            async for event in events:
                self._connection.missing = True  # the same model answers there: it is not the model that is missing
                yield event

    async def close(self) -> None:
        """The connection is shared, and closed by who made it."""


def conversation(
    messages: Sequence[Message], tools: Sequence[ToolSpec], thoughts: Mapping[str, Items]
) -> dict[str, Any]:
    """What the model is told. ``thoughts`` are items that came before calls, by the calls' ids."""
    instructions: list[str] = []
    items: Items = []
    for message in messages:
        if message.role == "system" and not items:
            instructions.append(message.content)
        else:
            items += _items(message, thoughts)
    told: dict[str, Any] = {"input": items}
    if prompt := "\n\n".join(filter(str.strip, instructions)):
        told["instructions"] = prompt
    if tools:
        told["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
                "strict": False,  # by default they would have to be of a stricter kind of JSON Schema
            }
            for tool in tools
        ]
    return told


class ResponseAnswer:
    """Events of one response. ``remember`` is told what was thought before a call, by its id."""

    def __init__(self, remember: Callable[[str, Items], None]) -> None:
        self.over = False
        self.pieces = 0
        self._remember = remember
        self._thoughts: Items = []
        self._calls: list[ToolCall] = []
        self._broken: str | None = None  # the name of a tool whose call did not come whole
        self._usage: Usage | None = None

    def read(self, data: Mapping[str, Any]) -> list[ModelEvent]:
        match data.get("type"):
            case "response.output_text.delta" | "response.refusal.delta":
                self.pieces += 1
                return [TextDelta(data["delta"])] if data["delta"] else []
            case "response.output_item.added" | "response.function_call_arguments.delta":
                self.pieces += 1
            case "response.output_item.done":
                self.pieces += 1
                self._item(data["item"])
            case "response.completed" | "response.incomplete":
                self._finish(data["response"])
            case "response.failed":
                raise _failure(data["response"].get("error") or {})
            case "error":
                raise _failure(data.get("error") or data)
            case _:
                pass  # parts, annotations, summaries, and what may be added
        return []

    def end(self) -> list[ModelEvent]:
        if not self.over:
            raise AnswerError("connect", "the answer broke off before its end")
        if self._broken is not None:
            raise AnswerError("protocol", f"the call of the tool {self._broken!r} was cut off")
        return [*self._calls, self._usage] if self._usage is not None else [*self._calls]

    def _item(self, item: Mapping[str, Any]) -> None:
        if item["type"] == "reasoning" and item.get("encrypted_content"):
            kept = ("id", "type", "summary", "encrypted_content")
            self._thoughts.append({name: item[name] for name in kept if name in item})
        elif item["type"] == "function_call":
            if item.get("status") == "incomplete":
                self._broken = item["name"]
                return
            call = called(item.get("call_id") or "", item["name"], item.get("arguments") or "")
            self._calls.append(call)
            if self._thoughts:
                self._remember(call.id, self._thoughts)
                self._thoughts = []

    def _finish(self, response: Mapping[str, Any]) -> None:
        self.over = True
        self._usage = _usage(response.get("usage"))
        reason = (response.get("incomplete_details") or {}).get("reason")
        if reason == "content_filter":
            raise AnswerError("bad_request", "the model refused to go on: content_filter")


def _items(message: Message, thoughts: Mapping[str, Items]) -> Items:
    match message.role:
        case "tool":
            return [{"type": "function_call_output", "call_id": message.tool_call_id, "output": message.content}]
        case "assistant":
            before = [thought for call in message.tool_calls for thought in thoughts.get(call.id, ())]
            said = [{"role": "assistant", "content": message.content}] if message.content.strip() else []
            calls = [
                {
                    "type": "function_call",
                    "call_id": call.id,
                    "name": call.name,
                    "arguments": json.dumps(dict(call.arguments)),
                }
                for call in message.tool_calls
            ]
            return [*before, *said, *calls]
        case role:
            return [{"role": "developer" if role == "system" else role, "content": message.content}]


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None

    def tokens(of: Any, name: str) -> int:
        count = of.get(name) if isinstance(of, dict) else None
        return count if isinstance(count, int) else 0

    read, made = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    return Usage(
        tokens(usage, "input_tokens"),
        tokens(read, "cached_tokens"),
        tokens(usage, "output_tokens"),
        reasoning_tokens=tokens(made, "reasoning_tokens"),
        cache_write_tokens=tokens(read, "cache_write_tokens"),
    )


def _failure(error: Mapping[str, Any]) -> AnswerError:
    code = str(error.get("code") or error.get("type") or "error")
    kind = _FAULTS.get(code, "bad_request" if code.startswith(("invalid", "image", "bio", "mis")) else "server")
    return AnswerError(kind, f"the answer ended in an error: {code}: {error.get('message')}")


def _is_missing(error: RefusedError) -> bool:
    """There is no such API at this server: unlike a model that is not there, that has no name for what is missing."""
    return error.status in (404, 405, 501) and not error.error.get("code") and not error.error.get("param")
