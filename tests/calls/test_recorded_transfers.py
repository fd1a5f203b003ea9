"""Recorded calls whose caller is put through: what is said with somebody else is not in the file, and what is said
after a transfer that failed is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jambonz.simulator.caller import AwaitAgentSilence, HangUp, Speak, Wait
from jambonz.simulator.outcomes import DialOutcome
from jambonz.simulator.report import CallReport
from tests.calls.recorded import MemoryRows, kept, lag, recordings_in
from tests.calls.transfer_office import BACK, agent_of, asks, heard, office_of, words
from tests.clock import run_virtual
from tests.simulators.codeword import speak

pytestmark = pytest.mark.usefixtures("by_both", "in_place_of_threads")

RECORDED = {"recording": {"enabled": True, "announcement": None}}
BUSY = DialOutcome("busy", 486, ring_seconds=2.0)
DESK = DialOutcome(ring_seconds=2.0, steps=(Speak(speak("desk speaking " * 3)), Wait(3)), talk_seconds=0)


def call(kind: str, dial: DialOutcome, folder: Path) -> tuple[CallReport, np.ndarray, float]:
    """Of a call: its report, the samples of its recording, and when that began."""
    rows = MemoryRows()

    async def main() -> tuple[CallReport, float]:
        recordings = recordings_in(folder, rows)
        async with office_of(kind, agent_of(**RECORDED), dials=[dial], recordings=recordings) as office:
            report = await office.call(
                *asks(
                    AwaitAgentSilence(min_gap=1.5), AwaitAgentSilence(), Speak(speak("never mind")), Wait(4), HangUp()
                )
            )
            [recording] = {session.recording for session in office.sessions}
            assert recording is not None
            return report, recording._sides.began

    report, began = run_virtual(main())
    [stored] = rows.stored
    samples, rate = kept(folder, stored)
    assert rate == 8000
    return report, samples, began


def is_loud(samples: np.ndarray) -> bool:
    """Edges of words: Opus keeps no levels."""
    return bool((np.abs(np.diff(samples.astype(int), axis=0)) > 150).any())


@pytest.mark.parametrize("kind", ["cascade", "realtime"])
def test_a_transfer_that_fails_is_a_silence_in_the_one_recording(kind: str, tmp_path: Path) -> None:
    report, samples, began = call(kind, BUSY, tmp_path)
    assert heard(report)[-9:-4] == words(BACK)
    [dialled] = report.dials
    assert dialled.ended is not None
    rang, over = (round((at - began) * 8000) for at in (dialled.rang, dialled.ended))
    assert not is_loud(samples[rang + 800 : over - 800])
    answered = report.answered or 0.0
    after = over + 800
    played = np.frombuffer(report.heard, "<i2")[round((began - answered) * 8000) + after :]
    said = np.frombuffer(report.said, "<i2")[round((began - answered) * 8000) + after :]
    for side, sound in ((1, played), (0, said)):
        late, alike = lag(samples[after:, side], sound[: len(samples) - after], 8000)
        assert abs(late) <= 0.02
        assert alike > 0.75


@pytest.mark.parametrize("kind", ["cascade", "realtime"])
def test_what_is_said_with_who_was_rung_is_not_recorded(kind: str, tmp_path: Path) -> None:
    report, samples, began = call(kind, DESK, tmp_path)
    assert heard(report)[-2:] == ["desk", "speaking"]
    [dialled] = report.dials
    assert dialled.answered is not None
    assert not is_loud(samples[round((dialled.rang - began) * 8000) + 800 :])
    assert began + len(samples) / 8000 <= dialled.answered + 0.5
    assert is_loud(samples)
