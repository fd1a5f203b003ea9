"""``make test-live``: the same short conversation with every service that the environment has an account at.

It costs a little: a call of some 15 seconds with each. Without an account a service is skipped, and named.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from gateway import logs
from gateway.cli.client import ServiceRefused
from gateway.cli.service import run
from gateway.equipment import provider_environment
from gateway.settings import SettingsError
from pipelines.parts import ProviderError
from tests.live.conversation import Outcome, converse, line, settings_of
from tests.live.services import MODELS, Service, services

SECONDS = 90.0
"""The longest that one conversation may take."""

FIRST_NUMBER = 442079460000


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.live", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="those whose name has this in it")
    parser.add_argument(
        "--model", action="append", default=[], metavar="PROVIDER=ID", help="instead of the model that is tried else"
    )
    return parser.parse_args(argv)


async def talk(chosen: Sequence[Service], directory: Path) -> bool:
    """To one after the other; whether all went well."""
    settings = await asyncio.to_thread(settings_of, directory)
    env = provider_environment(settings)
    able = [service for service in chosen if service.missing(env) is None]
    for service in chosen:
        if (why := service.missing(env)) is not None:
            print(f"skip  {service.name:<24} {why}")
    if not able:
        print("\nNothing was tried: no service has an account in the environment.")
        return True
    good = True
    async with line(settings) as number_to_ring:
        for count, service in enumerate(able):
            try:
                async with asyncio.timeout(SECONDS):
                    outcome = await converse(number_to_ring, service, f"+{FIRST_NUMBER + count}")
            except TimeoutError:
                outcome = Outcome([f"the conversation was not over after {SECONDS:g} s"])
            except (ServiceRefused, ProviderError, aiohttp.ClientError, OSError) as error:
                outcome = Outcome([str(error) or type(error).__name__])
            good &= not outcome.problems
            print("\n".join(told(service, outcome)), flush=True)
    return good


def told(service: Service, outcome: Outcome) -> list[str]:
    if outcome.problems:
        return [f"FAIL  {service.name}", *(f"      {problem}" for problem in outcome.problems)]
    after = f"{outcome.latency:.2f} s after the caller's last word" if outcome.latency is not None else ""
    used = ", ".join(f"{amount:g} {unit}" for unit, amount in outcome.used.items())
    return [f"ok    {service.name:<24} {after}: {outcome.answered!r}" + (f" ({used})" if used else "")]


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    named = dict(one.partition("=")[::2] for one in options.model)
    found = services({**MODELS, **named})
    chosen = [service for service in found if not options.only or any(part in service.name for part in options.only)]
    if unknown := set(named) - {service.vendor for service in found}:
        print(f"There is no provider {', '.join(sorted(unknown))}; there are {', '.join(s.vendor for s in found)}")
        return 2
    logs.configure("error", "console")
    with TemporaryDirectory(prefix="trunkline-live-") as directory:
        try:
            return 0 if run(talk(chosen, Path(directory))) else 1
        except SettingsError as error:
            print(error)
            return 2


if __name__ == "__main__":
    sys.exit(main())
