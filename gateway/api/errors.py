"""Errors of the API: every one is ``{"error": "<a sentence>", "code": "<A_CODE>", "details": …}`` with its status."""

from __future__ import annotations

import math

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.api.nearby import nearby
from gateway.auth import Forbidden, TooMany, Unauthenticated, Unsure
from gateway.places import NoPlace
from pipelines.agent import Problem, sentence
from store.errors import UNREACHABLE, InUse, NotFound, NotSupported, StoreError

log = structlog.get_logger(__name__)

NUL = "\x00"

_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "TOO_LARGE"}


class ApiError(Exception):
    """The answer to a request that cannot be served. ``details`` is JSON; ``scope`` says whose limit was reached."""

    def __init__(self, status: int, code: str, error: str, details: object = None, *, scope: str | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.code = code
        self.error = error
        self.details = details
        self.scope = scope

    def body(self) -> dict[str, object]:
        body = {"error": self.error, "code": self.code, "details": self.details}
        return body if self.scope is None else {**body, "scope": self.scope}

    def response(self) -> web.Response:
        headers = {hdrs.WWW_AUTHENTICATE: "Bearer"} if self.status == 401 else None
        return web.json_response(self.body(), status=self.status, headers=headers)


def invalid(found: list[Problem]) -> ApiError:
    """400 for what was sent: the sentence tells the first problem, the details all of them."""
    text = sentence(found)
    return ApiError(400, "VALIDATION_ERROR", text[:1].upper() + text[1:], [problem.as_json() for problem in found])


def not_found(what: str, identifier: str) -> ApiError:
    return ApiError(404, "NOT_FOUND", f"There is no {what} {identifier}")


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong below becomes an answer in the shape of the API's errors."""
    try:
        _refuse_nul(request)
        return await handler(request)
    except TooMany as error:
        response = as_error(error, request.method, loggable(request)).response()
        response.headers[hdrs.RETRY_AFTER] = str(math.ceil(error.seconds))
        return response
    except web.HTTPException as error:
        return _plain(request, error)
    except Exception as error:  # noqa: BLE001 - whatever it is: it is answered, and what is a fault of ours is logged
        return as_error(error, request.method, loggable(request)).response()


def loggable(request: web.Request) -> str:
    """Its path, without the token that this may hold."""
    token = request.match_info.get("token")
    return request.path if token is None else request.path.replace(token, "{token}")


def _refuse_nul(request: web.Request) -> None:
    """PostgreSQL has no place for the character U+0000 in a text, and fails whoever asks it for one."""
    if NUL in request.path:
        raise ApiError(404, "NOT_FOUND", f"There is nothing at {request.path!r}: nothing has U+0000 in its name")
    found = [name for name, value in request.query.items() if NUL in name + value]
    if found:
        raise invalid([Problem(name, "holds the character U+0000; take it out") for name in found])


def as_error(error: Exception, method: str, path: str) -> ApiError:
    """What is answered for ``error``. A fault of ours is logged."""
    match error:
        case ApiError():
            return error
        case Unauthenticated():
            return ApiError(401, "UNAUTHORIZED", str(error))
        case Unsure():
            return ApiError(503, "UNAVAILABLE", str(error))
        case Forbidden():
            return ApiError(403, "FORBIDDEN", str(error))
        case TooMany():
            return ApiError(429, "TOO_MANY_REQUESTS", str(error))
        case NoPlace():
            details = {"limit": error.limit, "current": error.current}
            return ApiError(429, "AGENT_CONCURRENCY_LIMIT_EXCEEDED", str(error), details, scope=error.scope)
        case StoreError():
            return _refusal(error)
        case _:
            pass
    if isinstance(error, UNREACHABLE):
        log.error("api_database_unreachable", method=method, path=path, exc_info=error)
        return ApiError(503, "UNAVAILABLE", "The database cannot be reached just now; try again shortly")
    log.error("api_failed", method=method, path=path, exc_info=error)
    return ApiError(500, "INTERNAL", "Something went wrong in the service; its log says what")


def _refusal(error: StoreError) -> ApiError:
    match error:
        case NotFound():
            return ApiError(404, "NOT_FOUND", str(error))
        case InUse():
            return ApiError(409, "IN_USE", str(error))
        case NotSupported():
            return ApiError(412, "NOT_SUPPORTED", str(error))
        case _:
            log.error("api_store_refused", error=str(error))
            return ApiError(500, "INTERNAL", f"The store could not do it: {error}")


def _hint(request: web.Request) -> str:
    meant = nearby(request.path, (resource.canonical for resource in request.app.router.resources()))
    return f"did you mean {meant}?" if meant else "/api/docs tells what there is"


def _plain(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        raise error
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            text = f"{request.path} does not take {request.method}; it takes {allowed}"
        case web.HTTPNotFound():
            text = f"There is nothing at {request.path}; {_hint(request)}"
        case _:
            text = error.reason
    response = ApiError(error.status, _CODES.get(error.status, "REFUSED"), text).response()
    if hdrs.ALLOW in error.headers:
        response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    return response
