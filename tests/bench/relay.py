"""The floor of a realtime call: a listen socket joined to a realtime model's by aiohttp's public interface.

Sound goes up in batches of 40 ms, as the service sends it by default, and down frame by frame on time, a lead ahead.
When the model hears the caller, what waits is dropped. Nothing else: no voice activity, no ledger, no log. Messages are
read and written by the standard library, and not by what the service has for that: a floor that had it would sink with
each improvement of it, and hide it.
"""

from __future__ import annotations

import asyncio
import binascii
import json
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import WSMsgType, web

from jambonz.listen import CLEAR, SUBPROTOCOLS
from media.audio import FRAME_SECONDS, MULAW_8K, PCM_8K, PCM_16K, PCM_24K
from media.convert import Converter
from pipelines.realtime.openai_session import wire_format
from tests.bench.server import serve
from tests.simulators.openai_realtime import KEY

TOGETHER = 2
"""Frames that go up at once."""

LEAD_FRAMES = 8

_HEAD, _TAIL = '{"type":"input_audio_buffer.append","audio":"', '"}'


class Relay:
    """Of all calls. ``url`` is the model's."""

    def __init__(self, url: str, *, wideband: bool) -> None:
        self._url = url
        self.leg, self.model = (PCM_16K, PCM_24K) if wideband else (PCM_8K, MULAW_8K)
        self.playing: set[Call] = set()

    async def running(self, app: web.Application) -> AsyncIterator[None]:
        key, every_call = {"Authorization": f"Bearer {KEY}"}, aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(headers=key, connector=every_call) as self._http:
            pacing = asyncio.create_task(self._pace())
            yield
            pacing.cancel()

    async def listen(self, request: web.Request) -> web.WebSocketResponse:
        leg = web.WebSocketResponse(protocols=SUBPROTOCOLS, compress=False)
        await leg.prepare(request)
        async with self._http.ws_connect(self._url, max_msg_size=0) as model:
            call = Call(self, leg, model)
            down = asyncio.create_task(call.down())
            try:
                await call.up()
            finally:
                self.playing.discard(call)
                down.cancel()
        return leg

    async def _pace(self) -> None:
        """20 ms of each call that plays, every 20 ms."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += FRAME_SECONDS
            await asyncio.sleep(max(0.0, due - loop.time()))
            for call in tuple(self.playing):
                await call.play()


class Call:
    def __init__(self, relay: Relay, leg: web.WebSocketResponse, model: aiohttp.ClientWebSocketResponse) -> None:
        self._relay = relay
        self._leg, self._model = leg, model
        self._up, self._down = Converter(relay.leg, relay.model), Converter(relay.model, relay.leg)
        self._frame = relay.leg.frame_bytes
        self._sound = bytearray()
        self._at = 0

    async def up(self) -> None:
        format = wire_format(self._relay.model)
        audio = {"input": {"format": format}, "output": {"format": format}}
        await self._model.send_json({"type": "session.update", "session": {"type": "realtime", "audio": audio}})
        frames: list[bytes] = []
        async for message in self._leg:
            if message.type is not WSMsgType.BINARY:
                continue
            frames.append(message.data)
            if len(frames) == TOGETHER:
                sound = self._up.process(b"".join(frames))
                frames.clear()
                await self._model.send_str(_HEAD + binascii.b2a_base64(sound, newline=False).decode() + _TAIL)

    async def down(self) -> None:
        async for message in self._model:
            if message.type is not WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            if event["type"] == "response.output_audio.delta":
                await self._begin(self._down.process(binascii.a2b_base64(event["delta"])))
            elif event["type"] == "input_audio_buffer.speech_started" and self in self._relay.playing:
                self._stop()
                await self._leg.send_str(CLEAR)

    async def _begin(self, pcm: bytes) -> None:
        self._sound += pcm
        if self not in self._relay.playing:
            self._relay.playing.add(self)
            for _ in range(LEAD_FRAMES):
                await self.play()

    async def play(self) -> None:
        frame = bytes(self._sound[self._at : self._at + self._frame])
        self._at += len(frame)
        if frame:
            await self._leg.send_bytes(frame)
        if self._at == len(self._sound):
            self._stop()

    def _stop(self) -> None:
        self._relay.playing.discard(self)
        self._sound.clear()
        self._at = 0


def main(url: str, wideband: str) -> None:
    relay = Relay(url, wideband=wideband == "True")
    app = web.Application()
    app.cleanup_ctx.append(relay.running)
    app.router.add_get("/", relay.listen)
    uvloop.run(serve(app))


if __name__ == "__main__":
    main(*sys.argv[1:])
