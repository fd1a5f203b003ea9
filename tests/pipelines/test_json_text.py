from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.json_text import duration_seconds, json_object, plain


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '"{}"', "[" * 100_000, '{"a":' * 100_000, b"\xff", b"{"])
def test_whatever_is_no_object_is_none(text: str | bytes) -> None:
    assert json_object(text) is None


@pytest.mark.parametrize("text", ['{"a": [1]}', b'{"a": [1]}'])
def test_an_object(text: str | bytes) -> None:
    assert json_object(text) == {"a": [1]}


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.recursive(WORDS | st.integers(), lambda one: st.lists(one) | st.dictionaries(WORDS, one)))
def test_what_can_be_stored_and_sent_stays_as_it_is(value: object) -> None:
    text = json.dumps({"a": value})
    assert json_object(text) == json_object(text.encode()) == {"a": value}


@pytest.mark.parametrize("text", [r'{"\ud83d": ["a\ude00", {"b": "\u0000\uDBff"}]}', r'{"\\ud83d": "\u0000"}'])
def test_halves_of_characters_and_nul_do_not_go_on(text: str) -> None:
    found = json_object(text)
    assert found is not None
    assert found == json_object(text.encode())
    assert "\0" not in repr(found)
    assert "\\u0000" not in json.dumps(found)
    assert json.dumps(found, ensure_ascii=False).encode()


def test_what_a_model_wrote_can_be_read_again_by_anybody() -> None:
    deep: Any = 0
    for _ in range(900):
        deep = [deep]
    given = {"a": [1, 2.5, None, True, "NaN"], "b": float("nan"), "c": ({"d": -float("inf")},), "deep": deep}
    found = plain(given)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found.pop("deep")[0][0]
    assert found == {"a": [1, 2.5, None, True, "NaN"], "b": "nan", "c": [{"d": "-inf"}]}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("10s", 10.0), ("9.5s", 9.5), ("0s", 0.0), ("9.s", None), ("-1s", None), ("1e3s", None), ("1", None), (10, None)],
)
def test_durations(value: object, seconds: float | None) -> None:
    assert duration_seconds(value) == seconds
