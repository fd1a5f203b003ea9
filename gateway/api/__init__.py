"""The REST API under ``/api``."""

from __future__ import annotations

from itertools import chain

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.api import agents, calls, endpoints, hooks, listeners, openapi
from gateway.api.errors import errors_as_json
from gateway.api.operations import Operation
from gateway.auth import authenticate
from gateway.keys import OWNER

OPERATIONS: tuple[Operation, ...] = tuple(
    chain(agents.operations, listeners.operations, endpoints.operations, calls.operations)
)


def setup(app: web.Application) -> None:
    """Add the API to ``app``, which has :data:`~gateway.keys.SETTINGS` and :data:`~gateway.keys.STORE` when it runs."""
    api = web.Application(middlewares=[errors_as_json])
    for operation in OPERATIONS:
        api.router.add_route(operation.method, operation.path, _authenticated(operation.handler))
    api.add_routes(openapi.routes(OPERATIONS))
    api.add_routes(hooks.routes())
    app.add_subapp("/api", api)


def _authenticated(handler: Handler) -> Handler:
    async def checked(request: web.Request) -> web.StreamResponse:
        request[OWNER] = await authenticate(request)
        return await handler(request)

    return checked
