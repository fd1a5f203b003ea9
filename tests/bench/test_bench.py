from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.hearing import Hearing
from tests.bench.measure import Window
from tests.bench.report import Bounds, Row, broken, row, table

ROOT = Path(__file__).parents[2]
HEARING = Hearing(0.6, 0.5, 20.0)
GOOD = Row(20, echo_ms=1.0, service_ms=1.5, ratio=1.5, tasks=3.0, memory_mb=0.5, late=0.0)


@pytest.mark.realtime
def test_the_bench_runs_and_its_check_can_fail() -> None:
    """Three processes with real sockets; the shortest windows that tell whether anything is measured."""
    short = ["--calls", "2", "--seconds", "1", "--settle", "1", "--windows", "1", "--max-ratio", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", *short], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 1
    assert "times the echo; at most 0" in done.stderr
    calls, echo, service, ratio, *_ = done.stdout.splitlines()[-2].split()
    assert int(calls) == 2
    assert float(echo) > 0
    assert float(ratio) == pytest.approx(float(service) / float(echo), rel=0.05)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (replace(GOOD, ratio=2.1), "costs 2.10 times the echo; at most 2"),
        (replace(GOOD, tasks=6.5), "there are 6.5 tasks for each; at most 6"),
        (replace(GOOD, memory_mb=1.25), "each takes 1.25 MB; at most 1"),
    ],
)
def test_each_figure_has_its_bound(bad: Row, complaint: str) -> None:
    assert broken([GOOD], HEARING, Bounds()) == []
    [sentence] = broken([GOOD, bad], HEARING, Bounds())
    assert complaint in sentence


def test_hearing_has_its_bound_and_has_to_hear() -> None:
    [sentence] = broken([GOOD], replace(HEARING, cpu_ms=0.81), Bounds())
    assert "cost 0.81 ms/s; at most 0.8" in sentence
    [sentence] = broken([GOOD], replace(HEARING, turns=0.0), Bounds())
    assert "no turn was heard" in sentence


def test_a_row_has_the_medians_of_cpu_time_and_the_worst_of_the_rest() -> None:
    echo = [Window(cpu, 1.0, 0.1, 0.0) for cpu in (1.0, 9.0, 2.0)]
    service = [Window(3.0, 3.0, 0.4, 0.01), Window(5.0, 4.0, 0.3, 0.0), Window(4.0, 3.0, 0.2, 0.0)]
    measured = row(150, echo, service)
    assert measured == Row(150, 2.0, 4.0, 2.0, 4.0, 0.4, 0.01)
    assert table([measured]).splitlines()[1].split() == ["150", "2.00", "4.00", "2.00", "4.0", "0.40", "1.00%"]
