"""The play of the demo, ``demo_caller.json``: what the caller says and does, and what is to come of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from gateway.cli.comparison import Comparison, Utterance, says
from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, BargeIn, Cough, Speak, Step, Wait
from jambonz.simulator.report import CallReport
from media.audio import Clip

TURN_GAP = 0.8
"""Silence after which the caller takes the agent to have finished: longer than between two of its sentences."""

LONGEST_WAIT = 20.0
COUGH_MS = 100


@dataclass(frozen=True, slots=True)
class Line:
    """What the caller says, what the agent is to answer, and how the caller comes to say it."""

    say: str
    expect: str
    interrupt_after: float | None = None
    """Spoken over the agent, once it has spoken for this long."""
    cough_after: float | None = None
    """A cough into the agent's speech before this line."""


@dataclass(frozen=True, slots=True)
class Screenplay:
    """``demo_caller.json``."""

    voice: str
    lines: tuple[Line, ...]

    @classmethod
    def read(cls) -> Screenplay:
        data = resource("demo_caller.json")
        lines = (
            Line(line["say"], line["expect"], line.get("interruptAfterSeconds"), line.get("coughAfterSeconds"))
            for line in data["lines"]
        )
        return cls(data["voice"], tuple(lines))


def steps(lines: Sequence[Line], clips: Sequence[Clip]) -> list[Step]:
    """What the caller does: each line after the agent has fallen silent, or into what it says."""
    script: list[Step] = []
    for line, clip in zip(lines, clips, strict=True):
        if line.cough_after is not None:
            script += [AwaitAgentSpeech(LONGEST_WAIT), Wait(line.cough_after), Cough(COUGH_MS)]
        if line.interrupt_after is None:
            script += [AwaitAgentSilence(TURN_GAP, LONGEST_WAIT), Speak(clip)]
        else:
            script.append(BargeIn(clip, line.interrupt_after, LONGEST_WAIT))
    return script


def problems(
    lines: Sequence[Line], report: CallReport, said: Sequence[Utterance], comparisons: Sequence[Comparison]
) -> list[str]:
    """Why the call was not as it should be: the caller answered, understood, heard to the end."""
    if report.answered is None:
        return [f"The call was not answered: {report.sip_status} {report.reason}"]
    found: list[str] = []
    at = 0
    for line in lines:
        answers = [n for n in range(at, len(said)) if says(said[n].text, line.expect)]
        if not answers:
            found.append(f'The caller said "{line.say}", and did not hear "{line.expect}".')
            break
        at = answers[0] + 1
    if any(line.interrupt_after is not None for line in lines) and not any(one.interrupted for one in said):
        found.append("The caller broke in, and the agent was not interrupted.")
    if said and said[-1].interrupted:
        found.append("The agent's last words were not heard to the end.")
    if report.ended_by != "jambonz":
        found.append("It was not the agent who ended the call.")
    found += [
        f'The log has "{one.utterance.text}", and the caller heard "{one.heard}".'
        for one in comparisons
        if not one.agrees
    ]
    return found


def resource(name: str) -> Any:
    """A JSON file that comes with the service."""
    return json.loads(files("gateway").joinpath(name).read_text("utf-8"))
