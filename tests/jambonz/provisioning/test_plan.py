"""Plans, done at the simulated Jambonz: one run brings it to what is wanted, whatever it had and wherever the run
before was cut short."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jambonz.provisioning.perform import Report, Stopped, look, perform
from jambonz.provisioning.plan import Plan, plan
from jambonz.provisioning.steps import sentence
from jambonz.provisioning.verdict import provisioned, registered
from jambonz.provisioning.wanted import CARRIER_PREFIX, Application, Number, Registration, Wanted
from jambonz.rest import Unavailable
from jambonz.simulator.rest_api import ApiServer
from tests.simulators.jambonz_wire import Killed, Wire

T = TypeVar("T")
APPLICATION = Application.at("https://calls.example.com")
PASSWORD = "secret-of-the-account"
IDS = tuple(f"{n:08d}-0000-4000-8000-000000000000" for n in range(4))
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def wanting(*numbers: Number, registrations: tuple[Registration, ...] = ()) -> Wanted:
    return Wanted(APPLICATION, {n.digits: n for n in numbers}, {r.id: r for r in registrations})


def account(at: int = 0, **changes: Any) -> Registration:
    return Registration(
        IDS[at], **{"registrar": "sip.example.com", "username": "1001", "password": PASSWORD, **changes}
    )


WANTED = wanting(
    Number("441"), Number("442", "Carrier"), registrations=(account(), account(1, registrar="10.0.0.1:5070"))
)


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """What it comes to: nothing on a :class:`Wire` has to be waited for."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waits for something")


async def always() -> bool:
    return True


async def run(wire: Wire, wanted: Wanted) -> tuple[Plan, Report]:
    found = await look(wire, wanted, None, always)
    planned, report = plan(wanted, found), Report()
    await perform(wire, planned.steps, wanted, found, always, report)
    return planned, report


def fresh() -> ApiServer:
    server = ApiServer(api_key="key")
    post(server, "VoipCarriers", name="Carrier")
    return server


def post(server: ApiServer, table: str, **row: Any) -> str:
    return str(at_once(Wire(server).request("POST", f"/{table}", row))["sid"])


def application(server: ApiServer) -> dict[str, Any]:
    (one,) = [row for row in server.applications.values() if row["name"] == APPLICATION.name]
    return one


def settled(server: ApiServer, wanted: Wanted) -> None:
    """All that is wanted is there, once, and another run has nothing to do."""
    wire = Wire(server)
    planned, _ = at_once(run(wire, wanted))
    assert [sentence(step) for step in planned.steps] == []
    assert wire.changes == []
    found = at_once(look(wire, wanted, None, always))
    ours = application(server)
    assert ours["call_hook"]["url"] == APPLICATION.call_url
    assert ours["call_status_hook"]["url"] == APPLICATION.status_url
    rows = [row for row in server.phone_numbers.values() if row["application_sid"] == ours["application_sid"]]
    carriers = {row["voip_carrier_sid"]: row["name"] for row in server.carriers.values()}
    trunks = {None, *carriers.values()}
    possible = {number.digits for number in wanted.numbers.values() if number.carrier in trunks}
    assert possible == provisioned(wanted, found)
    assert {row["number"] for row in rows} == possible
    assert len({(row["number"], row["voip_carrier_sid"]) for row in rows}) == len(rows)
    for registration in wanted.registrations.values():
        mine = [row for row in server.carriers.values() if row["name"] == registration.carrier]
        assert len(mine) == (1 if registration.enabled else len(mine))
        for row in mine:
            assert (row["register_password"], row["is_active"]) == (registration.password, int(registration.enabled))
            assert row["application_sid"] == ours["application_sid"]
            gateways = [g for g in server.gateways.values() if g["voip_carrier_sid"] == row["voip_carrier_sid"]]
            assert [(g["ipv4"], g["port"]) for g in gateways] == [(registration.host, registration.port)]


