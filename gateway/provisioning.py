"""One run: Jambonz is brought to what the database wants, and the database told what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from gateway import metrics
from gateway.rate import RateLimit
from gateway.settings import Settings
from jambonz.provisioning.found import Found
from jambonz.provisioning.perform import Report, Stopped, look, perform
from jambonz.provisioning.plan import Plan, plan
from jambonz.provisioning.steps import Step, told_of
from jambonz.provisioning.verdict import State, provisioned, registered
from jambonz.provisioning.wanted import Application, Number, Registration, Wanted
from jambonz.rest import Api, Refused, RestApi, Unavailable
from store import Store
from store.provisioning import NumberRow, RegistrationChange, RegistrationRow
from store.registrations import DISABLED, FAILED, INITIAL

CHORE = "provisioning"
LEASE_SECONDS = 60.0
RENEW_SECONDS = 15.0
"""A request is begun within this of a renewal, and over after ten seconds more: never when the lease is over."""

REQUESTS_PER_SECOND, REQUESTS_AT_ONCE = 1.0, 250.0

SEEN_EVERY = timedelta(minutes=1)
"""How exactly it is written down when a registration was last there."""

Outcome = Literal["done", "partly", "unavailable", "busy"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where Jambonz is, and under which address it reaches us."""

    server: str
    key: str = field(repr=False)
    account_sid: str | None
    public_url: str


@dataclass(slots=True)
class Run:
    """``done`` are the steps of the plan that were. ``problems`` are sentences, of what people have to do and of what
    failed. ``busy``: another process is at it, or was just now. ``again``: it is worth while to try at once."""

    outcome: Outcome
    plan: Plan = field(default_factory=lambda: Plan((), ()))
    problems: list[str] = field(default_factory=list)
    done: Sequence[Step] = ()
    again: bool = False


def place_of(settings: Settings) -> Place | str | None:
    """None without Jambonz: numbers are local; a sentence where something is missing."""
    if settings.jambonz_server is None:
        return None
    if settings.jambonz_api_key is None:
        return "Jambonz cannot be told of numbers: JAMBONZ_API_KEY is not set"
    if settings.public_url is None:
        return "Jambonz cannot be told of numbers: TRUNKLINE_PUBLIC_URL is not set, so it cannot know where we are"
    key = settings.jambonz_api_key.get_secret_value()
    return Place(settings.jambonz_server, key, settings.jambonz_account_sid, settings.public_url)


def api_of(place: Place) -> RestApi:
    return RestApi(place.server, place.key)


