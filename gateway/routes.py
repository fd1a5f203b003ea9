"""What is served beside the API: Jambonz's hooks and sockets, progress, probes and metrics."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from functools import partial

from aiohttp import hdrs, web

from gateway import metrics
from gateway.api.errors import NUL, ApiError, as_error, not_found
from gateway.api.messages import SocketMessages
from gateway.application import ApplicationSocket, refusal_of
from gateway.auth import authorize, bearer
from gateway.bodies import error as _error
from gateway.bodies import hook_body
from gateway.client_messages import names_of
from gateway.cursors import Seen
from gateway.keys import APPLICATIONS, CLIENTS, CREW, DOORKEEPER, FEEDS, LEASES, SETTINGS, STOPPING, STORE, SWITCHBOARD
from gateway.putting_through import RINGBACK_PATH
from gateway.watching import watch
from gateway.webhooks import Reply
from gateway.workers.switching import from_inside
from jambonz.leg import JambonzLeg
from jambonz.signature import SIGNATURE_HEADER
from media.ringback import ringback_wav
from pipelines.agent import nearest

ASKED = ("call", "functions", "since", "ticket", "access_token")
"""What the query of a progress socket may have."""

RINGBACK_AGE = 86400
"""Seconds."""


def jambonz_routes() -> list[web.RouteDef]:
    return [
        web.post("/jambonz/call", call_hook),
        web.post("/jambonz/status", status_hook),
        web.post("/jambonz/next/{call_id}", next_hook),
        web.post("/jambonz/redirect/{call_id}", redirect_hook),
        web.get("/jambonz/listen/{token}", listen_socket),
        web.get("/jambonz/application", application_socket),
        web.get(RINGBACK_PATH, ringback),
    ]


def service_routes() -> list[web.RouteDef]:
    return [
        web.get("/audio/{token}", listen_socket),
        web.get("/progress/{listener_id}", progress_socket),
        web.get("/metrics", metrics_page),
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
        web.get("/ping", ping),
    ]


async def call_hook(request: web.Request) -> web.Response:
    body = await hook_body(request)
    return _respond(await request.app[SWITCHBOARD].on_call(body, _signature(request), _base_url(request)))


async def status_hook(request: web.Request) -> web.Response:
    return _respond(request.app[SWITCHBOARD].on_status(await hook_body(request), _signature(request)))


async def next_hook(request: web.Request) -> web.Response:
    call_id = request.match_info["call_id"]
    return _respond(request.app[SWITCHBOARD].on_next(call_id, await hook_body(request), _signature(request)))


async def redirect_hook(request: web.Request) -> web.Response:
    call_id = request.match_info["call_id"]
    return _respond(request.app[SWITCHBOARD].on_redirect(call_id, await hook_body(request), _signature(request)))


async def listen_socket(request: web.Request) -> web.StreamResponse:
    """The media of one call, in the task of this handler."""
    live = request.app[SWITCHBOARD].live
    call = live.take_token(request.match_info["token"])
    if call is None:
        metrics.legs_refused.labels("unknown_token").inc()
        return _error(404, "UNKNOWN_TOKEN", "No call waits for this media socket; its token was used, or is none.")
    told = None
    if call.record.row.platform == "websocket":
        told = {"callSid": call.call_sid, "sampleRate": call.format.rate}
    leg = JambonzLeg(call, call.format, exact_marks=call.exact_marks, told=told)
    call.attach(leg)
    try:
        response = await leg.run(request)
    except web.HTTPBadRequest:
        live.give_back(call)
        metrics.legs_refused.labels("bad_handshake").inc()
        raise
    if leg.refusal is not None:
        metrics.legs_refused.labels(leg.refusal.label).inc()
    return response


async def application_socket(request: web.Request) -> web.StreamResponse:
    """One call without webhooks. Jambonz waits 1.5 s for the upgrade: nothing is looked up before it."""
    refusal = None if from_inside(request) else refusal_of(request, request.app[SETTINGS])
    if refusal is not None:
        metrics.applications_refused.labels(refusal.label).inc()
        response = _error(refusal.status, refusal.code, refusal.sentence)
        if refusal.status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="Jambonz", charset="UTF-8"'
        return response
    crew = None if from_inside(request) else request.app.get(CREW)
    socket = ApplicationSocket(request.app[SWITCHBOARD], _base_url(request), crew)
    open_ones = request.app[APPLICATIONS]
    open_ones.add(socket)
    try:
        return await socket.run(request)
    finally:
        open_ones.discard(socket)


async def ringback(_: web.Request) -> web.Response:
    """What callers hear while somebody else is rung. Jambonz fetches it, and keeps it."""
    headers = {"Cache-Control": f"public, max-age={RINGBACK_AGE}"}
    return web.Response(body=ringback_wav(), content_type="audio/wav", headers=headers)


async def close_sockets(app: web.Application) -> None:
    """The service stops. Those of calls are closed with them."""
    app[STOPPING].set()
    open_ones = app[APPLICATIONS]
    await asyncio.gather(*(socket.stop() for socket in open_ones))


async def progress_socket(request: web.Request) -> web.StreamResponse:
    """Events of a listener's calls, one JSON object each: all that follow ``since``, or those from now on. ``call``
    is the id of the only call that is watched, ``functions`` are those that this socket answers. What else comes over
    it are messages into these calls."""
    answers, listener_id = "functions" in request.query, request.match_info["listener_id"]
    try:
        identity = await request.app[DOORKEEPER].identify_socket(request)
        authorize(identity, "calls:write" if answers else "calls:read")
        listener = None if NUL in listener_id else await request.app[STORE].listeners.get(identity.owner, listener_id)
        if listener is None:
            raise not_found("listener", listener_id)
        since, names = _asked(request)
    except Exception as error:  # noqa: BLE001 - as below /api: it is answered, and a fault of ours is logged
        return as_error(error, request.method, request.path).response()
    owner, call_id = identity.owner, request.query.get("call")
    events = request.app[FEEDS].events(owner, listener_id, call_id=call_id, since=since)
    messages = SocketMessages(request, identity, listener_id)
    async with (
        request.app[LEASES].held(listener),
        request.app[CLIENTS].line(owner, listener_id, names, call_id) as line,
    ):
        stands = partial(request.app[DOORKEEPER].stands, identity)
        return await watch(request, events, line, messages.answer, stands, request.app[STOPPING])


def _asked(request: web.Request) -> tuple[Seen | None, Sequence[str] | None]:
    """What a progress socket begins with, and the functions that it answers. Raises :class:`ApiError`."""
    query = request.query
    try:
        for name in query:
            if name not in ASKED:
                meant = nearest(name, ASKED)
                hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(ASKED)}."
                raise ValueError(f"{name} is not known; {hint}")
        if NUL in query.get("call", ""):
            raise ValueError("call is no id of a call.")
        since = Seen.parse(query["since"]) if "since" in query else None
        return since, names_of(query["functions"]) if "functions" in query else ()
    except ValueError as error:
        raise ApiError(400, "BAD_REQUEST", str(error)) from None


async def metrics_page(request: web.Request) -> web.Response:
    token = request.app[SETTINGS].metrics_token
    if token is not None:
        given = (bearer(request.headers.get(hdrs.AUTHORIZATION, "")) or "").encode()
        if not hmac.compare_digest(given, token.get_secret_value().encode()):
            return _error(401, "UNAUTHORIZED", "The metrics ask for a token: Authorization: Bearer <token>.")
    text = await asyncio.to_thread(metrics.render)
    return web.Response(body=text, headers={"Content-Type": metrics.CONTENT_TYPE})


async def healthz(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """With several workers, any of them answers for all: they are ready while one of them is."""
    switchboard, crew = request.app[SWITCHBOARD], request.app.get(CREW)
    others = await crew.reports() if crew is not None else []
    draining = switchboard.draining and all(other.draining for other in others)
    told: dict[str, str | int] = {"status": "draining" if draining else "ready"}
    told["calls"] = len(switchboard.calls) + sum(other.calls for other in others)
    if crew is not None:
        told["workers"] = 1 + len(others)
    return web.json_response(told, status=503 if draining else 200)


async def ping(_: web.Request) -> web.Response:
    return web.Response(text="pong")


def _signature(request: web.Request) -> str | None:
    return request.headers.get(SIGNATURE_HEADER)


def _base_url(request: web.Request) -> str:
    """How Jambonz reaches us: as configured, else as it just did."""
    return request.app[SETTINGS].public_url or f"{request.scheme}://{request.host}"


def _respond(reply: Reply) -> web.Response:
    if reply.error is not None:
        code = "FORBIDDEN" if reply.status == 403 else "BAD_REQUEST"
        return _error(reply.status, code, reply.error)
    if reply.verbs is None:
        return web.Response(status=reply.status)
    return web.json_response(list(reply.verbs), status=reply.status)
