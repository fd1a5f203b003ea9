from __future__ import annotations

import pytest

from pipelines.json_text import duration_seconds, json_object


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '"{}"', "[" * 100_000, '{"a":' * 100_000, b"\xff", b"{"])
def test_whatever_is_no_object_is_none(text: str | bytes) -> None:
    assert json_object(text) is None


@pytest.mark.parametrize("text", ['{"a": [1]}', b'{"a": [1]}'])
def test_an_object(text: str | bytes) -> None:
    assert json_object(text) == {"a": [1]}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("10s", 10.0), ("9.5s", 9.5), ("0s", 0.0), ("9.s", None), ("-1s", None), ("1e3s", None), ("1", None), (10, None)],
)
def test_durations(value: object, seconds: float | None) -> None:
    assert duration_seconds(value) == seconds
