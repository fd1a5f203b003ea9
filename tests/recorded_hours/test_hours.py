from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls.recorded import MemoryRows, seconds_kept
from tests.recorded_hours.hours import record


def test_what_is_kept_of_a_recording_does_not_grow_with_the_call(tmp_path: Path) -> None:
    """``python -m tests.recorded_hours`` has four hours of it, and measures the process."""
    rows = MemoryRows()
    samples, lasted = record(tmp_path, 30, 5, rows, lambda sample: None)
    assert len(samples) >= 5
    assert max(sample.kept for sample in samples) < 16_000, "half a second of both sides"
    assert samples[-1].objects - samples[1].objects < 500
    assert samples[-1].written > 4 * samples[0].written
    assert seconds_kept(tmp_path, rows.stored[0]) == pytest.approx(lasted, abs=0.5)


pytestmark = pytest.mark.usefixtures("in_place_of_threads")
