"""Rate limits: so many requests a second, and some at once. A token bucket for each key. Pure."""

from __future__ import annotations

from collections import OrderedDict

MOST_KEYS = 10_000
"""Buckets that are remembered; the one that was used longest ago goes first, and would be full again."""


class RateLimit:
    """``rate`` requests a second on average, ``burst`` at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what was left, and when

    def take(self, key: str, now: float) -> float:
        """Take one for ``key`` at ``now`` (seconds, monotonic). 0 if there was one, else the seconds until there is."""
        left, at = self._buckets.get(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate
        self._buckets[key] = (left - 1 if not wait else left, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > MOST_KEYS:
            self._buckets.popitem(last=False)
        return wait