def test_from_nothing_to_everything_and_then_nothing_to_do() -> None:
    server = fresh()
    planned, report = at_once(run(Wire(server), WANTED))
    assert report.failed == []
    assert len(report.done) == len(planned.steps) == 7
    settled(server, WANTED)
    assert {row["number"] for row in server.phone_numbers.values()} == {"441", "442"}


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("kill_at", range(1, 8))
def test_a_process_that_is_killed_between_any_two_steps_is_healed_by_one_run(kill_at: int, done: bool) -> None:
    server = fresh()
    with pytest.raises(Killed):
        at_once(run(Wire(server, kill_at=kill_at, done=done), WANTED))
    _, report = at_once(run(Wire(server), WANTED))
    assert report.failed == []
    settled(server, WANTED)


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("kill_at", range(1, 7))
def test_and_one_that_is_killed_while_it_takes_things_away(kill_at: int, done: bool) -> None:
    server = fresh()
    at_once(run(Wire(server), WANTED))
    less = wanting(Number("443"), registrations=(account(2),))
    with pytest.raises(Killed):
        at_once(run(Wire(server, kill_at=kill_at, done=done), less))
    at_once(run(Wire(server), less))
    settled(server, less)


def rebind(server: ApiServer) -> None:
    hooks = {"call_hook": {"url": "https://other/call"}, "call_status_hook": {"url": "https://other/status"}}
    other = post(server, "Applications", name="Other", **hooks)
    for row in server.phone_numbers.values():
        row["application_sid"] = other


def twice(server: ApiServer) -> None:
    for sid in (None, application(server)["application_sid"]):
        post(server, "PhoneNumbers", number="+441", application_sid=sid)
    post(server, "VoipCarriers", name=CARRIER_PREFIX + IDS[0], application_sid=None)


def change(table: str, **values: Any) -> Callable[[ApiServer], None]:
    def drift(server: ApiServer) -> None:
        for row in getattr(server, table).values():
            row.update(values)

    return drift


def hooks_elsewhere(server: ApiServer) -> None:
    application(server)["call_hook"] |= {"url": "https://elsewhere/call", "method": "GET"}


def no_status_hook(server: ApiServer) -> None:
    application(server)["call_status_hook"] = None


@pytest.mark.parametrize(
    "drift",
    [
        rebind,
        twice,
        hooks_elsewhere,
        no_status_hook,
        change("phone_numbers", application_sid=None),
        change("gateways", ipv4="elsewhere.example.com"),
        change("gateways", port=5999),
        change("gateways", is_active=0),
        lambda server: server.phone_numbers.clear(),
        lambda server: server.gateways.clear(),
        lambda server: (server.phone_numbers.clear(), server.applications.clear()),
        lambda server: [
            row.update(register_password="other", is_active=0, application_sid=None)
            for row in server.carriers.values()
            if row["name"].startswith(CARRIER_PREFIX)
        ],
    ],
)
@pytest.mark.parametrize("forgetful", [False, True])
def test_what_was_changed_in_jambonz_is_put_right(drift: Callable[[ApiServer], Any], forgetful: bool) -> None:
    server = fresh()
    server.forgetful = forgetful
    at_once(run(Wire(server), WANTED))
    drift(server)
    _, report = at_once(run(Wire(server), WANTED))
    assert report.failed == []
    settled(server, WANTED)


@pytest.mark.parametrize("forgetful", [False, True])
def test_a_hook_that_is_not_ours_is_left_alone(forgetful: bool) -> None:
    server = fresh()
    server.forgetful = forgetful
    at_once(run(Wire(server), WANTED))
    ours = application(server)
    ours["messaging_hook"] = {"webhook_sid": IDS[3], "url": "https://sms", "method": "POST", "username": None}
    no_status_hook(server)
    at_once(run(Wire(server), WANTED))
    assert application(server)["messaging_hook"]["url"] == "https://sms"


