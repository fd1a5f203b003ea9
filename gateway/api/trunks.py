"""``/trunks``: what numbers come over. A trunk is the carrier of Jambonz that has its name."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from gateway.api.errors import invalid, not_found
from gateway.api.operations import Operations, jambonz_changed, owner_of, read_body, read_query, store_of
from gateway.api.shapes import Done, Handler, OffsetQuery
from pipelines.agent import Problem, Strict, number_pool
from store.trunks import Trunk

operations = Operations("Trunks", "numbers")


class TrunkFlags(Strict):
    """``canRefer``: the carrier takes SIP REFER, so that a call can be handed back to it."""

    can_refer: bool = False


class TrunkRequest(Strict):
    """``name`` is that of a carrier in Jambonz, exactly. ``outbound``: calls may be placed over it."""

    name: str = Field(min_length=1, max_length=64, examples=["My carrier"])
    handler: Handler = "jambonz"
    outbound: bool = False
    flags: TrunkFlags = TrunkFlags()


class TrunkChanges(Strict):
    name: str | None = Field(default=None, min_length=1, max_length=64)
    outbound: bool | None = None
    flags: TrunkFlags | None = None


class TrunkView(TypedDict):
    id: str
    name: str
    handler: str
    outbound: bool
    flags: dict[str, Any]


class TrunksPage(TypedDict):
    items: list[TrunkView]
    nextOffset: int | None


@operations.add("GET", "/trunks", query=OffsetQuery, answer=TrunksPage, errors=(400,))
async def list_trunks(request: web.Request) -> web.Response:
    """List the trunks that numbers can be put on."""
    window = read_query(request, OffsetQuery).window
    shown, following = window.split(await store_of(request).trunks.list(owner_of(request), window.page))
    return web.json_response(TrunksPage(items=[_view(trunk) for trunk in shown], nextOffset=following))


@operations.add("POST", "/trunks", body=(TrunkRequest,), answer=TrunkView, status=201, errors=(400,))
async def create_trunk(request: web.Request) -> web.Response:
    """Make a trunk."""
    body = await read_body(request, TrunkRequest)
    trunk = await store_of(request).trunks.create(
        owner_of(request),
        body.name,
        handler=number_pool(body.handler),
        outbound=body.outbound,
        flags=body.flags.model_dump(by_alias=True),
    )
    return web.json_response(_view(trunk), status=201)


@operations.add("GET", "/trunks/{trunkId}", answer=TrunkView, errors=(404,))
async def get_trunk(request: web.Request) -> web.Response:
    """Read a trunk."""
    return web.json_response(_view(await _trunk(request)))


@operations.add("PUT", "/trunks/{trunkId}", body=(TrunkChanges,), answer=TrunkView, errors=(400, 404, 409))
async def update_trunk(request: web.Request) -> web.Response:
    """Change a trunk. With another name its numbers move to the carrier of that name."""
    changes = await read_body(request, TrunkChanges)
    trunk = await _trunk(request)
    values: dict[str, Any] = changes.model_dump(exclude_unset=True, by_alias=True)
    if missing := [Problem(name, "cannot be null; leave it out to keep it") for name, v in values.items() if v is None]:
        raise invalid(missing)
    if changes.flags is not None:
        values["flags"] = {**trunk.flags, **values["flags"]}
    if not await store_of(request).trunks.update(owner_of(request), trunk.id, values):
        raise not_found("trunk", trunk.id)
    jambonz_changed(request)
    return web.json_response(_view(await _trunk(request)))


@operations.add("DELETE", "/trunks/{trunkId}", answer=Done, errors=(404, 409))
async def delete_trunk(request: web.Request) -> web.Response:
    """Delete a trunk. While a number is on it, it stays."""
    trunk_id = request.match_info["trunkId"]
    if not await store_of(request).trunks.delete(owner_of(request), trunk_id):
        raise not_found("trunk", trunk_id)
    return web.json_response(Done(success=True, message="The trunk was deleted"))


async def _trunk(request: web.Request) -> Trunk:
    trunk_id = request.match_info["trunkId"]
    trunk = await store_of(request).trunks.get(owner_of(request), trunk_id)
    if trunk is None:
        raise not_found("trunk", trunk_id)
    return trunk


def _view(trunk: Trunk) -> TrunkView:
    return {
        "id": trunk.id,
        "name": trunk.name,
        "handler": trunk.handler,
        "outbound": trunk.outbound,
        "flags": trunk.flags,
    }
