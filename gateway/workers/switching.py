"""What comes to a worker and is another's: a hook is passed on and its answer brought back, a media socket is handed
over, and what begins a call goes to whom it is for.

Connections are kept open and carry the hooks of many calls, so a hook is passed on by itself; a media socket is one
call's, and its connection goes for good. What came from another worker is never passed on again.
"""

from __future__ import annotations

import re
import socket

import aiohttp
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDict

from gateway import metrics
from gateway.api.errors import ApiError, loggable
from gateway.api.operations import read_raw
from gateway.api.originate import IDEMPOTENCY_HEADER
from gateway.bodies import error, hook_body
from gateway.workers.crew import INSIDE, Crew
from gateway.workers.handover import CannotHandOver, hand_over
from gateway.workers.routing import Standing, slot_of, told_by
from jambonz.signature import SIGNATURE_HEADER

log = structlog.get_logger(__name__)

HOOK_SECONDS = 9.0
"""The longest that another worker may take for a hook: Jambonz waits for 10."""

TRIES = 2
"""A worker may die after it was said that a call is for it: then another is."""

COMMAND_SECONDS = 20.0
"""The same of what clients ask of a call."""

_NOT_PASSED_ON = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
    | {"content-length", "content-encoding", "accept-encoding"}
)
"""Headers of one connection, and those of a body that is sent anew."""

_READS = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS)

_MEDIA = re.compile(r"/(?:jambonz/listen|audio)/([^/]+)")
_JOIN = re.compile(r"/api/(?:listener|rooms)/[^/]+/join")
_ORIGINATE = re.compile(r"/api/listener/[^/]+/originate")
_OF_CALL = re.compile(r"/api/calls/([^/]+)(?:/.+)?")


def from_inside(request: web.Request) -> bool:
    """Whether another worker asks: it came by a socket that nobody else can reach."""
    transport = request.transport
    there = transport.get_extra_info("socket") if transport is not None else None
    return there is not None and there.family == socket.AF_UNIX


def switching(crew: Crew) -> Middleware:
    @web.middleware
    async def switch(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/worker/"):
            return await handler(request) if from_inside(request) else error(404, "NOT_FOUND", "There is nothing here.")
        if from_inside(request) or request.match_info.http_exception is not None:
            return await handler(request)
        switched = await _switched(crew, request)
        return await handler(request) if switched is None else switched

    return switch


def routes(crew: Crew) -> list[web.RouteDef]:
    """What workers ask each other."""

    async def standing(request: web.Request) -> web.Response:
        told = crew.here(request.query.get("sid"))
        return web.json_response({"knows": told.knows, "load": told.load, "open": told.open})

    async def offer(request: web.Request) -> web.Response:
        query = request.query
        home = Standing(False, float(query["load"]), query["open"] == "1")
        takes = crew.consider(query["sid"], home)
        return web.json_response({"takes": takes})

    async def place(request: web.Request) -> web.Response:
        return web.json_response({"slot": await crew.place_as_home(request.query["sid"])})

    async def call(request: web.Request) -> web.Response:
        return web.json_response({"has": crew.desk.has(request.query["id"])})

    async def report(_: web.Request) -> web.Response:
        return web.json_response({"calls": crew.desk.under_way, "draining": crew.desk.draining})

    return [
        web.get("/worker/standing", standing),
        web.get("/worker/offer", offer),
        web.get("/worker/place", place),
        web.get("/worker/call", call),
        web.get("/worker/report", report),
    ]


async def _switched(crew: Crew, request: web.Request) -> web.StreamResponse | None:
    """The answer of another worker; None where this one is to give it."""
    path, method = request.path, request.method
    if method == hdrs.METH_POST and path.startswith("/jambonz/"):
        return await _hook(crew, request)
    if method == hdrs.METH_GET and (media := _MEDIA.fullmatch(path)) is not None:
        return await _media(crew, request, media[1])
    if method == hdrs.METH_POST and _JOIN.fullmatch(path):
        return await _of_client(crew, await crew.least_busy(), request)
    if method == hdrs.METH_POST and _ORIGINATE.fullmatch(path):
        return await _of_client(crew, await _dialler(crew, request), request)
    if method not in _READS and (of_call := _OF_CALL.fullmatch(path)) is not None:
        return await _of_client(crew, await crew.with_call(of_call[1]), request)
    return None


async def _hook(crew: Crew, request: web.Request) -> web.Response | None:
    """By the call that it tells of. What is wrong with it, whoever gets it says."""
    body = await hook_body(request)
    if not crew.desk.genuine(body, request.headers.get(SIGNATURE_HEADER)):
        return None  # refused here: nobody else is troubled with it
    told = told_by(body)
    for _ in range(TRIES):
        begins = request.path == "/jambonz/call"
        slot = await crew.whose(told, begins=begins, call_id=request.match_info.get("call_id"))
        answer = await _passed_on(crew, slot, request, body, HOOK_SECONDS)
        if answer is not None or slot in (None, crew.slot):
            return answer
    return None


async def _dialler(crew: Crew, request: web.Request) -> int:
    """Who is to place a call. The same request that comes twice rings once: it goes to the same worker."""
    key = request.headers.get(IDEMPOTENCY_HEADER)
    return await crew.home_of(f"{request.path} {key}") if key is not None else await crew.least_busy()


async def _of_client(crew: Crew, slot: int | None, request: web.Request) -> web.Response | None:
    """A request of the API, which is for the worker with the call: that looks whose it is, and what it may do. The body
    is read only where it is passed on: who handles it here reads it himself."""
    if slot is None or slot == crew.slot:
        return None
    try:
        body = await read_raw(request)
    except ApiError as refused:
        return refused.response()
    answer = await _passed_on(crew, slot, request, body, COMMAND_SECONDS)
    return answer or error(503, "UNAVAILABLE", "The process that this was for is gone; try again.")


async def _passed_on(
    crew: Crew, slot: int | None, request: web.Request, body: bytes, seconds: float
) -> web.Response | None:
    """None: it is for this worker; also where the other one is gone, for its calls are, too."""
    if slot is None or slot == crew.slot:
        return None
    headers = CIMultiDict((name, value) for name, value in request.headers.items() if _passes(name))
    url = INSIDE.join(request.rel_url)
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with crew.session(slot).request(
            request.method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False
        ) as answer:
            told = await answer.read()
            passed = CIMultiDict((name, value) for name, value in answer.headers.items() if _passes(name))
            metrics.workers_passed.labels("request").inc()
            return web.Response(status=answer.status, body=told, headers=passed)
    except TimeoutError:
        metrics.workers_unreached.labels("too_slow").inc()
        log.error("another worker has taken too long for a request", other=slot, path=loggable(request))
        return error(503, "UNAVAILABLE", "The process that has this call does not answer.")
    except (aiohttp.ClientError, OSError) as lost:
        metrics.workers_unreached.labels("away").inc()
        log.warning("another worker is gone with its calls", other=slot, why=str(lost))
        return None


async def _media(crew: Crew, request: web.Request, token: str) -> web.StreamResponse | None:
    slot = slot_of(token)
    if slot is None or slot not in crew.others or request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
        return None
    try:
        gone = await hand_over(request, crew.handover_path(slot))
    except CannotHandOver as why:
        metrics.workers_unreached.labels("away").inc()
        log.warning("a media socket could not be handed over", other=slot, why=str(why))
        return error(503, "UNAVAILABLE", "The process that has this call is not there.")
    metrics.workers_passed.labels("socket").inc()
    return gone


def _passes(name: str) -> bool:
    return name.lower() not in _NOT_PASSED_ON
