"""The collector of garbage leaves alone what a service has when it is ready."""

from __future__ import annotations

import subprocess
import sys

LOOK = """
import gc, time
import gateway.app
from gateway import garbage

def cost():
    began = time.process_time()
    gc.collect()
    return time.process_time() - began

gc.collect()
before = min(cost() for _ in range(3))
garbage.settle()
print(before / min(cost() for _ in range(3)), *gc.get_threshold())
"""


def test_what_there_is_when_a_service_is_ready_is_not_looked_through_again() -> None:
    """In a process of its own, since it is for the whole of one. A ratio of CPU times."""
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=120, check=True)
    cheaper, *thresholds = done.stdout.split()
    assert float(cheaper) > 5
    assert [int(threshold) for threshold in thresholds] == [10_000, 20, 50]
