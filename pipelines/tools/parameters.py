"""Where the values of a function's parameters come from, and whether they are what they have to be. Pure.

What the model says is checked against the JSON Schema that it was shown, before anything runs. What it says of
parameters that are not its own counts for nothing, and what belongs to no parameter goes nowhere.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry

from pipelines.agent import Function
from pipelines.agent.functions import Parameter

LONGEST_ARGUMENTS = 16 * 1024
"""Characters of JSON that a model may say in one call of a tool."""

_LONGEST_COMPLAINT = 300
_ABSENT = object()


class BadArguments(ValueError):
    """A tool that cannot run with what it was given; the message is a sentence for the model."""


class Parameters:
    """Of one function. ``described``: by whoever implements it, as an object's JSON Schema that stands alone; what the
    definition says of a parameter counts in place of that."""

    def __init__(self, function: Function, described: Mapping[str, Any] | None = None) -> None:
        self._name = function.name
        self._parameters = function.parameters
        of_others = described or {}
        self._described = [name for name in of_others.get("properties", ()) if name not in self._parameters]
        self._required = {
            name for name, p in function.parameters.items() if p.required or name in function.input_schema.required
        }
        self._required |= {name for name in of_others.get("required", ()) if name in self._described}
        self._schemas: dict[str, Mapping[str, Any]] = {
            **{name: schema_of(p) for name, p in self._parameters.items()},
            **{name: of_others["properties"][name] for name in self._described},
        }
        generated = {
            name: schema
            for name, schema in self._schemas.items()
            if name in self._described or self._parameters[name].source == "generated"
        }
        self.schema: Mapping[str, Any] = {
            "type": "object",
            "properties": generated,
            "required": [name for name in generated if name in self._required],
            "additionalProperties": False,
        }
        """What the model sees: the parameters that it is to fill in, and no others."""
        self._validators: dict[str, Draft202012Validator] = {}

    def resolve(self, arguments: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
        """The value of each parameter that has one. Raises :class:`BadArguments`."""
        self._check_size(arguments)
        values = {name: self._value(name, p, arguments, metadata) for name, p in self._parameters.items()}
        values |= {name: self._from_model(name, None, arguments) for name in self._described}
        return {name: value for name, value in values.items() if value is not _ABSENT}

    def _value(self, name: str, parameter: Parameter, arguments: Mapping[str, Any], metadata: Mapping[str, Any]) -> Any:
        match parameter.source:
            case "static":
                return parameter.origin
            case "metadata":
                return self._from_metadata(name, parameter, metadata)
            case "generated":
                return self._from_model(name, parameter.default, arguments)

    def _from_metadata(self, name: str, parameter: Parameter, metadata: Mapping[str, Any]) -> Any:
        found = look_up(metadata, str(parameter.origin), None)
        if found is None and parameter.default is not None:
            return parameter.default
        if found is None:
            raise self._bad(f"needs the call's metadata {parameter.origin!r}, which it does not have")
        if "type" in parameter.model_fields_set:
            found = coerced(found, parameter.type)
        if self._complaint(name, found) is not None:  # the value is not the model's to know
            raise self._bad(f"cannot use the call's metadata {parameter.origin!r}: it is not what {name!r} has to be")
        return found

    def _from_model(self, name: str, default: Any, arguments: Mapping[str, Any]) -> Any:
        value = arguments.get(name, _ABSENT)
        if value is None and not (name in self._required and self._validator(name).is_valid(None)):
            value = _ABSENT  # models write null for what they leave out
        if value is _ABSENT:
            if default is not None:
                return default
            if name in self._required:
                raise self._bad(f"needs the parameter {name!r}")
            return _ABSENT
        value = coerced(value, self._schemas[name].get("type"))
        complaint = self._complaint(name, value)
        if complaint is not None:
            raise self._bad(f"cannot take that: the parameter {name!r} is wrong: {complaint}")
        return value

    def _complaint(self, name: str, value: Any) -> str | None:
        error = best_match(self._validator(name).iter_errors(value))
        return None if error is None else _sentence(error)

    def _validator(self, name: str) -> Draft202012Validator:
        if name not in self._validators:
            self._validators[name] = validator_of(self._schemas[name])
        return self._validators[name]

    def _check_size(self, arguments: Mapping[str, Any]) -> None:
        try:
            size = len(json.dumps(arguments, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            raise self._bad("cannot take that: its arguments are no JSON") from None
        if size > LONGEST_ARGUMENTS:
            raise self._bad(f"cannot take that: its arguments are longer than {LONGEST_ARGUMENTS} characters")

    def _bad(self, rest: str) -> BadArguments:
        return BadArguments(f"{self._name} {rest}")


def schema_of(parameter: Parameter) -> dict[str, Any]:
    """Of a parameter's value, as JSON Schema: of any type where it is not the model's, and says none."""
    fields = {
        "type", "description", "enum", "items", "properties", "format", "pattern", "minimum", "maximum", "max_length",
    }  # fmt: skip
    schema = parameter.model_dump(mode="json", by_alias=True, include=fields, exclude_none=True)
    if parameter.source != "generated" and "type" not in parameter.model_fields_set:
        del schema["type"]
    return schema


def validator_of(schema: Mapping[str, Any]) -> Draft202012Validator:
    """One that fetches nothing, whatever the schema refers to."""
    return Draft202012Validator(schema, registry=Registry())


def coerced(value: Any, type: Any) -> Any:
    """``value`` as ``type`` of JSON Schema, where it means the same; else as it is, and so where there is no such type,
    or more than one. Models write "3" for 3, and the other way."""
    match type, value:
        case "string", bool() | int() | float():
            return text_of(value)
        case (("integer" | "number"), str()):
            try:
                number = json.loads(value.strip())
            except (ValueError, RecursionError):
                return value
            is_number = isinstance(number, int | float) and not isinstance(number, bool)
            return number if is_number and math.isfinite(number) else value
        case "integer", float() if value.is_integer():
            return int(value)
        case "boolean", str() if value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        case (("array" | "object"), str()):
            try:
                parsed = json.loads(value)
            except (ValueError, RecursionError):
                return value
            return parsed if isinstance(parsed, list if type == "array" else dict) else value
        case _:
            return value


def text_of(value: Any) -> str:
    """As it stands in a URL, a header or a text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def look_up(metadata: Any, path: str, default: Any) -> Any:
    """What is at ``a.b.0``: names of objects, places in lists."""
    value = metadata
    for part in path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return default
    return value


def _sentence(error: ValidationError) -> str:
    at = error.json_path.removeprefix("$").removeprefix(".")
    message = f"{at}: {error.message}" if at else error.message
    return message if len(message) <= _LONGEST_COMPLAINT else message[:_LONGEST_COMPLAINT] + "…"
