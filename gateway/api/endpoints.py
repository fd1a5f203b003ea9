"""``/phone-endpoints`` and ``/phone-numbers``: where calls come in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from gateway.api import registrations
from gateway.api.errors import invalid, not_found
from gateway.api.operations import (
    Operations,
    jambonz_changed,
    owner_of,
    read_json,
    read_query,
    store_of,
    validated,
)
from gateway.api.registrations import (
    RegistrationChanges,
    RegistrationCreated,
    RegistrationRequest,
    RegistrationView,
    is_registration,
)
from gateway.api.shapes import Digits, Done, Handler, OffsetQuery, iso
from gateway.keys import SETTINGS
from pipelines.agent import Problem, Strict, nearest, number_pool
from pipelines.agent.telephone import digits
from store import Page
from store.numbers import NumberFilter, PhoneNumber
from store.trunks import Trunk

operations = Operations("Phone endpoints", "numbers")

TYPES = ("e164-ddi", "phone-registration")
_LOCAL_HANDLER = "jambonz"


class NumberRequest(Strict):
    """A number. ``trunkId`` may be left out where there is no trunk to choose, or no Jambonz: the number is local."""

    type: Literal["e164-ddi"]
    number: Digits
    trunk_id: str | None = None
    outbound: bool = False
    name: str | None = Field(default=None, max_length=200)


class NumberChanges(Strict):
    outbound: bool | None = None
    handler: Handler | None = None
    name: str | None = Field(default=None, max_length=200)


class Created(TypedDict):
    success: bool
    number: str
    trunkId: str | None


class EndpointView(TypedDict):
    number: str
    name: str | None
    handler: str
    outbound: bool
    trunkId: str | None
    provisioned: bool
    inUse: bool
    agentId: str | None
    agentName: str | None
    createdAt: str | None


class EndpointsPage(TypedDict):
    items: list[EndpointView | RegistrationView]
    nextOffset: int | None


class NumberView(TypedDict):
    number: str
    handler: str
    outbound: bool


class EndpointsQuery(OffsetQuery):
    originate: bool = False
    handler: Handler | None = None
    type: Literal["e164-ddi", "phone-registration"] | None = None
    search: str = ""
    trunk_id: Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)] = Field(
        default=[]
    )


class NumbersQuery(Strict):
    originate: bool = False
    handler: Handler | None = None


@operations.add(
    "POST",
    "/phone-endpoints",
    body=(NumberRequest, RegistrationRequest),
    answer=Created | RegistrationCreated,
    status=201,
    errors=(400, 409),
)
async def create_phone_endpoint(request: web.Request) -> web.Response:
    """Add a number to the pool, or a SIP account to register with."""
    body = await read_json(request)
    if body.get("type") == "phone-registration":
        return await registrations.create(request, body)
    if "phoneNumber" in body and "number" not in body:
        body["number"] = body.pop("phoneNumber")
    if body.get("type") != "e164-ddi":
        raise invalid([Problem("type", _no_type(body.get("type")))])
    wanted = validated(NumberRequest, body)
    trunk = await _trunk(request, wanted.trunk_id)
    _check_outbound(wanted.outbound, trunk)
    await store_of(request).numbers.create(
        owner_of(request),
        wanted.number,
        handler=trunk.handler if trunk else _LOCAL_HANDLER,
        trunk_id=wanted.trunk_id,
        outbound=wanted.outbound,
        name=wanted.name,
    )
    jambonz_changed(request)
    return web.json_response(Created(success=True, number=wanted.number, trunkId=wanted.trunk_id), status=201)


@operations.add("GET", "/phone-endpoints", query=EndpointsQuery, answer=EndpointsPage, errors=(400,))
async def list_phone_endpoints(request: web.Request) -> web.Response:
    """List numbers (own ones, and those of the house that are free), then registrations."""
    query, owner, store = read_query(request, EndpointsQuery), owner_of(request), store_of(request)
    handler, search = query.handler and number_pool(query.handler), query.search.strip()
    wanted = NumberFilter(handler=handler, search=search, trunk_ids=query.trunk_id, outbound_only=query.originate)
    window = query.window
    rows: list[EndpointView | RegistrationView] = []
    if query.type != "phone-registration":
        rows += [_view(row) for row in await store.numbers.list(owner, window.page, wanted)]
    if query.type != "e164-ddi" and not query.trunk_id and len(rows) < window.page.limit:
        before = 0 if query.type is not None else await store.numbers.count(owner, wanted)
        rest = Page(window.page.limit - len(rows), max(0, window.offset - before))
        found = await store.registrations.list(
            owner, rest, handler=handler, search=search, outbound_only=query.originate
        )
        rows += [registrations.view(row) for row in found]
    shown, following = window.split(rows)
    return web.json_response(EndpointsPage(items=shown, nextOffset=following))


@operations.add("GET", "/phone-endpoints/{identifier}", answer=EndpointView | RegistrationView, errors=(404,))
async def get_phone_endpoint(request: web.Request) -> web.Response:
    """Read a number, given with or without its leading +, or a registration by its id."""
    if is_registration(request.match_info["identifier"]):
        return await registrations.get(request)
    return web.json_response(_view(await _number(request)))


@operations.add(
    "PUT",
    "/phone-endpoints/{identifier}",
    body=(NumberChanges, RegistrationChanges),
    answer=Done,
    errors=(400, 404, 409),
)
async def update_phone_endpoint(request: web.Request) -> web.Response:
    """Change a number's outbound, handler or name; or those of a registration, and its credentials."""
    body = await read_json(request)
    if is_registration(request.match_info["identifier"]):
        return await registrations.update(request, body)
    changes = validated(NumberChanges, body)
    number = await _number(request)
    if changes.outbound:
        _check_outbound(True, await _trunk(request, number.trunk_id) if number.trunk_id else None)
    values: dict[str, Any] = changes.model_dump(exclude_unset=True)
    for name in ("outbound", "handler"):
        if name in values and values[name] is None:
            raise invalid([Problem(name, "cannot be null; leave it out to keep it")])
    if changes.handler:
        values["handler"] = number_pool(changes.handler)
    if not await store_of(request).numbers.update(owner_of(request), number.number, values):
        raise not_found("phone endpoint", number.number)
    jambonz_changed(request)
    return web.json_response(Done(success=True, message=f"The number {number.number} was changed"))


