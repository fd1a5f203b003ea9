"""Several workers of one service in this process, on one PostgreSQL: each with a port of its own, so that a test can
say which of them hears what; and a Jambonz whose every request and socket comes to another of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from gateway.cli.service import Service as Running
from gateway.cli.service import serving
from gateway.settings import Settings
from gateway.switchboard import Switchboard
from gateway.workers.seat import Seat
from jambonz.simulator.network import AiohttpTransport, NetworkSocket
from jambonz.simulator.transport import HookResponse, SocketHandler
from pipelines.agent import AgentDefinition
from store import DEFAULT_OWNER, Store
from store.listeners import ListenerOptions
from tests.gateway.service import GREETING, KEY, NUMBER, PASSWORD, SECRET, CodewordFactory
from tests.simulators.replies import ReplyModel, always
from tests.steady import PATIENCE

AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


class Spread(AiohttpTransport):
    """What goes to any service goes to the one that ``choose`` says, by what is asked for."""

    def __init__(self, ports: Sequence[int], choose: Callable[[str], int]) -> None:
        super().__init__()
        self._ports = ports
        self._choose = choose
        self.went: list[tuple[str, int]] = []

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HookResponse:
        return await super().post(self._spread(url), body, headers)

    async def connect(
        self, url: str, *, subprotocol: str, headers: Mapping[str, str], handler: SocketHandler
    ) -> NetworkSocket:
        return await super().connect(self._spread(url), subprotocol=subprotocol, headers=headers, handler=handler)

    def _spread(self, url: str) -> str:
        there = URL(url)
        slot = self._choose(there.path)
        self.went.append((there.path, slot))
        return str(there.with_host("127.0.0.1").with_port(self._ports[slot]))


@dataclass(slots=True)
class Crewed:
    """``listener_id`` answers NUMBER; ``room_id`` is for browsers."""

    workers: list[Running]
    store: Store
    listener_id: str
    room_id: str

    @property
    def ports(self) -> list[int]:
        return [port for worker in self.workers if (port := worker.url.port) is not None]

    @property
    def switchboards(self) -> list[Switchboard]:
        return [worker.switchboard for worker in self.workers]

    def calls(self) -> list[int]:
        """Under way, of each worker."""
        return [len(switchboard.calls) for switchboard in self.switchboards]

    async def quiet(self, seconds: float = PATIENCE) -> None:
        async with asyncio.timeout(seconds):
            while any(self.calls()):  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)


@asynccontextmanager
async def crewed(
    directory: Path, url: str, *, max_calls: int = 8, agent: Mapping[str, Any] | None = None, **more: Any
) -> AsyncIterator[Crewed]:
    """Two of them. ``more`` are fields of the settings."""
    workers = 2
    settings = Settings(
        data_dir=directory,
        database_url=url,
        credentials_key="c",
        admin_key=KEY,
        jambonz_webhook_secret=SECRET,
        jambonz_application_password=PASSWORD,
        workers=workers,
        max_calls=max_calls,
        **more,
    )
    store = await Store.open(url, data_dir=directory, credentials_key="c")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        model = ReplyModel(always("I hear you."))
        running = []
        for slot in range(workers):
            listening, ours, theirs = socket.create_server(("127.0.0.1", 0)), *socket.socketpair()
            for held in (listening, ours, theirs):
                stack.callback(held.close)
            seat = Seat(slot, workers, directory, [listening], theirs, again=False)
            running.append(await stack.enter_async_context(serving(settings, seat, CodewordFactory(model))))
        definition: dict[str, Any] = {
            "modelName": "scripted/test",
            "prompt": "You are a test.",
            "options": {"greeting": GREETING},
        }
        definition.update(agent or {})
        made = await store.agents.create(DEFAULT_OWNER, AgentDefinition.model_validate(definition))
        await store.numbers.create(DEFAULT_OWNER, NUMBER, handler="jambonz")
        options = ListenerOptions()
        by_number, _ = await store.listeners.create(DEFAULT_OWNER, made.id, number=NUMBER, options=options)
        room, _ = await store.listeners.create(DEFAULT_OWNER, made.id, number=None, options=options)
        yield Crewed(running, store, by_number.id, room.id)


async def api(url: URL, method: str, path: str, **more: Any) -> tuple[int, Any]:
    """The status and the JSON of an answer of the API, asked over a connection of its own."""
    async with (
        aiohttp.ClientSession(headers=AUTHORIZED) as http,
        http.request(method, url.with_path(path), **more) as answer,
    ):
        return answer.status, await answer.json() if answer.content_type == "application/json" else None
