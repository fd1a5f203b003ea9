"""``/phone-endpoints``, ``/phone-numbers`` and ``/trunks``: where calls come in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from gateway.api.errors import ApiError, invalid, not_found
from gateway.api.operations import Operations, owner_of, read_body, read_json, read_query, store_of, validated
from gateway.api.shapes import Digits, Window, iso
from gateway.keys import SETTINGS
from pipelines.agent import Problem, Strict, number_pool
from pipelines.agent.telephone import digits
from store import Page
from store.numbers import NumberFilter, PhoneNumber, Trunk

operations = Operations("Phone endpoints", "numbers")

TYPES = ("e164-ddi", "phone-registration")
Handler = Literal["jambonz", "livekit", "ultravox"]
_LOCAL_HANDLER = "jambonz"
_REGISTRATIONS = ApiError(501, "NOT_IMPLEMENTED", "Registrations are not possible yet; use a number of type e164-ddi")


class NumberRequest(Strict):
    """A number. ``trunkId`` may be left out where there is no trunk to choose, or no Jambonz: the number is local."""

    type: Literal["e164-ddi"]
    number: Digits
    trunk_id: str | None = None
    outbound: bool = False
    name: str | None = Field(default=None, max_length=200)


class RegistrationRequest(Strict):
    """A SIP account to register with."""

    type: Literal["phone-registration"]
    registrar: str
    username: str
    password: str
    name: str | None = None
    handler: Handler | None = None
    outbound: bool = False
    options: dict[str, Any] | None = None


class NumberChanges(Strict):
    outbound: bool | None = None
    handler: Handler | None = None
    name: str | None = Field(default=None, max_length=200)


class Created(TypedDict):
    success: bool
    number: str
    trunkId: str | None


class Done(TypedDict):
    success: bool
    message: str


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
    items: list[EndpointView]
    nextOffset: int | None


class NumberView(TypedDict):
    number: str
    handler: str
    outbound: bool


class TrunkView(TypedDict):
    id: str
    name: str
    handler: str
    outbound: bool
    flags: dict[str, Any]


class TrunksPage(TypedDict):
    items: list[TrunkView]
    nextOffset: int | None


class TrunksQuery(Strict):
    offset: int = Field(default=0, ge=0, le=2**31)
    page_size: int = Field(default=50, ge=1)

    @property
    def window(self) -> Window:
        return Window(limit=self.page_size, offset=self.offset)


class EndpointsQuery(TrunksQuery):
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
    answer=Created,
    status=201,
    errors=(400, 409, 501),
)
async def create_phone_endpoint(request: web.Request) -> web.Response:
    """Add a number to the pool."""
    body = await read_json(request)
    if body.get("type") == "phone-registration":
        validated(RegistrationRequest, body)
        raise _REGISTRATIONS
    if "phoneNumber" in body and "number" not in body:
        body["number"] = body.pop("phoneNumber")
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
    return web.json_response(Created(success=True, number=wanted.number, trunkId=wanted.trunk_id), status=201)


@operations.add("GET", "/phone-endpoints", query=EndpointsQuery, answer=EndpointsPage, errors=(400,))
async def list_phone_endpoints(request: web.Request) -> web.Response:
    """List numbers: own ones, and those of the house that are free."""
    query = read_query(request, EndpointsQuery)
    if query.type == "phone-registration":
        return web.json_response(EndpointsPage(items=[], nextOffset=None))
    window = query.window
    wanted = NumberFilter(
        handler=query.handler and number_pool(query.handler),
        search=query.search.strip().removeprefix("+"),
        trunk_ids=query.trunk_id,
        outbound_only=query.originate,
    )
    shown, following = window.split(await store_of(request).numbers.list(owner_of(request), window.page, wanted))
    return web.json_response(EndpointsPage(items=[_view(row) for row in shown], nextOffset=following))


@operations.add("GET", "/phone-endpoints/{identifier}", answer=EndpointView, errors=(404,))
async def get_phone_endpoint(request: web.Request) -> web.Response:
    """Read a number, given with or without its leading +."""
    return web.json_response(_view(await _number(request)))


@operations.add("PUT", "/phone-endpoints/{identifier}", body=(NumberChanges,), answer=Done, errors=(400, 404))
async def update_phone_endpoint(request: web.Request) -> web.Response:
    """Change a number's outbound, handler or name."""
    changes = await read_body(request, NumberChanges)
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
    return web.json_response(Done(success=True, message=f"The number {number.number} was changed"))


@operations.add("DELETE", "/phone-endpoints/{identifier}", answer=Done, errors=(404, 409))
async def delete_phone_endpoint(request: web.Request) -> web.Response:
    """Take a number out of the pool. While a listener has it, it stays."""
    number = (await _number(request)).number
    if not await store_of(request).numbers.delete(owner_of(request), number):
        raise not_found("phone endpoint", number)
    return web.json_response(Done(success=True, message=f"The number {number} was deleted"))


@operations.add("GET", "/phone-numbers", query=NumbersQuery, answer=list[NumberView], errors=(400,), deprecated=True)
async def list_phone_numbers(request: web.Request) -> web.Response:
    """List numbers, all at once; phone-endpoints tells more."""
    query = read_query(request, NumbersQuery)
    wanted = NumberFilter(handler=query.handler and number_pool(query.handler), outbound_only=query.originate)
    rows = await store_of(request).numbers.list(owner_of(request), Page(limit=10_000), wanted)
    return web.json_response([NumberView(number=r.number, handler=r.handler, outbound=r.outbound) for r in rows])


@operations.add("GET", "/trunks", query=TrunksQuery, answer=TrunksPage, errors=(400,))
async def list_trunks(request: web.Request) -> web.Response:
    """List the trunks that numbers can be put on."""
    window = read_query(request, TrunksQuery).window
    shown, following = window.split(await store_of(request).trunks.list(owner_of(request), window.page))
    items = [TrunkView(id=t.id, name=t.name, handler=t.handler, outbound=t.outbound, flags=t.flags) for t in shown]
    return web.json_response(TrunksPage(items=items, nextOffset=following))


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
