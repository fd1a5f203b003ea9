"""The body of a webhook, read once, within bounds of size and time."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from jambonz.hooks import MAX_HOOK_BYTES

BODY_SECONDS = 10.0

_READ = web.RequestKey("hook_body", bytes)


async def hook_body(request: web.Request) -> bytes:
    """The body, or as much of it as shows that it is too large."""
    if _READ in request:
        return request[_READ]
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_HOOK_BYTES:
                    break
    except TimeoutError:
        sentence = f"The body did not come within {BODY_SECONDS:g} s."
        raise web.HTTPRequestTimeout(text=problem("TIMEOUT", sentence), content_type="application/json") from None
    except (web.RequestPayloadError, ConnectionError):
        sentence = "The body did not come as its headers say, or not to its end."
        raise web.HTTPBadRequest(text=problem("BAD_REQUEST", sentence), content_type="application/json") from None
    request[_READ] = bytes(body)
    return request[_READ]


def error(status: int, code: str, sentence: str) -> web.Response:
    return web.Response(text=problem(code, sentence), status=status, content_type="application/json")


def problem(code: str, sentence: str) -> str:
    return json.dumps({"error": sentence, "code": code, "details": None})
