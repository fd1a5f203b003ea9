"""The REST API under ``/api``."""

from __future__ import annotations

from itertools import chain

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.api import (
    agents,
    calls,
    catalogue,
    credentials,
    elsewhere,
    endpoints,
    hooks,
    listeners,
    messages,
    openapi,
    originate,
    origins,
    recordings,
    registrations,
    retention,
    rooms,
    trunks,
)
from gateway.api.errors import errors_as_json
from gateway.api.operations import Operation
from gateway.auth import Doorkeeper, authorize
from gateway.catalogue import Catalogue
from gateway.equipment import provider_environment
from gateway.issuers import Issuers
from gateway.keys import CATALOGUE, DOORKEEPER, IDENTITY, SETTINGS, STORE
from gateway.tokens import Rules

OPERATIONS: tuple[Operation, ...] = tuple(
    chain(
        agents.operations,
        listeners.operations,
        rooms.operations,
        originate.operations,
        endpoints.operations,
        registrations.operations,
        trunks.operations,
        calls.operations,
        messages.operations,
        recordings.operations,
        retention.operations,
        catalogue.operations,
        credentials.operations,
    )
)


def setup(app: web.Application) -> None:
    """Add the API to ``app``, which has :data:`~gateway.keys.SETTINGS` and, once it runs,
    :data:`~gateway.keys.STORE`."""
    without_slash = web.normalize_path_middleware(append_slash=False, remove_slash=True, merge_slashes=False)
    api = web.Application(middlewares=[errors_as_json, without_slash])
    for operation in OPERATIONS:
        for method in ("GET", "HEAD") if operation.method == "GET" else (operation.method,):
            api.router.add_route(method, operation.path, _authenticated(operation))
    api.add_routes(openapi.routes(OPERATIONS))
    api.add_routes(hooks.routes())
    api.add_routes(elsewhere.routes())
    origins.setup(api, OPERATIONS)
    app.add_subapp("/api", api)
    app[CATALOGUE] = Catalogue(provider_environment(app[SETTINGS]))
    settings = app[SETTINGS]
    rules = Rules(settings.oidc_audience, settings.oidc_organisation, settings.oidc_scope_claim)
    app[DOORKEEPER] = Doorkeeper(lambda: app[STORE], settings, Issuers(settings.oidc_issuers, rules))
    app.on_shutdown.append(_close)


async def _close(app: web.Application) -> None:
    await app[DOORKEEPER].close()
    await app[CATALOGUE].close()


def _authenticated(operation: Operation) -> Handler:
    async def checked(request: web.Request) -> web.StreamResponse:
        doorkeeper = request.config_dict[DOORKEEPER]
        if operation.room:
            identity = await doorkeeper.identify_room(request, request.match_info["listenerId"], operation.scope)
        else:
            identity = await doorkeeper.identify(request, any_page=operation.any_origin)
        authorize(identity, operation.scope)
        request[IDENTITY] = identity
        return await operation.handler(request)

    return checked
