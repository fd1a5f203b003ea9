"""Gemini's REST API, streamed: ``streamGenerateContent``."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from pipelines.json_text import json_object
from pipelines.parts import Message, ModelEvent, ProviderFault, TextDelta, ToolCall, ToolSpec, Usage
from pipelines.providers.compatible import OTHER_PARTS, CompatibleRules
from pipelines.providers.conversation import Kept, instructions, turns
from pipelines.providers.http_stream import FIRST_TOKEN_SECONDS, NEXT_TOKEN_SECONDS, AnswerError, VendorConnection
from pipelines.providers.thinking import gemini_config
from pipelines.providers.unwelcome import OptionalFields
from pipelines.realtime.gemini_setup import schema

BASE_URL = "https://generativelanguage.googleapis.com"

_GOOD_ENDS = ("STOP", "MAX_TOKENS")
_BROKEN_ENDS = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE")
_UNNAMED = "unnamed_"
"""Begins the ids that calls get here where Gemini gave them none: they do not go back to it."""

SETTINGS = frozenset({"thinkingConfig", "maxOutputTokens", "topK", "topP", "seed"})
"""What an agent may set as ``vendorSpecific.google``: of Gemini's ``generationConfig``."""

_OPTIONAL = {"generationConfig.thinkingConfig": "[Tt]hink\\w*|[Bb]udget|thinking_config"}


class _Rules(CompatibleRules):
    def refused(self, status: int, error: Mapping[str, Any]) -> ProviderFault:
        match status:
            case 400 if any(detail.get("reason") == "API_KEY_INVALID" for detail in _details(error)):
                return "auth"
            case _:
                return super().refused(status, error)

    def retry_after(self, error: Mapping[str, Any]) -> str | None:
        delays = [detail.get("retryDelay") for detail in _details(error)]
        return next((delay.removesuffix("s") for delay in delays if isinstance(delay, str)), None)


_RULES = _Rules()


class GoogleConnection(VendorConnection):
    def __init__(
        self,
        *,
        api_key: str,
        base_url: str = BASE_URL,
        first_token_seconds: float = FIRST_TOKEN_SECONDS,
        next_token_seconds: float = NEXT_TOKEN_SECONDS,
    ) -> None:
        super().__init__(
            "google",
            _RULES,
            api_key=api_key,
            base_url=base_url,
            headers={"x-goog-api-key": api_key} if api_key else {},
            first_token_seconds=first_token_seconds,
            next_token_seconds=next_token_seconds,
        )


