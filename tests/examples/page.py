"""A page of ``docs/examples``: an agent's definition, how it is put on a number, and a call, row by row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

FOLDER = Path(__file__).parents[2] / "docs" / "examples"


@dataclass(frozen=True, slots=True)
class CallerSays:
    text: str


@dataclass(frozen=True, slots=True)
class AgentSays:
    text: str


@dataclass(frozen=True, slots=True)
class ModelCalls:
    function: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ServiceIsAsked:
    method: str
    url: str
    body: Any


@dataclass(frozen=True, slots=True)
class ServiceAnswers:
    answer: Any


Row: TypeAlias = CallerSays | AgentSays | ModelCalls | ServiceIsAsked | ServiceAnswers


@dataclass(frozen=True, slots=True)
class Example:
    """``agent`` and ``listen`` are the JSON of the page as it stands: the bodies of the requests that make them."""

    agent: dict[str, Any]
    listen: dict[str, Any]
    rows: Sequence[Row]

    def of(self, *kinds: type[Any]) -> list[Any]:
        return [row for row in self.rows if isinstance(row, kinds)]


def read(name: str) -> Example:
    text = (FOLDER / f"{name}.md").read_text()
    agent, listen = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL))
    return Example(agent, listen, list(_rows(text.split("## A call\n")[1])))


def _rows(table: str) -> Iterator[Row]:
    for line in table.strip().splitlines()[2:]:
        kind, rest = (part.strip() for part in line.strip("|").split("|", 1))
        code = re.findall(r"`([^`]+)`", rest)
        match kind, code:
            case "caller", []:
                yield CallerSays(rest)
            case "agent", []:
                yield AgentSays(rest)
            case "calls", [function, *arguments]:
                yield ModelCalls(function, json.loads(arguments[0]) if arguments else {})
            case "asks", [request, *body]:
                method, url = request.split()
                yield ServiceIsAsked(method, url, json.loads(body[0]) if body else None)
            case "gets", [answer]:
                yield ServiceAnswers(json.loads(answer))
            case _:
                raise ValueError(f"a row that means nothing: {line}")
