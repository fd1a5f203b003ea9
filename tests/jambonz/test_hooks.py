from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jambonz.hooks import (
    BAD_REQUEST,
    MAX_HOOK_BYTES,
    TOO_LARGE,
    ActionHook,
    CallHook,
    CallProgress,
    Hook,
    HookRefused,
    StatusHook,
    normalize_number,
    parse_hook,
)

INBOUND = {
    "sip": {
        "headers": {"X-Trunk": "one", "From": "<sip:+442079460000@10.0.0.1>;tag=1", "CSeq": 1},
        "body": "v=0",
        "method": "INVITE",
    },
    "direction": "inbound",
    "trace_id": "t-1",
    "has_recording": False,
    "caller_name": "",
    "call_sid": "c-1",
    "account_sid": "a-1",
    "application_sid": "app-1",
    "from": "+442079460000",
    "to": "442079460001",
    "call_id": "sip-call-id",
    "sip_status": 100,
    "sip_reason": "Trying",
    "call_status": "trying",
    "originating_sip_ip": "192.0.2.1",
    "defaults": {"synthesizer": {"vendor": "google"}, "recognizer": {"vendor": "google"}},
    "env_vars": {"GREETING": "hello"},
    "customerData": {"camelCase": 1},
}


def body(**changes: Any) -> bytes:
    return json.dumps({**INBOUND, **changes}).encode()


def status(state: Any, **changes: Any) -> StatusHook:
    return parse_hook(StatusHook, json.dumps({"call_sid": "c-1", "call_status": state, **changes}).encode())


def test_a_call_hook() -> None:
    hook = parse_hook(CallHook, body())
    assert (hook.call_sid, hook.direction, hook.call_status, hook.sip_status) == ("c-1", "inbound", "trying", 100)
    assert (hook.from_, hook.to) == ("442079460000", "442079460001")
    assert hook.sip_headers == {"x-trunk": "one", "from": "<sip:+442079460000@10.0.0.1>;tag=1", "cseq": "1"}
    assert hook.env_vars == {"GREETING": "hello"}
    assert hook.customer_data == {"camelCase": 1}


def test_an_outbound_call_hook_has_no_invite() -> None:
    hook = parse_hook(CallHook, b'{"call_sid":"c-2","direction":"outbound","call_status":"in-progress"}')
    assert hook.sip_headers == {}
    assert hook.from_ is None
    assert hook.customer_data == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"a_field_of_next_year": [1, {"deep": None}]},
        {"customerData": None, "sip": None, "call_status": None, "to": None, "sip_status": None},
        {"to": 442079460001, "call_status": 200},
        {"sip": {"headers": ["not", "a", "map"]}},
        {"sip_status": "100"},
    ],
)
def test_tolerated(changes: dict[str, Any]) -> None:
    assert parse_hook(CallHook, body(**changes)).call_sid == "c-1"


@pytest.mark.parametrize(
    ("raw", "code", "sentence"),
    [
        (b"", BAD_REQUEST, "The body is not JSON."),
        (b"call_sid=c-1", BAD_REQUEST, "The body is not JSON."),
        (b'{"call_sid":"c-1"', BAD_REQUEST, "The body is not JSON."),
        (b'{"call_sid":"\xff"}', BAD_REQUEST, "The body is not JSON."),
        (b"[" * 100_000, BAD_REQUEST, "The body is not JSON."),
        (b"[]", BAD_REQUEST, "The body is JSON, but not an object."),
        (b"null", BAD_REQUEST, "The body is JSON, but not an object."),
        (b'"c-1"', BAD_REQUEST, "The body is JSON, but not an object."),
        (b"{}", BAD_REQUEST, "The body lacks call_sid."),
        (b'{"call_sid":null}', BAD_REQUEST, "The body's call_sid is wrong: Input should be a valid string."),
        (b'{"call_sid":""}', BAD_REQUEST, "The body's call_sid is wrong: String should have at least 1 character."),
        (body(call_sid="c" * 129), BAD_REQUEST, "The body's call_sid is wrong: "),
        (body(sip="INVITE"), BAD_REQUEST, "The body's sip is wrong: "),
        (body(**{"from": {}}), BAD_REQUEST, "The body's from is wrong: "),
        (body(pad="x" * MAX_HOOK_BYTES), TOO_LARGE, f"a hook has at most {MAX_HOOK_BYTES}."),
    ],
)
def test_refused(raw: bytes, code: int, sentence: str) -> None:
    with pytest.raises(HookRefused) as refusal:
        parse_hook(CallHook, raw)
    assert refusal.value.status == code
    assert sentence in str(refusal.value)


@given(st.binary(max_size=300))
def test_no_bytes_bring_anything_but_a_hook_or_a_refusal(raw: bytes) -> None:
    with pytest.raises(HookRefused):
        parse_hook(CallHook, raw)


@given(st.dictionaries(st.sampled_from(list(INBOUND)), st.none() | st.integers() | st.text() | st.lists(st.integers())))
def test_no_types_bring_anything_but_a_hook_or_a_refusal(changes: dict[str, Any]) -> None:
    try:
        hook = parse_hook(CallHook, body(**changes))
    except HookRefused as refusal:
        assert refusal.status == BAD_REQUEST  # noqa: PT017 - either outcome is right
    else:
        assert hook.call_sid


@pytest.mark.parametrize(
    ("payload", "connected"),
    [({"dial_call_duration": 0}, True), ({"dial_call_duration": 12}, True), ({}, False), ({"digits": "#"}, False)],
)
def test_whether_the_listen_socket_had_been_open(payload: dict[str, Any], connected: bool) -> None:
    hook = parse_hook(ActionHook, json.dumps({"call_sid": "c-1", **payload}).encode())
    assert hook.listen_connected is connected


