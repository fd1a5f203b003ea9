"""``/retention``: how long the organisation keeps its calls."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from gateway.api.operations import Operations, owner_of, read_body, store_of
from gateway.keys import SETTINGS
from pipelines.agent import Strict

operations = Operations("Calls", "calls")


class RetentionRequest(Strict):
    """``days``: how long calls are kept, with their logs and recordings; null is as long as the service keeps them."""

    days: Annotated[float, Field(gt=0, le=36_500)] | None = Field(examples=[30])


class RetentionView(TypedDict):
    """``days`` is the organisation's own, and ``serviceDays`` what the service keeps calls for at most; null is for
    ever. The shorter one holds."""

    days: float | None
    serviceDays: float | None


@operations.add("GET", "/retention", answer=RetentionView)
async def get_retention(request: web.Request) -> web.Response:
    """Read how long calls are kept."""
    return await _view(request)


@operations.add("PUT", "/retention", body=(RetentionRequest,), answer=RetentionView, errors=(400,))
async def update_retention(request: web.Request) -> web.Response:
    """Say how long calls are kept. It holds for those that there are, too: older ones are deleted within minutes."""
    body = await read_body(request, RetentionRequest)
    await store_of(request).retention.set_days(owner_of(request), body.days)
    return await _view(request)


async def _view(request: web.Request) -> web.Response:
    days = await store_of(request).retention.days(owner_of(request))
    service = request.config_dict[SETTINGS].retention_days or None
    return web.json_response(RetentionView(days=days, serviceDays=service))
