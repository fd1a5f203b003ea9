"""Pages of other origins: which operations they may ask for (CORS). They bring a key; no cookie of ours exists."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import hdrs, web

from gateway.api.operations import Operation

_ANY = {hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*"}
_MAX_AGE = "86400"


def setup(api: web.Application, operations: Sequence[Operation]) -> None:
    """Answer what browsers ask before they send (preflights), and let pages read the answers, errors too."""
    open_ones = [operation for operation in operations if operation.any_origin]
    paths = {f"/api{operation.path}" for operation in open_ones}

    async def preflight(request: web.Request) -> web.Response:
        allowed = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(sorted(methods[_path(request)])),
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Authorization, Content-Type",
            hdrs.ACCESS_CONTROL_MAX_AGE: _MAX_AGE,
        }
        return web.Response(status=204, headers=allowed)

    methods: dict[str, set[str]] = {}
    for operation in open_ones:
        methods.setdefault(f"/api{operation.path}", set()).add(operation.method)
    for path in methods:
        api.router.add_route(hdrs.METH_OPTIONS, path.removeprefix("/api"), preflight)

    async def mark(request: web.Request, response: web.StreamResponse) -> None:
        if _path(request) in paths:
            response.headers.update(_ANY)

    api.on_response_prepare.append(mark)


def _path(request: web.Request) -> str:
    """As it was added, with its parameters' names."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""
