"""What came of a call, to be read: a table of its latencies, and whether the ear agrees with the log. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

import click

from gateway.cli.comparison import Comparison
from jambonz.simulator.report import CallReport
from media.audio import AudioFormat
from media.convert import Converter

_NAME, _MEDIAN = 44, 10


def latencies(report: CallReport) -> Iterator[str]:
    """Lines of a table."""
    yield _row("", "median", "each", bold=True)
    greeted = report.ear.sound_onset_after(report.answered) if report.answered is not None else None
    yield _times("answer to first audio heard", [greeted - report.answered] if greeted and report.answered else [])
    yield _times("end of speech to first audio heard", report.response_latencies)
    yield _times("barge-in to silence at the caller's ear", report.barge_in_latencies)
    underruns = report.underruns
    each = "  ".join(f"{span.seconds * 1000:.0f} ms" for span in underruns)
    yield _row("underruns", str(len(underruns)), each)


def dsp_delays(leg: AudioFormat, recogniser: AudioFormat, voice: AudioFormat) -> Iterator[str]:
    """What resampling adds between the leg and the parts, in the same table."""
    for name, source, target in (("caller to recogniser", leg, recogniser), ("voice to caller", voice, leg)):
        delay = Converter(source, target).delay_seconds
        rates = " to ".join(map(str, dict.fromkeys((source.rate // 1000, target.rate // 1000))))
        yield _row(f"DSP delay, {name}", f"{delay * 1000:.1f} ms", f"{rates} kHz")


def agreement(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """One line for each utterance, and what was heard where it does not agree."""
    for comparison in comparisons:
        verdict = click.style("ok", fg="green") if comparison.agrees else click.style("NO", fg="red")
        text = comparison.utterance.text
        cut = " -- cut" if comparison.utterance.interrupted else ""
        yield f"  {verdict}  {comparison.share:4.0%}  {text}{cut}"
        if cut or not comparison.agrees:
            yield f"            heard: {comparison.heard}"


def _times(name: str, seconds: Sequence[float]) -> str:
    if not seconds:
        return _row(name, "-", "none")
    return _row(name, f"{median(seconds) * 1000:.0f} ms", "  ".join(f"{each * 1000:.0f}" for each in seconds))


def _row(name: str, middle: str, each: str, *, bold: bool = False) -> str:
    row = f"  {name:<{_NAME}}{middle:>{_MEDIAN}}   {each}".rstrip()
    return click.style(row, bold=True) if bold else row