def test_who_has_set_the_socket_in_place_of_the_webhook_keeps_it() -> None:
    server = fresh()
    at_once(run(Wire(server), WANTED))
    ours = application(server)
    hook = {"url": "wss://calls.example.com/jambonz/application", "method": "GET", "username": "jambonz"}
    ours["call_hook"] |= hook
    wire = Wire(server)
    at_once(run(wire, WANTED))
    assert wire.changes == []
    assert provisioned(WANTED, at_once(look(wire, WANTED, None, always))) == {"441", "442"}
    ours["call_hook"]["url"] = "wss://elsewhere/jambonz/application"
    at_once(run(wire, WANTED))
    assert application(server)["call_hook"]["url"] == APPLICATION.call_url


def test_a_number_that_another_application_has_twice_is_ours_once() -> None:
    server = fresh()
    hooks = {"call_hook": {"url": "https://other/call"}, "call_status_hook": {"url": "https://other/status"}}
    other = post(server, "Applications", name="Other", **hooks)
    for bound in (other, None, other):
        post(server, "PhoneNumbers", number="441", application_sid=bound)
    at_once(run(Wire(server), WANTED))
    settled(server, WANTED)
    assert [row["number"] for row in server.phone_numbers.values()] == ["441", "442"]


def test_a_number_that_is_not_wanted_any_more_is_unbound_and_not_deleted() -> None:
    server = fresh()
    at_once(run(Wire(server), WANTED))
    at_once(run(Wire(server), wanting()))
    assert {row["number"]: row["application_sid"] for row in server.phone_numbers.values()} == {
        "441": None,
        "442": None,
    }
    assert [row["name"] for row in server.carriers.values()] == ["Carrier"]


def test_what_belongs_to_others_is_not_touched() -> None:
    server = fresh()
    rebind(server)
    other = next(iter(server.applications))
    post(server, "PhoneNumbers", number="449", application_sid=other)
    theirs = {"name": CARRIER_PREFIX + IDS[3], "application_sid": other}
    post(server, "VoipCarriers", **theirs)
    wire = Wire(server)
    at_once(run(wire, wanting()))
    assert [(method, path) for method, path, _ in wire.changes] == [("POST", "/Applications")]


def test_a_number_moves_to_the_carrier_of_its_trunk() -> None:
    server = fresh()
    post(server, "VoipCarriers", name="Second")
    at_once(run(Wire(server), wanting(Number("441", "Carrier"))))
    wanted = wanting(Number("441", "Second"))
    planned, _ = at_once(run(Wire(server), wanted))
    assert [sentence(step) for step in planned.steps] == [
        "create the number 441 for the application 'Trunkline calls.example.com', over the carrier 'Second'",
        "take the number 441 from the application",
    ]
    settled(server, wanted)


def test_a_trunk_without_a_carrier_is_a_problem_and_nothing_is_taken_away() -> None:
    server = fresh()
    at_once(run(Wire(server), WANTED))
    for row in server.carriers.values():
        if row["name"] == "Carrier":
            row["name"] = "Renamed"
    wire = Wire(server)
    planned, _ = at_once(run(wire, WANTED))
    assert wire.changes == []
    assert planned.problems == ("the trunk 'Carrier' of 442 is no carrier of Jambonz; make one of this name",)
    found = at_once(look(wire, WANTED, None, always))
    assert provisioned(WANTED, found) == {"441"}


def test_a_number_without_a_trunk_goes_to_the_only_carrier_or_the_usual_one() -> None:
    server = fresh()
    at_once(run(Wire(server), wanting(Number("441"))))
    post(server, "VoipCarriers", name="Second")
    at_once(run(Wire(server), wanting(Number("441"), Number("442"))))
    post(server, "VoipCarriers", name="Trunkline")
    at_once(run(Wire(server), wanting(Number("441"), Number("442"), Number("443"))))
    names = {sid: row["name"] for sid, row in server.carriers.items()}
    assert {row["number"]: names.get(row["voip_carrier_sid"]) for row in server.phone_numbers.values()} == {
        "441": "Carrier",
        "442": None,
        "443": "Trunkline",
    }


