"""How late what happens in a call comes to who watches it through another process, on the PostgreSQL that
TEST_DATABASE_URL names:

    python -m tests.delays

Two services, each a process of its own, and this one, which is the call's Jambonz at the one and watches it at the
other. An event's moment is the one that the call's process gives it; the clock is that of one machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import hdrs
from blockbuster import BlockBuster
from yarl import URL

from gateway.cli.client import client
from jambonz.application import SUBPROTOCOL
from jambonz.listen import SUBPROTOCOLS
from tests.gateway.cli.process import KEY, NUMBER, serve
from tests.store.server import own_database

EVENTS = 1000
SECONDS_BETWEEN = 0.03
PASSWORD = "the-password-of-the-application"

AGENT = {"modelName": "scripted/echo", "prompt": "p", "options": {"idle": {"timeout": None}}}


@asynccontextmanager
async def call(http: aiohttp.ClientSession, at: URL) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A call that was answered and says nothing: its application socket."""
    headers = {hdrs.AUTHORIZATION: aiohttp.encode_basic_auth("jambonz", PASSWORD)}
    address = at / "jambonz/application"
    async with http.ws_connect(address, protocols=[SUBPROTOCOL], headers=headers) as application:
        data = {"call_sid": "c-1", "direction": "inbound", "from": "+447700900123", "to": NUMBER}
        await application.send_json({"type": "session:new", "msgid": "m", "call_sid": "c-1", "data": data})
        answer = await application.receive_json(timeout=10)
        [listen, *_] = answer["data"]
        async with http.ws_connect(listen["url"], protocols=SUBPROTOCOLS) as media:
            started = {"callSid": "c-1", "sampleRate": 8000, "mixType": "mono", **listen["metadata"]}
            await media.send_json(started)
            reading = [asyncio.create_task(_read(socket)) for socket in (application, media)]
            yield application
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)


async def _read(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Pings are answered where somebody reads."""
    async for _ in socket:
        pass


async def listening(at: URL) -> str:
    """The id of the listener on :data:`NUMBER`."""
    async with client(at, KEY) as api:
        agent = await api.post("/api/agents", AGENT)
        await api.post("/api/phone-endpoints", {"type": "e164-ddi", "number": NUMBER})
        return str((await api.post(f"/api/agents/{agent['id']}/listen", {"number": NUMBER}))["id"])


async def measure(directory: Path) -> list[float]:
    """In seconds, in rising order."""
    late: list[float] = []
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(own_database(BlockBuster()))
        shared = {"DATABASE_URL": url, "CREDENTIALS_KEY": "c", "JAMBONZ_APPLICATION_PASSWORD": PASSWORD}
        one = await (await stack.enter_async_context(serve(directory, **shared))).address()
        other = await (await stack.enter_async_context(serve(directory, **shared))).address()
        listener_id = await listening(one)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        watched = (other / "progress" / listener_id).with_query(access_token=KEY, since="0")
        socket = await stack.enter_async_context(http.ws_connect(watched))
        application = await stack.enter_async_context(call(http, one))

        async def read() -> None:
            while len(late) < EVENTS:
                event: dict[str, Any] = await socket.receive_json(timeout=10)
                if event.get("status", {}).get("verb"):
                    late.append((datetime.now(UTC) - datetime.fromisoformat(event["timestamp"])).total_seconds())

        reading = asyncio.create_task(read())
        await asyncio.sleep(5)  # until the providers are loaded
        told = json.dumps({"type": "verb:status", "data": {"event": "starting", "name": "listen", "id": "1"}})
        for _ in range(EVENTS):
            await application.send_str(told)
            await asyncio.sleep(SECONDS_BETWEEN)
        await reading
    return sorted(late)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        late = asyncio.run(measure(Path(directory)))
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    for name, part in (("median", 0.5), ("p90", 0.9), ("p99", 0.99)):
        print(f"{name:<7} {1000 * late[int(len(late) * part)]:6.1f} ms")
    print(f"of {len(late)} events, at a load of {load:.1f} for each core")


if __name__ == "__main__":
    main()
