"""The agent's tools, and who may call them.

The service disposes of what the model proposes: a call belongs to a generation, and acts only while that stands. Here
are the functions that need nothing but the agent's definition.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.agent import Function
from pipelines.parts import ToolCall, ToolSpec


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model is told, and whether the call ends once the generation was heard."""

    text: str
    hang_up: bool = False


class Toolbox:
    """The functions of one agent, in one call."""

    def __init__(
        self, functions: Sequence[Function], metadata: Mapping[str, Any], elsewhere: Collection[str] = ()
    ) -> None:
        """``elsewhere``: functions that the model's vendor runs by itself; the model is offered them all the same."""
        self._functions = {function.name: function for function in functions}
        self._metadata = metadata
        self.specs = [_spec(function) for function in functions if _runs(function) or function.name in elsewhere]
        self.unavailable = [function.name for function in functions if not _runs(function)]
        """Functions of kinds that this service does not run yet: the model is not offered them."""

    async def run(self, call: ToolCall) -> ToolResult:
        """Run one call, which may take its time."""
        return self.call(call)

    def call(self, call: ToolCall) -> ToolResult:
        """Run one call. Never raises: what went wrong is said to the model in words that it can use."""
        function = self._functions.get(call.name)
        if function is None or not _runs(function):
            known = ", ".join(spec.name for spec in self.specs) or "none"
            return ToolResult(_failure(f"there is no tool {call.name!r}; the tools are: {known}"))
        try:
            values = self._values(function, call.arguments)
        except KeyError as missing:
            return ToolResult(_failure(f"{call.name} needs {missing.args[0]}"))
        if function.platform == "hangup":
            return ToolResult("OK", hang_up=True)
        if function.platform == "metadata":
            keys = [key.strip() for key in str(values.get("keys", "")).split(",")]
            return ToolResult(json.dumps({key: _look_up(self._metadata, key, "unknown") for key in keys if key}))
        return ToolResult(_fill(function.result or "", values))

    def _values(self, function: Function, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Static and metadata parameters come from the definition, whatever the model says."""
        values: dict[str, Any] = {}
        for name, parameter in function.parameters.items():
            if parameter.source == "static":
                values[name] = parameter.origin
            elif parameter.source == "metadata":
                found = _look_up(self._metadata, str(parameter.origin), None)
                if found is None:
                    raise KeyError(f"the call's metadata {parameter.origin!r}, which it does not have")
                values[name] = found
            elif name in arguments:
                values[name] = arguments[name]
            elif parameter.default is not None:
                values[name] = parameter.default
            elif parameter.required or name in function.input_schema.required:
                raise KeyError(f"the parameter {name!r}")
        return values


_SCHEMA_FIELDS = {"type", "description", "enum", "items", "properties", "format", "pattern", "minimum", "maximum"}


def _spec(function: Function) -> ToolSpec:
    """What the model sees: the parameters that it is to fill in, and no others."""
    generated = {name: p for name, p in function.parameters.items() if p.source == "generated"}
    required = [name for name, p in generated.items() if p.required or name in function.input_schema.required]
    schema = {
        "type": "object",
        "properties": {
            name: p.model_dump(mode="json", include=_SCHEMA_FIELDS, exclude_none=True) for name, p in generated.items()
        },
        "required": required,
        "additionalProperties": False,
    }
    return ToolSpec(function.name, function.description, schema)


def _runs(function: Function) -> bool:
    return function.implementation == "stub" or function.platform in ("hangup", "metadata")


def _fill(template: str, values: Mapping[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: str(values.get(match[1], match[0])), template)


def _look_up(metadata: Mapping[str, Any], path: str, default: Any) -> Any:
    value: Any = metadata
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return default
        value = value[part]
    return value


def _failure(sentence: str) -> str:
    return json.dumps({"error": sentence})