def test_what_jambonz_refuses_does_not_keep_the_rest_from_being_done() -> None:
    server = fresh()
    planned, report = at_once(run(Wire(server), wanting(Number("441"), registrations=(account(password=""),))))
    assert report.failed == [
        f"cannot create the carrier '{CARRIER_PREFIX}{IDS[0]}', to register at sip.example.com: "
        "register_password is required when requires_register is true",
        f"cannot create a gateway to sip.example.com for the carrier '{CARRIER_PREFIX}{IDS[0]}': "
        f"'{CARRIER_PREFIX}{IDS[0]}' is not there",
    ]
    assert [row["number"] for row in server.phone_numbers.values()] == ["441"]
    assert len(planned.steps) == 4


def test_an_application_that_still_has_numbers_of_ours_is_never_deleted() -> None:
    server = fresh()
    at_once(run(Wire(server), WANTED))
    wire = Wire(server)
    at_once(run(wire, wanting()))
    assert not [path for method, path, _ in wire.changes if method == "DELETE" and "Applications" in path]


def test_a_carrier_that_numbers_were_put_on_cannot_be_deleted_and_is_told() -> None:
    server = fresh()
    at_once(run(Wire(server), WANTED))
    sid = next(sid for sid, row in server.carriers.items() if row["name"].endswith(IDS[0]))
    post(server, "PhoneNumbers", number="447", voip_carrier_sid=sid)
    _, report = at_once(run(Wire(server), wanting()))
    assert report.failed == [
        f"cannot delete the carrier '{CARRIER_PREFIX}{IDS[0]}': cannot delete voip carrier with active phone numbers"
    ]


def test_requests_whose_answers_are_lost_are_done_once_all_the_same() -> None:
    server = fresh()
    lost = iter([True, False] * 50)
    wire = Wire(server, faults=lambda method, _: "lost" if method != "GET" and next(lost) else None)
    for _ in range(4):
        at_once(run(wire, WANTED))
    settled(server, WANTED)
    assert len(server.phone_numbers) == 2


def test_a_jambonz_that_answers_nothing_is_left_alone_after_three_requests() -> None:
    server = fresh()
    at_once(run(Wire(server), wanting()))
    wire = Wire(server, faults=lambda method, _: None if method == "GET" else "unreachable")
    with pytest.raises(Unavailable):
        at_once(run(wire, wanting(*(Number(f"44{n}") for n in range(20)))))
    assert wire.asked == 1 + 3 + 3
    assert server.phone_numbers == {}


def test_nothing_is_asked_once_the_lease_is_over() -> None:
    server, asked = fresh(), 0

    async def go_on() -> bool:
        nonlocal asked
        asked += 1
        return asked <= 4

    async def test() -> None:
        wire = Wire(server)
        found = await look(wire, WANTED, None, go_on)
        with pytest.raises(Stopped):
            await perform(wire, plan(WANTED, found).steps, WANTED, found, go_on, Report())
        assert len(wire.changes) == 1

    at_once(test())


async def test_a_key_that_sees_several_accounts_needs_to_be_told_which() -> None:
    class Many(Wire):
        async def request(self, method: str, path: str, body: Any = None) -> Any:
            return [{"account_sid": "a"}, {"account_sid": "b"}]

    with pytest.raises(Unavailable, match="JAMBONZ_ACCOUNT_SID"):
        await look(Many(fresh()), WANTED, None, always)


async def test_an_address_that_is_not_jambonz_is_told() -> None:
    class Other(Wire):
        async def request(self, method: str, path: str, body: Any = None) -> Any:
            return [{"hello": "world"}]

    with pytest.raises(Unavailable, match="is JAMBONZ_SERVER its address"):
        await look(Other(fresh()), WANTED, "a", always)


# Registrations


