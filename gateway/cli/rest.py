"""What the commands over the REST API have in common: where the service is, tables for people, JSON for programs."""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from yarl import URL

from gateway.cli.client import Client, ServiceRefused, client

F = TypeVar("F", bound=Callable[..., Any])

Column = tuple[str, str]
"""The heading of a column, and the field that stands in it (``a.b`` for a field of a field)."""

_SEGMENT = re.compile(r"(?!\.*$)[^/?#%\\\x00-\x1f]+")


class _Id(click.ParamType[str]):
    """What is one part of a path: an id, or a number."""

    name = "id"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return value if _SEGMENT.fullmatch(value) else self.fail(f"{value!r} is no id", param, ctx)


ID = _Id()


class Number(click.FloatRange):
    """A number in a range; ``nan``, which is in none, is not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        return self.fail(f"{value!r} is no number", param, ctx) if math.isnan(number) else number


HOME = "http://127.0.0.1:8080"
_WIDEST = 48


@dataclass(frozen=True, slots=True)
class Service:
    """A running service, and how its answers are shown."""

    url: URL
    key: str
    as_json: bool

    def run(self, work: Callable[[Client], Awaitable[Any]]) -> Any:
        """What ``work`` comes to; a refusal ends the process with the service's sentence."""

        async def inside() -> Any:
            async with client(self.url, self.key) as api:
                return await work(api)

        try:
            return asyncio.run(inside())
        except ServiceRefused as refused:
            click.echo(str(refused), err=True)
            sys.exit(1)

    def show(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], *, nothing: str) -> None:
        if self.as_json:
            print_json(list(rows))
        elif not rows:
            click.echo(nothing)
        else:
            for line in table(rows, columns):
                click.echo(line)

    def show_one(self, row: Mapping[str, Any]) -> None:
        """All of one thing: as it is for programs, and with a line for each field for people."""
        if self.as_json:
            print_json(row)
            return
        width = max(map(len, row), default=0)
        for name, value in row.items():
            shown = json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict | list) else text(value)
            click.echo(f"{name:<{width}}  {shown.replace(chr(10), chr(10) + ' ' * (width + 2))}")

    def done(self, sentence: str, answer: Any = None) -> None:
        if self.as_json:
            print_json(answer)
        else:
            click.echo(sentence)


def service_at(url: str, key: str | None, *, as_json: bool) -> Service:
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise click.BadParameter("write a URL such as http://127.0.0.1:8080", param_hint="--url")
    return Service(parsed, key or "", as_json)


def service_flags(command: F) -> F:
    """Add ``--url``, ``--key`` and ``--json``, which come to the command as its ``service``."""

    def wrapped(url: str, key: str | None, as_json: bool, **rest: Any) -> Any:
        return command(service=service_at(url, key, as_json=as_json), **rest)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    key_help = "An API key. [TRUNKLINE_ADMIN_KEY]"
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON, as the service gave it."),
        click.option("--key", envvar="TRUNKLINE_ADMIN_KEY", help=key_help),
        click.option(
            "--url", envvar="TRUNKLINE_PUBLIC_URL", default=HOME, show_default=True, help="The running service."
        ),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


async def pages(api: Client, path: str, items: str, following: str, parameter: str, most: int) -> list[Any]:
    """Up to ``most`` things of a list that comes in pages; ``following`` names the field with the next page's
    ``parameter``."""
    found: list[Any] = []
    at: Any = 0
    while at is not None and at is not False and len(found) < most:
        url = URL(path).update_query({parameter: at} if at else {})
        page = await api.get(str(url))
        found += page[items]
        at = page[following]
    return found[:most]


def read_json(file: str) -> Any:
    """The JSON in a file, or on standard input (``-``). Ends with a sentence where it is none."""
    try:
        value = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise click.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="FILE") from None
    except ValueError as error:
        raise click.BadParameter(f"{file} is not JSON: {error}", param_hint="FILE") from None
    if not isinstance(value, dict):
        raise click.BadParameter(f"{file} has to hold a JSON object", param_hint="FILE")
    return value


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def json_of(text: str, flag: str) -> Any:
    """What stands behind a flag. Ends with a sentence where it is no JSON."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"it is not JSON: {error}", param_hint=flag) from None


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> list[str]:
    """Lines: a heading and a line for each row."""
    cells = [[heading for heading, _ in columns], *([text(field(row, name)) for _, name in columns] for row in rows)]
    widths = [min(max(len(line[at]) for line in cells), _WIDEST) for at in range(len(columns))]
    return [
        "  ".join(f"{_short(cell):<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def field(row: Mapping[str, Any], name: str) -> Any:
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def text(value: Any) -> str:
    match value:
        case None:
            return "-"
        case True | False:
            return "yes" if value else "no"
        case str():
            return value
        case _:
            return json.dumps(value, ensure_ascii=False)


def _short(cell: str) -> str:
    one_line = " ".join(cell.split())
    return one_line if len(one_line) <= _WIDEST else f"{one_line[: _WIDEST - 1]}…"
