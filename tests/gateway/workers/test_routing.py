from __future__ import annotations

import json
from itertools import combinations, product

import pytest

from gateway.dialling import TAG
from gateway.workers.routing import MAX_SID, Standing, Told, mark, order, partner_takes, slot_of, told_by

SIDS = [f"8a5f3c1e-{n:04x}" for n in range(400)]


@pytest.mark.parametrize("workers", range(1, 9))
def test_every_worker_is_in_the_order_once(workers: int) -> None:
    for sid in SIDS[:50]:
        assert sorted(order(sid, workers)) == list(range(workers))
        assert order(sid, workers) == order(sid, workers)


def test_a_worker_more_changes_nothing_of_the_order_of_the_others() -> None:
    for sid, workers in product(SIDS[:50], range(1, 8)):
        assert [slot for slot in order(sid, workers + 1) if slot != workers] == order(sid, workers)


def test_every_pair_has_its_part_of_the_calls() -> None:
    pairs = dict.fromkeys(combinations(range(4), 2), 0)
    for sid in SIDS:
        first, second = sorted(order(sid, 4)[:2])
        pairs[first, second] += 1
    assert min(pairs.values()) > len(SIDS) / len(pairs) * 0.7
    homes = [sum(order(sid, 4)[0] == slot for sid in SIDS) for slot in range(4)]
    assert min(homes) > len(SIDS) / 4 * 0.7


@pytest.mark.parametrize("sid", ["", "a b/c?d=e", "ü" * 40, "\ud800", "x" * MAX_SID])
def test_any_text_is_a_sid(sid: str) -> None:
    assert sorted(order(sid, 3)) == [0, 1, 2]


def test_a_token_tells_who_has_made_it() -> None:
    for slot in range(256):
        assert slot_of(f"{mark(slot)}V-_abc123") == slot


@pytest.mark.parametrize("token", ["", "V-_abc123", ".x", "01.x", "-1.x", "1000.x", "a.x", "1", "1,x", " 1.x", "٣.x"])
def test_what_no_worker_has_made(token: str) -> None:
    assert slot_of(token) is None


LOADS = (0.0, 0.5, 1.0)
STANDINGS = [Standing(knows, load, open) for knows, load, open in product((False, True), LOADS, (False, True))]


@pytest.mark.parametrize("home", STANDINGS)
@pytest.mark.parametrize("partner", STANDINGS)
def test_who_takes_a_call(home: Standing, partner: Standing) -> None:
    taken_by_partner = partner_takes(home, partner)
    if home.knows:
        assert not taken_by_partner, "it is there already"
    elif partner.knows:
        assert taken_by_partner, "it is there already"
    elif not home.open and not partner.open:
        assert not taken_by_partner, "the home says that there is no place"
    elif not home.open or not partner.open:
        assert taken_by_partner == partner.open, "whoever takes calls"
    else:
        assert taken_by_partner == (partner.load < home.load), "whoever has less to do, and the home if they are even"


@pytest.mark.parametrize("workers", [2, 4, 8])
def test_calls_are_spread_evenly(workers: int) -> None:
    """Two to choose from are nearly as good as all: no worker is full before the service nearly is."""
    places = 50
    taken = [0] * workers
    for number in range(workers * places):
        home, partner = order(f"call {number}", workers)[:2]
        told = [Standing(False, taken[slot] / places, taken[slot] < places) for slot in (home, partner)]
        if not any(one.open for one in told):
            break
        taken[partner if partner_takes(told[0], told[1]) else home] += 1
    assert sum(taken) >= 0.95 * workers * places, taken


@pytest.mark.parametrize(
    ("told", "sids"),
    [
        ({"call_sid": "a", "call_status": "trying"}, ("a",)),
        ({"call_sid": "b", "parent_call_sid": "a"}, ("b", "a")),
        ({"call_sid": "a", "parent_call_sid": "a"}, ("a",)),
        ({"call_sid": "a", "parent_call_sid": ""}, ("a",)),
        ({"call_sid": "a", "parent_call_sid": None}, ("a",)),
        ({"call_sid": 12}, ("12",)),
        ({"type": "session:new", "call_sid": "a", "data": {"call_sid": "a"}}, ("a",)),
        ({"type": "session:new", "data": {"call_sid": "a"}}, ("a",)),
        ({"type": "call:status", "data": []}, ()),
        ({"call_sid": True}, ()),
        ({"call_sid": ["a"]}, ()),
        ({"call_sid": "x" * (MAX_SID + 1)}, ()),
        ({}, ()),
        (["a"], ()),
        ("a", ()),
        (None, ()),
    ],
)
def test_whose_hook_it_is(told: object, sids: tuple[str, ...]) -> None:
    assert told_by(json.dumps(told)).sids == sids
    assert told_by(json.dumps(told).encode()).sids == sids


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"call_sid":', b"call_sid=a"])
def test_what_is_no_json_is_nobodys(body: bytes) -> None:
    assert told_by(body) == Told()


@pytest.mark.parametrize(
    ("told", "tag"),
    [
        ({"call_sid": "a", "customerData": {TAG: "ours"}}, "ours"),
        ({"type": "session:new", "call_sid": "a", "data": {"customerData": {TAG: "ours"}}}, "ours"),
        ({"call_sid": "a", "customerData": {"other": "x"}}, None),
        ({"call_sid": "a", "customerData": {TAG: 7}}, None),
        ({"call_sid": "a", "customerData": {TAG: ""}}, None),
        ({"call_sid": "a", "customerData": [TAG]}, None),
        ({"call_sid": "a"}, None),
    ],
)
def test_which_call_of_ours_it_is(told: object, tag: str | None) -> None:
    assert told_by(json.dumps(told)) == Told(("a",), tag)
