"""``/listener/{id}/originate``: a listener's agent rings somebody."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from gateway.api.errors import ApiError, invalid, not_found
from gateway.api.operations import HeaderField, Operations, owner_of, read_body, store_of
from gateway.api.shapes import Metadata
from gateway.dialler import CannotDial
from gateway.keys import SWITCHBOARD
from gateway.permits import NotPermitted, permitted
from gateway.places import Elsewhere
from jambonz.hooks import normalize_number
from jambonz.provisioning.wanted import CARRIER_PREFIX
from jambonz.verbs import VerbError
from pipelines.agent import Problem, Strict
from pipelines.agent.telephone import digits
from store import Owner, Store
from store.calls import Call, NewCall
from store.listeners import ListenerForCall
from store.registrations import DISABLED

operations = Operations("Outbound calls", "calls")

IDEMPOTENCY_HEADER = "Idempotency-Key"
IDEMPOTENCY = HeaderField(
    IDEMPOTENCY_HEADER,
    255,
    "Which request this is, in the client's own words. One that is sent again with the same key for the same listener "
    "rings nobody: it is answered 200 with the `callId` of the first, for as long as that call is kept. It is 409 "
    "(`IN_USE`) where the key was used for another `calledId` or `callerId`, or for a call that could not be placed. "
    "`metadata` is not compared. Without a key, each request is a call.",
)
_KEYS = uuid.UUID("6f0d7c52-6a0b-4d0e-9a49-1f5f0e1c7b3a")
"""The space of the ids that calls with such a key have."""

_POOL = "jambonz"

STORED_SECONDS = 5.0
"""How long a request that came before waits until it is known what became of it."""

LOOK_SECONDS = 0.2
"""Between two looks at the database, where another process knows."""


class OriginateRequest(Strict):
    """``calledId`` is who is rung, in E.164, or as at the caller's home. ``callerId`` rings: a number of the owner's,
    or the id of a registration, either of them for outbound calls. ``metadata`` is laid over that of the listener, for
    this call."""

    called_id: str = Field(max_length=40, examples=["+442079460123"])
    caller_id: str = Field(max_length=64, examples=["+442079460000"])
    metadata: Metadata = Field(default={}, examples=[{"customer": {"name": "Ann"}}])


class OriginatedView(TypedDict):
    callId: str
    listenerId: str
    callerId: str
    calledId: str
    organisationId: str


class OriginateView(TypedDict):
    success: Literal[True]
    message: str
    data: OriginatedView


@dataclass(frozen=True, slots=True)
class _Caller:
    """``from_`` is as the network is told, ``home`` the digits of it, where it is a number."""

    from_: str
    home: str | None
    trunk: str | None


@operations.add(
    "POST",
    "/listener/{listenerId}/originate",
    body=(OriginateRequest,),
    headers=(IDEMPOTENCY,),
    answer=OriginateView,
    errors=(400, 404, 409, 501),
)
async def originate(request: web.Request) -> web.Response:
    """Ring somebody, for the agent of a listener to speak with."""
    key = IDEMPOTENCY.read(request)
    body = await read_body(request, OriginateRequest)
    owner, store = owner_of(request), store_of(request)
    listener = await _listener(store, owner, request.match_info["listenerId"])
    caller = await _caller(store, owner, body.caller_id)
    try:
        # The plan of a country is read from disk when it is first needed.
        called = await asyncio.to_thread(permitted, body.called_id, listener.agent.options, home=caller.home)
    except NotPermitted as refused:
        raise ApiError(400, "NOT_PERMITTED", str(refused), [{"path": "calledId", "message": str(refused)}]) from None
    view = OriginatedView(
        callId=_call_id(key, owner, listener),
        listenerId=listener.id,
        callerId=caller.home or body.caller_id,
        calledId=called,
        organisationId=owner.organisation_id,
    )
    if key is not None:
        known = await _known(request, owner, view["callId"])
        if known is not None:
            return _again(known, caller, view)
    options = replace(listener.options, metadata={**listener.options.metadata, **body.metadata})
    try:
        placed = await _place(request, replace(listener, options=options), caller, view)
    except Elsewhere:  # another request with this key is at another process just now
        return _again(await _by_another(store, owner, view["callId"]), caller, view)
    _check_same(placed, caller, view)  # another request with this key may have been there an instant before
    return _answer(view)


async def _known(request: web.Request, owner: Owner, call_id: str) -> Call | None:
    """The call, if the request came before. One that began a moment ago, and may be over already, is still to be
    written."""
    recorder = request.config_dict[SWITCHBOARD].placing.around.recorder
    try:
        async with asyncio.timeout(STORED_SECONDS):
            await recorder.stored(call_id)
    except TimeoutError:
        raise _cannot_tell(call_id) from None
    return await store_of(request).calls.get(owner, call_id)


async def _by_another(store: Store, owner: Owner, call_id: str) -> Call:
    """The call that another process is placing, once it is written."""
    try:
        async with asyncio.timeout(STORED_SECONDS):
            while (known := await store.calls.get(owner, call_id)) is None:  # noqa: ASYNC110 - it is written elsewhere
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise _cannot_tell(call_id) from None
    return known


def _cannot_tell(call_id: str) -> ApiError:
    return ApiError(503, "UNAVAILABLE", f"What became of the call {call_id} cannot be told just now; ask again")


async def _place(request: web.Request, listener: ListenerForCall, caller: _Caller, view: OriginatedView) -> NewCall:
    details = {"callId": view["callId"]}
    try:
        call = await request.config_dict[SWITCHBOARD].placing.originate(
            listener, view["calledId"], from_=caller.from_, trunk=caller.trunk, call_id=view["callId"]
        )
    except VerbError as error:
        raise ApiError(400, "NOT_PLACED", f"Jambonz would not take this call: {error}") from None
    except CannotDial as error:
        match error.kind:
            case "nowhere":
                raise ApiError(501, "NOT_IMPLEMENTED", str(error)) from None
            case "refused":
                raise ApiError(400, "NOT_PLACED", str(error), details) from None
            case "away":
                raise ApiError(503, "UNAVAILABLE", str(error), details) from None
            case _:
                assert_never(error.kind)
    return call.record.row


async def _listener(store: Store, owner: Owner, listener_id: str) -> ListenerForCall:
    room = await store.listeners.room(listener_id, owner)
    if room is None:
        raise not_found("listener", listener_id)
    return room.listener


async def _caller(store: Store, owner: Owner, caller_id: str) -> _Caller:
    """Raises :class:`ApiError`: what rings has to be the owner's, and for that."""
    registration = await store.registrations.get(owner, caller_id)
    if registration is not None:
        _check(registration.outbound, registration.handler, f"The registration {caller_id}")
        if registration.status == DISABLED:
            raise ApiError(400, "NOT_OUTBOUND", f"The registration {caller_id} is disabled; activate it first")
        return _Caller(registration.username, None, f"{CARRIER_PREFIX}{registration.id}")
    try:
        number = await store.numbers.of_owner(owner, digits(caller_id))
    except ValueError:
        raise invalid([Problem("callerId", "has to be a number in E.164, or the id of a registration")]) from None
    if number is None:
        raise ApiError(400, "UNKNOWN_CALLER", f"callerId: there is no number {caller_id} of yours to ring from")
    _check(number.outbound, number.handler, f"The number {number.number}")
    line = (await store.numbers.lines(owner, [number.number])).get(number.number)
    trunk = line.trunk if line is not None else None
    # The trunk may have been changed since it allowed that to the number. That of a number of the house is nobody's.
    _check(number.trunk_id is None or trunk is not None, number.handler, f"The trunk of {number.number}")
    return _Caller(f"+{number.number}", number.number, trunk)


