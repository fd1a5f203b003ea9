"""Of many calls nothing is left: ``python -m tests.realtime_soak`` does the same with a thousand.

In a process of its own: other tests of this one leave objects of calls behind that they keep on purpose.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.realtime_soak", "--seconds", "100", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


@pytest.mark.realtime
def test_calls_leave_nothing_behind() -> None:
    """In real time: real sockets have no clock that could be handed in, and what is left of them is in question."""
    done = soak("--calls", "60", "--at-once", "40")
    assert (done.returncode, done.stderr) == (0, "")
    assert "60 calls one after another" in done.stdout


@pytest.mark.realtime
def test_what_is_left_is_found() -> None:
    """The test above would see a leak. In real time, as above."""
    done = soak("--calls", "0", "--at-once", "1", "--leak")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "left: 1 objects: Playout",
        "left: 1 tasks: sleep",
        "left: 1 sockets",
        "left: 1 threads: asyncio",
    ]
