"""Tables, in the words of the field; the same as JSON; and what of it is out of bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan
from typing import Any, TypeVar

from tests.turnbench.ends import PAUSES_MS, Ends
from tests.turnbench.measure import Results
from tests.turnbench.onsets import FalseStarts, Onsets, percentile_ms

T = TypeVar("T")

Table = Sequence[Sequence[str]]
"""The first row is the head."""


def markdown(table: Table) -> str:
    """Columns as wide as what is in them, so that it can be read as it is."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in table
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def report(results: Results) -> str:
    """All tables that there is anything for."""
    parts = [
        ("Onset, ms from the true edge of speech, p50/p95 (already open, missed)", _onset_table(results)),
        ("False starts a minute (share of time open)", _false_start_table(results)),
        ("End of turn, ms after the true end, p50/p95 (never)", _end_table(results)),
        ("Pauses inside a turn that were taken for its end, %", _cut_table(results)),
        ("Sounds over the agent, as it ships", _over_table(results)),
    ]
    return "\n\n".join(f"{title}\n\n{markdown(table)}" for title, table in parts if len(table) > 1)


def _grid(rows: Mapping[str, Mapping[str, T]], cell: Callable[[T], str]) -> list[list[str]]:
    conditions = list(dict.fromkeys(condition for row in rows.values() for condition in row))
    body = [[name, *(cell(row[key]) if key in row else "" for key in conditions)] for name, row in rows.items()]
    heads = [condition.removeprefix("speech, ").removeprefix("noise, ") for condition in conditions]
    return [["", *heads], *body]


def _delays(delays: list[float]) -> str:
    return f"{percentile_ms(delays, 50):.0f}/{percentile_ms(delays, 95):.0f}" if delays else "-"


def _notes(*notes: tuple[int, str]) -> str:
    said = ", ".join(f"{count} {what}" for count, what in notes if count)
    return f" ({said})" if said else ""


def _onset_table(results: Results) -> Table:
    def cell(onsets: Onsets) -> str:
        return _delays(onsets.delays) + _notes((onsets.already_open, "open"), (onsets.missed, "missed"))

    table = _grid(results.onsets, cell)
    costs = {f"{name} 100/500": cost for name, cost in results.microseconds.items()}
    cost = ["us/20 ms", *(f"{costs[row[0]]:.0f}" if row[0] in costs else "" for row in table[1:])]
    return [[*row, last] for row, last in zip(table, cost, strict=True)]


def _false_start_table(results: Results) -> Table:
    def cell(false: FalseStarts) -> str:
        return f"{false.per_minute:.1f} ({false.open_share:.0%})" if false.starts else "0"

    return _grid(results.false_starts, cell)


def _end_table(results: Results) -> Table:
    return _grid(results.ends, lambda ends: _delays(ends.delays) + _notes((ends.never, "never")))


def _cut_table(results: Results) -> Table:
    def cell(ends: Ends) -> str:
        rates = [(pause, ends.cut_rate(pause)) for pause in PAUSES_MS]
        return "/".join(f"{100 * rate:.0f}" for _, rate in rates if not isnan(rate))

    paused = {
        name: {condition: ends for condition, ends in row.items() if ends.pauses} for name, row in results.ends.items()
    }
    pauses: dict[str, str] = {}
    for row in paused.values():
        pauses |= {condition: "/".join(str(pause) for pause in sorted(ends.pauses)) for condition, ends in row.items()}
    head, *body = _grid(paused, cell)
    fluent = ["in fluent speech", *(str(sum(e.cut_in_speech for e in results.ends[row[0]].values())) for row in body)]
    table = [["", *(f"{condition} {pauses[condition]}" for condition in head[1:])], *body]
    return [[*row, last] for row, last in zip(table, fluent, strict=True)] if pauses else [[]]


def _over_table(results: Results) -> Table:
    head = ["", "n", "agent paused", "resumed", "interrupted", "taken for a turn", "pause before it resumed"]
    head.append("onset to interruption")
    return [
        head,
        *(
            [
                kind,
                str(overs.count),
                f"{overs.paused / overs.count:.0%}",
                f"{overs.resumed / overs.count:.0%}",
                f"{overs.interrupted / overs.count:.0%}",
                f"{overs.taken / overs.count:.0%}",
                _delays(overs.pauses),
                _delays(overs.confirmed),
            ]
            for kind, overs in results.overs.items()
        ),
    ]


def as_json(results: Results) -> dict[str, Any]:
    """Milliseconds, shares from 0 to 1, and counts."""

    def delays(seconds: list[float]) -> dict[str, float | None]:
        return {f"p{percent}_ms": percentile_ms(seconds, percent) if seconds else None for percent in (50, 95)}

    return {
        "onset": {
            row: {
                condition: {**delays(o.delays), "count": o.count, "already_open": o.already_open, "missed": o.missed}
                for condition, o in conditions.items()
            }
            for row, conditions in results.onsets.items()
        },
        "false_starts": {
            row: {
                condition: {"per_minute": f.per_minute, "open_share": f.open_share, "seconds": f.seconds}
                for condition, f in conditions.items()
            }
            for row, conditions in results.false_starts.items()
        },
        "end": {
            row: {
                condition: {
                    **delays(e.delays),
                    "turns": e.turns,
                    "never": e.never,
                    "cut_in_speech": e.cut_in_speech,
                    "cut_rate": {str(pause): e.cut_rate(pause) for pause in sorted(e.pauses)},
                }
                for condition, e in conditions.items()
            }
            for row, conditions in results.ends.items()
        },
        "over_the_agent": {
            kind: {
                "count": o.count,
                "paused": o.paused,
                "resumed": o.resumed,
                "interrupted": o.interrupted,
                "taken": o.taken,
                "pause": delays(o.pauses),
                "onset_to_interruption": delays(o.confirmed),
                "resume_rate": o.resumed / o.paused if o.paused else None,
            }
            for kind, o in results.overs.items()
        },
        "microseconds_for_20_ms": results.microseconds,
        "seconds": results.seconds,
    }