def model_settings(vendor_specific: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of :data:`SETTINGS` that the agent has. Raises ValueError for what cannot be set."""
    where = "options.vendorSpecific.google"
    settings = vendor_specific.get("google", {})
    if not isinstance(settings, Mapping):
        raise ValueError(f"{where} is no object; it takes fields of a generationConfig")  # noqa: TRY004
    if unknown := sorted(set(settings) - SETTINGS - OTHER_PARTS):
        raise ValueError(f"{where} has no {', '.join(unknown)}; it takes {', '.join(sorted(SETTINGS))}")
    return {name: value for name, value in settings.items() if name in SETTINGS}


class GoogleModel:
    """One model, as the agent of one call is set up: ``temperature`` is 0 to 1, which is 0 to 2 in Gemini's scale;
    ``settings`` are the agent's, of :data:`SETTINGS`. Without a ``thinkingConfig`` it thinks as little as it can.

    Models that think sign their calls of tools, and refuse a conversation in which such a signature is missing: the
    model keeps them, by the call's id, for the requests that follow.
    """

    name = "google"

    def __init__(
        self,
        connection: GoogleConnection,
        model: str,
        *,
        temperature: float | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._connection = connection
        model = model if "/" in model else f"models/{model}"
        self._path = f"/v1/{quote(model)}:streamGenerateContent?alt=sse"
        self._config: dict[str, Any] = dict(settings or {})
        if temperature is not None:
            self._config["temperature"] = 2 * temperature
        self._optional: OptionalFields = {}
        if "thinkingConfig" not in self._config and (thinking := gemini_config(model)) is not None:
            self._config["thinkingConfig"] = thinking
            self._optional = _OPTIONAL
        self._signatures = Kept[str]()

    async def prepare(self) -> None:
        await self._connection.prepare()

    def generate(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncGenerator[ModelEvent, None]:
        request = conversation(messages, tools, self._signatures)
        if self._config:
            request["generationConfig"] = self._config
        answer = partial(ContentAnswer, self._signatures.keep)
        return self._connection.ask(self._path, request, answer, optional=self._optional)

    async def close(self) -> None:
        """The connection is shared, and closed by who made it."""


def conversation(
    messages: Sequence[Message], tools: Sequence[ToolSpec], signatures: Mapping[str, str]
) -> dict[str, Any]:
    """What the model is told. ``signatures`` are of calls, by their ids."""
    contents = turns(messages, lambda message: _parts(message, signatures))
    told: dict[str, Any] = {
        "contents": [{"role": "user" if caller else "model", "parts": parts} for caller, parts in contents]
    }
    if prompt := instructions(messages):
        told["systemInstruction"] = {"parts": [{"text": prompt}]}
    if tools:
        told["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in tools]}]
    return told


class ContentAnswer:
    """Chunks of an answer. A call of a tool comes whole, in one part; what was counted, in every chunk anew."""

    def __init__(self, sign: Callable[[str, str], None]) -> None:
        self.over = False
        self.pieces = 0
        self._sign = sign
        self._calls: list[ToolCall] = []
        self._usage: Usage | None = None

    def read(self, data: Mapping[str, Any]) -> list[ModelEvent]:
        if "error" in data:
            error = data["error"]
            kind = _RULES.refused(int(error.get("code") or 500), error)
            raise AnswerError(kind, f"the answer ended in an error: {error.get('status')}: {error.get('message')}")
        if blocked := (data.get("promptFeedback") or {}).get("blockReason"):
            raise AnswerError("bad_request", f"the model refused to answer: {blocked}")
        if counted := data.get("usageMetadata"):
            self._usage = _usage(counted)
        events: list[ModelEvent] = []
        self.pieces += 1
        for candidate in (data.get("candidates") or ())[:1]:
            for part in (candidate.get("content") or {}).get("parts") or ():
                events += self._part(part)
            self._finish(candidate.get("finishReason"))
        return events

    def end(self) -> list[ModelEvent]:
        if not self.over:
            raise AnswerError("connect", "the answer broke off before its end")
        return [*self._calls, self._usage] if self._usage is not None else [*self._calls]

    def _part(self, part: Mapping[str, Any]) -> list[ModelEvent]:
        if (call := part.get("functionCall")) is not None:
            arguments = call.get("args") or {}
            if not isinstance(arguments, dict):
                message = f"the arguments of the tool {call['name']!r} are not a JSON object: {str(arguments)!r}"
                raise AnswerError("protocol", message)
            made = ToolCall(call.get("id") or f"{_UNNAMED}{uuid.uuid4().hex[:12]}", call["name"], arguments)
            self._calls.append(made)
            if signature := part.get("thoughtSignature"):
                self._sign(made.id, signature)
        elif part.get("text") and not part.get("thought"):
            return [TextDelta(part["text"])]
        return []

    def _finish(self, reason: str | None) -> None:
        if reason in _BROKEN_ENDS:
            raise AnswerError("protocol", f"the model called a tool in a way that cannot be used: {reason}")
        if reason and reason not in _GOOD_ENDS:
            raise AnswerError("bad_request", f"the model refused to go on: {reason}")
        self.over = self.over or reason is not None


def _parts(message: Message, signatures: Mapping[str, str]) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"functionResponse": {**_named(message.tool_call_id), "name": message.name, **_response(message)}}]
    parts: list[dict[str, Any]] = []
    if text := message.content.strip():
        parts.append({"text": text})
    for call in message.tool_calls:
        part: dict[str, Any] = {"functionCall": {**_named(call.id), "name": call.name, "args": dict(call.arguments)}}
        if call.id in signatures:
            part["thoughtSignature"] = signatures[call.id]
        parts.append(part)
    return parts


def _named(call_id: str | None) -> dict[str, str]:
    return {} if not call_id or call_id.startswith(_UNNAMED) else {"id": call_id}


def _response(message: Message) -> dict[str, Any]:
    """Gemini takes an object, and nothing else."""
    result = json_object(message.content)
    return {"response": {"result": message.content} if result is None else result}


def _declaration(tool: ToolSpec) -> dict[str, Any]:
    """A function without parameters goes without: an object without properties is refused."""
    declaration: dict[str, Any] = {"name": tool.name, "description": tool.description}
    if tool.parameters.get("properties"):
        declaration["parameters"] = schema(tool.parameters)
    return declaration


def _usage(counted: Mapping[str, Any]) -> Usage:
    """Thoughts are paid for as output."""

    def tokens(name: str) -> int:
        return int(counted.get(name) or 0)

    def sound(name: str) -> int:
        details = counted.get(name)
        found = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
        return sum(int(one.get("tokenCount") or 0) for one in found if one.get("modality") == "AUDIO")

    return Usage(
        input_tokens=tokens("promptTokenCount") + tokens("toolUsePromptTokenCount"),
        cached_tokens=tokens("cachedContentTokenCount"),
        output_tokens=tokens("candidatesTokenCount") + tokens("thoughtsTokenCount"),
        reasoning_tokens=tokens("thoughtsTokenCount"),
        input_audio_tokens=sound("promptTokensDetails"),
        output_audio_tokens=sound("candidatesTokensDetails"),
    )


def _details(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    details = error.get("details")
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
