from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jambonz import signature
from jambonz.signature import Reason, SignatureRefused, sign, verify

NOW = 1_760_000_000.0
BODY = b'{"call_sid":"c-1","from":"+44\xc3\xa9"}'
SECRET = "wh_secret_9mWJtFcAQ3vhJbnVSo8y7Z"


def hexdigest(stamp: str, body: bytes = BODY, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


GOOD = hexdigest("1760000000")


def refused(header: str | None, body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,), now: float = NOW) -> Reason:
    with pytest.raises(SignatureRefused) as refusal:
        verify(header, body, secrets, now)
    assert str(refusal.value).endswith(".")
    assert SECRET not in str(refusal.value)
    return refusal.value.reason


def test_the_header_is_what_jambonz_makes() -> None:
    """Made by ``openssl dgst -sha256 -hmac wh_secret_test`` over ``1700000000.{"a":1}``."""
    header = sign(b'{"a":1}', "wh_secret_test", 1_700_000_000.9)
    assert header == "t=1700000000,v1=c39302513c67c598eeb4e865d5bda6c90e85743ecbd7b20ffa331f616eab17fe"


@given(st.binary(max_size=200), st.text(min_size=1, max_size=40), st.floats(min_value=0, max_value=1e11))
def test_what_was_signed_verifies(body: bytes, secret: str, now: float) -> None:
    verify(sign(body, secret, now), body, [secret], now)


@given(st.integers(min_value=0, max_value=8 * len(BODY) - 1))
def test_any_bit_of_the_body_counts(bit: int) -> None:
    flipped = bytearray(BODY)
    flipped[bit // 8] ^= 1 << bit % 8
    assert refused(sign(BODY, SECRET, NOW), bytes(flipped)) is Reason.FORGED


@pytest.mark.parametrize(
    "header",
    [
        f"t=1760000000,v1={GOOD}",
        f" t=1760000000 , v1={GOOD} ",
        f"v1={GOOD},t=1760000000",
        f"t=1760000000,v1={'0' * 64},v1={GOOD}",
        f"t=1760000000,v0=abc,v1={GOOD},v2=later",
    ],
)
def test_ways_to_write_it(header: str) -> None:
    verify(header, BODY, [SECRET], NOW)


def test_while_a_secret_is_rotated_both_are_good() -> None:
    for secret in ("old", "new"):
        verify(sign(BODY, secret, NOW), BODY, ["old", "new"], NOW)
    assert refused(sign(BODY, "older", NOW), secrets=("old", "new")) is Reason.FORGED


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, Reason.MISSING),
        ("", Reason.MISSING),
        ("nonsense", Reason.MALFORMED),
        ("t=1760000000", Reason.MALFORMED),
        ("t=1760000000,v1=", Reason.MALFORMED),
        (f"v1={GOOD}", Reason.MALFORMED),
        (f"t=1760000000,v0={GOOD}", Reason.MALFORMED),
        (f"t=1760000000,t=1760000000,v1={GOOD}", Reason.MALFORMED),
        (f"t=,v1={GOOD}", Reason.MALFORMED),
        (f"t=-5,v1={GOOD}", Reason.MALFORMED),
        (f"t=1.76e9,v1={GOOD}", Reason.MALFORMED),
        (f"t=١٧٦,v1={GOOD}", Reason.MALFORMED),
        (f"t={'1' * 13},v1={GOOD}", Reason.MALFORMED),
        (f"t=1760000000,v1={GOOD}" + ",v1=x" * 1000, Reason.MALFORMED),
        (f"t=1760000001,v1={GOOD}", Reason.FORGED),
        (f"t=1760000000,v1={GOOD[:-1]}", Reason.FORGED),
        (f"t=1760000000,v1={GOOD[:-1]}{'0' if GOOD[-1] != '0' else '1'}", Reason.FORGED),
        (f"t=1760000000,v1={GOOD.upper()}", Reason.FORGED),
        ("t=1760000000,v1=ünïcode\udcff", Reason.FORGED),
        (f"t=1760000000,v1={hexdigest('1760000000', secret='other')}", Reason.FORGED),
    ],
)
def test_refusals(header: str | None, reason: Reason) -> None:
    assert refused(header) is reason


@pytest.mark.parametrize(
    ("age", "reason"),
    [(10, None), (300, None), (301, Reason.STALE), (86_400, Reason.STALE), (-60, None), (-61, Reason.FUTURE)],
)
def test_age(age: int, reason: Reason | None) -> None:
    header = sign(BODY, SECRET, NOW - age)
    if reason is None:
        verify(header, BODY, [SECRET], NOW)
    else:
        assert refused(header) is reason


def test_an_old_forgery_is_called_forged() -> None:
    assert refused(sign(BODY, "other", NOW - 1000)) is Reason.FORGED


def test_without_secrets_nothing_is_genuine() -> None:
    assert refused(sign(BODY, "", NOW), secrets=()) is Reason.FORGED


def test_every_reason_has_its_sentence() -> None:
    assert set(signature._SENTENCES) == set(Reason)
