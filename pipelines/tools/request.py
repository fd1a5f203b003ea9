"""The HTTP request of a ``rest`` function. Pure.

Its target is the definition's: a value fills its own place in the URL, percent-encoded, and reaches no other host,
directory or parameter. What is shown of a request has ``***`` in place of its key.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, unquote, urlencode

from pipelines.agent import Function
from pipelines.agent.functions import Key, Parameter
from pipelines.agent.rest_rules import PLACEHOLDER, split_url
from pipelines.tools.parameters import BadArguments, text_of

USER_AGENT = "trunkline"
LONGEST_URL = 8000
LONGEST_HEADER = 4000

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """``url`` is encoded. ``shown`` is what others may see of it."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: str | None = field(repr=False)
    shown: Mapping[str, Any]


def build(
    function: Function,
    values: Mapping[str, Any],
    key: Key | None,
    *,
    idempotency_key: str,
    hidden: Collection[str] = (),
) -> HttpRequest:
    """``hidden`` are parameters whose values are not shown. Raises :class:`BadArguments`."""
    secret = _Placed.of(key)
    method = function.method.upper()
    try:
        url, headers, body = _build(function, values, secret)
        shown_values = {name: "***" if name in hidden else value for name, value in values.items()}
        shown_url, shown_headers, shown_body = _build(function, shown_values, secret.masked())
        "".join((*headers.values(), body or "")).encode()
    except UnicodeEncodeError:
        raise BadArguments(f"{function.name} cannot take that: there is half a character in it") from None
    if method != "GET" and "idempotency-key" not in {name.lower() for name in headers}:
        headers["Idempotency-Key"] = idempotency_key
    shown = {"url": shown_url, "method": method, "body": shown_body, "headers": shown_headers}
    return HttpRequest(method, url, headers, body, shown)


def secrets_of(key: Key | None) -> list[str]:
    """All that a key's secrets are written as in a request, the longest first."""
    if key is None:
        return []
    placed = _Placed.of(key)
    values = [secret.get_secret_value() for secret in (key.value, key.password) if secret is not None]
    values += [header.removeprefix("Basic ").removeprefix("Bearer ") for header in placed.headers.values()]
    return sorted({form for value in values for form in (value, quote(value, safe=""))}, key=len, reverse=True)


def headers_of(key: Key | None) -> Mapping[str, str]:
    """Those that a key goes into, if it does."""
    return _Placed.of(key).headers


def place_of(function: Function, name: str, parameter: Parameter) -> Literal["path", "query", "body", "header"]:
    """Where a parameter goes: where it says, to its place in the URL, or where its method has the rest."""
    if name in PLACEHOLDER.findall(function.url or ""):
        return "path"
    return parameter.location or ("body" if function.method in ("post", "put") else "query")


@dataclass(frozen=True, slots=True)
class _Placed:
    """A key, by where it goes."""

    url: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, key: Key | None) -> _Placed:
        if key is None:
            return cls()
        value = key.value.get_secret_value() if key.value is not None else ""
        match key.location:
            case "basic":
                password = key.password.get_secret_value() if key.password is not None else ""
                pair = base64.b64encode(f"{key.username}:{password}".encode()).decode()
                return cls(headers={"Authorization": f"Basic {pair}"})
            case "bearer":
                return cls(headers={"Authorization": f"Bearer {value}"})
            case "header":
                return cls(headers={str(key.header): value})
            case "query":
                return cls(query={key.name: value})
            case "path":
                return cls(url={key.name: value})

    def masked(self) -> _Placed:
        return _Placed(*(dict.fromkeys(part, "***") for part in (self.url, self.query, self.headers)))


def _build(function: Function, values: Mapping[str, Any], key: _Placed) -> tuple[str, dict[str, str], str | None]:
    parts: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "body": {}, "header": {}}
    for name, parameter in function.parameters.items():
        if name in values:
            parts[place_of(function, name, parameter)][name] = values[name]
    url = _url(function, parts["path"], {**parts["query"], **key.query}, key.url)
    headers = {"User-Agent": USER_AGENT, "Accept": "application/json, text/plain;q=0.9, */*;q=0.1"}
    for name, value in parts["header"].items():
        headers[name] = _header(function, name, text_of(value))
    body = None
    if function.method in ("post", "put") or parts["body"]:
        body = json.dumps(parts["body"], ensure_ascii=False)
        headers["Content-Type"] = "application/json"
    return url, {**headers, **key.headers}, body


def _url(function: Function, values: Mapping[str, Any], query: Mapping[str, Any], key: Mapping[str, str]) -> str:
    start, authority, path, asked = split_url(function.url or "")

    def fill(part: str, check: Any) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in key:
                return key[name] if key[name] == "***" else quote(key[name], safe="")
            if name not in values:
                raise BadArguments(f"{function.name} needs the parameter {name!r}")
            return str(check(function, name, text_of(values[name])))

        return PLACEHOLDER.sub(value, part)

    more = urlencode([(name, one) for name, value in query.items() for one in _texts(value)], safe="*", quote_via=quote)
    asked = "&".join(part for part in (fill(asked, _in_query), more) if part)
    url = f"{start}{fill(authority, _in_authority)}{fill(path, _in_path) or '/'}" + (f"?{asked}" if asked else "")
    if len(url) > LONGEST_URL:
        raise BadArguments(f"{function.name} cannot take that: its parameters are too long for a URL")
    return url


def _texts(value: Any) -> list[str]:
    """A list is asked for value by value."""
    return [text_of(one) for one in value] if isinstance(value, list) else [text_of(value)]


def _in_query(function: Function, name: str, text: str) -> str:
    return quote(text, safe="")


def _in_authority(function: Function, name: str, text: str) -> str:
    if not _HOST.fullmatch(text):
        raise BadArguments(f"{function.name} cannot take that: {name!r} is no name of a host")
    return text


def _in_path(function: Function, name: str, text: str) -> str:
    """Whatever it is, and however often a server decodes it, it is one name below the path before it."""
    plain = unquote(unquote(text)).replace("\\", "/")
    if not text.strip() or _CONTROL.search(plain) or any(part in (".", "..") for part in plain.split("/")):
        raise BadArguments(f"{function.name} cannot take that: {name!r} is no name that can stand in a URL")
    return quote(text, safe="")


def _header(function: Function, name: str, text: str) -> str:
    if _CONTROL.search(text) or len(text) > LONGEST_HEADER:
        raise BadArguments(f"{function.name} cannot take that: {name!r} is nothing that can stand in a header")
    return text
