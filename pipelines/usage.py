"""What a call used: the reports of its parts, summed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.events import UsageReported

MOST = 1e12
"""More of a unit is no amount that one call can use."""


class Tally:
    """Adds up by part, provider and unit."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Any, str], dict[str, float]] = {}

    def add(self, report: UsageReported) -> Mapping[str, float]:
        """Returns what was added: a vendor's report may hold what is no amount."""
        units = {unit: float(amount) for unit, amount in report.units.items() if _is_amount(amount)}
        if units:
            sums = self._sums.setdefault((report.part, report.provider), {})
            for unit, amount in units.items():
                sums[unit] = sums.get(unit, 0.0) + amount
        return units

    @property
    def sums(self) -> tuple[UsageReported, ...]:
        """One report for each part and provider."""
        return tuple(UsageReported(part, provider, dict(units)) for (part, provider), units in self._sums.items())


def as_json(reports: Iterable[UsageReported]) -> list[dict[str, Any]]:
    """As logs and the API have it: to a thousandth of a unit, and whole numbers as such."""
    return [
        {
            "part": one.part,
            "provider": one.provider,
            "units": {unit: _tidy(one.units[unit]) for unit in sorted(one.units)},
        }
        for one in sorted(reports, key=lambda one: (one.part, one.provider))
    ]


def _is_amount(reported: Any) -> bool:
    return isinstance(reported, int | float) and 0 < reported < MOST


def _tidy(amount: float) -> float | int:
    rounded = round(amount, 3)
    return int(rounded) if rounded == int(rounded) else rounded
