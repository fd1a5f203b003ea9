"""A whole run: every detector and rule over every recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tests.turnbench.detectors import OURS, Ear, MachineRule, Rule, TimedRule, Voice
from tests.turnbench.ends import Decider, Ends, Overs, by_machine, by_silence
from tests.turnbench.onsets import Costs, FalseStarts, Onsets, hear
from tests.turnbench.recording import Recording
from tests.turnbench.semantic import Semantic

SHIPS = "trunkline: as it ships"
SOUND_ALONE = "trunkline: sound alone"


@dataclass(frozen=True, slots=True)
class Row:
    """Of a table: one detector with the rule that makes starts, or ends, of its decisions."""

    name: str
    detector: str


@dataclass(slots=True)
class Results:
    """Rows by name, columns by condition."""

    onsets: dict[str, dict[str, Onsets]] = field(default_factory=dict)
    false_starts: dict[str, dict[str, FalseStarts]] = field(default_factory=dict)
    ends: dict[str, dict[str, Ends]] = field(default_factory=dict)
    overs: dict[str, Overs] = field(default_factory=dict)
    microseconds: dict[str, float] = field(default_factory=dict)
    """For 20 ms of sound, by detector."""
    seconds: float = 0.0
    """How much sound was heard."""


def start_rules(detectors: Iterable[str]) -> dict[Row, Rule]:
    """The field's usual 100 ms of speech and 500 ms of silence for all, and what ships."""
    rules: dict[Row, Rule] = {Row(f"{name} 100/500", name): TimedRule() for name in detectors}
    return {**rules, Row(SHIPS, OURS): MachineRule()}


def deciders(detectors: Iterable[str], semantic: Semantic | None = None) -> dict[Row, Decider]:
    rules: dict[Row, Decider] = {}
    for detector, silences in (
        ("webrtc3", (300, 500, 800)),
        ("silero", (200, 300, 500, 800, 1200)),
        (OURS, (200, 300, 500, 800, 1200)),
    ):
        if detector in detectors:
            rules |= {Row(f"{detector} /{silence}", detector): by_silence(silence) for silence in silences}
    rules |= {Row(SOUND_ALONE, OURS): by_machine(told=False), Row(SHIPS, OURS): by_machine()}
    if semantic is not None:
        rules[Row(f"{SOUND_ALONE}, Smart Turn", OURS)] = by_machine(told=False, semantic=semantic)
        rules[Row(f"{SHIPS}, Smart Turn", OURS)] = by_machine(semantic=semantic)
    return rules


def measure(
    recordings: Iterable[Recording],
    ears: Mapping[str, Callable[[], Ear]],
    tell: Callable[[str], None] = lambda _: None,
    semantic: Semantic | None = None,
) -> Results:
    results, costs = Results(), Costs()
    starts, ends = start_rules(ears), deciders(ears, semantic)
    group = ""
    for recording in recordings:
        if recording.group != group:
            group = recording.group
            tell(group)
        wanted = {row.detector for row in ends} if group == "turn" else {OURS} if group == "over" else set(ears)
        voice = hear(recording, {name: ear for name, ear in ears.items() if name in wanted}, costs)
        match group:
            case "turn":
                _add_end(results, recording, voice, ends)
            case "over":
                results.overs.setdefault(recording.condition, Overs()).add(recording, voice[OURS])
            case _:
                _add_start(results, recording, voice, starts)
        results.seconds += recording.seconds
    results.microseconds = {name: costs.microseconds(name) for name in ears}
    return results


def _add_start(results: Results, recording: Recording, voice: Mapping[str, Voice], rules: Mapping[Row, Rule]) -> None:
    condition = f"{recording.group}, {recording.condition}"
    for row, rule in rules.items():
        intervals = rule(recording, voice[row.detector])
        if recording.speech:
            results.onsets.setdefault(row.name, {}).setdefault(condition, Onsets()).add(recording, intervals)
        else:
            false = results.false_starts.setdefault(row.name, {}).setdefault(condition, FalseStarts())
            false.add(recording.seconds, intervals)


def _add_end(results: Results, recording: Recording, voice: Mapping[str, Voice], rules: Mapping[Row, Decider]) -> None:
    for row, decide in rules.items():
        decisions = decide(recording, voice[row.detector])
        results.ends.setdefault(row.name, {}).setdefault(recording.condition, Ends()).add(recording, decisions)