class Paced:
    """``api`` for runs of the service: Jambonz answers one address 600 requests in five minutes, where nobody has
    changed that, and what is left of them is for calls that are placed, transferred and ended."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._pace = RateLimit(REQUESTS_PER_SECOND, REQUESTS_AT_ONCE)

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        while wait := self._pace.take("", asyncio.get_running_loop().time()):  # noqa: ASYNC110 - for the time itself
            await asyncio.sleep(wait)
        return await self._api.request(method, path, body)


@dataclass(frozen=True, slots=True)
class Rows:
    """What ``Wanted`` was made of."""

    numbers: Sequence[NumberRow]
    registrations: Sequence[RegistrationRow]


async def wanted_of(store: Store, public_url: str) -> tuple[Wanted, Rows]:
    rows = Rows(await store.provisioning.numbers(), await store.provisioning.registrations())
    wanted = Wanted(
        Application.at(public_url),
        {row.number: Number(row.number, row.trunk) for row in rows.numbers},
        {row.id: _registration(row, row.password) for row in rows.registrations if row.password is not None},
        frozenset(row.id for row in rows.registrations if row.password is None),
    )
    return wanted, rows


async def preview(store: Store, place: Place, api: Api) -> Plan:
    """What a run would do now. Changes nothing. Raises as :func:`look` does."""
    wanted, _ = await wanted_of(store, place.public_url)
    planned = plan(wanted, await look(api, wanted, place.account_sid, _always))
    return Plan(planned.steps, (*problems_of(wanted), *planned.problems))


async def sync(store: Store, place: Place, api: Api, *, rest: float = 0.0) -> Run:
    """A run. Whoever else did one within the last ``rest`` seconds has done it for us, too. Raises what the store
    does."""
    if not await store.provisioning.begin(CHORE, LEASE_SECONDS, rest=rest):
        return Run("busy")
    done = False
    try:
        run = await _under_lease(store, place, api)
        done = run.outcome in ("done", "partly")
        return run
    finally:
        await store.provisioning.end(CHORE, done=done)


async def _under_lease(store: Store, place: Place, api: Api) -> Run:
    lease, report = _Lease(store), Report()
    wanted, rows = await wanted_of(store, place.public_url)
    planned, failure = Plan((), ()), None
    known: Found | None = None
    try:
        found = known = await look(api, wanted, place.account_sid, lease.go_on)
        planned = plan(wanted, found)
        if planned.steps:
            known = None  # until it was looked at again
            if told := told_of(planned.steps):
                # Before it is: whoever comes after a crash knows what to make of Jambonz's reports of before.
                await store.provisioning.tell(told)
            await perform(api, planned.steps, wanted, found, lease.go_on, report)
            wanted, rows = await wanted_of(store, place.public_url)
            known = await look(api, wanted, place.account_sid, lease.go_on)
    except Stopped:
        return Run("busy", planned, ["the lease was over before the run was"], report.done)
    except (Unavailable, Refused) as error:
        failure = error
    finally:
        metrics.provisioning_steps.labels("done").inc(len(report.done))
        metrics.provisioning_steps.labels("failed").inc(len(report.failed))
    if known is not None:
        await _write_down(store, wanted, known, rows)
    problems = [*problems_of(wanted), *planned.problems, *report.failed]
    if failure is not None:
        again = isinstance(failure, Unavailable) and failure.retry
        return Run("unavailable", planned, [*problems, f"Jambonz: {failure}"], report.done, again=again)
    return Run("partly" if report.failed else "done", planned, problems, report.done)


def problems_of(wanted: Wanted) -> list[str]:
    """Of ours, whatever Jambonz has."""
    return [
        f"the password of the registration {which} does not open with this CREDENTIALS_KEY; set it again"
        for which in sorted(wanted.unreadable)
    ]


async def _write_down(store: Store, wanted: Wanted, found: Found, rows: Rows) -> None:
    """Only what has changed."""
    reached = provisioned(wanted, found)
    there = [row.number for row in rows.numbers if row.number in reached and not row.provisioned]
    gone = [row.number for row in rows.numbers if row.number not in reached and row.provisioned]
    await store.provisioning.mark_numbers(there, gone)
    states = registered(wanted, found, datetime.now(UTC))
    changes = [_change(row, states[row.id]) for row in rows.registrations if row.id in states]
    await store.provisioning.mark_registrations([change for change in changes if change is not None])


def _change(row: RegistrationRow, now: State) -> RegistrationChange | None:
    seen = now.seen_at is not None and (row.last_seen_at is None or now.seen_at - row.last_seen_at > SEEN_EVERY)
    if (row.status, row.state, row.error) == (now.status, now.state, now.error) and not seen:
        return None
    return RegistrationChange(row, now.status, now.state, now.error, now.seen_at)


def _registration(row: RegistrationRow, password: str) -> Registration:
    options = row.options
    return Registration(
        row.id,
        row.registrar,
        row.username,
        password,
        auth_username=options.get("auth_username"),
        transport=options.get("transport") or "udp",
        enabled=row.status != DISABLED,
        given_up=row.status == FAILED and row.state != INITIAL,
        anew=row.state == INITIAL,
        told_at=row.told_at,
    )


class _Lease:
    """Renewed often enough that no request is under way when it is over."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._renewed = asyncio.get_running_loop().time()

    async def go_on(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._renewed < RENEW_SECONDS:
            return True
        # From before it was asked for: however long the database takes, it is not held for longer than was thought.
        self._renewed = now
        return await self._store.provisioning.go_on(CHORE, LEASE_SECONDS)


async def _always() -> bool:
    return True
