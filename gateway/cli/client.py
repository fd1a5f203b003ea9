"""The REST API and the progress socket of a running service, as any client would use them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from gateway.cli.comparison import Utterance

REQUEST_SECONDS = 10.0
LOG_SECONDS = 5.0
"""How long after a call its log may take to be complete."""

_POLL_SECONDS = 0.1


class ServiceRefused(Exception):
    """The service did not do what was asked; the message is its sentence."""


class Client:
    """Make it with :func:`client`. Its methods raise :class:`ServiceRefused`."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def get(self, path: str) -> Any:
        return await self._request("GET", path)

    async def post(self, path: str, body: Any, *, headers: Mapping[str, str] | None = None) -> Any:
        return await self._request("POST", path, body, headers)

    async def put(self, path: str, body: Any) -> Any:
        return await self._request("PUT", path, body)

    async def delete(self, path: str) -> Any:
        return await self._request("DELETE", path)

    async def log(self, call_id: str) -> list[dict[str, Any]]:
        """The log of a call that is over, once all of it was stored."""
        deadline = asyncio.get_running_loop().time() + LOG_SECONDS
        while True:
            try:
                entries: list[dict[str, Any]] = await self.get(f"/api/calls/{call_id}/logs")
            except ServiceRefused:
                entries = []  # a call that was short may not be stored yet
            if entries and entries[-1]["type"] == "hangup":
                return entries
            if asyncio.get_running_loop().time() >= deadline:
                raise ServiceRefused(f"The log of the call was not complete after {LOG_SECONDS:g} s")
            await asyncio.sleep(_POLL_SECONDS)

    @asynccontextmanager
    async def watching(self, path: str, on_event: Callable[[dict[str, Any]], None]) -> AsyncIterator[None]:
        """While inside, events of a progress socket go to ``on_event``."""
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                socket = await self._session.ws_connect(self._base + path)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ServiceRefused(f"The progress socket cannot be opened: {_reason(error)}") from error
        async with socket:
            reader = asyncio.create_task(_read(socket, on_event))
            try:
                yield
            finally:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)

    async def _request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        try:
            async with self._session.request(method, self._base + path, json=body, headers=headers) as answer:
                given = await answer.json(content_type=None) if await answer.read() else None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ServiceRefused(f"The service did not answer {method} {path}: {_reason(error)}") from error
        if answer.status >= 400:
            sentence = given.get("error") if isinstance(given, dict) else None
            raise ServiceRefused(f"{method} {path} was refused with {answer.status}: {sentence or answer.reason}")
        return given


@asynccontextmanager
async def client(base_url: URL, key: str) -> AsyncIterator[Client]:
    """Whoever ``key`` speaks for, at the service under ``base_url``, which may have a path."""
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {key}"}, timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    ) as session:
        yield Client(session, str(base_url.with_query(None).with_fragment(None)).rstrip("/"))


def utterances(log: list[dict[str, Any]]) -> list[Utterance]:
    """What the agent said, as the log has it."""
    said: list[Utterance] = []
    for entry in log:
        match entry:
            case {"type": "agent", "data": str(text)}:
                said.append(Utterance(text))
            case {"type": "status", "data": {"interrupted": _}} if said:
                said[-1] = Utterance(said[-1].text, interrupted=True)
    return said


async def _read(socket: aiohttp.ClientWebSocketResponse, on_event: Callable[[dict[str, Any]], None]) -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            on_event(message.json())


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
