"""``make bench``: what a second of call costs the service, against a bare echo server on the same aiohttp."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import uvloop

from tests.bench.callers import BenchFailed
from tests.bench.measure import Window, targets
from tests.bench.report import Bounds, Row, broken, row, table
from tests.bench.tape import CYCLE_SECONDS

DEFAULT = Bounds()


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[20, 150], help="how many at once (20 150)")
    parser.add_argument("--seconds", type=float, default=CYCLE_SECONDS, help=f"of each window ({CYCLE_SECONDS:g})")
    parser.add_argument("--settle", type=float, default=CYCLE_SECONDS, help=f"before each window ({CYCLE_SECONDS:g})")
    parser.add_argument("--rounds", type=int, default=2, help="windows of each server (2)")
    parser.add_argument("--max-ratio", type=float, default=DEFAULT.ratio, help=f"({DEFAULT.ratio:g})")
    parser.add_argument("--max-tasks", type=float, default=DEFAULT.tasks, help=f"for each call ({DEFAULT.tasks:g})")
    parser.add_argument(
        "--max-memory", type=float, default=DEFAULT.memory_mb, help=f"MB a call ({DEFAULT.memory_mb:g})"
    )
    parser.add_argument("--no-check", action="store_true", help="print only; exit 0 whatever was measured")
    return parser.parse_args(argv)


async def run(options: argparse.Namespace) -> list[Row]:
    """The two servers take turns, so that both meet the same machine."""
    rows = []
    async with targets() as (echo, service, tape):
        print(f"callers speak {tape.speech_share:.0%} of the time, all on the offline voice", flush=True)
        for target in (echo, service):
            await target.warm_up(tape, options.settle)
        for calls in options.calls:
            floor: list[Window] = []
            ours: list[Window] = []
            for _ in range(options.rounds):
                floor.append(await echo.measure(tape, calls, options.seconds, settle=1.0, answers=False))
                ours.append(await service.measure(tape, calls, options.seconds, settle=options.settle, answers=True))
            rows.append(row(calls, floor, ours))
    return rows


def main() -> int:
    options = arguments()
    try:
        rows = uvloop.run(run(options))
    except (BenchFailed, BaseExceptionGroup, TimeoutError) as error:
        print(f"the bench failed: {error}", file=sys.stderr)
        return 1
    print(table(rows))
    complaints = (
        [] if options.no_check else broken(rows, Bounds(options.max_ratio, options.max_tasks, options.max_memory))
    )
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
