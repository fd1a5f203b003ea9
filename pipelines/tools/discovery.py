"""From what an MCP server lists to functions of an agent. Pure.

One function of the implementation ``mcp`` stands for a server. Each of its tools that the definition allows becomes a
function of its own, ``<name of the server>_<name of the tool>``, with what the definition says of all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pipelines.agent import Function
from pipelines.agent.functions import LONGEST_NAME, InputSchema
from pipelines.agent.schemas import BadSchema, standing_alone
from pipelines.tools.mcp_wire import MOST_TOOLS, McpTool
from pipelines.tools.results import clean


@dataclass(frozen=True, slots=True)
class Discovered:
    """``function`` is what the model calls, ``tool`` its name at the server, ``schema`` of all its arguments."""

    function: Function
    tool: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The rest of a sentence says why."""

    tool: str
    why: str


def discover(server: Function, tools: Sequence[McpTool], taken: Collection[str]) -> Iterator[Discovered | LeftOut]:
    """Those that the definition allows; ``taken`` are names of other functions, which go before."""
    names = set(taken)
    found = 0
    for tool in tools:
        if not any(fnmatchcase(tool.name, pattern) for pattern in server.tools or ()):
            continue
        name = f"{server.name}_{tool.name.replace('.', '_').replace('/', '_')}"
        why = _problem(name, names, found)
        if why is not None:
            yield LeftOut(tool.name[:100], why)
            continue
        try:
            schema = standing_alone(tool.schema)
        except BadSchema as error:
            yield LeftOut(tool.name[:100], str(error))
            continue
        names.add(name)
        found += 1
        yield Discovered(_function(server, tool, name, schema), tool.name, schema)


def _function(server: Function, tool: McpTool, name: str, schema: Mapping[str, Any]) -> Function:
    own = {name: p for name, p in server.parameters.items() if name in schema["properties"]}
    required = [name for name in server.input_schema.required if name in own]
    changes = {
        "name": name,
        "description": clean(tool.description),
        "input_schema": InputSchema(properties=own, required=required),
    }
    return server.model_copy(update=changes)


def _problem(name: str, names: Collection[str], found: int) -> str | None:
    if found >= MOST_TOOLS:
        return f"is one too many: {MOST_TOOLS} of a server are offered to the model"
    if name in names:
        return f"has the name {name}, which another function has"
    if len(name) > LONGEST_NAME or not all(c.isascii() and (c.isalnum() or c in "_-") for c in name):
        return "has a name that no function can have"
    return None
