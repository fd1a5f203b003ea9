"""Errors of the API: every one is ``{"error": "<a sentence>", "code": "<A_CODE>", "details": …}`` with its status."""

from __future__ import annotations

import math

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.auth import Forbidden, TooMany, Unauthenticated, Unsure
from pipelines.agent import Problem, sentence
from store.errors import UNREACHABLE, InUse, NotFound, NotSupported, StoreError

log = structlog.get_logger(__name__)

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

    def response(self) -> web.Response:
        body = {"error": self.error, "code": self.code, "details": self.details}
        if self.scope is not None:
            body["scope"] = self.scope
        headers = {hdrs.WWW_AUTHENTICATE: "Bearer"} if self.status == 401 else None
        return web.json_response(body, status=self.status, headers=headers)


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
        return await handler(request)
    except ApiError as error:
        return error.response()
    except Unauthenticated as error:
        return ApiError(401, "UNAUTHORIZED", str(error)).response()
    except Unsure as error:
        return ApiError(503, "UNAVAILABLE", str(error)).response()
    except Forbidden as error:
        return ApiError(403, "FORBIDDEN", str(error)).response()
    except TooMany as error:
        response = ApiError(429, "TOO_MANY_REQUESTS", str(error)).response()
        response.headers[hdrs.RETRY_AFTER] = str(math.ceil(error.seconds))
        return response
    except StoreError as error:
        return _refusal(error).response()
    except web.HTTPException as error:
        return _plain(request, error)
    except UNREACHABLE:
        log.exception("api_database_unreachable", method=request.method, path=request.path)
        return ApiError(503, "UNAVAILABLE", "The database cannot be reached just now; try again shortly").response()
    except Exception:
        log.exception("api_failed", method=request.method, path=request.path)
        return ApiError(500, "INTERNAL", "Something went wrong in the service; its log says what").response()


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


def _plain(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        raise error
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            text = f"{request.path} does not take {request.method}; it takes {allowed}"
        case web.HTTPNotFound():
            text = f"There is nothing at {request.path}; /api/docs tells what there is"
        case _:
            text = error.reason
    response = ApiError(error.status, _CODES.get(error.status, "REFUSED"), text).response()
    if hdrs.ALLOW in error.headers:
        response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    return response
