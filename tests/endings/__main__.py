"""Calls that end in every way, on virtual time: every goodbye is heard, and no call is left up."""

from __future__ import annotations

import argparse
import sys
import time

from gateway import logs
from tests.endings.scenes import play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.endings", description=__doc__)
    parser.add_argument("--calls", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one (0); each has the next")
    options = parser.parse_args()
    logs.configure("error", "auto")
    began = time.perf_counter()
    tally = play(options.calls, options.seed)
    print(f"{tally.calls} calls in {time.perf_counter() - began:.0f} s")
    for (kind, ending, application), count in sorted(tally.by.items()):
        print(f"  {kind:<9} {'application' if application else 'webhooks':<12} {ending:<13} {count}")
    print("ended by " + ", ".join(f"{reason}: {count}" for reason, count in tally.ended.most_common()))
    for problem in tally.problems:
        print(f"problem: {problem}", file=sys.stderr)
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main())
