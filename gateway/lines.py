"""The lines that the service logs of a call, kept until the call is over."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

MOST_BYTES = 512 * 1024
"""Of one call; what follows is left out, and said so."""

_LEFT_OUT = '{"event": "more was logged than is kept"}'


class _Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bytes = 0

    def add(self, line: str) -> None:
        if self.bytes <= MOST_BYTES:
            self.bytes += len(line)
            self.lines.append(line if self.bytes <= MOST_BYTES else _LEFT_OUT)


_kept: dict[str, _Lines] = {}


def keep(call_id: str) -> None:
    """From now on, to :func:`take`."""
    _kept[call_id] = _Lines()


def take(call_id: str) -> str | None:
    """What was logged: a JSON object a line; None if nothing was to be kept."""
    kept = _kept.pop(call_id, None)
    return "".join(f"{line}\n" for line in kept.lines) if kept is not None else None


def collect(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog."""
    kept = _kept.get(event.get("call_id", "")) if _kept else None
    if kept is not None:
        kept.add(json.dumps({name: value for name, value in event.items() if name != "exc_info"}, default=str))
    return event
