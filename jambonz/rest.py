"""Jambonz's REST API: requests with a deadline, and what can go wrong with them.

Nothing is retried here. Whoever asked knows whether it may be asked again: a POST whose answer was lost may have been
done.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp

REQUEST_SECONDS = 10.0
"""For an answer, to its last byte."""

LARGEST_ANSWER = 32 * 1024 * 1024
"""Bytes. Lists come whole: a row of numbers is some 300 bytes."""


class Unavailable(Exception):
    """There was no answer, or one that says that there is none just now (a status of 500 or more, 401, 403, 429). It
    may have been done all the same. ``retry`` says whether it is worth while to ask again soon."""

    def __init__(self, sentence: str, *, retry: bool = True) -> None:
        super().__init__(sentence)
        self.retry = retry


class Refused(Exception):
    """What was asked for cannot be done, and was not; the message is Jambonz's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api(Protocol):
    async def request(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of the answer, None if it is empty. Raises :class:`Unavailable` or :class:`Refused`."""
        ...


class RestApi:
    """``server`` is ``https://host``, with or without ``/v1``; ``key`` an API key of the account."""

    def __init__(self, server: str, key: str) -> None:
        self._base = server if server.endswith("/v1") else f"{server}/v1"
        self._headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        self._session: aiohttp.ClientSession | None = None

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                async with self._session.request(method, self._base + path, json=body, allow_redirects=False) as answer:
                    return understood(answer.status, await _read(answer), f"{method} {path}")
        except TimeoutError:
            raise Unavailable(f"{method} {path} was not answered within {REQUEST_SECONDS:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{method} {path} was not answered: {str(error) or type(error).__name__}") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


async def create_call(api: Api, account_sid: str, body: Mapping[str, Any]) -> str:
    """Have somebody rung; ``body`` is of :func:`jambonz.outgoing.new_call`. Returns the call's sid. Raises as
    :meth:`Api.request` does; after :class:`Unavailable` the call may have been placed all the same."""
    answer = await api.request("POST", calls_path(account_sid), dict(body))
    sid = answer.get("sid") if isinstance(answer, Mapping) else None
    if not isinstance(sid, str) or not sid:
        raise Unavailable("a call was placed, and its sid was not told", retry=False)
    return sid


async def stop_ringing(api: Api, account_sid: str, call_sid: str) -> None:
    """End a call that is not answered yet. One that is, is left as it is, and so is one that is over. Raises
    :class:`Unavailable`."""
    try:
        await api.request("PUT", f"{calls_path(account_sid)}/{quote(call_sid, safe='')}", {"call_status": "no-answer"})
    except Refused:
        return  # it is not known any more


def calls_path(account_sid: str) -> str:
    return f"/Accounts/{quote(account_sid, safe='')}/Calls"


def understood(status: int, body: bytes, what: str) -> Any:
    """The JSON of an answer. Raises as :meth:`Api.request` does."""
    if 200 <= status < 300:
        try:
            return json.loads(body) if body.strip() else None
        except (ValueError, RecursionError):
            # Express's sendStatus has the status's phrase for a body: "Accepted".
            if status in (202, 204):
                return None
            raise Unavailable(f"{what} was answered with something that is not JSON", retry=False) from None
    message = _message(body)
    if status in (401, 403):
        raise Unavailable(f"{what} was refused with {status}: is JAMBONZ_API_KEY a key of this account?", retry=False)
    if status == 429:
        raise Unavailable(f"{what} was refused with 429: too many requests for now", retry=False)
    if status >= 500 or status < 400:
        raise Unavailable(f"{what} was answered with {status}{': ' if message else ''}{message}")
    raise Refused(status, message or f"status {status}")


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise Unavailable(f"an answer was larger than {LARGEST_ANSWER} bytes", retry=False)
    return bytes(body)


def _message(body: bytes) -> str:
    """JSON of the API server's, or the words of a feature server behind it; not the page of a proxy."""
    text = body.decode(errors="replace").strip()
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return "" if text.startswith("<") else text[:300]
    if not isinstance(given, Mapping):
        return ""
    return str(given.get("msg") or given.get("message") or given.get("error") or "")[:300]
