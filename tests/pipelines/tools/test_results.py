from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.tools.results import LONGEST_RESULT, REDACTED, REDACTED_FAILURE, Outcome, clean, parsed


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome("free at nine"), "free at nine"),
        (Outcome({"a": [1, None, "ü"]}), '{"a":[1,null,"ü"]}'),
        (Outcome(""), ""),
        (Outcome(error="no"), '{"error": "no"}'),
        (Outcome({"b": 1}, "no", {"status": 404}), '{"error": "no", "status": 404, "result": {"b": 1}}'),
    ],
)
def test_what_a_model_is_told(outcome: Outcome, told: str) -> None:
    assert outcome.text(redact=False) == told
    assert outcome.text(redact=True) == (REDACTED if outcome.error is None else REDACTED_FAILURE)


def test_what_later_calls_may_use() -> None:
    assert Outcome({"a": 1}).as_metadata() == {"result": {"a": 1}}
    failed = Outcome("gone", "no", {"status": 410, "statusText": "Gone"}).as_metadata()
    assert failed == {"result": "gone", "error": {"message": "no", "status": 410, "statusText": "Gone"}}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00\x1b[31mb\x7f", "a[31mb"),
        ("line\n\tnext", "line\n\tnext"),
        ("ab\u202ec\u2066d\ufeff", "abcd"),
        ("hi\U000e0041\U000e0042", "hi"),
        ("می‌خواهم 👩‍👧", "می‌خواهم 👩‍👧"),
        ("\ud800x", "x"),
    ],
)
def test_what_nobody_sees_is_taken_out(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_a_result_has_its_bounds() -> None:
    assert clean("x" * LONGEST_RESULT) == "x" * LONGEST_RESULT
    cut = clean("x" * 10_000_000)
    assert cut == "x" * LONGEST_RESULT + "… (the rest is left out)"


@pytest.mark.parametrize(
    ("text", "value"),
    [('{"a": 1}', {"a": 1}), ("[1]", [1]), ("1e3", "1e3"), ('"x"', '"x"'), ("{", "{"), ("[" * 100_000, "[" * 100_000)],
)
def test_json_is_read_where_it_has_parts(text: str, value: Any) -> None:
    assert parsed(text) == value
    assert json.dumps(value)
