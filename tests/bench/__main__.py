"""``make bench``: what a second of call costs the service: with a cascade, against a bare echo server, or with a
realtime model, against a bare relay, on the same aiohttp."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace

import uvloop

from media.audio import PCM_8K, PCM_16K
from tests.bench.callers import BenchFailed
from tests.bench.hearing import measure
from tests.bench.measure import Plan, Target, Window, targets
from tests.bench.parts import offline_voice
from tests.bench.report import Bounds, Row, broken, broken_hearing, heard, row, table
from tests.bench.tape import CYCLE_SECONDS, Tape, record

DEFAULT = Bounds()


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--realtime", action="store_true", help="calls with a simulated OpenAI Realtime")
    parser.add_argument("--only", choices=("G.711", "24 kHz"), help="of realtime calls, those with this sound")
    parser.add_argument("--calls", type=int, nargs="+", help="how many at once (20 150; realtime 150)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each window (6)")
    parser.add_argument("--settle", type=float, default=CYCLE_SECONDS, help=f"before each window ({CYCLE_SECONDS:g})")
    parser.add_argument("--windows", type=int, default=4, help="of both servers (4)")
    parser.add_argument("--max-ratio", type=float, help=f"({DEFAULT.ratio:g}; realtime {DEFAULT.telephone:g} with "
                        f"G.711, {DEFAULT.wideband:g} with 24 kHz)")  # fmt: skip
    parser.add_argument("--max-tasks", type=float, default=DEFAULT.tasks, help=f"for each call ({DEFAULT.tasks:g})")
    parser.add_argument(
        "--max-memory", type=float, default=DEFAULT.memory_mb, help=f"MB a call ({DEFAULT.memory_mb:g})"
    )
    parser.add_argument(
        "--max-hearing", type=float, default=DEFAULT.hearing_ms, help=f"ms for each second ({DEFAULT.hearing_ms:g})"
    )
    parser.add_argument("--no-check", action="store_true", help="print only; exit 0 whatever was measured")
    options = parser.parse_args(argv)
    options.calls = options.calls or ([150] if options.realtime else [20, 150])
    return options


async def at_once(bare: Target, service: Target, tape: Tape, plan: Plan) -> tuple[list[Window], list[Window]]:
    ready = asyncio.Barrier(2)
    async with asyncio.TaskGroup() as group:
        least = group.create_task(bare.measure(tape, plan, ready))
        ours = group.create_task(service.measure(tape, plan, ready))
    return least.result(), ours.result()


async def in_turn(bare: Target, service: Target, tape: Tape, plan: Plan) -> tuple[list[Window], list[Window]]:
    """Window by window, so that what the machine does meanwhile is the same for both, more or less."""
    one = replace(plan, windows=1)
    least, ours = [], []
    for _ in range(plan.windows):
        least += await bare.measure(tape, one)
        ours += await service.measure(tape, one)
    return least, ours


async def paths(
    options: argparse.Namespace, floor: str, *, realtime: bool = False, wideband: bool = False
) -> list[Row]:
    """Both servers, with each number of calls: at once or, where both would fill the core, in turn."""
    voice = offline_voice()
    try:
        tape = await record(voice, PCM_16K if wideband else PCM_8K)
    finally:
        await voice.close()
    rows = []
    async with targets(realtime=realtime, wideband=wideband) as (bare, service):
        how = "have a core in turn" if realtime else "share a core"
        print(f"callers speak {tape.speech_share:.0%} of the time; both servers {how}", flush=True)
        for target in (bare, service):
            await target.warm_up(tape, options.settle)
        for calls in options.calls:
            plan = Plan(calls, options.seconds, options.settle, options.windows)
            least, ours = await (in_turn if realtime else at_once)(bare, service, tape, plan)
            rows.append(row(floor, calls, least, ours))
    print(table(rows), flush=True)
    return rows


async def cascades(options: argparse.Namespace, bounds: Bounds) -> list[str]:
    voice = offline_voice()
    try:
        hearing = await measure(voice)
    finally:
        await voice.close()
    rows = await paths(options, "echo")
    print(heard(hearing))
    return [
        *broken(rows, bounds, bounds.ratio if options.max_ratio is None else options.max_ratio),
        *broken_hearing(hearing, bounds),
    ]


async def realtime(options: argparse.Namespace, bounds: Bounds) -> list[str]:
    complaints = []
    for sound, wideband, ratio in (("G.711", False, bounds.telephone), ("24 kHz", True, bounds.wideband)):
        if options.only in (None, sound):
            rows = await paths(options, f"relay, {sound}", realtime=True, wideband=wideband)
            complaints += broken(rows, bounds, ratio if options.max_ratio is None else options.max_ratio)
    return complaints


def main() -> int:
    options = arguments()
    bounds = Bounds(tasks=options.max_tasks, memory_mb=options.max_memory, hearing_ms=options.max_hearing)
    try:
        complaints = uvloop.run((realtime if options.realtime else cascades)(options, bounds))
    except (BenchFailed, BaseExceptionGroup, TimeoutError) as error:
        print(f"the bench failed: {error}", file=sys.stderr)
        return 1
    if options.no_check:
        return 0
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
