"""What a ``rest`` function's URL, parameters and key have to be for a request to come of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pipelines.agent.functions import Function, Key

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_URL = re.compile(r"(https?://)([^/?#\s\\]+)(/[^?#\s\\]*)?(?:\?([^#\s]*))?")
_NO_HOST = "has a url with a host, or a port, that there cannot be"
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = {
    "host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect",
    "keep-alive", "proxy-authorization", "proxy-connection", "accept-encoding",
}  # fmt: skip
"""Headers that say how the request is sent."""


def split_url(url: str) -> tuple[str, str, str, str]:
    """Scheme, authority, path and query of a template. Raises ValueError for what is none."""
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError("is no URL")
    return found[1], found[2], found[3] or "", found[4] or ""


def is_http(url: str) -> bool:
    """Whether it is a URL of HTTP, with a host, and a port where it has one."""
    try:
        parts = urlsplit(url)
        there = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return there and parts.scheme in ("http", "https") and re.search(r"\s", url) is None


def rest_problems(function: Function) -> Iterator[str]:
    """What is wrong with it by itself, each as the rest of a sentence."""
    if not function.url:
        yield "is of implementation rest; write its url"
        return
    if not re.match(r"https?://[^/\s]", function.url):
        yield "has a url that does not start with http:// or https://"
        return
    try:
        _, authority, _, _ = split_url(function.url)
    except ValueError:
        yield "has a url with white space, a backslash or a #, which no request can have"
        return
    if "@" in authority:
        yield "has credentials in its url; write them as one of keys"
    if not PLACEHOLDER.search(authority) and not is_http(f"http://{authority}"):
        yield _NO_HOST
    for name in PLACEHOLDER.findall(function.url):
        if name not in function.parameters and name != function.key:
            yield f"has {{{name}}} in its url, but no parameter of that name in input_schema.properties"
    for name in PLACEHOLDER.findall(authority):
        parameter = function.parameters.get(name)
        if parameter is None or parameter.source == "generated" or _from_elsewhere(parameter.origin):
            yield f"lets something else than the definition choose the host: {{{name}}} has to be static or metadata"
    for name, parameter in function.parameters.items():
        match parameter.location:
            case "path" if name not in PLACEHOLDER.findall(function.url):
                yield f"has a parameter {name!r} in the path, but no {{{name}}} in its url"
            case "body" if function.method == "get":
                yield f"has a parameter {name!r} in the body, which a get has not"
            case "header" if not _HEADER.fullmatch(name) or name.lower() in _OURS:
                yield f"has a parameter {name!r} in a header, which cannot be a header of that name"
            case _:
                pass


def mcp_problems(function: Function) -> Iterator[str]:
    """The same of an MCP server, whose URL is no template."""
    try:
        _, authority, _, _ = split_url(function.url or "")
    except ValueError:
        yield "stands for an MCP server; write its url, which starts with http:// or https://"
        return
    if "@" in authority:
        yield "has credentials in its url; write them as one of keys"
    if not is_http(f"http://{authority}"):
        yield _NO_HOST
    if PLACEHOLDER.search(function.url or ""):
        yield "has a {…} in its url, which is that of a server, and is asked as it stands"
    if function.tools is None:
        yield 'stands for an MCP server; write as tools the names of those that the model may call, or ["*"]'
    if len(function.name) > 32:
        yield "has a name of more than 32 characters, which the names of its tools begin with"


def key_problem(function: Function, key: Key) -> str | None:
    """What is wrong with both together."""
    if key.location == "path" and key.name not in PLACEHOLDER.findall(function.url or ""):
        return f"names {key.name!r}, which is for the path, but there is no {{{key.name}}} in the url"
    in_url = key.name in PLACEHOLDER.findall(function.url or "") and key.name not in function.parameters
    if key.location != "path" and in_url:
        return f"names {key.name!r}, which stands in the url, but is not for the path"
    header = {"basic": "authorization", "bearer": "authorization", "header": (key.header or "").lower()}
    for name, parameter in function.parameters.items():
        if parameter.location == "header" and name.lower() == header.get(key.location):
            return f"names {key.name!r}, which goes into the header {name!r}, as a parameter does"
        if key.name == name and key.location in ("path", "query"):
            return f"names {key.name!r}, and there is a parameter of that name"
    return None


def header_problem(name: str) -> str | None:
    """Of a key's header."""
    if _HEADER.fullmatch(name) and name.lower() not in _OURS:
        return None
    return f"cannot go into a header of the name {name!r}"


def _from_elsewhere(origin: object) -> bool:
    """Whether metadata comes from a caller or from what a tool was told, and not from who set up the listener."""
    return str(origin).split(".", 1)[0] in ("toolsCalls", "aplisay")
