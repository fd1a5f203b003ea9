"""Phone endpoints that are SIP accounts: Jambonz registers with them, and calls to them come to a listener."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from gateway.api.errors import invalid, not_found
from gateway.api.operations import Operations, jambonz_changed, owner_of, store_of, validated
from gateway.api.shapes import Done, Handler, iso
from pipelines.agent import Problem, Strict, number_pool
from pipelines.agent.strict import refuse
from store.registrations import ACTIVE, DISABLED, Registration

operations = Operations("Phone endpoints", "numbers")

_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_HOST = re.compile(r"(?=.{1,64}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+", re.IGNORECASE)


def _registrar(value: str) -> str:
    """``sip:`` before it does no harm."""
    plain = re.sub(r"^sips?:", "", value.strip(), flags=re.IGNORECASE)
    host, colon, port = plain.partition(":")
    if not _HOST.fullmatch(host) or (colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise refuse("has to be a host, or host:port, for example sip.example.com")
    return plain.lower()


def _account(value: str) -> str:
    if re.search(r"[\s@]", value):
        raise refuse("has to be the name alone, without spaces and without @")
    return value


Registrar = Annotated[str, AfterValidator(_registrar), Field(max_length=80, examples=["sip.example.com"])]
Account = Annotated[str, AfterValidator(_account), Field(min_length=1, max_length=64, examples=["1001"])]
Password = Annotated[str, Field(min_length=1, max_length=64)]
Name = Annotated[str | None, Field(max_length=200)]


class RegistrationOptions(Strict):
    """``transport`` to the registrar; ``auth_username``, where it is another one than the user name;
    ``extension_in_contact`` is kept, and Jambonz always does it."""

    transport: Literal["udp", "tcp", "tls"] = "udp"
    auth_username: Account | None = Field(default=None, alias="auth_username")
    extension_in_contact: bool = Field(default=False, alias="extension_in_contact")


class RegistrationRequest(Strict):
    """A SIP account to register with. ``password`` is never given back."""

    type: Literal["phone-registration"]
    registrar: Registrar
    username: Account
    password: Password
    name: Name = None
    handler: Handler = "jambonz"
    outbound: bool = False
    options: RegistrationOptions = RegistrationOptions()


class RegistrationChanges(Strict):
    """Other credentials begin again with the state ``initial``."""

    registrar: Registrar | None = None
    username: Account | None = None
    password: Password | None = None
    name: Name = None
    handler: Handler | None = None
    outbound: bool | None = None
    options: RegistrationOptions | None = None


class RegistrationCreated(TypedDict):
    success: bool
    id: str


class RegistrationState(TypedDict):
    success: bool
    id: str
    status: str
    state: str


class RegistrationView(TypedDict):
    """``status``: active, failed, or disabled. ``state`` is what Jambonz last told: initial, registering, registered or
    failed, with ``error``."""

    id: str
    name: str | None
    registrar: str
    username: str
    handler: str
    outbound: bool
    options: dict[str, Any]
    status: str
    state: str
    error: str | None
    lastSeenAt: str | None
    inUse: bool
    agentId: str | None
    agentName: str | None
    createdAt: str | None


def is_registration(identifier: str) -> bool:
    return _UUID.fullmatch(identifier) is not None


async def create(request: web.Request, body: Mapping[str, Any]) -> web.Response:
    wanted = validated(RegistrationRequest, body)
    new = await store_of(request).registrations.create(
        owner_of(request),
        registrar=wanted.registrar,
        username=wanted.username,
        password=wanted.password,
        handler=number_pool(wanted.handler),
        name=wanted.name,
        outbound=wanted.outbound,
        options=wanted.options.as_sent(),
    )
    jambonz_changed(request)
    return web.json_response(RegistrationCreated(success=True, id=new), status=201)


async def get(request: web.Request) -> web.Response:
    return web.json_response(view(await _registration(request)))


async def update(request: web.Request, body: Mapping[str, Any]) -> web.Response:
    changes = validated(RegistrationChanges, body)
    identifier = request.match_info["identifier"]
    values: dict[str, Any] = changes.model_dump(exclude_unset=True)
    nulls = [name for name, value in values.items() if value is None and name != "name"]
    if nulls:
        raise invalid([Problem(name, "cannot be null; leave it out to keep it") for name in nulls])
    if changes.options is not None:
        values["options"] = changes.options.as_sent()
    if changes.handler is not None:
        values["handler"] = number_pool(changes.handler)
    if not await store_of(request).registrations.update(owner_of(request), identifier.lower(), values):
        raise not_found("phone endpoint", identifier)
    jambonz_changed(request)
    return web.json_response(Done(success=True, message="The registration was changed"))


async def delete(request: web.Request) -> web.Response:
    identifier = request.match_info["identifier"]
    if not await store_of(request).registrations.delete(owner_of(request), identifier.lower()):
        raise not_found("phone endpoint", identifier)
    jambonz_changed(request)
    return web.json_response(Done(success=True, message="The registration was deleted"))


@operations.add("POST", "/phone-endpoints/{identifier}/activate", answer=RegistrationState, errors=(404,))
async def activate_phone_endpoint(request: web.Request) -> web.Response:
    """Have Jambonz register with a SIP account: one that was disabled, or that failed."""
    return await _set(request, ACTIVE)


@operations.add("POST", "/phone-endpoints/{identifier}/disable", answer=RegistrationState, errors=(404,))
async def disable_phone_endpoint(request: web.Request) -> web.Response:
    """Have Jambonz no longer register with a SIP account; it stays, with its listener."""
    return await _set(request, DISABLED)


async def _set(request: web.Request, status: str) -> web.Response:
    identifier = request.match_info["identifier"].lower()
    if not await store_of(request).registrations.set_status(owner_of(request), identifier, status):
        raise not_found("registration", request.match_info["identifier"])
    jambonz_changed(request)
    now = await _registration(request)
    return web.json_response(RegistrationState(success=True, id=now.id, status=now.status, state=now.state))


async def _registration(request: web.Request) -> Registration:
    identifier = request.match_info["identifier"]
    registration = await store_of(request).registrations.get(owner_of(request), identifier.lower())
    if registration is None:
        raise not_found("phone endpoint", identifier)
    return registration


def view(registration: Registration) -> RegistrationView:
    return {
        "id": registration.id,
        "name": registration.name,
        "registrar": registration.registrar,
        "username": registration.username,
        "handler": registration.handler,
        "outbound": registration.outbound,
        "options": registration.options,
        "status": registration.status,
        "state": registration.state,
        "error": registration.error,
        "lastSeenAt": iso(registration.last_seen_at),
        "inUse": registration.listener_id is not None,
        "agentId": registration.agent_id,
        "agentName": registration.agent_name,
        "createdAt": iso(registration.created_at),
    }
