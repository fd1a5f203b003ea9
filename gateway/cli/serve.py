"""``trunkline serve``: the service, until a signal ends it; as one process, or as the parent of its workers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import click

from gateway import garbage
from gateway.cli.flags import BAD_SETTINGS, setting_flags, settings_or_exit
from gateway.recordings.places import PlaceError
from gateway.settings import Settings
from gateway.system import told_to_stop
from gateway.waiting import first_of, unless
from gateway.workers.seat import ALIVE, BEAT_SECONDS, DRAIN, DRAINED, READY, STOP, Seat
from store.errors import UNREACHABLE, CannotOpen

if TYPE_CHECKING:
    from gateway.cli.service import Service

CANNOT_START = (CannotOpen, PlaceError, *UNREACHABLE)

GOODBYE_SECONDS = 2.0
"""After the second signal: for Jambonz to be told that the calls are over."""


@click.command(short_help="Run the service.")
@setting_flags
def serve(**flags: Any) -> None:
    """Run the service. Every flag is also an environment variable, or a line of a file .env; flags win over the
    environment, and that over the file.

    SIGTERM, SIGINT and SIGHUP drain: no new calls, and those there are go on for up to TRUNKLINE_DRAIN_SECONDS. A
    second signal ends them. What has only begun to start is broken off.
    """
    settings = settings_or_exit(flags)

    from gateway import logs

    logs.configure(settings.loglevel, settings.logformat)
    try:
        if settings.workers > 1:
            from gateway.workers.parent import supervise

            sys.exit(supervise(settings, lambda seat: _work(settings, seat), _announce))
        # The metrics of one process need no files, and would mix with those that a former process left there.
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        from gateway.cli.service import run

        _load_functions(settings)
        run(_serve(settings))
    except CANNOT_START as error:
        _cannot_start(error)
        sys.exit(1)


def _announce(url: str) -> None:
    click.echo(f"Trunkline listens on {url}")


def _load_functions(settings: Settings) -> None:
    """In each process for itself: they are others' code, which may begin threads."""
    from pipelines.functions import NotAFunction, load

    try:
        load(settings.functions)
    except NotAFunction as error:
        click.echo(f"TRUNKLINE_FUNCTIONS has a value that cannot be used: {error}", err=True)
        sys.exit(BAD_SETTINGS)


def _cannot_start(error: Exception) -> None:
    click.echo(f"The service cannot start: {error}", err=True)


class Orders:
    """To drain, and then to end what calls there are, whatever they come by."""

    def __init__(self) -> None:
        self.drain, self.stop, self.leave = asyncio.Event(), asyncio.Event(), asyncio.Event()
        """``leave``: of a worker that has drained, once it may go."""


async def _serve(settings: Settings) -> None:
    from gateway.cli.service import serving

    orders = Orders()
    loop = asyncio.get_running_loop()
    for number in told_to_stop():
        loop.add_signal_handler(number, lambda: (orders.stop if orders.drain.is_set() else orders.drain).set())
    async with AsyncExitStack() as stack:
        service = await unless(stack.enter_async_context(serving(settings)), orders.drain)
        if service is None:
            return
        garbage.settle()
        await asyncio.to_thread(_announce, str(service.url))
        await _drained(settings, service, orders)


async def _drained(settings: Settings, service: Service, orders: Orders) -> None:
    """Returns when the calls are over, some time after the order came."""
    await orders.drain.wait()
    await unless(service.switchboard.live.drain(settings.drain_seconds), orders.stop)
    if orders.stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await service.switchboard.live.drain(0)


# Workers


def _work(settings: Settings, seat: Seat) -> int:
    """A worker, in its process. Returns its exit status."""
    import structlog

    from gateway.cli.service import run

    structlog.contextvars.bind_contextvars(worker=seat.slot)
    _load_functions(settings)
    try:
        run(_serve_as_worker(settings, seat))
    except CANNOT_START as error:
        _cannot_start(error)
        return 1
    return 0


async def _serve_as_worker(settings: Settings, seat: Seat) -> None:
    """The parent gives the orders. SIGTERM drains this worker alone, and another takes its place; it may come together
    with the parent's order, from whoever signals all processes of a service."""
    from gateway import metrics
    from gateway.cli.service import serving

    orders = Orders()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, orders.drain.set)
    seat.parent.setblocking(False)
    loop.add_reader(seat.parent, _heed, seat, orders)
    if seat.again:
        metrics.workers_restarted.inc()
    async with AsyncExitStack() as stack:
        service = await unless(stack.enter_async_context(serving(settings, seat)), orders.drain)
        if service is None:
            return
        garbage.settle()
        _tell(seat, READY)
        beating = asyncio.create_task(_beat(seat))
        await _drained(settings, service, orders)
        beating.cancel()
        _tell(seat, DRAINED)
        await first_of(orders.leave, orders.stop)
    loop.remove_reader(seat.parent)


async def _beat(seat: Seat) -> None:
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        _tell(seat, ALIVE)


def _heed(seat: Seat, orders: Orders) -> None:
    try:
        told = seat.parent.recv(64)
    except BlockingIOError:
        return
    except OSError:
        told = b""
    if DRAIN in told or STOP in told or not told:
        orders.drain.set()
    if STOP in told:
        orders.stop.set()
    if not told:  # this worker may go; or the parent is gone
        orders.leave.set()
        asyncio.get_running_loop().remove_reader(seat.parent)


def _tell(seat: Seat, what: bytes) -> None:
    with suppress(OSError):  # the parent is gone, which is heeded
        seat.parent.send(what)
