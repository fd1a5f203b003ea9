"""Schemas of functions that others describe: Python's type hints, and tools of MCP servers. Pure.

Models, and our own check of what they say, are given schemas that stand by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.agent.parameter_rules import schema_problem

DEEPEST = 16
"""Levels of a schema, and of what it refers to."""

MOST_PARTS = 2000
"""Objects in a schema, once it is written out."""


class BadSchema(ValueError):
    """The message is the rest of a sentence: what is wrong with the schema."""


def standing_alone(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Of the arguments of a function: ``properties`` and ``required`` alone, with what they refer to written out.
    Raises :class:`BadSchema`."""
    written = _WrittenOut(schema).value(schema, 0)
    properties, required = written.get("properties", {}), written.get("required", [])
    if not isinstance(properties, dict) or not all(isinstance(one, dict) for one in properties.values()):
        raise BadSchema("has properties that are none")
    if not isinstance(required, list) or not all(isinstance(one, str) for one in required):
        raise BadSchema("requires what is no property")
    for one in properties.values():
        if isinstance(one.get("title"), str):
            del one["title"]  # its name again
    alone = {"type": "object", "properties": properties, "required": [one for one in required if one in properties]}
    problem = schema_problem(alone)
    if problem is not None:
        raise BadSchema(f"has properties that {problem}")
    return alone


class _WrittenOut:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._parts = 0

    def value(self, value: Any, depth: int) -> Any:
        self._parts += 1
        if depth > DEEPEST or self._parts > MOST_PARTS:
            raise BadSchema("has a schema that is too deep, or refers to itself")
        if isinstance(value, list):
            return [self.value(one, depth + 1) for one in value]
        if not isinstance(value, Mapping):
            return value
        reference = value.get("$ref")
        if isinstance(reference, str):
            beside = {name: one for name, one in value.items() if name != "$ref"}
            return self.value({**self._find(reference), **beside}, depth + 1)
        return {name: self.value(one, depth + 1) for name, one in value.items() if name not in ("$defs", "definitions")}

    def _find(self, reference: str) -> Mapping[str, Any]:
        found: Any = self._root
        if not reference.startswith("#/"):
            raise BadSchema("has a schema that refers to another one")
        for part in reference[2:].split("/"):
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping):
            raise BadSchema("has a schema that refers to nothing")
        return found
