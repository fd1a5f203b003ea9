"""Chat completions, streamed, by the official SDK: OpenAI, and every server that speaks its protocol."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from pipelines.parts import Message, ModelEvent, ProviderError, ProviderFault, TextDelta, ToolCall, ToolSpec, Usage

CONNECT_SECONDS = 3.0
FIRST_TOKEN_SECONDS = 10.0
NEXT_TOKEN_SECONDS = 10.0

_RETRIED: frozenset[ProviderFault] = frozenset({"connect", "server"})


class OpenAIConnection:
    """One account at one server: the SDK's client with its pool of connections, made when it is first needed."""

    def __init__(self, name: str, *, api_key: str, base_url: str) -> None:
        self.name = name
        self.retries = 0
        """How many requests were sent a second time."""
        self._api_key = api_key
        self._base_url = base_url
        self._making: asyncio.Future[Any] | None = None

    async def client(self) -> Any:
        if self._making is None or (self._making.done() and self._making.exception() is not None):
            self._making = asyncio.ensure_future(asyncio.to_thread(self._make))
        return await asyncio.shield(self._making)

    async def close(self) -> None:
        if self._making is not None:
            client = await self._making
            self._making = None
            await client.close()

    def fault(self, kind: ProviderFault, message: str) -> ProviderError:
        """The error to raise; the key is in no message, even if the server's answer repeated it."""
        if self._api_key:
            message = message.replace(self._api_key, "…")
        return ProviderError(self.name, kind, message)

    def explain(self, error: Exception) -> ProviderError:
        """What went wrong, of what the SDK and its HTTP client raise."""
        import httpx2
        import openai

        match error:
            case ProviderError():
                return error
            case openai.APITimeoutError() | httpx2.TimeoutException() | TimeoutError():
                return self.fault("timeout", f"{self._base_url} did not answer in time")
            case openai.APIConnectionError() | httpx2.HTTPError():
                return self.fault("connect", f"the connection to {self._base_url} failed or broke off ({error!r})")
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                return self.fault("auth", f"{self._base_url} refused the key (status {error.status_code})")
            case openai.RateLimitError():
                return self.fault("rate_limit", f"too many requests, or no credit left: {_said(error)}")
            case openai.APIStatusError():
                kind: ProviderFault = "server" if error.status_code >= 500 else "bad_request"
                return self.fault(kind, f"status {error.status_code}: {_said(error)}")
            case openai.APIError():
                return self.fault("server", f"the answer ended in an error: {_said(error)}")
            case _:
                return self.fault("protocol", f"the answer is not a stream of chat completions ({error!r})")

    def _make(self) -> Any:
        """Runs in a thread: the import takes half a second, and the client reads certificates."""
        try:
            import httpx2
            import openai
        except ModuleNotFoundError as error:
            message = "the openai package is not installed; install trunkline[openai]"
            raise self.fault("unavailable", message) from error
        return openai.AsyncOpenAI(
            api_key=self._api_key or "none",  # servers without keys ignore it; the SDK wants one
            base_url=self._base_url,
            max_retries=0,
            timeout=httpx2.Timeout(NEXT_TOKEN_SECONDS, connect=CONNECT_SECONDS),
        )


