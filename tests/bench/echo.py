"""The floor: what aiohttp itself costs. Every binary frame goes back as it came, by aiohttp's public interface."""

from __future__ import annotations

import uvloop
from aiohttp import WSMsgType, web

from jambonz.listen import SUBPROTOCOLS
from tests.bench.server import serve


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=SUBPROTOCOLS, compress=False)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/", echo)
    uvloop.run(serve(app))
