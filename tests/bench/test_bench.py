from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.__main__ import arguments
from tests.bench.hearing import Hearing
from tests.bench.measure import Window
from tests.bench.report import Bounds, Row, broken, broken_hearing, row, table

ROOT = Path(__file__).parents[2]
HEARING = Hearing(0.6, 0.5, 20.0)
GOOD = Row("echo", 20, floor_ms=1.0, service_ms=1.5, ratio=1.5, tasks=3.0, memory_mb=0.5, late=0.0)
SHORT = ["--calls", "8", "--seconds", "1", "--settle", "1", "--windows", "1", "--max-ratio", "0"]


@pytest.mark.realtime
@pytest.mark.parametrize(
    ("flags", "floor"),
    [
        ((), "echo"),
        (("--realtime", "--only", "G.711"), "relay, G.711"),
        (("--realtime", "--only", "24 kHz"), "relay, 24 kHz"),
    ],
    ids=["cascade", "G.711", "24 kHz"],
)
def test_the_bench_runs_and_its_check_can_fail(flags: tuple[str, ...], floor: str) -> None:
    """Processes with real sockets; the shortest windows that tell whether anything is measured."""
    command = [sys.executable, "-m", "tests.bench", *flags, *SHORT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 1, done.stderr
    assert f"times the {floor}; at most 0" in done.stderr
    [measured] = [line.removeprefix(floor) for line in done.stdout.splitlines() if line.startswith(f"{floor} ")]
    calls, bare, service, ratio, tasks, memory, *_ = measured.split()
    assert int(calls) == 8
    assert float(bare) > 0
    assert float(ratio) == pytest.approx(float(service) / float(bare), rel=0.05)
    assert 0 < float(tasks) <= Bounds().tasks
    assert float(memory) <= Bounds().memory_mb


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (replace(GOOD, ratio=2.1), "costs 2.10 times the echo; at most 2"),
        (replace(GOOD, tasks=6.5), "there are 6.5 tasks for each; at most 6"),
        (replace(GOOD, memory_mb=1.25), "each takes 1.25 MB; at most 1"),
    ],
)
def test_each_figure_has_its_bound(bad: Row, complaint: str) -> None:
    bounds = Bounds()
    assert broken([GOOD], bounds, bounds.ratio) == []
    [sentence] = broken([GOOD, bad], bounds, bounds.ratio)
    assert complaint in sentence


def test_hearing_has_its_bound_and_has_to_hear() -> None:
    assert broken_hearing(HEARING, Bounds()) == []
    [sentence] = broken_hearing(replace(HEARING, cpu_ms=0.81), Bounds())
    assert "cost 0.81 ms/s; at most 0.8" in sentence
    [sentence] = broken_hearing(replace(HEARING, turns=0.0), Bounds())
    assert "no turn was heard" in sentence


def test_a_row_has_the_medians_of_cpu_time_and_the_worst_of_the_rest() -> None:
    echo = [Window(cpu, 1.0, 0.1, 0.0) for cpu in (1.0, 9.0, 2.0)]
    service = [Window(3.0, 3.0, 0.4, 0.01), Window(5.0, 4.0, 0.3, 0.0), Window(4.0, 3.0, 0.2, 0.0)]
    measured = row("echo", 150, echo, service)
    assert measured == Row("echo", 150, 2.0, 4.0, 2.0, 4.0, 0.4, 0.01)
    assert table([measured]).splitlines()[1].split() == ["echo", "150", "2.00", "4.00", "2.00", "4.0", "0.40", "1.00%"]


def test_a_cascade_and_realtime_calls_have_their_own_numbers() -> None:
    assert arguments([]).calls == [20, 150]
    assert arguments(["--realtime"]).calls == [150]
    assert arguments(["--realtime", "--calls", "3", "4"]).calls == [3, 4]
