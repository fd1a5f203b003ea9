"""Chat completions, streamed, by the official SDK: OpenAI, and every server that speaks its protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pipelines.parts import Message, ModelEvent, ProviderError, ProviderFault, TextDelta, ToolSpec
from pipelines.providers.chat_answer import ChatAnswer, conversation, tool
from pipelines.providers.compatible import OTHER_PARTS, CompatibleRules
from pipelines.providers.http_account import RETRIED, RefusedError, error_in, refusal
from pipelines.providers.http_stream import AnswerError
from pipelines.providers.unwelcome import OptionalFields, Unwelcome
from pipelines.providers.warmth import Warmth
from pipelines.providers.wire import fit_for_log

CONNECT_SECONDS = 3.0
FIRST_TOKEN_SECONDS = 10.0
NEXT_TOKEN_SECONDS = 10.0

OPTIONAL: OptionalFields = {name: name for name in ("temperature", "stream_options", "reasoning_effort")}
"""Fields that a model or a server may refuse, and that it is then asked without."""

_REQUIRED = ("model", "messages", "stream")
_OURS = frozenset({*_REQUIRED, "stream_options", "tools"})


def chat_settings(vendor: str, vendor_specific: Mapping[str, Any]) -> Mapping[str, Any]:
    """Further fields of requests that the agent wants, under the name of a compatible ``vendor``. Raises ValueError for
    what cannot be set."""
    where = f"options.vendorSpecific.{vendor}"
    fields = vendor_specific.get(vendor, {})
    if not isinstance(fields, Mapping):
        raise ValueError(f"{where} is no object; it takes fields of requests for chat completions")  # noqa: TRY004
    if unknown := sorted(set(fields) & _OURS):
        raise ValueError(f"{where} has no {', '.join(unknown)}; it is set otherwise")
    return {name: value for name, value in fields.items() if name not in OTHER_PARTS}


class OpenAIConnection:
    """One account at one server: the SDK's client with its pool of connections, made when it is first needed."""

    def __init__(self, name: str, *, api_key: str, base_url: str) -> None:
        self.name = name
        self.retries = 0
        """How many requests were sent a second time."""
        self.unwelcome = Unwelcome()
        self._api_key = api_key
        self._base_url = base_url
        self._making: asyncio.Future[Any] | None = None
        self.warmth = Warmth(base_url, self._connect)

    async def prepare(self) -> None:
        """The client is made; the connection is on its way."""
        await self.client()
        self.warmth.warm()

    async def _connect(self) -> None:
        """The SDK's pool keeps what was opened."""
        client = await self.client()
        await client.with_options(max_retries=0).models.list()

    async def client(self) -> Any:
        if self._making is None or (self._making.done() and self._making.exception() is not None):
            self._making = asyncio.ensure_future(asyncio.to_thread(self._make))
        return await asyncio.shield(self._making)

    async def close(self) -> None:
        await self.warmth.close()
        making, self._making = self._making, None
        if making is not None:
            with suppress(ProviderError):  # it could not be made, as who asked for it was told
                await (await making).close()

    def fault(self, kind: ProviderFault, message: str) -> ProviderError:
        """The error to raise; the key is in no message, even if the server's answer repeated it."""
        return ProviderError(self.name, kind, self._clean(message))

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
            case AnswerError():
                return self.fault(error.kind, str(error))
            case openai.APIStatusError():
                status, body = error.status_code, error_in(error.body)
                kind = CompatibleRules().refused(status, body)
                wait = error.response.headers.get("retry-after")
                message = refusal(kind, status, _said(error), place=self._base_url, wait=wait)
                return RefusedError(self.name, kind, self._clean(message), status=status, error=body)
            case openai.APIError():
                return self.fault("server", f"the answer ended in an error: {_said(error)}")
            case _:
                return self.fault("protocol", f"the answer is not a stream of chat completions ({error!r})")

    def _clean(self, message: str) -> str:
        return fit_for_log(message, self._api_key)

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
    """One model, as an agent is set up: ``temperature`` is 0 to 1, which is 0 to 2 in OpenAI's scale; ``more`` are
    further fields of its requests, ``optional`` those that are left out where the model refuses them.

    A request that fails before its first token is sent once more where that can help; afterwards never, for the caller
    has heard the beginning.
    """

    def __init__(
        self,
        connection: OpenAIConnection,
        model: str,
        *,
        temperature: float | None = None,
        more: Mapping[str, Any] | None = None,
        optional: OptionalFields = OPTIONAL,
        first_token_seconds: float = FIRST_TOKEN_SECONDS,
    ) -> None:
        self.name = connection.name
        self._connection = connection
        self._request: dict[str, Any] = {"model": model, "stream": True, "stream_options": {"include_usage": True}}
        self._request |= more or {}
        if temperature is not None:
            self._request["temperature"] = 2 * temperature
        self._optional = optional
        self._first_token_seconds = first_token_seconds

    async def prepare(self) -> None:
        await self._connection.prepare()

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[ModelEvent, None]:
        request = {**self._request, "messages": conversation(messages)}
        if tools:
            request["tools"] = [tool(spec) for spec in tools]
        client = await self._connection.client()
        self._connection.warmth.used()
        stream, chunk = await self._begin(client, request)
        answer = ChatAnswer()
        try:
            while chunk is not None:
                try:
                    text = answer.read(chunk)
                except (AttributeError, TypeError) as error:
                    raise self._connection.explain(error) from error
                if text:
                    yield TextDelta(text)
                chunk = await self._next(stream)
        finally:
            await stream.close()
        try:
            text, events = answer.end()
        except AnswerError as error:
            raise self._connection.explain(error) from error
        if text:
            yield TextDelta(text)
        for event in events:
            yield event

    async def close(self) -> None:
        """The connection is shared, and closed by who made it."""

    async def _begin(self, client: Any, request: dict[str, Any]) -> tuple[Any, Any]:
        """The stream and its first chunk."""
        unwelcome, retried = self._connection.unwelcome, False
        while True:
            asked = unwelcome.without(request["model"], request)
            try:
                return await self._attempt(client, asked)
            except ProviderError as error:
                if isinstance(error, RefusedError) and unwelcome.learn(
                    request["model"], asked, self._optional, error.status, error.error
                ):
                    continue
                if retried or error.kind not in RETRIED:
                    raise
                retried = True
                self._connection.retries += 1

    async def _attempt(self, client: Any, request: dict[str, Any]) -> tuple[Any, Any]:
        stream = None
        try:
            async with asyncio.timeout(self._first_token_seconds):
                # Fields go past the SDK as they are: servers have some that it does not know.
                fields = {name: value for name, value in request.items() if name not in _REQUIRED}
                required = {name: request[name] for name in _REQUIRED}
                stream = await client.chat.completions.create(**required, extra_body=fields)
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


def _said(error: Any) -> str:
    """The server's own words, if it sent any."""
    return str(error_in(error.body).get("message") or error.message)
