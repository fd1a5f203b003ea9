"""Operations: a route with what it takes and answers, so that one table makes both the router and the OpenAPI."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from gateway.api.errors import ApiError, invalid
from gateway.bodies import BadBody, body_of
from gateway.keys import IDENTITY, PROVISIONER, STORE
from pipelines.agent import Problem, problems
from store import Owner, Store

MAX_BODY = 1024 * 1024

BODY_SECONDS = 30.0
"""Enough for that much over a slow line."""

VISIBLE = "[!-~]"
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")
"""In JSON: a backslash before it would be a text about it."""

M = TypeVar("M", bound=BaseModel)
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class HeaderField:
    """A header that a request may have, of ``longest`` characters at the most, each of them a visible one of ASCII: no
    white space, which proxies may change. ``description`` is Markdown."""

    name: str
    longest: int
    description: str

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": self.longest, "pattern": f"^{VISIBLE}+$"}

    def read(self, request: web.Request) -> str | None:
        """None where there is none. Raises :class:`ApiError` 400."""
        given = request.headers.getall(self.name, [])
        if not given:
            return None
        if len(given) > 1 or not re.fullmatch(rf"{VISIBLE}{{1,{self.longest}}}", given[0]):
            rule = f"1 to {self.longest} visible ASCII characters, without spaces, and be there once"
            raise invalid([Problem(self.name, f"has to have {rule}")])
        return given[0]


@dataclass(frozen=True, slots=True)
class Operation:
    """``body`` are the models of which the request's JSON is one; ``partial`` says that each of their fields may be
    left out; ``answer`` is the type of the answer's JSON, None for an empty one; ``errors`` are the
    statuses beyond those that every operation has."""

    method: str
    path: str
    handler: Handler
    tag: str
    body: tuple[type[BaseModel], ...] = ()
    partial: bool = False
    query: type[BaseModel] | None = None
    headers: tuple[HeaderField, ...] = ()
    answer: Any = None
    status: int = 200
    errors: tuple[int, ...] = ()
    deprecated: bool = False
    scope: str = ""
    """What a key has to be good for; none is needed where it is empty."""
    media: tuple[str, ...] = ()
    """Types of the answer, where that is no JSON."""
    any_origin: bool = False
    """Whether pages of any origin may ask for it."""
    room: bool = False
    """Whether the key of the listener in its path is enough."""

    @property
    def summary(self) -> str:
        return (self.handler.__doc__ or "").strip().split("\n")[0]

    @property
    def description(self) -> str:
        """What its docstring says beyond the summary, and the scope."""
        _, _, more = inspect.cleandoc(self.handler.__doc__ or "").partition("\n\n")
        scope = f"Needs the scope `{self.scope}`." if self.scope else "Any key will do."
        return f"{' '.join(more.split())} {scope}".strip()

    @property
    def id(self) -> str:
        return self.handler.__name__


@dataclass(slots=True)
class Operations:
    """The operations of one module, in the order of its source. ``area`` is that of their scopes."""

    tag: str
    area: str
    _all: list[Operation] = field(default_factory=list)

    def add(self, method: str, path: str, **rest: Any) -> Callable[[H], H]:
        """Decorates the handler of ``method path``; ``rest`` are fields of :class:`Operation`."""

        def register(handler: H) -> H:
            scope = f"{self.area}:{'read' if method == 'GET' else 'write'}" if self.area else ""
            self._all.append(Operation(method, path, handler, self.tag, **({"scope": scope} | rest)))
            return handler

        return register

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._all)


def owner_of(request: web.Request) -> Owner:
    return request[IDENTITY].owner


def store_of(request: web.Request) -> Store:
    return request.config_dict[STORE]


def jambonz_changed(request: web.Request) -> None:
    """Something was changed that Jambonz has to be told of."""
    request.config_dict[PROVISIONER].wake()


async def read_raw(request: web.Request) -> bytes:
    """The request's body. Raises :class:`ApiError` 400, 408 or 413."""
    try:
        raw = await body_of(request, MAX_BODY, BODY_SECONDS)
    except BadBody as bad:
        raise (ApiError(408, "TIMEOUT", str(bad)) if bad.late else ApiError(400, "BAD_BODY", str(bad))) from None
    if len(raw) > MAX_BODY:
        raise ApiError(413, "TOO_LARGE", f"The body is larger than {MAX_BODY} bytes")
    return raw


async def read_json(request: web.Request) -> dict[str, Any]:
    """The request's JSON object; an empty body is an empty one. Raises as :func:`read_raw`."""
    raw = await read_raw(request)
    return parse_json(raw) if raw.strip() else {}


def parse_json(raw: bytes) -> dict[str, Any]:
    """A JSON object. Raises :class:`ApiError` 400."""
    if b"\\u0000" in raw and _NUL.search(raw) is not None:
        raise invalid([Problem("", "the body holds the character U+0000, which cannot be stored; take it out")])
    try:
        body = from_json(raw, allow_inf_nan=False)
        json.dumps(body, allow_nan=False)  # 1e999 is JSON, but no number that could be stored and given back
    except ValueError as error:
        raise ApiError(400, "BAD_JSON", f"The body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ApiError(400, "BAD_JSON", "The body has to be a JSON object")
    return body


def validated(model: type[M], data: Any) -> M:
    """``data`` as ``model``. Raises :class:`ApiError` 400, which names each field that is wrong."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid(problems(error)) from None


async def read_body(request: web.Request, model: type[M]) -> M:
    return validated(model, await read_json(request))


def read_query(request: web.Request, model: type[M]) -> M:
    """The query string as ``model``; a name given more than once is a list."""
    data = {name: values if len(values := request.query.getall(name)) > 1 else values[0] for name in request.query}
    return validated(model, data)