class OpenAIChatModel:
    """One model, as an agent is set up: ``temperature`` is 0 to 1, which is 0 to 2 in OpenAI's scale.

    A request that fails before its first token is sent once more where that can help; afterwards never, for the caller
    has heard the beginning.
    """

    def __init__(
        self,
        connection: OpenAIConnection,
        model: str,
        *,
        temperature: float | None = None,
        first_token_seconds: float = FIRST_TOKEN_SECONDS,
    ) -> None:
        if temperature is not None and not 0 <= temperature <= 1:
            raise ValueError(f"options.temperature is {temperature:g}; it goes from 0 to 1")
        self.name = connection.name
        self._connection = connection
        self._request: dict[str, Any] = {"model": model, "stream": True, "stream_options": {"include_usage": True}}
        if temperature is not None:
            self._request["temperature"] = 2 * temperature
        self._first_token_seconds = first_token_seconds

    async def prepare(self) -> None:
        await self._connection.client()

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[ModelEvent, None]:
        request = {**self._request, "messages": [_message(message) for message in messages]}
        if tools:
            request["tools"] = [_tool(tool) for tool in tools]
        client = await self._connection.client()
        stream, chunk = await self._begin(client, request)
        answer = _Answer(self._connection)
        try:
            while chunk is not None:
                text = answer.read(chunk)
                if text:
                    yield TextDelta(text)
                chunk = await self._next(stream)
        finally:
            await stream.close()
        for event in answer.end():
            yield event

    async def close(self) -> None:
        """The connection is shared, and closed by who made it."""

    async def _begin(self, client: Any, request: dict[str, Any]) -> tuple[Any, Any]:
        """The stream and its first chunk."""
        try:
            return await self._attempt(client, request)
        except ProviderError as error:
            if error.kind not in _RETRIED:
                raise
        self._connection.retries += 1
        return await self._attempt(client, request)

    async def _attempt(self, client: Any, request: dict[str, Any]) -> tuple[Any, Any]:
        stream = None
        try:
            async with asyncio.timeout(self._first_token_seconds):
                stream = await client.chat.completions.create(**request)
                return stream, await anext(aiter(stream), None)
        except BaseException as error:
            if stream is not None:
                await stream.close()
            if isinstance(error, Exception):
                raise self._connection.explain(error) from error
            raise

    async def _next(self, stream: Any) -> Any:
        try:
            async with asyncio.timeout(NEXT_TOKEN_SECONDS):
                return await anext(aiter(stream), None)
        except Exception as error:
            raise self._connection.explain(error) from error


class _Answer:
    """What is put together from the chunks of an answer.

    Of a tool call, a first fragment has an id and a name, later ones an index alone; some servers send a call whole, or
    leave the index out, and some report no usage.
    """

    def __init__(self, connection: OpenAIConnection) -> None:
        self._connection = connection
        self._calls: dict[int, dict[str, str]] = {}
        self._usage: Usage | None = None
        self._finished = False

    def read(self, chunk: Any) -> str:
        """Take a chunk in; answers the text in it. The SDK does not check that chunks are what they should be."""
        try:
            self._usage = _usage(chunk) or self._usage
            text = ""
            for choice in chunk.choices or ():
                self._finished = self._finished or choice.finish_reason is not None
                if choice.delta is not None:
                    text += choice.delta.content or ""
                    self._collect(choice.delta.tool_calls or ())
        except (AttributeError, TypeError) as error:
            raise self._connection.explain(error) from error
        return text

    def end(self) -> list[ModelEvent]:
        """What follows the text, once the stream is over."""
        if not self._finished:
            raise self._connection.fault("connect", "the answer broke off before its end")
        calls = [self._parse(call) for _, call in sorted(self._calls.items())]
        return [*calls, self._usage] if self._usage is not None else [*calls]

    def _collect(self, fragments: Sequence[Any]) -> None:
        for fragment in fragments:
            index = fragment.index
            if index is None:
                index = len(self._calls) if fragment.id or not self._calls else len(self._calls) - 1
            call = self._calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
            call["id"] = call["id"] or fragment.id or ""
            if fragment.function is not None:
                call["name"] = call["name"] or fragment.function.name or ""
                call["arguments"] += fragment.function.arguments or ""

    def _parse(self, call: dict[str, str]) -> ToolCall:
        try:
            arguments = json.loads(call["arguments"] or "{}")
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            message = f"the arguments of the tool {call['name']!r} are not a JSON object: {call['arguments'][:80]!r}"
            raise self._connection.fault("protocol", message)
        return ToolCall(call["id"] or f"call_{uuid.uuid4().hex[:12]}", call["name"], arguments)


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


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _usage(chunk: Any) -> Usage | None:
    if chunk.usage is None:
        return None
    details = chunk.usage.prompt_tokens_details
    cached = (details.cached_tokens if details is not None else None) or 0
    return Usage(chunk.usage.prompt_tokens or 0, cached, chunk.usage.completion_tokens or 0)


def _said(error: Any) -> str:
    """The server's own words, if it sent any, in one line."""
    body = error.body
    text = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(text or error.message).split())[:200]
