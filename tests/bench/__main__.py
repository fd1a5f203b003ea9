"""``make bench``: what a second of call costs the service, against a bare echo server on the same aiohttp."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import uvloop

from tests.bench.callers import BenchFailed
from tests.bench.hearing import Hearing, measure
from tests.bench.measure import Plan, targets
from tests.bench.parts import offline_voice
from tests.bench.report import Bounds, Row, broken, heard, row, table
from tests.bench.tape import CYCLE_SECONDS, record

DEFAULT = Bounds()


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[20, 150], help="how many at once (20 150)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each window (6)")
    parser.add_argument("--settle", type=float, default=CYCLE_SECONDS, help=f"before each window ({CYCLE_SECONDS:g})")
    parser.add_argument("--windows", type=int, default=4, help="of both servers at once (4)")
    parser.add_argument("--max-ratio", type=float, default=DEFAULT.ratio, help=f"({DEFAULT.ratio:g})")
    parser.add_argument("--max-tasks", type=float, default=DEFAULT.tasks, help=f"for each call ({DEFAULT.tasks:g})")
    parser.add_argument(
        "--max-memory", type=float, default=DEFAULT.memory_mb, help=f"MB a call ({DEFAULT.memory_mb:g})"
    )
    parser.add_argument(
        "--max-hearing", type=float, default=DEFAULT.hearing_ms, help=f"ms for each second ({DEFAULT.hearing_ms:g})"
    )
    parser.add_argument("--no-check", action="store_true", help="print only; exit 0 whatever was measured")
    return parser.parse_args(argv)


async def run(options: argparse.Namespace) -> tuple[list[Row], Hearing]:
    rows = []
    voice = offline_voice()
    try:
        hearing = await measure(voice)
        tape = await record(voice)
    finally:
        await voice.close()
    async with targets() as (echo, service):
        print(f"callers speak {tape.speech_share:.0%} of the time; both servers share a core", flush=True)
        for target in (echo, service):
            await target.warm_up(tape, options.settle)
        for calls in options.calls:
            plan, ready = Plan(calls, options.seconds, options.settle, options.windows), asyncio.Barrier(2)
            async with asyncio.TaskGroup() as group:
                floor = group.create_task(echo.measure(tape, plan, ready))
                ours = group.create_task(service.measure(tape, plan, ready))
            rows.append(row(calls, floor.result(), ours.result()))
    return rows, hearing


def main() -> int:
    options = arguments()
    try:
        rows, hearing = uvloop.run(run(options))
    except (BenchFailed, BaseExceptionGroup, TimeoutError) as error:
        print(f"the bench failed: {error}", file=sys.stderr)
        return 1
    print(table(rows))
    print(heard(hearing))
    bounds = Bounds(options.max_ratio, options.max_tasks, options.max_memory, options.max_hearing)
    complaints = [] if options.no_check else broken(rows, hearing, bounds)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
