"""What an API key may do: ``area:read`` and ``area:write``, of which writing includes reading. Pure."""

from __future__ import annotations

from collections.abc import Collection

AREAS = ("agents", "listeners", "numbers", "calls", "keys")
SCOPES = tuple(f"{area}:{way}" for area in AREAS for way in ("read", "write"))


def allows(scopes: Collection[str] | None, wanted: str) -> bool:
    """Whether ``scopes`` (None: all of them) include ``wanted``; an empty ``wanted`` needs none."""
    if scopes is None or not wanted or wanted in scopes:
        return True
    area, _, way = wanted.partition(":")
    return way == "read" and f"{area}:write" in scopes


def covers(scopes: Collection[str] | None, others: Collection[str] | None) -> bool:
    """Whether whoever has ``scopes`` may give away ``others``."""
    return scopes is None or (others is not None and all(allows(scopes, other) for other in others))
