"""An application socket whose call another worker has. Only its first message tells whose it is, and then it is open:
what is said on it, which is little, goes through. No sound is carried here."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp
from aiohttp import WSMsgType, hdrs, web

from gateway.workers.crew import INSIDE, Crew
from jambonz.application import SUBPROTOCOL

CONNECT_SECONDS = 2.0
SEND_SECONDS = 3.0
CLOSE_SECONDS = 1.0

GOING_AWAY = 1001
LOST = 1006


async def bridge(crew: Crew, slot: int, ours: web.WebSocketResponse, request: web.Request, first: str) -> int:
    """Until either end closes. ``first`` is what Jambonz has sent already. Returns the code to close ``ours`` with: the
    other worker's, or 1001 where that is gone, and then Jambonz comes back. Raises ConnectionError or TimeoutError,
    where it cannot be reached."""
    url = INSIDE.joinpath("jambonz", "application")
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            theirs = await crew.session(slot).ws_connect(
                url, protocols=(SUBPROTOCOL,), headers={hdrs.HOST: request.host}, autoping=True, max_msg_size=0
            )
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise ConnectionResetError(f"the other worker cannot be reached: {error}") from None
    pumps = [asyncio.create_task(_from_jambonz(ours, theirs, first)), asyncio.create_task(_to_jambonz(theirs, ours))]
    try:
        done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        codes = [pump.result() for pump in pumps if pump in done and pump.exception() is None]
        return codes[0] if codes else GOING_AWAY
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await theirs.close(code=GOING_AWAY)


async def _from_jambonz(ours: web.WebSocketResponse, theirs: aiohttp.ClientWebSocketResponse, first: str) -> int:
    """What Jambonz sends; its close code is the other worker's to know."""
    async with asyncio.timeout(SEND_SECONDS):
        await theirs.send_str(first)
    while True:
        message = await ours.receive()
        async with asyncio.timeout(SEND_SECONDS):
            match message.type:
                case WSMsgType.TEXT:
                    await theirs.send_str(message.data)
                case WSMsgType.BINARY:
                    await theirs.send_bytes(message.data)
                case WSMsgType.CLOSE:
                    code = message.data or LOST
                    await theirs.close(code=GOING_AWAY if code == LOST else code)
                    return code
                case _:
                    return LOST


async def _to_jambonz(theirs: aiohttp.ClientWebSocketResponse, ours: web.WebSocketResponse) -> int:
    while True:
        message = await theirs.receive()
        match message.type:
            case WSMsgType.TEXT:
                async with asyncio.timeout(SEND_SECONDS):
                    await ours.send_str(message.data)
            case WSMsgType.CLOSE:
                return message.data or GOING_AWAY
            case _:
                return GOING_AWAY
