"""The path that somebody probably meant who asked for one that there is not. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import cache

from pipelines.agent import nearest


def nearby(path: str, patterns: Iterable[str]) -> str | None:
    """``path`` as one of ``patterns`` (``/api/agents/{agentId}``) has it: what stands in braces stays as it was asked
    for, the rest is near enough. The nearest of several; None if there is none."""
    asked = [segment for segment in path.split("/") if segment]
    found: list[str] = []
    for pattern in patterns:
        segments = _segments(pattern)
        if len(segments) == len(asked):
            pairs = zip(asked, segments, strict=True)
            meant = [given if wanted.startswith("{") else _near(given, wanted) for given, wanted in pairs]
            if None not in meant:
                found.append("/" + "/".join(map(str, meant)))
    return max(found, key=lambda one: SequenceMatcher(None, path, one).ratio(), default=None)


@cache
def _segments(pattern: str) -> tuple[str, ...]:
    return tuple(segment for segment in pattern.split("/") if segment)


def _near(given: str, wanted: str) -> str | None:
    return wanted if given == wanted else nearest(given, (wanted,))
