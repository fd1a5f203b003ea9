from __future__ import annotations

import pytest

from pipelines.json_text import json_object


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '"{}"', "[" * 100_000, '{"a":' * 100_000, b"\xff", b"{"])
def test_whatever_is_no_object_is_none(text: str | bytes) -> None:
    assert json_object(text) is None


@pytest.mark.parametrize("text", ['{"a": [1]}', b'{"a": [1]}'])
def test_an_object(text: str | bytes) -> None:
    assert json_object(text) == {"a": [1]}
