"""A page of ``docs/examples``: an agent's definition, how it is put on a number, and calls, row by row."""

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


@dataclass(frozen=True, slots=True)
class ModelIsTold:
    """Of a function that asks no service."""

    answer: Any


@dataclass(frozen=True, slots=True)
class Rings:
    """Somebody whom the caller is put through to, and who says something when he answers."""

    number: str
    outcome: str
    says: str


Row: TypeAlias = CallerSays | AgentSays | ModelCalls | ServiceIsAsked | ServiceAnswers | ModelIsTold | Rings


@dataclass(frozen=True, slots=True)
class Example:
    """One call of a page. ``agent`` and ``listen`` are the JSON of the page as it stands: the bodies of the requests
    that make them."""

    agent: dict[str, Any]
    listen: dict[str, Any]
    rows: Sequence[Row]

    def of(self, *kinds: type[Any]) -> list[Any]:
        return [row for row in self.rows if isinstance(row, kinds)]


def read(name: str) -> dict[str, Example]:
    """By the titles of its calls."""
    text = (FOLDER / f"{name}.md").read_text()
    agent, listen = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL))
    calls = re.findall(r"^## (A call.*)\n([^#]+)", text, re.MULTILINE)
    return {title: Example(agent, listen, list(_rows(section))) for title, section in calls}


def _rows(section: str) -> Iterator[Row]:
    for line in section.split("|---|---|\n")[1].strip().splitlines():
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
            case "told", [answer]:
                yield ModelIsTold(json.loads(answer))
            case "rings", [number, outcome]:
                yield Rings(number, outcome, rest.rsplit("`", 1)[1].strip())
            case _:
                raise ValueError(f"a row that means nothing: {line}")
