"""What a function's parameter has to be, so that its values can be checked in a call. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

if TYPE_CHECKING:
    from pipelines.agent.functions import Parameter

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_LARGEST_SCHEMA = 20_000


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
        if len(json.dumps(schema)) > _LARGEST_SCHEMA:
            return "are too long"
        Draft202012Validator.check_schema(schema)
    except (SchemaError, RecursionError) as error:
        return f"are no JSON Schema ({getattr(error, 'message', 'too deep')[:200]})"
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
    if _repeats_repetition(expression):
        return "repeats a repetition, which can take for ever to match; write it without"
    return None


def _repeats_repetition(pattern: str) -> bool:
    """Whether a group that holds an open repetition or a choice is itself repeated without end, as in ``(a+)+``."""
    depth: list[bool] = [False]
    escaped = in_class = False
    for at, character in enumerate(pattern):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        elif character == "(":
            depth.append(False)
        elif character == ")" and len(depth) > 1:
            inner = depth.pop()
            if inner and _is_open(pattern, at + 1):
                return True
            depth[-1] = depth[-1] or inner
        elif _is_open(pattern, at) or (character == "|" and len(depth) > 1):
            depth[-1] = True
    return False


def _is_open(pattern: str, at: int) -> bool:
    """Whether there is a repetition of more than a few times."""
    found = re.match(r"[*+]|\{\d*,\}|\{(?:\d*,)?(\d+)\}", pattern[at:])
    return found is not None and (found[1] is None or int(found[1]) > 9)