def reported(status: Any, registration: Registration, **changes: Any) -> Any:
    server = fresh()
    wanted = wanting(registrations=(registration,))
    at_once(run(Wire(server), wanted))
    for row in server.carriers.values():
        row.update(register_status=status, **changes)
    found = at_once(look(Wire(server), wanted, None, always))
    state = registered(wanted, found, NOW)[registration.id]
    return state.status, state.state, state.error


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, ("active", "registering", None)),
        (None, ("active", "registering", None)),
        ({"status": "ok", "reason": "200 OK"}, ("active", "registered", None)),
        ({"status": "ok", "timestamp": "2026-11-28T11:59:59.000Z"}, ("active", "registering", None)),
        ({"status": "ok", "timestamp": "2026-11-28T12:00:01.000Z"}, ("active", "registered", None)),
        ({"status": "fail", "reason": "403 Forbidden"}, ("failed", "failed", "403 Forbidden")),
        ({"status": "fail", "reason": {}}, ("failed", "failed", "the registrar did not accept it")),
    ],
)
def test_the_state_of_a_registration_is_what_jambonz_reports_of_these_credentials(status: Any, expected: Any) -> None:
    """And not of those before: Jambonz was told of them at noon."""
    assert reported(status, account(told_at=NOW)) == expected


def test_a_disabled_registration_is_kept_and_does_not_register() -> None:
    server = fresh()
    at_once(run(Wire(server), WANTED))
    wanted = wanting(registrations=(account(enabled=False), account(1, enabled=False), account(2, enabled=False)))
    at_once(run(Wire(server), wanted))
    settled(server, wanted)
    assert reported({"status": "ok"}, account(enabled=False)) == ("disabled", "initial", None)


def test_what_jambonz_has_given_up_stays_so_until_somebody_wants_it() -> None:
    server = fresh()
    wanted = wanting(registrations=(account(),))
    at_once(run(Wire(server), wanted))
    for row in server.carriers.values():
        row.update(register_status={"status": "fail", "reason": "403 Forbidden"}, is_active=0)
    given_up = wanting(registrations=(account(given_up=True),))
    wire = Wire(server)
    at_once(run(wire, given_up))
    assert wire.changes == []
    at_once(run(wire, wanted))
    assert [body["is_active"] for _, _, body in wire.changes] == [1]


@pytest.mark.parametrize(("later", "anew", "changes"), [(10, False, []), (10, True, [1]), (-10, False, [1])])
def test_what_jambonz_has_given_up_between_two_looks_was_tried(later: float, anew: bool, changes: list[int]) -> None:
    """It was told to try again, each time, and never said to have failed."""
    server = fresh()
    at_once(run(Wire(server), wanting(registrations=(account(),))))
    at = (NOW + timedelta(seconds=later)).isoformat()
    for row in server.carriers.values():
        row.update(register_status={"status": "fail", "reason": "403 Forbidden", "timestamp": at}, is_active=0)
    wire = Wire(server)
    wanted = wanting(registrations=(account(told_at=NOW, anew=anew),))
    at_once(run(wire, wanted))
    assert [body["is_active"] for _, _, body in wire.changes] == changes


def test_where_a_password_cannot_be_read_the_carrier_is_left_as_it_is() -> None:
    server = fresh()
    at_once(run(Wire(server), WANTED))
    wire = Wire(server)
    at_once(run(wire, replace(WANTED, registrations={}, unreadable=frozenset(IDS[:2]))))
    assert wire.changes == []


def test_an_account_with_a_name_of_its_own_for_authentication() -> None:
    server = fresh()
    wanted = wanting(registrations=(account(auth_username="auth", transport="tls"),))
    at_once(run(Wire(server), wanted))
    (row,) = [row for row in server.carriers.values() if row["requires_register"]]
    assert (row["register_username"], row["register_from_user"], row["trunk_type"]) == ("auth", "1001", "reg")
    assert [gateway["protocol"] for gateway in server.gateways.values()] == ["tls"]


