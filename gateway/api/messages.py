"""``/calls/{callId}/…``: messages into a call under way; and the same over a progress socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web
from pydantic import ValidationError
from typing_extensions import TypedDict

from gateway.api.errors import ApiError, as_error, invalid, not_found
from gateway.api.operations import Operations, owner_of, parse_json, read_json, validated
from gateway.asking import Unanswered
from gateway.auth import authorize
from gateway.keys import CREW, DOORKEEPER, FEEDS, STORE, SWITCHBOARD
from gateway.messages import (
    COMMANDS,
    CallCommand,
    CallUpdate,
    DtmfMessage,
    HangUpMessage,
    SayMessage,
    TextMessage,
    TransferMessage,
    perform,
)
from gateway.progress import Event
from gateway.session import CallSession
from gateway.workers.crew import Crew
from pipelines.agent import Problem, nearest, problems
from pipelines.messages import NotNow, NotPossible, NotReachable
from pipelines.tools.means import ToolFault
from store import Owner
from store.accounts import Identity
from store.wakeups import MOST_BYTES

operations = Operations("Messages", "calls")

ERRORS = (400, 404, 409, 410, 501)

TAKEN = 202

WORKER_PATH = "/worker/message"
WORKER_SECONDS = 10.0

PASS_SECONDS = 10.0
"""The longest wait for another service: some commands ask Jambonz before they are answered."""

ENVELOPE_BYTES = 400
"""Of what is passed on, beside the message itself."""


class Taken(TypedDict):
    """What comes of it is in the call's log, and told by the progress socket."""

    callId: str
    command: str


@operations.add("POST", "/calls/{callId}/text", body=(TextMessage,), answer=Taken, status=TAKEN, errors=ERRORS)
async def send_text(request: web.Request) -> web.Response:
    """Say something to the agent in text, as if the caller had said it."""
    return await _take(request, "text")


@operations.add("POST", "/calls/{callId}/say", body=(SayMessage,), answer=Taken, status=TAKEN, errors=ERRORS)
async def say(request: web.Request) -> web.Response:
    """Have the agent say something, word for word."""
    return await _take(request, "say")


@operations.add("POST", "/calls/{callId}/commit", answer=Taken, status=TAKEN, errors=(404, 409, 410, 501))
async def commit_turn(request: web.Request) -> web.Response:
    """End the caller's turn at once: what was said, and texts that wait, are answered."""
    return await _take(request, "commit")


@operations.add("POST", "/calls/{callId}/cancel", answer=Taken, status=TAKEN, errors=(404, 409, 410, 501))
async def cancel_answer(request: web.Request) -> web.Response:
    """Cancel what the agent says and does at the moment."""
    return await _take(request, "cancel")


@operations.add("POST", "/calls/{callId}/dtmf", body=(DtmfMessage,), answer=Taken, status=TAKEN, errors=ERRORS)
async def press_keys(request: web.Request) -> web.Response:
    """Press keys for the other side to hear, as soon as the agent is silent."""
    return await _take(request, "dtmf")


@operations.add("POST", "/calls/{callId}/transfer", body=(TransferMessage,), answer=Taken, status=TAKEN, errors=ERRORS)
async def transfer_call(request: web.Request) -> web.Response:
    """Put the caller through to somebody else; where nobody answers, the agent goes on."""
    return await _take(request, "transfer")


@operations.add("POST", "/calls/{callId}/hangup", body=(HangUpMessage,), answer=Taken, status=TAKEN, errors=ERRORS)
async def hang_up(request: web.Request) -> web.Response:
    """Hang up, at once or after some last words."""
    return await _take(request, "hangup")


@operations.add("PATCH", "/calls/{callId}", body=(CallUpdate,), answer=Taken, status=TAKEN, errors=ERRORS)
async def update_call(request: web.Request) -> web.Response:
    """Change the agent's prompt, context and functions for the rest of this call, from its next answer on."""
    return await _take(request, "update")


async def _take(request: web.Request, name: str) -> web.Response:
    body = await read_json(request) if COMMANDS[name].model_fields else {}
    taken = await _deliver(request, owner_of(request), request.match_info["callId"], name, body)
    return web.json_response(taken, status=TAKEN)


async def _deliver(
    request: web.Request, owner: Owner, call_id: str, name: str, body: dict[str, Any], *, of_listener: str | None = None
) -> Taken:
    """To the call, whichever process has it. Raises :class:`ApiError` in words."""
    command = validated(COMMANDS[name], body)
    call = request.config_dict[SWITCHBOARD].live.of_owner(owner, call_id)
    if call is not None:
        if of_listener not in (None, call.listener.id):
            raise not_found("call", call_id)
        return await _perform(call, name, command)
    stored = await request.config_dict[STORE].calls.get(owner, call_id)
    if stored is None or of_listener not in (None, stored.listener_id):
        raise not_found("call", call_id)
    if stored.ended_at is not None:
        raise _over(call_id)
    return await _pass_on(request, owner, call_id, name, body)


async def _perform(call: CallSession, name: str, command: CallCommand) -> Taken:
    if call.over.is_set():
        raise _over(call.id)
    try:
        await perform(call, command)
    except NotNow as error:
        raise ApiError(409, "NOT_NOW", str(error)) from None
    except NotPossible as error:
        raise ApiError(501, "NOT_IMPLEMENTED", str(error)) from None
    except NotReachable as error:
        raise ApiError(409, "NOT_REACHABLE", str(error)) from None
    except ToolFault as error:
        sentence = str(error)
        raise ApiError(409, "TRANSFER_REFUSED", sentence[:1].upper() + sentence[1:]) from None
    except ValidationError as error:
        raise invalid(problems(error)) from None
    return Taken(callId=call.id, command=name)


