"""The service in this process: started, and stopped in bounded time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog
from aiohttp import web
from yarl import URL

from gateway.app import create_app
from gateway.keys import SWITCHBOARD
from gateway.settings import Settings
from gateway.surroundings import PipelineFactory
from gateway.switchboard import Switchboard
from gateway.system import bind, claim
from gateway.workers.crew import Crew
from gateway.workers.handover import Receiver
from gateway.workers.seat import Seat
from store.database import sqlite_file

log = structlog.get_logger(__name__)
T = TypeVar("T")

HANDLER_SECONDS = 2.0
"""What is left of requests and sockets when the service stops, before it is cut off."""

KEEPALIVE_SECONDS = 75.0
"""The longest that a connection may be idle, or take to bring a request's headers: more than the 60 s that proxies keep
theirs for, so that none is closed while a request is on its way."""

BACKLOG = 1024
"""Connections that wait to be accepted."""

CLOSE_SECONDS = 35.0
"""The longest that stopping takes, once the calls are over or given up: what it waits for has bounds of its own, which
come to less, and hooks that hang do not cost what is still to be stored. The parent waits a little longer."""


@dataclass(frozen=True, slots=True)
class Service:
    """One that answers at ``url``."""

    url: URL
    switchboard: Switchboard


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on uvloop, where it is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


@asynccontextmanager
async def serving(
    settings: Settings, seat: Seat | None = None, factory: PipelineFactory | None = None
) -> AsyncIterator[Service]:
    """The service of ``settings``, ready for calls. OSError and the store's errors say why it could not start.
    ``seat``: as one of its workers. ``factory`` is that of :func:`create_app`.

    No access log: the paths of media sockets hold their tokens.
    """
    crew = Crew(seat.slot, seat.workers, seat.directory) if seat is not None else None
    with ExitStack() as held:
        # Before the database is touched: where the port is taken, the service may run already.
        listening = seat.listening if seat is not None else await asyncio.to_thread(bind, settings.host, settings.port)
        for one in listening:
            held.callback(one.close)
        if (alone := await asyncio.to_thread(_the_only_one, settings)) is not None:
            held.callback(os.close, alone)
        runner = web.AppRunner(
            create_app(settings, factory, crew),
            access_log=None,
            shutdown_timeout=HANDLER_SECONDS,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        try:
            async with AsyncExitStack() as stack:
                await runner.setup()
                if crew is not None:
                    await stack.enter_async_context(_reached_by_others(runner, crew))
                for one in listening:
                    await web.SockSite(runner, one, backlog=BACKLOG).start()
                [(host, port, *_)] = [address for address in runner.addresses if not isinstance(address, str)][:1]
                yield Service(URL.build(scheme="http", host=host, port=port), runner.app[SWITCHBOARD])
        finally:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await runner.cleanup()
            except TimeoutError:
                log.error("the service did not stop in time; what was under way is lost", seconds=CLOSE_SECONDS)


def _the_only_one(settings: Settings) -> int | None:
    """Whoever starts on a file of SQLite's ends the calls that it has under way: they are of a process that is gone."""
    file = sqlite_file(settings.database)
    if file is None:
        return None
    try:
        return claim(Path(f"{file}.lock"))
    except OSError as error:
        raise OSError(f"{error}: SQLite is for one service; for more there is DATABASE_URL=postgresql://…") from None


@asynccontextmanager
async def _reached_by_others(runner: web.AppRunner, crew: Crew) -> AsyncIterator[None]:
    """By the other workers: with requests, and with connections."""
    await web.UnixSite(runner, str(crew.socket_path(crew.slot))).start()
    server = runner.server
    if server is None:
        raise RuntimeError("the runner is not set up")
    receiver = Receiver(crew.handover_path(crew.slot), server)
    await receiver.start()
    try:
        yield
    finally:
        await receiver.close()
        await asyncio.to_thread(crew.socket_path(crew.slot).unlink, missing_ok=True)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