def test_no_sentence_and_no_repr_has_a_password() -> None:
    found = at_once(look(Wire(fresh()), WANTED, None, always))
    planned = plan(WANTED, found)
    assert PASSWORD not in repr(planned)
    assert PASSWORD not in repr(WANTED)
    assert PASSWORD not in " ".join(map(sentence, planned.steps))
    server = fresh()
    at_once(run(Wire(server), WANTED))
    assert PASSWORD not in repr(at_once(look(Wire(server), WANTED, None, always)))


# Whatever was there

numbers = st.lists(
    st.builds(Number, st.sampled_from(["441", "442", "443"]), st.sampled_from([None, "Carrier", "Second", "Nowhere"])),
    max_size=3,
)
registrations = st.lists(
    st.builds(
        account,
        st.integers(0, 2),
        registrar=st.sampled_from(["sip.example.com", "sip.example.com:5070"]),
        password=st.sampled_from(["one", "two"]),
        enabled=st.booleans(),
    ),
    max_size=3,
)
rows = st.lists(
    st.tuples(
        st.sampled_from(["441", "+442", "443", "449"]),
        st.sampled_from([None, "Carrier", "Second"]),
        st.sampled_from([None, "Ours", "Other"]),
    ),
    max_size=6,
)
carriers = st.lists(
    st.tuples(
        st.sampled_from([CARRIER_PREFIX + one for one in IDS]),
        st.sampled_from([None, "Ours", "Other"]),
        st.booleans(),
        st.sampled_from(["one", "other"]),
        st.integers(0, 2),
    ),
    max_size=4,
)


def populated(named: bool, there: list[Any], accounts: list[Any]) -> ApiServer:
    server = fresh()
    sids: dict[str | None, str | None] = {None: None, "Carrier": next(iter(server.carriers))}
    sids["Second"] = post(server, "VoipCarriers", name="Second")
    hooks = {"call_hook": {"url": "https://other/call"}, "call_status_hook": {"url": "https://other/status"}}
    sids["Other"] = post(server, "Applications", name="Other", **hooks)
    sids["Ours"] = post(server, "Applications", name=APPLICATION.name, **hooks) if named else None
    for number, carrier, bound in there:
        if not any(
            (r["number"], r["voip_carrier_sid"]) == (number.strip("+"), sids[carrier])
            for r in server.phone_numbers.values()
            if carrier
        ):
            post(server, "PhoneNumbers", number=number, voip_carrier_sid=sids[carrier], application_sid=sids[bound])
    for name, bound, active, password, gateways in accounts:
        credentials = {"register_username": "1001", "register_password": password, "requires_register": 1}
        sid = post(server, "VoipCarriers", name=name, application_sid=sids[bound], is_active=active, **credentials)
        for _ in range(gateways):
            post(server, "SipGateways", voip_carrier_sid=sid, ipv4="sip.example.com", inbound=0, outbound=1)
    return server


@settings(max_examples=60)
@given(numbers, registrations, st.booleans(), rows, carriers, st.booleans(), st.integers(0, 12), st.booleans())
def test_whatever_there_is_one_run_converges_also_after_one_that_was_killed(
    wanted_numbers: list[Number],
    wanted_registrations: list[Registration],
    named: bool,
    there: list[Any],
    accounts: list[Any],
    forgetful: bool,
    kill_at: int,
    done: bool,
) -> None:
    server = populated(named, there, accounts)
    server.forgetful = forgetful
    wanted = wanting(*wanted_numbers, registrations=tuple(wanted_registrations))
    try:
        at_once(run(Wire(server, kill_at=kill_at, done=done), wanted))
    except Killed:
        _, report = at_once(run(Wire(server), wanted))
        assert report.failed == []
    planned, _ = at_once(run(Wire(server), wanted))
    assert planned.steps == ()
    missing = [number for number in wanted.numbers.values() if number.carrier == "Nowhere"]
    assert len(planned.problems) == len(missing)
    if not missing:
        settled(server, wanted)


def test_old_reports_are_older_than_what_was_told() -> None:
    earlier = (NOW - timedelta(seconds=1)).isoformat()
    assert reported({"status": "fail", "timestamp": earlier}, account(told_at=NOW))[1] == "registering"
