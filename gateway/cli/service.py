"""The service in this process: started, and stopped in bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from aiohttp import web
from yarl import URL

from gateway.app import create_app
from gateway.keys import SWITCHBOARD
from gateway.settings import Settings
from gateway.switchboard import Switchboard

log = structlog.get_logger(__name__)
T = TypeVar("T")

HANDLER_SECONDS = 2.0
"""What is left of requests and sockets when the service stops, before it is cut off."""

CLOSE_SECONDS = 5.0
"""The longest that stopping takes, once the calls are over or given up."""


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
async def serving(settings: Settings) -> AsyncIterator[Service]:
    """The service of ``settings``, ready for calls. OSError and the store's errors say why it could not start.

    No access log: the paths of media sockets hold their tokens.
    """
    runner = web.AppRunner(create_app(settings), access_log=None, shutdown_timeout=HANDLER_SECONDS)
    try:
        await runner.setup()
        await web.TCPSite(runner, settings.host, settings.port).start()
        host, port = runner.addresses[0][:2]
        yield Service(URL.build(scheme="http", host=host, port=port), runner.app[SWITCHBOARD])
    finally:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await runner.cleanup()
        except TimeoutError:
            log.error("the service did not stop in time; what was under way is lost", seconds=CLOSE_SECONDS)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
