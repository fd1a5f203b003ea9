"""What a function's parameter has to be, so that its values can be checked in a call. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

if TYPE_CHECKING:
    from pipelines.agent.functions import Parameter

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_LARGEST_SCHEMA = 20_000
_TOO_DEEP = "are no JSON Schema (too deep)"


def parameter_problems(parameter: Parameter) -> Iterator[str]:
    """Each as the rest of a sentence."""
    if parameter.minimum is not None and parameter.maximum is not None and parameter.minimum > parameter.maximum:
        yield "has a minimum above its maximum"
    if parameter.pattern is not None and (problem := expression_problem(parameter.pattern)):
        yield f"has a pattern that {problem}"
    for name, schema in (("items", parameter.items), ("properties", parameter.properties)):
        if schema is None:
            continue
        problem = schema_problem({name: schema})
        if problem is not None:
            yield f"has {name} that {problem}"
            return
    for name, value in (("from", parameter.origin), ("default", parameter.default)):
        given = parameter.source == "static" if name == "from" else value is not None
        if given and parameter.enum is not None and value not in parameter.enum:
            yield f"has a value as {name} that is not in its enum"
        elif given and "type" in parameter.model_fields_set and not _is(value, parameter.type):
            yield f"has a value as {name} that is no {parameter.type}"


def _is(value: Any, type: str) -> bool:
    """Scalars may be written as text: they go out as text nearly everywhere."""
    if type in ("number", "integer", "boolean") and isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return False
    if type == "string" and isinstance(value, bool | int | float):
        return True
    return bool(Draft202012Validator({"type": type}).is_valid(value))


def schema_problem(schema: Mapping[str, Any]) -> str | None:
    """What is wrong with it, as the rest of a sentence in the plural."""
    try:
        written = json.dumps(schema)
    except RecursionError:
        return _TOO_DEEP
    return "are too long" if len(written) > _LARGEST_SCHEMA else _problem_of(written)


@lru_cache(maxsize=256)
def _problem_of(written: str) -> str | None:
    """Agents are read again for each call, and jsonschema takes a millisecond for the least of schemas."""
    schema = json.loads(written)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"are no JSON Schema ({error.message[:200]})"
    except RecursionError:
        return _TOO_DEEP
    for name, value in _entries(schema):
        if name in _REFERENCES:
            return f"use {name}, which is not known here; write out what it stands for"
        if name == "pattern" and isinstance(value, str) and (problem := expression_problem(value)):
            return f"cannot be used: one has a pattern that {problem}"
    return None


def _entries(schema: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(schema, dict):
        yield from schema.items()
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _entries(inner)


def expression_problem(expression: str) -> str | None:
    """What is wrong with a regular expression, as the rest of a sentence."""
    try:
        re.compile(expression)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression: {error}"
    ways = _ways(expression)
    if ways is None:
        return "repeats a repetition, which can take for ever to match; write it without"
    if ways > _MOST_WAYS:
        return f"has more than {_MOST_WAYS} repetitions or choices in a row, which can take for ever to match"
    return None


_MOST_WAYS = 10
"""Time to fail grows with the length of a text to this power: that of a telephone number takes a tenth of a second."""

_MANY = 9
"""What is repeated more often than that is taken to be repeated without end."""

_REPETITION = re.compile(r"[*+?]|\{(?:(?P<times>\d+)|\d*,(?P<most>\d*))\}")


@dataclass(slots=True)
class _Group:
    """``is_open``: it holds a repetition without end, or a choice. ``ways`` are the places where the branch that is
    read can match in several ways, ``most`` those of the branch before it that has most."""

    is_open: bool = False
    ways: int = 0
    most: int = 0
    has_choice: bool = False

    def choose(self) -> None:
        self.most, self.ways, self.has_choice = max(self.most, self.ways), 0, True

    @property
    def in_all(self) -> int:
        return max(self.most, self.ways) + self.has_choice


def _ways(pattern: str) -> int | None:
    """At how many places a match can go several ways, one after the other. None: a group that holds an open repetition
    or a choice is itself repeated without end, as in ``(a+)+``."""
    groups = [_Group()]
    in_class = False
    at = 0
    while at < len(pattern):
        character, group = pattern[at], groups[-1]
        at += 2 if character == "\\" else 1
        if in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        elif character == "(":
            groups.append(_Group())
            at += pattern.startswith("?", at)
            continue
        elif character == "|":
            group.choose()
            group.is_open = group.is_open or len(groups) > 1
            continue
        elif character == ")" and len(groups) > 1:
            groups.pop()
            times = _most_times(_REPETITION.match(pattern, at))
            if group.is_open and times > _MANY:
                return None
            groups[-1].is_open |= group.is_open
            groups[-1].ways += group.in_all * min(times, _MANY)
        if in_class:
            continue
        repetition = _REPETITION.match(pattern, at)
        if repetition is not None:
            at = repetition.end()
            at += pattern.startswith(("?", "+"), at)  # as few as possible, or without going back
            groups[-1].is_open |= _most_times(repetition) > _MANY
            groups[-1].ways += repetition["times"] is None
    return groups[0].in_all


def _most_times(repetition: re.Match[str] | None) -> int:
    if repetition is None or repetition[0] == "?":
        return 1
    return int(repetition["times"] or repetition["most"] or _MANY + 1)
