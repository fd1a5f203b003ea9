"""What vendors tell us, and ask of us: webhooks, believed for their signature alone, and functions of a call at
Ultravox, by a token that was made for it."""

from __future__ import annotations

import secrets
import time

import structlog
from aiohttp import web

from gateway import metrics
from gateway.api.errors import ApiError
from gateway.api.operations import read_json, read_raw
from gateway.keys import JOINING, SETTINGS
from ultravox.webhook import SIGNATURE_HEADER, TIMESTAMP_HEADER, CallEnded, WebhookRefused, verify

log = structlog.get_logger(__name__)


def routes() -> list[web.RouteDef]:
    return [
        web.post("/hooks/ultravox", ultravox),
        web.post("/hooks/ultravox/{callId}/{token}/{name}", ultravox_function),
    ]


async def ultravox(request: web.Request) -> web.Response:
    """A call of Ultravox's has ended: what it was billed for is counted."""
    secret = request.config_dict[SETTINGS].ultravox_webhook_secret
    if secret is None:
        metrics.hooks_refused.labels("ultravox", "no_secret").inc()
        raise ApiError(403, "FORBIDDEN", "This service expects no webhooks of Ultravox; set ULTRAVOX_WEBHOOK_SECRET")
    body = await read_raw(request)
    headers = request.headers
    try:
        verify(
            headers.get(TIMESTAMP_HEADER), headers.get(SIGNATURE_HEADER), body, [secret.get_secret_value()], time.time()
        )
        ended = CallEnded.parse(body)
    except WebhookRefused as refused:
        metrics.hooks_refused.labels("ultravox", refused.reason.value).inc()
        log.warning("a webhook was refused", hook="ultravox", reason=refused.reason.value)
        raise ApiError(403, "FORBIDDEN", str(refused)) from None
    except ValueError as error:
        metrics.hooks_refused.labels("ultravox", "bad_request").inc()
        raise ApiError(400, "BAD_REQUEST", str(error)) from None
    if ended is not None:
        log.info("ultravox: call over", ultravox_call=ended.call_id, reason=ended.end_reason)
        if ended.billed_seconds is not None:
            metrics.usage.labels("llm", "ultravox", "billed_seconds").inc(ended.billed_seconds)
        joining = request.config_dict.get(JOINING)
        if joining is not None:
            joining.ended(ended.call_id)
    return web.Response(status=204)


async def ultravox_function(request: web.Request) -> web.Response:
    """A function of a call that a browser has with Ultravox: what the model is told. The header is Ultravox's, for one
    that ends the call."""
    match, arguments = request.match_info, await read_json(request)
    call_id, invocation = match["callId"], secrets.token_hex(8)
    joining = request.config_dict[JOINING]
    result = await joining.use(call_id, match["token"], match["name"], invocation, arguments)
    if result is None:
        metrics.hooks_refused.labels("ultravox", "no_call").inc()
        raise ApiError(404, "NOT_FOUND", "There is no such call under way, or this is not its token")
    headers = {"X-Ultravox-Response-Type": "hang-up"} if result.ends is not None else {}
    return web.Response(text=result.text, headers=headers)
