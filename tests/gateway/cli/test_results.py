from __future__ import annotations

import click

from gateway.cli.comparison import Utterance, compare
from gateway.cli.results import agreement, dsp_delays, latencies
from jambonz.simulator.caller import BargeIn, Speak, StepRecord
from jambonz.simulator.report import CallReport
from media.audio import PCM_8K, PCM_16K
from tests.gateway.cli.test_speech import SILENCE, TONE, ear_that_heard


def fields(lines: list[str]) -> dict[str, list[str]]:
    """Name of the row: its columns."""
    rows = [click.unstyle(line) for line in lines]
    return {row[:46].strip(): row[46:].split() for row in rows}


def test_latencies_are_measured_at_the_ear() -> None:
    """Greeting at 0.5 s; the caller speaks until 2.0 s, is answered at 2.4 s, and breaks in at 3.0 s."""
    sound = SILENCE * 25 + TONE * 25 + SILENCE * 70 + TONE * 40 + SILENCE * 60 + TONE * 10
    report = CallReport("sid", 99.0, ear_that_heard(sound), answered=100.0)
    report.steps = [
        StepRecord(Speak(b""), 101.0, speech_started=101.0, speech_ended=102.0),
        StepRecord(BargeIn(b""), 102.0, speech_started=103.0, speech_ended=104.0),
    ]
    rows = fields(list(latencies(report)))
    assert rows[""] == ["median", "each"]
    assert rows["answer to first audio heard"] == ["500", "ms", "500"]
    assert rows["end of speech to first audio heard"] == ["400", "ms", "400", "400"]
    assert rows["barge-in to silence at the caller's ear"] == ["200", "ms", "200"]
    assert rows["underruns"] == ["0"]


def test_what_was_not_measured_is_said_so() -> None:
    rows = fields(list(latencies(CallReport("sid", 0.0, ear_that_heard(b"")))))
    assert rows["barge-in to silence at the caller's ear"] == ["-", "none"]
    assert rows["answer to first audio heard"] == ["-", "none"]


def test_dsp_delays() -> None:
    rows = fields(list(dsp_delays(PCM_8K, PCM_8K, PCM_16K)))
    assert rows["DSP delay, caller to recogniser"] == ["0.0", "ms", "8", "kHz"]
    delay, *rest = rows["DSP delay, voice to caller"]
    assert 1.0 < float(delay) < 2.0
    assert rest == ["ms", "16", "to", "8", "kHz"]


def test_agreement_shows_what_was_heard_at_cuts_and_where_it_differs() -> None:
    log = [Utterance("Which day?"), Utterance("We are open from", True), Utterance("Something else entirely.")]
    lines = [click.unstyle(line) for line in agreement(compare(log, ["which day", "we are open from mon", "no idea"]))]
    assert lines == [
        "  ok  100%  Which day?",
        "  ok  100%  We are open from -- cut",
        "            heard: we are open from mon",
        "  NO    0%  Something else entirely.",
        "            heard: no idea",
    ]
