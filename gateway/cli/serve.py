"""``trunkline serve``: the service, until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from typing import Any

import click

from gateway.cli.flags import BAD_SETTINGS, setting_flags, settings_or_exit
from gateway.settings import Settings
from store.errors import UNREACHABLE

GOODBYE_SECONDS = 2.0
"""After the second signal: for Jambonz to be told that the calls are over."""

ONE_PROCESS = (
    "TRUNKLINE_WORKERS has a value that cannot be used; write 1: "
    "several processes in one service come with a later release."
)


@click.command(short_help="Run the service.")
@setting_flags
def serve(**flags: Any) -> None:
    """Run the service. Every flag is also an environment variable, or a line of a file .env; flags win over the
    environment, and that over the file.

    SIGTERM and SIGINT drain: no new calls, and those there are go on for up to TRUNKLINE_DRAIN_SECONDS. A second
    signal ends them.
    """
    settings = settings_or_exit(flags)
    if settings.workers > 1:
        click.echo(ONE_PROCESS, err=True)
        sys.exit(BAD_SETTINGS)

    from gateway import logs
    from gateway.cli.service import run
    from pipelines.functions import NotAFunction, load

    logs.configure(settings.loglevel, settings.logformat)
    try:
        load(settings.functions)
    except NotAFunction as error:
        click.echo(f"TRUNKLINE_FUNCTIONS has a value that cannot be used: {error}", err=True)
        sys.exit(BAD_SETTINGS)
    try:
        run(_serve(settings))
    except UNREACHABLE as error:
        click.echo(f"The service cannot start: {error}", err=True)
        sys.exit(1)


async def _serve(settings: Settings) -> None:
    from gateway.cli.service import serving

    drain, stop = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: (stop if drain.is_set() else drain).set())
    async with serving(settings) as service:
        await asyncio.to_thread(click.echo, f"Trunkline listens on {service.url}")
        await drain.wait()
        draining = asyncio.create_task(service.switchboard.drain(settings.drain_seconds))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((draining, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, stopping):
            task.cancel()
        await asyncio.gather(draining, stopping, return_exceptions=True)
        if stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await service.switchboard.drain(0)
