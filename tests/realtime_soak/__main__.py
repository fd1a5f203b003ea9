"""A thousand short realtime calls one after another, and two hundred at once: what is left of them. Bounded in time."""

from __future__ import annotations

import argparse
import asyncio
import resource
import socket
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway import logs
from media.audio import PCM_8K
from media.playout import Playout
from tests.realtime_soak.soak import Soak, fill_pools, soaking, what_is_left, what_stays
from tests.simulators.nowhere import Nowhere

ROUND = 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.realtime_soak", description=__doc__)
    parser.add_argument("--calls", type=int, default=1000, help="one after another (1000)")
    parser.add_argument("--at-once", type=int, default=200, help="at once, after those (200)")
    parser.add_argument("--seconds", type=float, default=600.0, help="the longest that it may take (600)")
    parser.add_argument("--uvloop", action="store_true", help="as the service runs, and not on asyncio's own loop")
    parser.add_argument("--leak", action="store_true", help="leave something behind, to see that it is found")
    options = parser.parse_args()
    logs.configure("error", "auto")
    factory = None
    if options.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    with TemporaryDirectory(prefix="trunkline-soak-") as directory, asyncio.Runner(loop_factory=factory) as runner:
        try:
            left = runner.run(
                _soak(Path(directory), options.calls, options.at_once, options.seconds, leak=options.leak)
            )
        except TimeoutError:
            left = [f"it took longer than {options.seconds:g} s"]
    for what in left:
        print(f"left: {what}", file=sys.stderr)
    return 1 if left else 0


async def _soak(directory: Path, calls: int, at_once: int, seconds: float, *, leak: bool) -> list[str]:
    async with asyncio.timeout(seconds), soaking(directory, calls_at_once=at_once + 10) as soak:
        await soak.at_once(at_once)  # what is made once, and kept, is made now
        await fill_pools(soak.database)
        before = await what_is_left()
        print(f"before: {before.sockets} sockets, {before.threads.total()} threads, {_memory()}", flush=True)
        for done in range(0, calls, ROUND):
            await _timed(soak, min(ROUND, calls - done), together=False)
        await _timed(soak, at_once, together=True)
        if not leak:
            return await what_stays(before)
        kept, sleeping, line = Playout(Nowhere(), PCM_8K), asyncio.create_task(asyncio.sleep(60)), socket.socket()
        waits = threading.Event()
        thread = threading.Thread(target=waits.wait, name="asyncio_99", daemon=True)  # one more than its pool has
        thread.start()
        with line:
            found = await what_stays(before)
        sleeping.cancel()
        waits.set()
        del kept
        return found


async def _timed(soak: Soak, calls: int, *, together: bool) -> None:
    began = time.monotonic()
    await (soak.at_once(calls) if together else soak.one_after_another(calls))
    how = "at once" if together else "one after another"
    print(f"{calls} calls {how}: {time.monotonic() - began:.1f} s, {_memory()}", flush=True)


def _memory() -> str:
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at the most"


if __name__ == "__main__":
    sys.exit(main())
