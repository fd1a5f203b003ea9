"""``/agents/{agentId}/listen`` and ``/listener``: agents activated on numbers, or for browser sessions."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import AfterValidator, Field, StringConstraints
from typing_extensions import TypedDict

from gateway.api.errors import ApiError, invalid, not_found
from gateway.api.operations import Operations, owner_of, read_body, read_query, store_of
from gateway.api.shapes import Metadata, iso
from gateway.leases import GRACE_SECONDS
from pipelines.agent import ModelName, Problem, Strict
from pipelines.agent.options import Recording
from pipelines.agent.telephone import digits
from store import Listener, ListenerOptions
from store.numbers import ANY

operations = Operations("Listeners", "listeners")

MAX_TTL = 366 * 86_400


def _wanted(number: str) -> str:
    return ANY if number.strip() == ANY else digits(number)


class ListenOptions(Strict):
    """What this activation adds to the agent. ``agentLimit``: calls at once; null is no limit, 0 none at all.
    ``ttl``: the listener goes after so many seconds, unless its lease is renewed. ``tied``: open progress sockets renew
    it, and ``ttl`` (30, unless another is given) is how long there may be none."""

    agent_limit: int | None = Field(default=None, ge=0, le=1_000_000)
    stream_log: bool = False
    metadata: Metadata = Field(default={})
    recording: Recording | None = None
    ttl: int | None = Field(default=None, ge=1, le=MAX_TTL)
    tied: bool = False


class ListenRequest(Strict):
    """``number`` in E.164, or ``*`` for any free one, or ``id`` of a registration; without them, browser sessions."""

    number: Annotated[str, AfterValidator(_wanted)] | None = Field(default=None, examples=["+442080996945", "*"])
    id: Annotated[str, StringConstraints(min_length=1, to_lower=True)] | None = None
    websocket: bool = False
    options: ListenOptions = ListenOptions()


class ListenView(TypedDict):
    id: str
    number: str | None
    registrationId: str | None
    key: str
    socket: str
    expiresAt: str | None


class LeaseView(TypedDict):
    listenerId: str
    expiresAt: str | None


class ListenerView(TypedDict):
    agentId: str
    agentName: str | None
    listenerId: str
    type: str
    kind: Literal["webrtc", "phone", "registration"]
    phoneNumber: str | None
    registrationId: str | None
    registrationName: str | None
    createdAt: str | None
    expiresAt: str | None


class ListenersView(TypedDict):
    items: list[ListenerView]


class ListenersQuery(Strict):
    agent_id: str | None = None


@operations.add(
    "POST", "/agents/{agentId}/listen", body=(ListenRequest,), answer=ListenView, errors=(400, 404, 409, 412, 501)
)
async def listen(request: web.Request) -> web.Response:
    """Activate an agent on a number, on any free number, or for browser sessions."""
    owner, agent_id, store = owner_of(request), request.match_info["agentId"], store_of(request)
    body = await read_body(request, ListenRequest)
    agent = await store.agents.get(owner, agent_id)
    if agent is None:
        raise not_found("agent", agent_id)
    if ModelName.parse(agent.definition["modelName"]).handler == "livekit":
        raise ApiError(501, "NOT_IMPLEMENTED", "The handler livekit is not installed here; use jambonz or ultravox")
    if body.id is not None and body.number is not None:
        raise invalid([Problem("id", "and number exclude each other; a listener is on one of them")])
    wanted = body.options
    listener, key = await store.listeners.create(
        owner,
        agent_id,
        number=body.number,
        registration_id=body.id,
        options=ListenerOptions(
            metadata=wanted.metadata,
            agent_limit=wanted.agent_limit,
            stream_log=wanted.stream_log,
            recording=wanted.recording.as_sent() if wanted.recording else None,
            websocket=body.websocket,
            ttl=GRACE_SECONDS if wanted.tied and wanted.ttl is None else wanted.ttl,
            tied=wanted.tied,
        ),
    )
    return web.json_response(
        ListenView(
            id=listener.id,
            number=listener.number,
            registrationId=listener.registration_id,
            key=key,
            socket=f"/progress/{listener.id}",
            expiresAt=iso(listener.expires_at),
        )
    )


@operations.add("DELETE", "/agents/{agentId}/listen/{listenerId}", errors=(404,), deprecated=True)
async def delete_agent_listener(request: web.Request) -> web.Response:
    """Delete a listener of an agent; its number is free again."""
    return await _delete(request, agent_id=request.match_info["agentId"])


@operations.add("DELETE", "/listener/{listenerId}", errors=(404,))
async def delete_listener(request: web.Request) -> web.Response:
    """Delete a listener; its number is free again."""
    return await _delete(request, agent_id=None)


@operations.add("POST", "/listener/{listenerId}/renew", answer=LeaseView, errors=(404,))
async def renew(request: web.Request) -> web.Response:
    """Renew the lease of a listener, if it has one: it begins again now."""
    listener_id = request.match_info["listenerId"]
    expires = await store_of(request).leases.renew(owner_of(request), listener_id)
    return web.json_response(LeaseView(listenerId=listener_id, expiresAt=iso(expires)))


@operations.add("GET", "/listener", query=ListenersQuery, answer=ListenersView, errors=(400,))
async def list_listeners(request: web.Request) -> web.Response:
    """List listeners, all or those of one agent."""
    query = read_query(request, ListenersQuery)
    rows = await store_of(request).listeners.list(owner_of(request), agent_id=query.agent_id)
    return web.json_response(ListenersView(items=[_view(row) for row in rows]))


async def _delete(request: web.Request, *, agent_id: str | None) -> web.Response:
    listener_id = request.match_info["listenerId"]
    if not await store_of(request).listeners.delete(owner_of(request), listener_id, agent_id=agent_id):
        raise not_found("listener", listener_id)
    return web.Response()


def _kind(listener: Listener) -> Literal["webrtc", "phone", "registration"]:
    if listener.registration_id is not None:
        return "registration"
    return "webrtc" if listener.number is None else "phone"


def _view(listener: Listener) -> ListenerView:
    return {
        "agentId": listener.agent_id,
        "agentName": listener.agent_name,
        "listenerId": listener.id,
        "type": listener.type,
        "kind": _kind(listener),
        "phoneNumber": listener.number,
        "registrationId": listener.registration_id,
        "registrationName": listener.registration_name,
        "createdAt": iso(listener.created_at),
        "expiresAt": iso(listener.expires_at),
    }
