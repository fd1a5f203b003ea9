"""Answers that are server-sent events over HTTP: their bounds in time, and one more attempt where that can help.

What the events mean is the vendor's :class:`Answer`, which is pure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, Protocol

import aiohttp

from pipelines.json_text import json_object
from pipelines.parts import ModelEvent, ProviderError, ProviderFault
from pipelines.providers.http_account import RETRIED, HttpAccount, RefusedError, VendorRules
from pipelines.providers.sse import ServerSentEvent, SseReader
from pipelines.providers.unwelcome import OptionalFields, Unwelcome

FIRST_TOKEN_SECONDS = 10.0
NEXT_TOKEN_SECONDS = 10.0
LAST_BYTE_SECONDS = 0.25
"""The wait for the end of a stream whose answer is complete: a connection that was read to its end serves again."""

_NONE: OptionalFields = {}
_DONE = "[DONE]"  # with which OpenAI ends streams of its older kind, and compatible servers those of the newer
_HEADERS = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}  # a compressed stream comes in lumps


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


class VendorConnection(HttpAccount):
    """An account whose answers stream."""

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
        super().__init__(name, rules, api_key=api_key, base_url=base_url, headers={**_HEADERS, **headers})
        self._first_token_seconds = first_token_seconds
        self._next_token_seconds = next_token_seconds
        self._unwelcome = Unwelcome()

    async def ask(
        self, path: str, body: Mapping[str, Any], answer: Callable[[], Answer], *, optional: OptionalFields = _NONE
    ) -> AsyncGenerator[ModelEvent, None]:
        """One answer. A request that fails before its first token is sent once more where that can help; afterwards
        never, for the caller has heard the beginning. Fields of ``body`` that are ``optional`` are left out where the
        model refuses them."""
        http, model = self.session(), str(body.get("model", path))
        began = retried = False
        while True:
            asked = self._unwelcome.without(model, body)
            try:
                async with aclosing(self._attempt(path, asked, answer())) as events:
                    async for event in events:
                        began = True
                        yield event
            except ProviderError as error:
                if isinstance(error, RefusedError) and self._unwelcome.learn(
                    model, asked, optional, error.status, error.error
                ):
                    continue  # once for each of the optional fields, for it is not in the next request
                if began or retried or http.closed or error.kind not in RETRIED:
                    raise
                retried = True
                self.retries += 1
            else:
                return

    async def _attempt(self, path: str, body: Mapping[str, Any], answer: Answer) -> AsyncGenerator[ModelEvent, None]:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._first_token_seconds
        response = await self.post(path, body, deadline, types=("text/event-stream",), wanted="stream of events")
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
                    if event.data == _DONE:
                        continue
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

    async def _read(self, response: aiohttp.ClientResponse, answer: Answer, deadline: float) -> bytes:
        """The next bytes; none at the end, or once there is nothing left to wait for."""
        try:
            async with asyncio.timeout_at(deadline):
                return await response.content.readany()
        except Exception as error:
            if answer.over:
                return b""
            raise self.explain(error) from error

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What goes wrong in reading an answer, as an error of this provider."""
        try:
            yield
        except AnswerError as error:
            raise self.fault(error.kind, str(error)) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise self.fault("protocol", f"the answer is not what it should be ({error!r})") from error


def _json(event: ServerSentEvent) -> dict[str, Any]:
    data = json_object(event.data)
    if data is None:
        raise AnswerError("protocol", f"the answer has an event that is no JSON object: {event.data!r}")
    return data
