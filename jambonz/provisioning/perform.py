"""Asks Jambonz what it has, and does the steps: one after the other, each within the deadline of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from jambonz.provisioning.found import Found, Row, read_found
from jambonz.provisioning.plan import application_of, carriers_of
from jambonz.provisioning.steps import NotThere, Step, request_of, sentence
from jambonz.provisioning.wanted import Wanted, registration_of
from jambonz.rest import Api, Refused, Unavailable

GoOn: TypeAlias = Callable[[], Awaitable[bool]]
"""Asked before each request: whether this process may still act."""

FAILURES_IN_A_ROW = 3
"""Of requests that Jambonz could not answer: then it is left alone."""


class Stopped(Exception):
    """Somebody else may act now."""


@dataclass(slots=True)
class Report:
    """The steps that were ``done``, and why others ``failed``."""

    done: list[Step] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


async def look(api: Api, wanted: Wanted, account_sid: str | None, go_on: GoOn) -> Found:
    """What Jambonz has. Raises :class:`~jambonz.rest.Unavailable`, :class:`~jambonz.rest.Refused` or
    :class:`Stopped`."""
    account = account_sid or await account_of(api)
    tables = ("Applications", "VoipCarriers", "PhoneNumbers")
    lists = [await _list(api, f"/{table}?account_sid={account}", go_on) for table in tables]
    gateways: dict[str, list[Row]] = {}
    try:
        for row in lists[1]:
            registration = registration_of(str(row.get("name") or ""))
            if registration in wanted.registrations:
                sid = row["voip_carrier_sid"]
                gateways[sid] = await _list(api, f"/SipGateways?voip_carrier_sid={sid}", go_on)
        return read_found(account, lists[0], lists[1], lists[2], gateways)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Unavailable(
            f"a list is not as Jambonz's are ({error!r}); is JAMBONZ_SERVER its address?", retry=False
        ) from None


async def perform(api: Api, steps: Sequence[Step], wanted: Wanted, found: Found, go_on: GoOn, report: Report) -> None:
    """Do ``steps``; what becomes of them is in ``report``, also where this raises as :func:`look` does.

    What Jambonz refuses does not keep the rest from being done. A request that it cannot answer does not either, unless
    that goes on.
    """
    sids = _sids(wanted, found)
    in_a_row = 0
    for step in steps:
        if not await go_on():
            raise Stopped
        try:
            request = request_of(step, found.account_sid, sids)
        except NotThere as missing:
            report.failed.append(f"cannot {sentence(step)}: {missing}")
            continue
        try:
            answer = await api.request(request.method, request.path, request.body)
            if request.makes is not None:
                sids[request.makes] = _made(answer)
        except Refused as refused:
            in_a_row = 0
            if refused.status != 404 or request.method != "DELETE":  # what is gone already need not be deleted
                report.failed.append(f"cannot {sentence(step)}: {refused}")
                continue
        except Unavailable as unavailable:
            in_a_row += 1
            report.failed.append(f"cannot {sentence(step)}: {unavailable}")
            if in_a_row >= FAILURES_IN_A_ROW or not unavailable.retry:
                raise
            continue
        in_a_row = 0
        report.done.append(step)


def _sids(wanted: Wanted, found: Found) -> dict[str, str]:
    application = application_of(wanted, found)
    sids = {carrier.name: carrier.sid for carrier in carriers_of(wanted, found, application).values()}
    return sids | ({} if application is None else {application.name: application.sid})


async def account_of(api: Api) -> str:
    """The one that the key sees. Raises as :func:`look` does."""
    rows = await api.request("GET", "/Accounts")
    sids = [row.get("account_sid") for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    if len(sids) != 1 or not isinstance(sids[0], str):
        raise Unavailable(
            f"the key sees {len(sids)} accounts; write JAMBONZ_ACCOUNT_SID, to say which one it is", retry=False
        )
    return sids[0]


async def _list(api: Api, path: str, go_on: GoOn) -> list[Row]:
    if not await go_on():
        raise Stopped
    rows = await api.request("GET", path)
    if not isinstance(rows, list):
        raise Unavailable(f"GET {path} was not answered with a list; is JAMBONZ_SERVER its address?", retry=False)
    return rows


def _made(answer: Any) -> str:
    sid = answer.get("sid") if isinstance(answer, Mapping) else None
    if not isinstance(sid, str):
        raise Unavailable("something was created, and its sid was not told")
    return sid
