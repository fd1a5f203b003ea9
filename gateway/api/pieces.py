"""Answers that go out in pieces, so that none of them holds up the sound of calls, however large it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from aiohttp import hdrs, web

from gateway.api.errors import loggable
from store.errors import reason

log = structlog.get_logger(__name__)

READER_SECONDS = 30.0
"""The longest that a client may take for a piece."""


class _TooSlow(Exception):
    """A sentence."""


async def send_pieces(
    request: web.Request, response: web.StreamResponse, pieces: AsyncGenerator[bytes, None]
) -> web.StreamResponse:
    """Where they cannot be sent to their end, the log says why, and the connection is cut: its head is sent already,
    and nothing else tells the client that it is not whole."""
    if request.method == hdrs.METH_HEAD:
        return response
    transport = request.transport
    try:
        await response.prepare(request)
        async with aclosing(pieces):
            async for piece in pieces:
                await _write(response, piece)
    except ConnectionError:
        pass  # the client wants no more
    except Exception as error:  # noqa: BLE001 - whatever it is, there is no other answer any more
        log.warning("an answer was not sent to its end", path=loggable(request), why=reason(error))
        if transport is not None:
            transport.abort()
    return response


async def _write(response: web.StreamResponse, piece: bytes) -> None:
    try:
        async with asyncio.timeout(READER_SECONDS):
            await response.write(piece)
    except TimeoutError:
        raise _TooSlow(f"the client took longer than {READER_SECONDS:g} s for a piece of it") from None
