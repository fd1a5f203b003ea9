"""From what is to what ought to be. Pure: the same two give the same steps, in an order in which each can be done.

A plan builds on nothing but the two: a run that was cut short anywhere is healed by the next one. Only what is ours is
changed: the application of our name, what points to it, carriers of registrations that do, and the rows of numbers that
are wanted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jambonz.provisioning import found as there
from jambonz.provisioning.found import Found, same
from jambonz.provisioning.steps import (
    BindNumber,
    CreateApplication,
    CreateCarrier,
    CreateGateway,
    CreateNumber,
    DeleteCarrier,
    DeleteGateway,
    DeleteNumber,
    ReleaseNumber,
    Step,
    UpdateApplication,
    UpdateCarrier,
)
from jambonz.provisioning.wanted import Number, Registration, Wanted, registration_of

USUAL_CARRIER = "Trunkline"
"""Where there are several carriers: the one for numbers without a trunk."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``problems`` are sentences: what people have to do."""

    steps: Sequence[Step]
    problems: Sequence[str]


def plan(wanted: Wanted, found: Found) -> Plan:
    application = application_of(wanted, found)
    numbers, problems = _numbers(wanted, found, application)
    steps = [
        *_application(wanted, application),
        *_registrations(wanted, found, application),
        *numbers,
    ]
    return Plan(tuple(steps), tuple(problems))


def application_of(wanted: Wanted, found: Found) -> there.Application | None:
    return next((one for one in found.applications if one.name == wanted.application.name), None)


def is_right(wanted: Wanted, application: there.Application | None) -> bool:
    """Whether calls that are sent to it reach us."""
    return application is not None and not list(_application(wanted, application))


def carriers_of(wanted: Wanted, found: Found, application: there.Application | None) -> dict[str, there.Carrier]:
    """Those of registrations, by the registration's id: the first of each name."""
    ours: dict[str, there.Carrier] = {}
    for carrier in sorted(found.carriers, key=lambda one: one.sid):
        registration = registration_of(carrier.name)
        if registration is None:
            continue
        if registration in wanted.registrations or _points_to(carrier.application_sid, application):
            ours.setdefault(registration, carrier)
    return ours


def carrier_for(number: Number, found: Found) -> tuple[there.Carrier | None, str | None]:
    """The carrier that a new row of the number is for; or what is the matter with it."""
    carriers = [carrier for carrier in found.carriers if registration_of(carrier.name) is None]
    if number.carrier is None:
        usual = [carrier for carrier in carriers if carrier.name == USUAL_CARRIER]
        return next(iter(usual or (carriers if len(carriers) == 1 else ())), None), None
    named = sorted((one for one in carriers if one.name == number.carrier), key=lambda one: one.sid)
    if not named:
        return None, f"the trunk {number.carrier!r} of {number.digits} is no carrier of Jambonz; make one of this name"
    return named[0], None


def rows_of(number: Number, rows: Sequence[there.Number], carrier: there.Carrier | None) -> list[there.Number]:
    """Which of the rows with its digits ought to be bound to us: that of its carrier; without a trunk, all."""
    if number.carrier is None:
        return list(rows)
    return [row for row in rows if carrier is not None and row.carrier_sid == carrier.sid]


def _application(wanted: Wanted, known: there.Application | None) -> Iterator[Step]:
    want = wanted.application
    if known is None:
        yield CreateApplication(want)
        return
    if known.call is not None and known.call.url == want.socket_url:
        return
    for hook, url in ((known.call, want.call_url), (known.status, want.status_url)):
        if hook is None or (hook.url, hook.method) != (url, "POST"):
            yield UpdateApplication(known.sid, want, known.call, known.status, known.messaging)
            return


def _registrations(wanted: Wanted, found: Found, application: there.Application | None) -> Iterator[Step]:
    name, known = wanted.application.name, carriers_of(wanted, found, application)
    kept = {carrier.sid for carrier in known.values()}
    for carrier in sorted(found.carriers, key=lambda one: one.sid):
        whose = registration_of(carrier.name)
        if whose is None or whose in wanted.unreadable:
            continue
        if whose not in wanted.registrations:
            if _points_to(carrier.application_sid, application):
                yield DeleteCarrier(carrier.sid, carrier.name)
        elif carrier.sid not in kept:  # there twice: a request of ours was done after its answer was given up
            yield DeleteCarrier(carrier.sid, carrier.name)
    for registration_id, registration in sorted(wanted.registrations.items()):
        carrier_of_it = known.get(registration_id)
        if carrier_of_it is not None:
            yield from _carrier(registration, carrier_of_it, name, application)
        elif registration.enabled:
            fields = {**registration.fields, "is_active": 1}
            yield CreateCarrier(registration.carrier, name, fields)
            yield CreateGateway(registration.carrier, registration.gateway)