def test_the_ends_of_transfers() -> None:
    hook = parse_hook(ActionHook, b'{"call_sid":"c","refer_status":202,"final_referred_call_status":486}')
    assert (hook.refer_status, hook.final_referred_call_status) == (202, 486)
    hook = parse_hook(ActionHook, b'{"call_sid":"c","event":"transfer-status","call_status":180}')
    assert (hook.event, hook.call_status) == ("transfer-status", "180")
    hook = parse_hook(ActionHook, b'{"event":"transfer-status","call_status":180}')
    assert (hook.call_sid, hook.call_status, hook.is_refer_event) == ("", "180", True), "it does not say whose it is"
    for other in (b"{}", b'{"call_sid":""}', b'{"event":"other"}', b'{"refer_status":202}'):
        with pytest.raises(HookRefused, match="lacks call_sid"):
            parse_hook(ActionHook, other)
    hook = parse_hook(ActionHook, b'{"call_sid":"c","dial_call_status":"no-answer","dial_sip_status":487}')
    assert (hook.dial_call_status, hook.dial_sip_status) == ("no-answer", 487)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("+442079460000", "442079460000"),
        ("442079460000", "442079460000"),
        (" +44 20 7946-0000 ", "442079460000"),
        ("+44 (20) 7946.0000", "442079460000"),
        ("sip:+442079460000@10.0.0.1:5060;user=phone", "442079460000"),
        ("SIPS:442079460000@host", "442079460000"),
        ('"Ann, of Bath" <sip:+442079460000@host>;tag=1', "442079460000"),
        ("tel:+44-20-7946-0000;phone-context=x", "442079460000"),
        ("+442079460000@host", "442079460000"),
        ("sip:ann.b@example.com", "ann.b"),
        ("1000", "1000"),
        ("ann", "ann"),
        ("*97", "*97"),
        ("٤٤", "٤٤"),
        ("anonymous", None),
        ('"Anonymous" <sip:anonymous@anonymous.invalid>', None),
        ("Restricted", None),
        ("", None),
        ("sip:@host", None),
        ("+", None),
        ("\x0044\n7\ud800", "447"),
        ("\x00", None),
    ],
)
def test_numbers(value: str, number: str | None) -> None:
    assert normalize_number(value) == number


@given(
    st.lists(st.sampled_from("0123456789"), min_size=1),
    st.sampled_from(["", " ", "-", ".", "(", ")"]),
    st.sampled_from(["{}", "+{}", "sip:{}@host", "<sip:+{}@host>", "tel:{}", "{}@host"]),
)
def test_however_it_is_written_a_number_is_its_digits(digits: list[str], separator: str, written: str) -> None:
    assert normalize_number(written.format(separator.join(digits))) == "".join(digits)


LIFE = [status("trying", sip_status=100), status("in-progress", sip_status=200),
        status("completed", sip_status=200, duration=12, call_termination_by="caller")]  # fmt: skip


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_hooks_in_any_order_come_to_the_same(order: tuple[int, ...]) -> None:
    progress = CallProgress("c-1")
    for index in order:
        progress.update(LIFE[index])
    assert (progress.state, progress.ended, progress.answered) == ("completed", True, True)
    assert (progress.duration, progress.terminated_by, progress.sip_status) == (12, "caller", 200)


def test_hooks_twice_change_nothing() -> None:
    progress = CallProgress("c-1")
    changes = [progress.update(hook) for hook in LIFE for _ in range(2)]
    assert changes == [True, False] * 3


@given(st.lists(st.sampled_from(["queued", "trying", "ringing", "early-media", "in-progress", "completed", "failed",
                                 "busy", "no-answer", "odd", ""])))  # fmt: skip
def test_an_ended_call_stays_as_it_ended(states: list[str]) -> None:
    progress = CallProgress("c-1")
    ending = ""
    for state in states:
        progress.update(status(state))
        if not ending and progress.ended:
            ending = state
        assert not ending or progress.state == ending


def test_a_second_ending_takes_nothing_away() -> None:
    progress = CallProgress("c-1")
    progress.update(LIFE[2])
    progress.update(status("completed"))
    progress.update(status("failed", sip_status=503, duration=0, call_termination_by="jambonz"))
    assert (progress.state, progress.sip_status) == ("completed", 200)
    assert (progress.duration, progress.terminated_by) == (12, "caller")


def test_other_calls_do_not_matter() -> None:
    progress = CallProgress("c-1")
    progress.update(LIFE[1])
    child = parse_hook(StatusHook, b'{"call_sid":"c-9","parent_call_sid":"c-1","call_status":"completed"}')
    assert not progress.update(child)
    assert progress.state == "in-progress"


def test_a_call_never_answered() -> None:
    progress = CallProgress("c-1")
    assert progress.update(status("no-answer", sip_status=487))
    assert not progress.update(status("trying", sip_status=100))
    assert (progress.ended, progress.answered, progress.sip_status) == (True, False, 487)


def test_an_action_hook_after_the_hang_up_ends_the_call_and_the_status_hook_fills_in() -> None:
    progress = CallProgress("c-1")
    late = parse_hook(ActionHook, b'{"call_sid":"c-1","call_status":"completed","dial_call_duration":3}')
    assert progress.update(late)
    assert progress.ended
    assert not progress.update(LIFE[2])
    assert (progress.duration, progress.terminated_by) == (12, "caller")


def test_what_a_refer_event_calls_a_status_is_not_the_call_s() -> None:
    progress = CallProgress("c-1")
    event: Hook = parse_hook(ActionHook, b'{"call_sid":"c-1","event":"transfer-status","call_status":200}')
    assert not progress.update(event)
    assert progress.state == ""
