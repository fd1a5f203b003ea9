"""One account at a vendor whose answers are server-sent events over HTTP: sends, bounds waits, tells faults apart.

What the events mean is the vendor's :class:`Answer`, which is pure.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, Protocol

import aiohttp
from yarl import URL

from pipelines.parts import ModelEvent, ProviderError, ProviderFault
from pipelines.providers.sse import ServerSentEvent, SseReader

CONNECT_SECONDS = 3.0
FIRST_TOKEN_SECONDS = 10.0
NEXT_TOKEN_SECONDS = 10.0
LAST_BYTE_SECONDS = 0.25
"""The wait for the end of a stream whose answer is complete: a connection that was read to its end serves again."""

IDLE_SECONDS = 60.0
"""How long a connection is kept for the next request."""

LARGEST_REFUSAL = 1 << 16

_HEADERS = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}  # a compressed stream comes in lumps
_RETRIED: frozenset[ProviderFault] = frozenset({"connect", "server"})
_LONGEST_MESSAGE = 300


class AnswerError(Exception):
    """An answer says that it failed, or is not what it should be."""

    def __init__(self, kind: ProviderFault, message: str) -> None:
        super().__init__(message)
        self.kind: ProviderFault = kind


class Answer(Protocol):
    """What is put together from the events of one answer. Its methods raise :class:`AnswerError`."""

    @property
    def over(self) -> bool:
        """Nothing that matters can follow."""
        ...

    @property
    def pieces(self) -> int:
        """How many pieces of content there were so far: while they come, the model goes on."""
        ...

    def read(self, data: Mapping[str, Any]) -> list[ModelEvent]: ...

    def end(self) -> list[ModelEvent]:
        """What follows once the stream has ended."""
        ...


class VendorRules(Protocol):
    """What differs from vendor to vendor, of a refusal."""

    def refused(self, status: int, error: Mapping[str, Any]) -> ProviderFault:
        """``error`` is the object of that name in the answer, empty where there is none."""
        ...

    def retry_after(self, error: Mapping[str, Any]) -> str | None:
        """How long to wait, where the body says so and the header ``retry-after`` does not."""
        ...


class VendorConnection:
    """``headers`` go with every request. The HTTP session is opened by :meth:`prepare`, or when it is first needed, and
    again after :meth:`close`."""

    def __init__(
        self,
        name: str,
        rules: VendorRules,
        *,
        api_key: str,
        base_url: str,
        headers: Mapping[str, str],
        first_token_seconds: float = FIRST_TOKEN_SECONDS,
        next_token_seconds: float = NEXT_TOKEN_SECONDS,
    ) -> None:
        self.name = name
        self.retries = 0
        """How many requests were sent a second time."""
        self._rules = rules
        self._api_key = api_key
        self._base_url = base_url.rstrip("/")
        self._place = str(URL(base_url).origin())
        self._headers = {**_HEADERS, **headers}
        self._first_token_seconds = first_token_seconds
        self._next_token_seconds = next_token_seconds
        self._http: aiohttp.ClientSession | None = None

    async def prepare(self) -> None:
        self._session()

    async def close(self) -> None:
        if self._http is not None:
            http, self._http = self._http, None
            await http.close()

    async def ask(
        self, path: str, body: Mapping[str, Any], answer: Callable[[], Answer]
    ) -> AsyncGenerator[ModelEvent, None]:
        """One answer. A request that fails before its first token is sent once more where that can help; afterwards
        never, for the caller has heard the beginning."""
        http = self._session()
        began = retried = False
        while True:
            try:
                async with aclosing(self._attempt(http, path, body, answer())) as events:
                    async for event in events:
                        began = True
                        yield event
            except ProviderError as error:
                if began or retried or http.closed or error.kind not in _RETRIED:
                    raise
                retried = True
                self.retries += 1
            else:
                return

    async def _attempt(
        self, http: aiohttp.ClientSession, path: str, body: Mapping[str, Any], answer: Answer
    ) -> AsyncGenerator[ModelEvent, None]:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._first_token_seconds
        response = await self._send(http, path, body, deadline)
        try:
            reader = SseReader()
            pieces, ending = 0, False
            while True:
                # Set here, for whoever takes the events may have taken its time.
                if answer.over and not ending:
                    ending, deadline = True, clock() + LAST_BYTE_SECONDS
                elif answer.pieces > pieces and not ending:
                    pieces, deadline = answer.pieces, clock() + self._next_token_seconds
                data = await self._read(response, answer, deadline)
                if not data:
                    break
                with self._faults():
                    received = reader.push(data)
                for event in received:
                    with self._faults():
                        made = answer.read(_json(event))
                    for item in made:
                        yield item
            with self._faults():
                made = answer.end()
            for item in made:
                yield item
        finally:
            response.close()  # has no effect on a connection that was read to the end of its answer

    async def _send(
        self, http: aiohttp.ClientSession, path: str, body: Mapping[str, Any], deadline: float
    ) -> aiohttp.ClientResponse:
        """The response, once it is certain that it is a stream of events."""
        response = None
        try:
            async with asyncio.timeout_at(deadline):
                response = await http.post(
                    self._base_url + path, json=body, headers=self._headers, allow_redirects=False
                )
                if response.status != 200:
                    raise await self._refusal(response)
            if response.content_type != "text/event-stream":
                message = f"{self._place} answered with {response.content_type}, which is no stream of events"
                raise self._fault("protocol", message)
        except BaseException as error:
            if response is not None:
                response.close()
            if isinstance(error, Exception):
                raise self._explain(error) from error
            raise
        return response

    async def _read(self, response: aiohttp.ClientResponse, answer: Answer, deadline: float) -> bytes:
        """The next bytes; none at the end, or once there is nothing left to wait for."""
        try:
            async with asyncio.timeout_at(deadline):
                return await response.content.readany()
        except Exception as error:
            if answer.over:
                return b""
            raise self._explain(error) from error

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What goes wrong in reading an answer, as an error of this provider."""
        try:
            yield
        except AnswerError as error:
            raise self._fault(error.kind, str(error)) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise self._fault("protocol", f"the answer is not what it should be ({error!r})") from error

    async def _refusal(self, response: aiohttp.ClientResponse) -> ProviderError:
        raw = b""
        while len(raw) < LARGEST_REFUSAL and (data := await response.content.readany()):
            raw += data
        error = _error_of(raw)
        kind = self._rules.refused(response.status, error)
        said = error.get("message") or raw.decode("utf-8", "replace")
        if kind == "auth":
            return self._fault("auth", f"{self._place} refused the key (status {response.status})")
        if kind == "rate_limit":
            wait = response.headers.get("retry-after") or self._rules.retry_after(error)
            after = f" (retry after {wait} s)" if wait else ""
            return self._fault("rate_limit", f"too many requests, or no credit left{after}: {said}")
        return self._fault(kind, f"status {response.status}: {said}")

    def _explain(self, error: Exception) -> ProviderError:
        match error:
            case ProviderError():
                return error
            case TimeoutError():
                return self._fault("timeout", f"{self._place} did not answer in time")
            case aiohttp.ClientError() | OSError():
                return self._fault("connect", f"the connection to {self._place} failed or broke off ({error!r})")
            case _:
                return self._fault("protocol", f"the request or its answer is not as it should be ({error!r})")

    def _fault(self, kind: ProviderFault, message: str) -> ProviderError:
        """The error to raise; the key is in no message, even if the server's answer repeated it."""
        message = " ".join(message.split())
        if self._api_key:
            message = message.replace(self._api_key, "…")
        return ProviderError(self.name, kind, message[:_LONGEST_MESSAGE])  # cut last: half a key would not be found

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            # The waits for answers are bounded where they are read: first and later tokens have different bounds.
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._http


def _error_of(raw: bytes) -> dict[str, Any]:
    """The error that a refusal's body holds; empty where it holds none."""
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    if isinstance(body, list) and body:  # Google wraps errors of streams in one more list
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _json(event: ServerSentEvent) -> dict[str, Any]:
    try:
        data = json.loads(event.data)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise AnswerError("protocol", f"the answer has an event that is no JSON object: {event.data!r}")
    return data