def _carrier(
    registration: Registration, carrier: there.Carrier, name: str, application: there.Application | None
) -> Iterator[Step]:
    changed: dict[str, Any] = {k: v for k, v in registration.fields.items() if not same(carrier.row.get(k), v)}
    changes = bool(changed) or not _points_to(carrier.application_sid, application)
    if carrier.active != registration.enabled and (changes or not _given_up(registration, carrier)):
        changed["is_active"] = int(registration.enabled)
        changes = True
    if changes:
        yield UpdateCarrier(carrier.sid, carrier.name, name, changed)
    fitting = sorted((one for one in carrier.gateways if one.is_like(registration.gateway)), key=lambda one: one.sid)
    if not fitting:
        yield CreateGateway(carrier.name, registration.gateway)
    for gateway in carrier.gateways:
        if gateway not in fitting[:1]:
            yield DeleteGateway(gateway.sid, carrier.name)


def _given_up(registration: Registration, carrier: there.Carrier) -> bool:
    """After a registrar has refused several times, Jambonz makes the carrier inactive, and so it stays until somebody
    wants it tried again. It may have done so since it was told, between two looks of ours."""
    status, told = carrier.registered, registration.told_at
    if status is None or status.ok or not registration.enabled:
        return False
    since = status.at is not None and told is not None and status.at > told and not registration.anew
    return registration.given_up or since


def _numbers(wanted: Wanted, found: Found, application: there.Application | None) -> tuple[list[Step], list[str]]:
    name = wanted.application.name
    names: Mapping[str, str] = {one.sid: one.name for one in found.applications}
    rows: dict[str, list[there.Number]] = defaultdict(list)
    for row in sorted(found.numbers, key=lambda one: one.sid):
        rows[row.digits].append(row)
    steps: list[Step] = []
    problems: list[str] = []
    for digits, number in sorted(wanted.numbers.items()):
        carrier, problem = carrier_for(number, found)
        if problem:
            problems.append(problem)
        ours = rows_of(number, rows[digits], carrier)
        twice = _twice(ours, application)
        for row in ours:
            if row in twice:
                steps.append(DeleteNumber(row.sid, digits))
            elif not _points_to(row.application_sid, application):
                steps.append(BindNumber(row.sid, digits, name, names.get(row.application_sid or "")))
        if not ours and not problem:
            on = (None, None) if carrier is None else (carrier.name, carrier.sid)
            steps.append(CreateNumber(digits, name, *on))
        if not problem:  # where its carrier was renamed, say, calls still come by the old row
            steps += _released(digits, [row for row in rows[digits] if row not in ours], application)
    for digits in sorted(rows.keys() - wanted.numbers.keys()):
        steps += _released(digits, rows[digits], application)
    return steps, problems


def _released(digits: str, rows: Sequence[there.Number], application: there.Application | None) -> list[ReleaseNumber]:
    """Unbound, and not deleted: whoever entered it in Jambonz may want it for something else."""
    return [ReleaseNumber(row.sid, digits) for row in rows if _points_to(row.application_sid, application)]


def _twice(rows: Sequence[there.Number], application: there.Application | None) -> list[there.Number]:
    """Rows of one number and carrier beyond the first: all of them ought to be ours, and one is enough. Mostly requests
    of ours that were done after their answers were given up. The one that stays is one that is ours, if any is, and
    else one that is somebody's."""
    alike: dict[str | None, list[there.Number]] = defaultdict(list)
    for row in rows:
        alike[row.carrier_sid].append(row)
    beyond = []
    for group in alike.values():
        group.sort(key=lambda row: (not _points_to(row.application_sid, application), not row.application_sid, row.sid))
        beyond += group[1:]
    return beyond


def _points_to(sid: str | None, application: there.Application | None) -> bool:
    return application is not None and sid == application.sid