def _check(outbound: bool, handler: str, what: str) -> None:
    if not outbound:
        raise ApiError(400, "NOT_OUTBOUND", f"{what} is not for outbound calls; set its outbound to true")
    if handler != _POOL:
        raise ApiError(400, "NOT_OUTBOUND", f"{what} is for {handler}; calls are placed over {_POOL}")


def _call_id(key: str | None, owner: Owner, listener: ListenerForCall) -> str:
    """Another one each time, unless the client says which request is which."""
    if key is None:
        return str(uuid.uuid4())
    return str(uuid.uuid5(_KEYS, f"{owner.organisation_id} {listener.id} {key}"))


def _again(known: Call, caller: _Caller, view: OriginatedView) -> web.Response:
    """The request came before: it rings nobody twice."""
    _check_same(known, caller, view)
    if known.status.startswith("failed: Jambonz did not") or known.end_reason == "limit":
        raise ApiError(
            409,
            "IN_USE",
            f"This {IDEMPOTENCY_HEADER} was used for a call that could not be placed, {known.id}; take another",
        )
    return _answer(view)


def _check_same(known: Call | NewCall, caller: _Caller, view: OriginatedView) -> None:
    before = (known.called_id, known.caller_id, known.listener_id)
    if before != (view["calledId"], normalize_number(caller.from_), view["listenerId"]):
        raise ApiError(409, "IN_USE", f"This {IDEMPOTENCY_HEADER} was used for another call, {known.id}")


def _answer(view: OriginatedView) -> web.Response:
    return web.json_response(OriginateView(success=True, message=f"{view['calledId']} is being rung", data=view))