@operations.add("DELETE", "/phone-endpoints/{identifier}", answer=Done, errors=(404, 409))
async def delete_phone_endpoint(request: web.Request) -> web.Response:
    """Delete a number or a registration. While a listener has it, it stays."""
    if is_registration(request.match_info["identifier"]):
        return await registrations.delete(request)
    number = (await _number(request)).number
    if not await store_of(request).numbers.delete(owner_of(request), number):
        raise not_found("phone endpoint", number)
    jambonz_changed(request)
    return web.json_response(Done(success=True, message=f"The number {number} was deleted"))


@operations.add("GET", "/phone-numbers", query=NumbersQuery, answer=list[NumberView], errors=(400,), deprecated=True)
async def list_phone_numbers(request: web.Request) -> web.Response:
    """List numbers, all at once; phone-endpoints tells more."""
    query = read_query(request, NumbersQuery)
    wanted = NumberFilter(handler=query.handler and number_pool(query.handler), outbound_only=query.originate)
    rows = await store_of(request).numbers.list(owner_of(request), Page(limit=10_000), wanted)
    return web.json_response([NumberView(number=r.number, handler=r.handler, outbound=r.outbound) for r in rows])


def _no_type(given: object) -> str:
    meant = nearest(given, TYPES) if isinstance(given, str) else None
    return f"has to be one of {', '.join(TYPES)}" + (f"; did you mean {meant}?" if meant else "")


async def _number(request: web.Request) -> PhoneNumber:
    identifier = request.match_info["identifier"]
    try:
        number = await store_of(request).numbers.get(owner_of(request), digits(identifier))
    except ValueError:
        number = None
    if number is None:
        raise not_found("phone endpoint", identifier)
    return number


async def _trunk(request: web.Request, trunk_id: str | None) -> Trunk | None:
    owner, trunks = owner_of(request), store_of(request).trunks
    if trunk_id is None:
        if request.config_dict[SETTINGS].jambonz_server is not None and await trunks.list(owner, Page(limit=1)):
            raise invalid([Problem("trunkId", "is missing; GET /api/trunks lists those you can use")])
        return None
    trunk = await trunks.get(owner, trunk_id)
    if trunk is None:
        raise invalid([Problem("trunkId", "names no trunk of yours; GET /api/trunks lists those you can use")])
    return trunk


def _check_outbound(outbound: bool, trunk: Trunk | None) -> None:
    if outbound and (trunk is None or not trunk.outbound):
        raise invalid([Problem("outbound", "is not possible: the number is on no trunk that allows it")])


def _view(number: PhoneNumber) -> EndpointView:
    return {
        "number": number.number,
        "name": number.name,
        "handler": number.handler,
        "outbound": number.outbound,
        "trunkId": number.trunk_id,
        "provisioned": number.provisioned,
        "inUse": number.listener_id is not None,
        "agentId": number.agent_id,
        "agentName": number.agent_name,
        "createdAt": iso(number.created_at),
    }
