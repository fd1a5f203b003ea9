"""Bodies of requests, read within bounds of size and time."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from jambonz.hooks import MAX_HOOK_BYTES

BODY_SECONDS = 10.0

_READ = web.RequestKey("hook_body", bytes)


class BadBody(Exception):
    """The body did not come, or not as it should; the message is for whoever sends it."""

    def __init__(self, sentence: str, *, late: bool) -> None:
        super().__init__(sentence)
        self.late = late


async def body_of(request: web.Request, most: int, seconds: float) -> bytes:
    """The body, or as much of it as shows that it has more than ``most`` bytes. Raises :class:`BadBody`."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > most:
                    break
    except TimeoutError:
        raise BadBody(f"The body did not come within {seconds:g} s", late=True) from None
    except (web.RequestPayloadError, ConnectionError):
        raise BadBody("The body did not come as its headers say, or not to its end", late=False) from None
    return bytes(body)


async def hook_body(request: web.Request) -> bytes:
    """The body of a webhook, read once; or as much of it as shows that it is too large."""
    if _READ not in request:
        try:
            request[_READ] = await body_of(request, MAX_HOOK_BYTES, BODY_SECONDS)
        except BadBody as bad:
            refusal, code = (web.HTTPRequestTimeout, "TIMEOUT") if bad.late else (web.HTTPBadRequest, "BAD_REQUEST")
            raise refusal(text=problem(code, str(bad)), content_type="application/json") from None
    return request[_READ]


def error(status: int, code: str, sentence: str) -> web.Response:
    return web.Response(text=problem(code, sentence), status=status, content_type="application/json")


def problem(code: str, sentence: str) -> str:
    return json.dumps({"error": sentence, "code": code, "details": None})
