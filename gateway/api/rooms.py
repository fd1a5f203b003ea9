"""``/listener/{id}/join`` and ``/rooms/{id}/join``: browser sessions, which are calls over an audio socket of ours,
or at Ultravox, where the agent is one of its own and nobody asked for a socket.

A page has no API key to lose: what it joins with is the key of one listener, good for nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NotRequired

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from gateway.api.errors import ApiError, not_found
from gateway.api.operations import Operations, owner_of, read_body, store_of
from gateway.api.shapes import Metadata
from gateway.keys import IDENTITY, JOINING, SETTINGS, SWITCHBOARD
from pipelines.agent import Strict
from pipelines.parts import ProviderError
from store.listeners import ListenerForCall, Room

operations = Operations("Browser sessions", "listeners")


class JoinOptions(Strict):
    """For this call: ``metadata`` is laid over that of the listener, or under it with the key of a room; with
    ``streamLog`` what the service logs of it is kept, as if the listener had it."""

    metadata: Metadata = Field(default={}, examples=[{"customer": {"name": "Ann"}}])
    stream_log: bool = False


class JoinRequest(Strict):
    options: JoinOptions = JoinOptions()


class AudioSocket(TypedDict):
    """``url`` is good once, and for 20 seconds. ``sampleRate`` of the sound both ways: 16-bit PCM, mono."""

    url: str
    sampleRate: int


class Ultravox(TypedDict):
    """``joinUrl`` is for Ultravox's own client, which has the sound from there on: good once, and for 30 seconds."""

    joinUrl: str


class JoinView(TypedDict):
    """One of the other two: where the sound of the call goes."""

    callId: str
    audioSocket: NotRequired[AudioSocket]
    ultravox: NotRequired[Ultravox]


class RoomKeyView(TypedDict):
    listenerId: str
    roomKey: str


_JOINING: Mapping[str, Any] = {
    "body": (JoinRequest,),
    "answer": JoinView,
    "errors": (400, 404, 503),
    "scope": "calls:write",
    "any_origin": True,
}


@operations.add("POST", "/listener/{listenerId}/join", **_JOINING)
async def join_listener(request: web.Request) -> web.Response:
    """Begin a call with a listener for browsers: the answer tells where its audio goes."""
    return await _join(request)


@operations.add("POST", "/rooms/{listenerId}/join", **_JOINING, room=True)
async def join_room(request: web.Request) -> web.Response:
    """The same for pages: the bearer may be the listener's own key."""
    return await _join(request)


@operations.add(
    "GET",
    "/listener/{listenerId}/room-key",
    answer=RoomKeyView,
    errors=(400, 404),
    scope="listeners:write",
)
async def get_room_key(request: web.Request) -> web.Response:
    """Read the key with which browsers join a listener."""
    room = await _room(request)
    return web.json_response(RoomKeyView(listenerId=room.listener.id, roomKey=room.key))


async def _join(request: web.Request) -> web.Response:
    body = await read_body(request, JoinRequest)
    listener = (await _room(request)).listener
    by_page = request[IDENTITY].id.startswith("room ")
    options = replace(
        listener.options,
        metadata=_of_call(listener, body.options.metadata, by_page=by_page),
        stream_log=listener.options.stream_log or body.options.stream_log,
    )
    listener = replace(listener, options=options)
    base = request.config_dict[SETTINGS].public_url or f"{request.scheme}://{request.host}"
    try:
        if listener.agent.model.handler == "ultravox" and not options.websocket:
            remote = await request.config_dict[JOINING].join(listener, base)
            return web.json_response(JoinView(callId=remote.id, ultravox=Ultravox(joinUrl=remote.join_url)))
        call = await request.config_dict[SWITCHBOARD].join(listener)
    except ProviderError as error:
        raise ApiError(503, "UNAVAILABLE", f"The call cannot be made at Ultravox: {error}") from None
    socket = AudioSocket(url=f"ws{base.removeprefix('http')}/audio/{call.token}", sampleRate=call.format.rate)
    return web.json_response(JoinView(callId=call.id, audioSocket=socket))


def _of_call(listener: ListenerForCall, sent: Mapping[str, Any], *, by_page: bool) -> dict[str, Any]:
    """The metadata of a call: what is sent over the listener's. What comes with the key of a room is whatever the
    visitor of a page wrote: it adds to the listener's and changes nothing of it, has no webhook, and does not say where
    functions lead."""
    own = listener.options.metadata
    if not by_page:
        return {**own, **sent}
    refused = {"callHook"}.union(*(function.target_origins for function in listener.agent.functions))
    return {**{name: value for name, value in sent.items() if name not in refused}, **own}


async def _room(request: web.Request) -> Room:
    """One without a number and a registration, of whoever asks."""
    listener_id = request.match_info["listenerId"]
    room = await store_of(request).listeners.room(listener_id, owner_of(request))
    if room is None:
        raise not_found("listener", listener_id)
    if room.telephone:
        sentence = "This listener answers telephone calls; make one without a number or a registration for browsers"
        raise ApiError(400, "NOT_FOR_BROWSERS", sentence)
    return room
