"""What may be said of numbers and registrations, going by what was found. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from jambonz.provisioning import found as there
from jambonz.provisioning.found import Found
from jambonz.provisioning.plan import application_of, carrier_for, carriers_of, is_right, rows_of
from jambonz.provisioning.wanted import Registration, Wanted

NOT_TOLD = "Jambonz does not have it yet"


@dataclass(frozen=True, slots=True)
class State:
    """``seen_at`` is when it was last registered, as far as Jambonz tells."""

    status: Literal["active", "failed", "disabled"]
    state: Literal["initial", "registering", "registered", "failed"]
    error: str | None = None
    seen_at: datetime | None = None


def provisioned(wanted: Wanted, found: Found) -> frozenset[str]:
    """The numbers of which all calls reach us."""
    application = application_of(wanted, found)
    if application is None or not is_right(wanted, application):
        return frozenset()
    rows: dict[str, list[there.Number]] = defaultdict(list)
    for row in found.numbers:
        rows[row.digits].append(row)
    reached = set()
    for digits, number in wanted.numbers.items():
        ours = rows_of(number, rows[digits], carrier_for(number, found)[0])
        if ours and all(row.application_sid == application.sid for row in ours):
            reached.add(digits)
    return frozenset(reached)


def registered(wanted: Wanted, found: Found, now: datetime) -> dict[str, State]:
    """Registrations, by their id."""
    application = application_of(wanted, found)
    carriers = carriers_of(wanted, found, application)
    return {
        registration_id: _state(registration, carriers.get(registration_id), now)
        for registration_id, registration in wanted.registrations.items()
    }


def _state(registration: Registration, carrier: there.Carrier | None, now: datetime) -> State:
    if not registration.enabled:
        return State("disabled", "initial")
    if carrier is None:
        return State("active", "initial", NOT_TOLD)
    status, told = carrier.registered, registration.told_at
    if status is None or (status.at is not None and told is not None and status.at < told):
        return State("active", "registering")
    if status.ok:
        return State("active", "registered", seen_at=status.at or now)
    return State("failed", "failed", status.reason or "the registrar did not accept it")