def _over(call_id: str) -> ApiError:
    return ApiError(410, "CALL_OVER", f"The call {call_id} is over")


# Other services on the same database


async def _pass_on(request: web.Request, owner: Owner, call_id: str, name: str, body: dict[str, Any]) -> Taken:
    """The call is another's. What is passed on goes through the database in the clear, and has to be small."""
    process = await request.config_dict[STORE].calls.other_process(call_id, owner)
    if process is None:
        raise _over(call_id)  # it has just ended, or its process is gone
    if body.get("keys"):
        raise ApiError(409, "ELSEWHERE", f"The call {call_id} is another service's, and keys are not passed on to that")
    about = {"organisation": owner.organisation_id, "call": call_id, "command": name, "body": body}
    if len(json.dumps(about, ensure_ascii=False).encode()) > MOST_BYTES - ENVELOPE_BYTES:
        sentence = (
            f"The call {call_id} is another service's, and this is too large to be passed on: it may have 7500 bytes"
        )
        raise ApiError(409, "ELSEWHERE", sentence)
    try:
        asking = request.config_dict[FEEDS].elsewhere.asking
        answer = dict(await asking.ask(process, "message", about, seconds=PASS_SECONDS) or {})
    except Unanswered:
        sentence = "The process that has the call did not answer in time: the message may have been taken, or not"
        raise ApiError(503, "UNAVAILABLE", sentence) from None
    if (status := answer.pop("status")) == TAKEN:
        return Taken(callId=call_id, command=name)
    raise ApiError(status, answer["code"], answer["error"], answer.get("details"))


async def on_asked(app: web.Application, about: Mapping[str, Any]) -> dict[str, Any]:
    """Another service was asked, and a call of this one is meant."""
    try:
        match about:
            case {"organisation": str(organisation), "call": str(id), "command": str(name), "body": dict(body)}:
                call = app[SWITCHBOARD].live.of_owner(Owner(organisation, None), id)
                if call is None:
                    raise _over(id)
                return {"status": TAKEN, **await _perform(call, name, validated(COMMANDS[name], body))}
            case _:
                raise ValueError("this is no message into a call")
    except Exception as error:  # noqa: BLE001 - as over HTTP: it is logged, and answered as an error
        refused = as_error(error, "message", "another service's")
        return {"status": refused.status, **refused.body()}


class SocketMessages:
    """What comes over the progress socket of a listener; ``call_id`` is the call that is meant where a message names
    none."""

    def __init__(self, request: web.Request, identity: Identity, listener_id: str) -> None:
        self._request = request
        self._identity = identity
        self._listener_id = listener_id
        self._call_id = request.query.get("call")

    async def answer(self, text: str) -> Event:
        """The reply to one message, whatever it is."""
        reply: dict[str, Any] = {"id": None}
        try:
            message = parse_json(text.encode())
            reply["id"] = message.pop("id", None)
            taken = await self._deliver(message)
            reply |= {"status": TAKEN, **taken}
        except Exception as error:  # noqa: BLE001 - as over HTTP: it is logged, and answered as an error
            refused = as_error(error, "message", f"/progress/{self._listener_id}")
            reply |= {"status": refused.status, **refused.body()}
        return {"reply": reply}

    async def _deliver(self, message: dict[str, Any]) -> Taken:
        authorize(self._identity, "calls:write")
        if self._identity.id:
            self._request.config_dict[DOORKEEPER].admit(self._identity.id)
        name, call_id = message.pop("command", None), message.pop("callId", self._call_id)
        if not isinstance(name, str) or name not in COMMANDS:
            raise invalid([Problem("command", _unknown(name))])
        if not isinstance(call_id, str):
            raise invalid([Problem("callId", "is missing; write which call this is for")])
        owner, of_listener = self._identity.owner, self._listener_id
        crew = self._request.config_dict.get(CREW)
        slot = await crew.with_call(call_id) if crew is not None else None
        if crew is None or slot is None or slot == crew.slot:
            return await _deliver(self._request, owner, call_id, name, message, of_listener=of_listener)
        return await _deliver_by(crew, slot, _Passed(asdict(owner), of_listener, call_id, name, message))


# Other workers: over HTTP, a request finds its worker by itself; what comes over a socket is passed on


@dataclass(frozen=True, slots=True)
class _Passed:
    owner: dict[str, Any]
    of_listener: str
    call_id: str
    name: str
    body: dict[str, Any]


async def _deliver_by(crew: Crew, slot: int, message: _Passed) -> Taken:
    try:
        status, told = await crew.tell(slot, WORKER_PATH, asdict(message), seconds=WORKER_SECONDS)
    except (ConnectionError, TimeoutError):
        raise ApiError(503, "UNAVAILABLE", "The process that has this call does not answer") from None
    if status != TAKEN:
        raise ApiError(status, told["code"], told["error"], told["details"])
    return Taken(callId=told["callId"], command=told["command"])


async def from_worker(request: web.Request) -> web.Response:
    """What came over a progress socket to another worker, of somebody whom that has let in."""
    told = _Passed(**await request.json())
    owner = Owner(**told.owner)
    try:
        taken = await _deliver(request, owner, told.call_id, told.name, told.body, of_listener=told.of_listener)
    except Exception as error:  # noqa: BLE001 - as over HTTP
        return as_error(error, "message", f"/progress/{told.of_listener}").response()
    return web.json_response(taken, status=TAKEN)


def _unknown(name: object) -> str:
    meant = nearest(name, COMMANDS) if isinstance(name, str) else None
    return f"has to be one of {', '.join(COMMANDS)}" + (f"; did you mean {meant}?" if meant else "")
