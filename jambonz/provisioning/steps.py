"""Steps: each is one request to Jambonz. Any of them may be done, and the process be killed before it knows.

What a step before it may still have to make is named, and not known by its sid: the application, and carriers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, assert_never

from jambonz.provisioning.found import Hook, Row
from jambonz.provisioning.wanted import Application, registration_of


class Request(NamedTuple):
    """``makes`` is the name of what it creates: the sid that is answered is known by it from then on."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    makes: str | None = None


class NotThere(Exception):
    """What the step builds on was not made: a step before it failed."""


@dataclass(frozen=True, slots=True)
class CreateApplication:
    application: Application


@dataclass(frozen=True, slots=True)
class UpdateApplication:
    sid: str
    application: Application
    call: Hook | None
    status: Hook | None
    messaging: Row | None


@dataclass(frozen=True, slots=True)
class CreateCarrier:
    name: str
    application: str
    fields: Row = field(repr=False)


@dataclass(frozen=True, slots=True)
class UpdateCarrier:
    sid: str
    name: str
    application: str
    fields: Row = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeleteCarrier:
    sid: str
    name: str


@dataclass(frozen=True, slots=True)
class CreateGateway:
    carrier: str
    fields: Row


@dataclass(frozen=True, slots=True)
class DeleteGateway:
    sid: str
    carrier: str


@dataclass(frozen=True, slots=True)
class CreateNumber:
    """``carrier`` is its name, ``carrier_sid`` its sid; both None for none."""

    digits: str
    application: str
    carrier: str | None
    carrier_sid: str | None


@dataclass(frozen=True, slots=True)
class BindNumber:
    """``taken_from`` is the name of the application that has it so far."""

    sid: str
    digits: str
    application: str
    taken_from: str | None = None


@dataclass(frozen=True, slots=True)
class ReleaseNumber:
    sid: str
    digits: str


@dataclass(frozen=True, slots=True)
class DeleteNumber:
    """One that is there twice."""

    sid: str
    digits: str


Step: TypeAlias = (
    CreateApplication
    | UpdateApplication
    | CreateCarrier
    | UpdateCarrier
    | DeleteCarrier
    | CreateGateway
    | DeleteGateway
    | CreateNumber
    | BindNumber
    | ReleaseNumber
    | DeleteNumber
)


def request_of(step: Step, account_sid: str, sids: Mapping[str, str]) -> Request:
    """``sids`` of the application and of carriers, by name. Raises :class:`NotThere`."""
    match step:
        case CreateApplication(wanted):
            body = {"name": wanted.name, "account_sid": account_sid, **_hooks(wanted, None, None)}
            return Request("POST", "/Applications", body, wanted.name)
        case UpdateApplication(sid, wanted, call, status, messaging):
            # Whole: what a PUT leaves out stays on some servers, and is taken away on others. And with its name, for a
            # PUT of nothing but hooks that are known is a 500.
            hooks = _hooks(wanted, call, status)
            if messaging is not None:
                hooks["messaging_hook"] = {name: value for name, value in messaging.items() if value is not None}
            return Request("PUT", f"/Applications/{sid}", {"name": wanted.name, **hooks})
        case CreateCarrier(name, application, fields):
            body = {"name": name, "account_sid": account_sid, "application_sid": _sid(sids, application), **fields}
            return Request("POST", "/VoipCarriers", body, name)
        case UpdateCarrier(sid, _, application, fields):
            body = {**fields, "account_sid": account_sid, "application_sid": _sid(sids, application)}
            return Request("PUT", f"/VoipCarriers/{sid}", body)
        case DeleteCarrier(sid, _):
            return Request("DELETE", f"/VoipCarriers/{sid}")
        case CreateGateway(carrier, fields):
            return Request("POST", "/SipGateways", {"voip_carrier_sid": _sid(sids, carrier), **fields})
        case DeleteGateway(sid, _):
            return Request("DELETE", f"/SipGateways/{sid}")
        case CreateNumber(digits, application, _, carrier_sid):
            body = {"number": digits, "account_sid": account_sid, "application_sid": _sid(sids, application)}
            on = {} if carrier_sid is None else {"voip_carrier_sid": carrier_sid}
            return Request("POST", "/PhoneNumbers", body | on)
        case BindNumber(sid, _, application):
            return Request("PUT", f"/PhoneNumbers/{sid}", {"application_sid": _sid(sids, application)})
        case ReleaseNumber(sid, _):
            return Request("PUT", f"/PhoneNumbers/{sid}", {"application_sid": None})
        case DeleteNumber(sid, _):
            return Request("DELETE", f"/PhoneNumbers/{sid}")
        case _:
            assert_never(step)


def told_of(steps: Iterable[Step]) -> list[str]:
    """The ids of registrations whose carriers are made or changed."""
    names = [step.name for step in steps if isinstance(step, CreateCarrier | UpdateCarrier)]
    return [one for one in map(registration_of, names) if one is not None]


def sentence(step: Step) -> str:
    """What it does, for people."""
    match step:
        case CreateApplication(wanted):
            return f"create the application {wanted.name!r} with the webhooks {wanted.call_url} and {wanted.status_url}"
        case UpdateApplication(_, wanted):
            return f"give the application {wanted.name!r} the webhooks {wanted.call_url} and {wanted.status_url}"
        case CreateCarrier(name, _, fields):
            return f"create the carrier {name!r}, to register at {fields['register_sip_realm']}"
        case UpdateCarrier(_, name, _, fields):
            return f"change the carrier {name!r}: {', '.join(sorted(fields)) or 'application'}"
        case DeleteCarrier(_, name):
            return f"delete the carrier {name!r}"
        case CreateGateway(carrier, fields):
            return f"create a gateway to {fields['ipv4']} for the carrier {carrier!r}"
        case DeleteGateway(_, carrier):
            return f"delete a gateway of the carrier {carrier!r}"
        case CreateNumber(digits, application, carrier, _):
            over = f", over the carrier {carrier!r}" if carrier else ""
            return f"create the number {digits} for the application {application!r}{over}"
        case BindNumber(_, digits, application, taken_from):
            instead = f" instead of {taken_from!r}" if taken_from else ""
            return f"give the number {digits} to the application {application!r}{instead}"
        case ReleaseNumber(_, digits):
            return f"take the number {digits} from the application"
        case DeleteNumber(_, digits):
            return f"delete the number {digits}, which is there twice"
        case _:
            assert_never(step)


def _hooks(wanted: Application, call: Hook | None, status: Hook | None) -> dict[str, Any]:
    return {"call_hook": _hook(wanted.call_url, call), "call_status_hook": _hook(wanted.status_url, status)}


def _hook(url: str, known: Hook | None) -> dict[str, Any]:
    return {"url": url, "method": "POST"} | ({"webhook_sid": known.sid} if known and known.sid else {})


def _sid(sids: Mapping[str, str], name: str) -> str:
    try:
        return sids[name]
    except KeyError:
        raise NotThere(f"{name!r} is not there") from None
