"""The REST API under ``/api``."""

from __future__ import annotations

from itertools import chain

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.api import agents, calls, catalogue, endpoints, hooks, listeners, openapi
from gateway.api.errors import errors_as_json
from gateway.api.operations import Operation
from gateway.auth import authenticate
from gateway.catalogue import Catalogue
from gateway.factory import provider_environment
from gateway.keys import CATALOGUE, OWNER, SETTINGS

OPERATIONS: tuple[Operation, ...] = tuple(
    chain(agents.operations, listeners.operations, endpoints.operations, calls.operations, catalogue.operations)
)


def setup(app: web.Application) -> None:
    """Add the API to ``app``, which has :data:`~gateway.keys.SETTINGS` and, once it runs,
    :data:`~gateway.keys.STORE`."""
    api = web.Application(middlewares=[errors_as_json])
    for operation in OPERATIONS:
        api.router.add_route(operation.method, operation.path, _authenticated(operation.handler))
    api.add_routes(openapi.routes(OPERATIONS))
    api.add_routes(hooks.routes())
    app.add_subapp("/api", api)
    app[CATALOGUE] = Catalogue(provider_environment(app[SETTINGS]))
    app.on_cleanup.append(_close_catalogue)


async def _close_catalogue(app: web.Application) -> None:
    await app[CATALOGUE].close()


def _authenticated(handler: Handler) -> Handler:
    async def checked(request: web.Request) -> web.StreamResponse:
        request[OWNER] = await authenticate(request)
        return await handler(request)

    return checked
