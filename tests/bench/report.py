"""From windows to a table, and what in it is out of bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.hearing import Hearing
from tests.bench.measure import Window


@dataclass(frozen=True, slots=True)
class Bounds:
    """``ratio`` is that of a cascade to the echo server; ``telephone`` and ``wideband`` are those of a realtime call to
    the relay, with G.711 through and with PCM at 24 kHz."""

    ratio: float = 2.0
    telephone: float = 1.8
    wideband: float = 1.6
    tasks: float = 6.0
    memory_mb: float = 1.0
    hearing_ms: float = 0.8


@dataclass(frozen=True, slots=True)
class Row:
    """One number of calls: medians of the CPU time and of the ratios, window by window; the worst of the rest.
    ``floor`` is what the service is measured against."""

    floor: str
    calls: int
    floor_ms: float
    service_ms: float
    ratio: float
    tasks: float
    memory_mb: float
    late: float


def row(floor: str, calls: int, bare: Sequence[Window], service: Sequence[Window]) -> Row:
    return Row(
        floor,
        calls,
        floor_ms=median(window.cpu_ms for window in bare),
        service_ms=median(window.cpu_ms for window in service),
        ratio=median(ours.cpu_ms / floor.cpu_ms for floor, ours in zip(bare, service, strict=True)),
        tasks=max(window.tasks for window in service),
        memory_mb=max(window.memory_mb for window in service),
        late=max(window.late for window in service),
    )


def table(rows: Sequence[Row]) -> str:
    """CPU in milliseconds for each second of call; the rest for each call."""
    width = max(len(row.floor) for row in rows)
    lines = [f"{'floor':{width}}   calls   floor ms/s   service ms/s   ratio   tasks   memory MB   frames late"]
    lines += [
        f"{row.floor:{width}}{row.calls:8}{row.floor_ms:13.2f}{row.service_ms:15.2f}{row.ratio:8.2f}{row.tasks:8.1f}"
        f"{row.memory_mb:12.2f}{row.late:14.2%}"
        for row in rows
    ]
    return "\n".join(lines)


def heard(hearing: Hearing) -> str:
    return (
        f"hearing and turn-taking: {hearing.cpu_ms:.2f} ms of CPU for each second of a call in which the caller speaks "
        f"{hearing.share:.0%} of the time ({hearing.turns:.0f} turns a minute)"
    )


def broken(rows: Sequence[Row], bounds: Bounds, ratio: float) -> list[str]:
    """A sentence for each figure that is out of bounds; ``ratio`` is the most that the rows' may be."""
    sentences = []
    for row in rows:
        at = f"at {row.calls} calls"
        if row.ratio > ratio:
            sentences.append(f"{at} the audio path costs {row.ratio:.2f} times the {row.floor}; at most {ratio:g}")
        if row.tasks > bounds.tasks:
            sentences.append(f"{at} there are {row.tasks:.1f} tasks for each; at most {bounds.tasks:g}")
        if row.memory_mb > bounds.memory_mb:
            sentences.append(f"{at} each takes {row.memory_mb:.2f} MB; at most {bounds.memory_mb:g}")
    return sentences


def broken_hearing(hearing: Hearing, bounds: Bounds) -> list[str]:
    sentences = []
    if hearing.cpu_ms > bounds.hearing_ms:
        sentences.append(f"hearing and turn-taking cost {hearing.cpu_ms:.2f} ms/s; at most {bounds.hearing_ms:g}")
    if not hearing.turns:
        sentences.append("no turn was heard: what hearing costs was not measured")
    return sentences
