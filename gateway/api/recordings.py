"""``/calls/{callId}/recording``: to play, to delete, and, while the call lasts, to pause and go on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import structlog
from aiohttp import hdrs, web
from typing_extensions import TypedDict

from gateway.api.errors import ApiError, not_found
from gateway.api.operations import Operations, owner_of, store_of
from gateway.api.pieces import send_pieces
from gateway.api.shapes import iso
from gateway.asking import Unanswered
from gateway.keys import FEEDS, RECORDINGS
from gateway.recordings.keeper import Command, Recordings, RecordingState
from gateway.recordings.places import PlaceError
from gateway.recordings.sealed import CHUNK_BYTES, IV_BYTES, TAG_BYTES, Damaged, unsealed
from store.recordings import StoredRecording

log = structlog.get_logger(__name__)

operations = Operations("Recordings", "calls")


class AccessView(TypedDict):
    """``userId`` is null where that user is gone."""

    recordingId: str
    action: str
    userId: str | None
    createdAt: str | None


@operations.add("GET", "/calls/{callId}/recording", errors=(404, 503), media=("audio/ogg", "application/octet-stream"))
async def get_recording(request: web.Request) -> web.StreamResponse:
    """Play the recording of a call that is over.

    Ogg Opus, the caller left and the agent, as heard, right. If it was made with a key of the client's, as it is kept:
    application/octet-stream. Who did so is kept.
    """
    recording = await _stored(request)
    if request.method == hdrs.METH_HEAD:
        return _headed(recording)
    try:
        async with _all(request).copy(recording) as path:
            if path is None:
                raise _none(recording.call_id)
            await store_of(request).recordings.note(recording, owner_of(request), "download")
            return await _send(request, recording, path)
    except Damaged as error:
        log.error("a recording does not open", call_id=recording.call_id, why=str(error))
        raise ApiError(500, "DAMAGED", f"The recording of the call {recording.call_id} does not open") from None
    except (PlaceError, TimeoutError) as error:
        raise _away(recording, error) from None


@operations.add("DELETE", "/calls/{callId}/recording", status=204, errors=(404, 503))
async def delete_recording(request: web.Request) -> web.Response:
    """Delete the recording of a call; while that is under way, recording stops, and nothing is kept."""
    if await _command(request, "discard") is not None:
        return web.Response(status=204)
    recording = await _stored(request)
    try:
        await _all(request).delete(recording, owner_of(request))
    except (PlaceError, TimeoutError) as error:
        raise _away(recording, error) from None
    return web.Response(status=204)


@operations.add("POST", "/calls/{callId}/recording/pause", answer=RecordingState, errors=(404, 503))
async def pause_recording(request: web.Request) -> web.Response:
    """Record silence from here on, of both sides, for what must not be stored, such as the number of a card."""
    return web.json_response(await _needs_live(request, "pause"))


@operations.add("POST", "/calls/{callId}/recording/resume", answer=RecordingState, errors=(404, 503))
async def resume_recording(request: web.Request) -> web.Response:
    """Go on recording after a pause."""
    return web.json_response(await _needs_live(request, "resume"))


@operations.add("GET", "/calls/{callId}/recording/accesses", answer=list[AccessView], errors=(404,))
async def list_recording_accesses(request: web.Request) -> web.Response:
    """List who played or deleted the recording of a call, the first first."""
    call_id, owner, store = request.match_info["callId"], owner_of(request), store_of(request)
    found = await store.recordings.accesses(owner, call_id)
    if not found and await store.calls.get(owner, call_id) is None:
        raise not_found("call", call_id)
    views: list[AccessView] = [
        {
            "recordingId": access.recording_id,
            "action": access.action,
            "userId": access.user_id,
            "createdAt": iso(access.at),
        }
        for access in found
    ]
    return web.json_response(views)


def _headed(recording: StoredRecording) -> web.StreamResponse:
    """The answer, up to its body."""
    response = web.StreamResponse()
    name, size = f"{recording.call_id}.ogg", recording.size
    if recording.key is None:
        response.content_type, name = "application/octet-stream", f"{name}.sealed"
    else:
        response.content_type, size = "audio/ogg", size - IV_BYTES - TAG_BYTES
    response.content_length = size
    response.headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{name}"'
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    return response


async def _send(request: web.Request, recording: StoredRecording, path: Path) -> web.StreamResponse:
    pieces = _pieces(path) if recording.key is None else unsealed(path, recording.key)
    return await send_pieces(request, _headed(recording), _read(_all(request), pieces))


async def _read(recordings: Recordings, pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    while (piece := await recordings.read(lambda: next(pieces, None))) is not None:
        yield piece


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece


def _all(request: web.Request) -> Recordings:
    return request.config_dict[RECORDINGS]


async def _command(request: web.Request, command: Command) -> RecordingState | None:
    """What became of the recording of a call under way, whichever process has it; None if there is none."""
    owner, call_id = owner_of(request), request.match_info["callId"]
    here = _all(request).command(owner.organisation_id, call_id, command)
    process = await store_of(request).calls.other_process(call_id, owner) if here is None else None
    if process is None:
        return here
    about = {"organisation": owner.organisation_id, "call": call_id, "command": command}
    try:
        answer = await request.config_dict[FEEDS].elsewhere.asking.ask(process, "recording", about)
    except Unanswered as error:
        log.warning("the process of a call does not answer", call_id=call_id, process=process, why=str(error))
        raise ApiError(503, "UNAVAILABLE", "The process that has the call does not answer; try again shortly") from None
    return RecordingState(recordingId=answer["recordingId"], paused=answer["paused"]) if answer is not None else None


async def _needs_live(request: web.Request, command: Command) -> RecordingState:
    state = await _command(request, command)
    if state is None:
        raise ApiError(404, "NOT_FOUND", f"The call {request.match_info['callId']} is not being recorded")
    return state


async def _stored(request: web.Request) -> StoredRecording:
    call_id = request.match_info["callId"]
    recording = await store_of(request).recordings.of_call(owner_of(request), call_id)
    if recording is None:
        raise _none(call_id)
    return recording


def _none(call_id: str) -> ApiError:
    return ApiError(404, "NOT_FOUND", f"There is no recording of a call {call_id}, or it is not finished")


def _away(recording: StoredRecording, error: Exception) -> ApiError:
    log.warning("the place of recordings does not answer", call_id=recording.call_id, why=str(error) or "in time")
    return ApiError(503, "UNAVAILABLE", "Where recordings are kept does not answer just now; try again shortly")
