"""``/calls``: what was called, and what was said."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from gateway.api.errors import not_found
from gateway.api.operations import Operations, owner_of, read_query, store_of
from gateway.api.pieces import send_pieces
from gateway.api.shapes import Moment, Window, iso
from pipelines.agent import Strict
from pipelines.usage import as_json
from store import Call, Owner, Period
from store.calls import Calls
from store.events import CallEvent

operations = Operations("Calls", "calls")

PAGE = 200
"""Entries of a log that are read and written at once: a call of hours has tens of thousands, and the sound of other
calls does not wait for all of them."""


class AgentCallView(TypedDict):
    id: str
    callerId: str | None
    calledId: str | None
    startedAt: str | None
    endedAt: str | None
    recordingId: str | None
    status: str


class AgentCallsPage(TypedDict):
    calls: list[AgentCallView]
    next: int | Literal[False]


class CallView(TypedDict):
    id: str
    index: int
    agentId: str
    parentId: str | None
    modelName: str
    callerId: str | None
    calledId: str | None
    startedAt: str | None
    endedAt: str | None
    status: str
    endReason: str | None
    durationMs: int | None


class UsageView(TypedDict):
    """What a part of a call used, as its provider reports it: tokens, seconds, characters, by the unit's name."""

    part: Literal["stt", "llm", "tts"]
    provider: str
    units: dict[str, float]


class CallDetails(CallView):
    listenerId: str | None
    recordingId: str | None
    usage: list[UsageView]


class CallsPage(TypedDict):
    calls: list[CallView]
    next: int | Literal[False]


class LogEntry(TypedDict):
    id: str
    callId: str
    seq: int
    type: str
    data: Any
    isFinal: bool
    createdAt: str | None


class InvocationLogView(TypedDict):
    """``log`` is what was logged: a JSON object a line."""

    callId: str
    organisationId: str
    userId: str | None
    subsystem: str
    createdAt: str | None
    updatedAt: str | None
    log: str


class _Between(Strict):
    start_date: Moment | None = None
    end_date: Moment | None = None

    @property
    def period(self) -> Period:
        return Period(self.start_date, self.end_date)


class AgentCallsQuery(_Between, Window): ...


class CallsQuery(_Between):
    """The calls after ``lastIndex``: give the ``next`` of a page to get the page after it."""

    last_index: int = Field(default=0, ge=0, le=2**62)
    limit: int = Field(default=50, ge=1)


@operations.add("GET", "/calls", query=CallsQuery, answer=CallsPage, errors=(400,))
async def list_calls(request: web.Request) -> web.Response:
    """List all calls in the order in which they came."""
    query = read_query(request, CallsQuery)
    limit = min(query.limit, 200)
    rows = await store_of(request).calls.of_organisation(
        owner_of(request),
        after_index=query.last_index,
        limit=limit + 1,
        period=query.period,
    )
    shown = rows[:limit]
    return web.json_response(
        CallsPage(calls=[_view(call) for call in shown], next=shown[-1].index if len(rows) > limit else False)
    )


@operations.add("GET", "/calls/{callId}", answer=CallDetails, errors=(404,))
async def get_call(request: web.Request) -> web.Response:
    """Read one call, with what it used."""
    call_id, owner, calls = request.match_info["callId"], owner_of(request), store_of(request).calls
    call = await calls.get(owner, call_id)
    if call is None:
        raise not_found("call", call_id)
    used = as_json(await calls.usage(owner, call_id))
    more = {"listenerId": call.listener_id, "recordingId": call.recording_id, "usage": used}
    return web.json_response({**_view(call), **more})


@operations.add("DELETE", "/calls/{callId}", status=204, errors=(404, 409))
async def delete_call(request: web.Request) -> web.Response:
    """Delete a call that is over, with its log: nothing of it is left."""
    call_id = request.match_info["callId"]
    if not await store_of(request).retention.delete_call(owner_of(request), call_id):
        raise not_found("call", call_id)
    return web.Response(status=204)


@operations.add("GET", "/calls/{callId}/logs", answer=list[LogEntry], errors=(404,))
async def get_call_log(request: web.Request) -> web.StreamResponse:
    """Read what happened in a call, in order."""
    call_id, owner, calls = request.match_info["callId"], owner_of(request), store_of(request).calls
    events = await calls.events(owner, call_id, limit=PAGE)
    if events is None:
        raise not_found("call", call_id)
    if len(events) < PAGE:
        return web.json_response([_entry(call_id, event) for event in events])
    response = web.StreamResponse()
    response.content_type, response.charset = "application/json", "utf-8"
    return await send_pieces(request, response, _entries(calls, owner, call_id, events))


async def _entries(
    calls: Calls, owner: Owner, call_id: str, events: Sequence[CallEvent] | None
) -> AsyncGenerator[bytes, None]:
    """A list of JSON, of which ``events`` are the first."""
    before = "["
    while events:
        yield (before + ", ".join(json.dumps(_entry(call_id, event)) for event in events)).encode()
        before, last = ", ", events[-1].seq
        events = await calls.events(owner, call_id, after_seq=last, limit=PAGE) if len(events) == PAGE else None
    yield b"]"


@operations.add("GET", "/calls/{callId}/invocation-log", answer=list[InvocationLogView], errors=(404,))
async def get_invocation_log(request: web.Request) -> web.Response:
    """Read what the service logged of a call whose listener has streamLog."""
    call_id = request.match_info["callId"]
    found = await store_of(request).invocation_logs.of_call(owner_of(request), call_id)
    if found is None:
        raise not_found("call", call_id)
    shown: list[InvocationLogView] = [
        {
            "callId": call_id,
            "organisationId": one.owner.organisation_id,
            "userId": one.owner.user_id,
            "subsystem": one.subsystem,
            "createdAt": iso(one.created_at),
            "updatedAt": iso(one.updated_at),
            "log": one.text,
        }
        for one in found
    ]
    return web.json_response(shown)


def _entry(call_id: str, event: CallEvent) -> LogEntry:
    return {
        "id": f"{call_id}:{event.seq}",
        "callId": call_id,
        "seq": event.seq,
        "type": event.type,
        "data": event.data,
        "isFinal": event.is_final,
        "createdAt": iso(event.at),
    }


def agent_call_view(call: Call) -> AgentCallView:
    return {
        "id": call.id,
        "callerId": call.caller_id,
        "calledId": call.called_id,
        "startedAt": iso(call.started_at),
        "endedAt": iso(call.ended_at),
        "recordingId": call.recording_id,
        "status": call.status,
    }


def _view(call: Call) -> CallView:
    return {
        "id": call.id,
        "index": call.index,
        "agentId": call.agent_id,
        "parentId": call.parent_id,
        "modelName": call.model_name,
        "callerId": call.caller_id,
        "calledId": call.called_id,
        "startedAt": iso(call.started_at),
        "endedAt": iso(call.ended_at),
        "status": call.status,
        "endReason": call.end_reason,
        "durationMs": call.duration_ms,
    }
