import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultravox.webhook import CallEnded, Reason, WebhookRefused, sign, verify

SECRET = "whsec"
BODY = b'{"event": "call.ended", "call": {"callId": "c1"}}'
NOW = datetime(2026, 7, 2, 12, 0, 0, tzinfo=UTC)


def check(
    *,
    age: float = 0.0,
    body: bytes = BODY,
    secrets: tuple[str, ...] = (SECRET,),
    signature: str | None = None,
    stamp: str | None = None,
) -> None:
    stamp = (NOW - timedelta(seconds=age)).isoformat() if stamp is None else stamp
    verify(stamp, sign(BODY, stamp, SECRET) if signature is None else signature, body, secrets, NOW.timestamp())


def test_a_known_signature() -> None:
    """Computed with openssl, so that both sides cannot be wrong in the same way."""
    stamp = "2026-07-02T12:00:00Z"
    assert sign(b"{}", stamp, "key") == "575465ebadbfe24ba84010f5797db65ff0391e832cea354f93b7be8bc84e7ccd"


@pytest.mark.parametrize("age", [0.0, 59.9, -4.9])
def test_what_is_genuine_and_fresh(age: float) -> None:
    check(age=age)


@pytest.mark.parametrize("stamp", ["2026-07-02T12:00:00Z", "2026-07-02T12:00:00.123456+00:00", "2026-07-02T12:00:00"])
def test_how_times_are_written(stamp: str) -> None:
    check(stamp=stamp)


def test_one_of_several_secrets_and_signatures() -> None:
    stamp = NOW.isoformat()
    both = f"{sign(BODY, stamp, 'old')}, {sign(BODY, stamp, SECRET).upper()}"
    check(stamp=stamp, signature=both, secrets=("other", SECRET))


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"age": 60.1}, Reason.STALE),
        ({"age": -5.1}, Reason.FUTURE),
        ({"body": BODY + b" "}, Reason.FORGED),
        ({"secrets": ("other",)}, Reason.FORGED),
        ({"secrets": ()}, Reason.FORGED),
        ({"age": 3600.0, "secrets": ("other",)}, Reason.FORGED),
        ({"signature": ""}, Reason.MISSING),
        ({"stamp": ""}, Reason.MISSING),
        ({"signature": "0" * 63}, Reason.MALFORMED),
        ({"signature": "é" * 64}, Reason.MALFORMED),
        ({"signature": ",".join(["0" * 64] * 100)}, Reason.MALFORMED),
        ({"stamp": "yesterday"}, Reason.MALFORMED),
        ({"stamp": "0001-01-01T00:00:00+23:59"}, Reason.STALE),
    ],
)
def test_what_is_refused(case: dict[str, object], reason: Reason) -> None:
    with pytest.raises(WebhookRefused) as refused:
        check(**case)  # type: ignore[arg-type]
    assert refused.value.reason is reason
    assert str(refused.value).endswith(".")


@settings(deadline=None)
@given(st.text(), st.text(), st.binary())
def test_nothing_else_is_raised(stamp: str, signature: str, body: bytes) -> None:
    with pytest.raises(WebhookRefused):
        verify(stamp, signature, body, [SECRET], NOW.timestamp())


@pytest.mark.parametrize(
    ("event", "ended"),
    [
        ({"event": "call.ended", "call": {"callId": "c1"}}, CallEnded("c1")),
        (
            {
                "event": "call.ended",
                "call": {"callId": "c1", "endReason": "hangup", "billedDuration": "12.5s", "new": 1},
            },
            CallEnded("c1", "hangup", 12.5),
        ),
        ({"call": {"callId": "c1", "endReason": None, "billedDuration": 12}}, CallEnded("c1")),
        ({"event": "call.joined", "call": {"callId": "c1"}}, None),
    ],
)
def test_what_it_says(event: dict[str, object], ended: CallEnded | None) -> None:
    assert CallEnded.parse(json.dumps(event).encode()) == ended


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b'"call"', b'{"call": 7}', b'{"call": {"callId": ""}}', b"[" * 100_000]
)
def test_what_says_nothing(body: bytes) -> None:
    with pytest.raises(ValueError, match="webhook's body"):
        CallEnded.parse(body)
