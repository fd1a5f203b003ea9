"""A call of hours, recorded on virtual time by the real encoder: memory has to stay what it is."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway import logs
from tests.calls.recorded import MemoryRows, seconds_kept
from tests.recorded_hours.hours import Sample, record

MOST_GROWTH_MIB = 4.0
"""Of the process, from a tenth of the call to its end: the conversation is kept, and it is text."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.recorded_hours", description=__doc__)
    parser.add_argument("--hours", type=float, default=4.0, help="how long the call is (4)")
    seconds = parser.parse_args().hours * 3600
    logs.configure("error", "auto")
    began, memory, rows = time.perf_counter(), list[float](), MemoryRows()

    def on_sample(sample: Sample) -> None:
        memory.append(_resident_mib() - sample.simulated / 2**20)
        print(
            f"{sample.seconds / 60:5.0f} min  {memory[-1]:6.1f} MiB of memory, {sample.objects} objects, "
            f"{sample.kept} bytes not written yet, {sample.written / 2**20:.1f} MiB written",
            flush=True,
        )

    with TemporaryDirectory(prefix="trunkline-hours-") as directory:
        _, lasted = record(Path(directory), seconds, seconds / 20, rows, on_sample)
        [stored] = rows.stored
        played = seconds_kept(Path(directory), stored)
    grown = memory[-1] - memory[1]
    user = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    print(
        f"{played:.0f} s can be played; {grown:+.1f} MiB; {time.perf_counter() - began:.0f} s, {user:.0f} s of a core"
    )
    if grown > MOST_GROWTH_MIB or abs(played - lasted) > 0.5:
        print("problem: memory grew with the call, or the recording is not whole", file=sys.stderr)
        return 1
    return 0


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    sys.exit(main())
