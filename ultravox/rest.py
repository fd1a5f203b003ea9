"""Ultravox's REST API, as far as calls need it: create, look up, hang up, delete, and what was said. Every request is
bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import aiohttp

from pipelines.json_text import json_object
from pipelines.parts import ProviderError, ProviderFault

BASE_URL = "https://api.ultravox.ai"

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 5.0

PAGE = 100
"""Messages of a call that are asked for at once."""

_LARGEST_ANSWER = 1 << 20
_LONGEST_QUOTE = 300

_REFUSED: Mapping[int, tuple[ProviderFault, str]] = {
    400: ("bad_request", "it does not accept the request"),
    401: ("auth", "it does not know the API key"),
    402: ("rate_limit", "the account has no credit left, or its plan does not allow this"),
    403: ("auth", "the API key may not do this"),
    404: ("bad_request", "there is nothing of that name"),
    422: ("bad_request", "the call is not in a state for this"),
    429: ("rate_limit", "too many requests, or too many calls at once"),
}

_SERVER_FAULT: tuple[ProviderFault, str] = ("server", "it failed")


@dataclass(frozen=True, slots=True)
class CreatedCall:
    """``join_url`` carries the token of the call's socket: a secret."""

    call_id: str
    join_url: str


@dataclass(frozen=True, slots=True)
class Page:
    """``following`` is the cursor of the page after it; empty where there is none yet."""

    messages: Sequence[Mapping[str, Any]]
    following: str


class UltravoxRest:
    """One account's API, shared by all calls of a process. The HTTP session is opened when it is first needed, and
    again after :meth:`close`."""

    def __init__(self, api_key: str, base_url: str = BASE_URL) -> None:
        self._api_key = api_key
        self._base_url = base_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def create_call(self, request: Mapping[str, Any]) -> CreatedCall:
        """Raises :class:`ProviderError`, as all requests here do."""
        call = await self._ask("POST", "/api/calls", 201, request)
        call_id, join_url = call.get("callId"), call.get("joinUrl")
        if not isinstance(call_id, str) or not call_id:
            raise self._fault("protocol", "it created a call, and does not tell its callId")
        if not isinstance(join_url, str) or not join_url.startswith(("ws://", "wss://")):
            raise self._fault("protocol", "it created a call whose joinUrl is not the address of a WebSocket")
        return CreatedCall(call_id, join_url)

    async def get_call(self, call_id: str) -> dict[str, Any]:
        return await self._ask("GET", f"/api/calls/{quote(call_id, safe='')}", 200)

    async def messages(self, call_id: str, cursor: str = "") -> Page:
        """What was said in a call, in order: from the beginning, or from the page that ``cursor`` names."""
        query = urlencode({"mode": "in_call", "pageSize": PAGE, **({"cursor": cursor} if cursor else {})})
        answer = await self._ask("GET", f"/api/calls/{quote(call_id, safe='')}/messages?{query}", 200)
        found, following = answer.get("results"), answer.get("next")
        if not isinstance(found, list) or not isinstance(following, str | None):
            raise self._fault("protocol", "its answer is not a page of messages")
        [following_cursor] = parse_qs(urlsplit(following or "").query).get("cursor", [""])[:1]
        return Page([message for message in found if isinstance(message, dict)], following_cursor)

    async def hang_up(self, call_id: str) -> None:
        """End a call that somebody has joined."""
        path = f"/api/calls/{quote(call_id, safe='')}/send_data_message"
        await self._ask("POST", path, 204, {"type": "hang_up"})

    async def delete_call(self, call_id: str) -> None:
        await self._ask("DELETE", f"/api/calls/{quote(call_id, safe='')}", 204)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(
        self, method: str, path: str, expected: int, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        if not (self._api_key and self._api_key.isascii() and self._api_key.isprintable()):
            raise self._fault("auth", "there is no API key that could be sent")
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                try:
                    return await self._ask_once(method, path, expected, body)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    # A connection that was kept open may be gone by the time it is used. A call created twice is
                    # joined once, and the other one ends by itself, unbilled.
                    return await self._ask_once(method, path, expected, body)
        except TimeoutError:
            raise self._fault("timeout", f"{self._base_url} did not answer within {TOTAL_SECONDS:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Only the kind: the words of an error may quote the request, with its headers.
            what = f"the connection to {self._base_url} failed ({type(error).__name__})"
            raise self._fault("connect", what) from None

    async def _ask_once(self, method: str, path: str, expected: int, body: Mapping[str, Any] | None) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=TOTAL_SECONDS, connect=CONNECT_SECONDS),
            )
        headers = {"X-API-Key": self._api_key}
        async with self._session.request(
            method, self._base_url + path, json=body, headers=headers, allow_redirects=False
        ) as response:
            answer = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                answer += chunk
                if len(answer) > _LARGEST_ANSWER:
                    raise self._fault("protocol", f"its answer to {method} {path} is larger than a call can be")
        if response.status != expected:
            raise self._refusal(response.status, bytes(answer))
        if expected == 204:
            return {}
        call = json_object(answer)
        if call is None:
            raise self._fault("protocol", f"its answer to {method} {path} is not a JSON object")
        return call

    def _refusal(self, status: int, answer: bytes) -> ProviderError:
        kind, sentence = _REFUSED.get(status, _SERVER_FAULT if status >= 500 else _REFUSED[400])
        said = " ".join(_said(answer).split())[:_LONGEST_QUOTE]
        return self._fault(kind, f"{sentence} (status {status})" + (f": {said}" if said else ""))

    def _fault(self, kind: ProviderFault, sentence: str) -> ProviderError:
        if self._api_key:
            sentence = sentence.replace(self._api_key, "…")
        return ProviderError("ultravox", kind, sentence)


def _said(answer: bytes) -> str:
    """What an error says in words: ``detail`` as a rule, or whatever JSON came; a page for people is left out."""
    try:
        body = json.loads(answer)
    except (ValueError, RecursionError):
        return ""
    if isinstance(body, dict):
        body = body.get("detail") or body.get("message") or body
    return body if isinstance(body, str) else json.dumps(body)
