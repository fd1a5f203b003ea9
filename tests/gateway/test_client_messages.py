"""What sockets say of functions: understood, or told what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.client_messages import Answer, Misunderstood, names_of, parse, refusal


def results(*results: Any) -> str:
    return json.dumps({"function_results": list(results), "callId": "c", "other": 1})


def test_answers() -> None:
    text = results(
        {"id": "1", "result": {"a": [1]}}, {"id": "2", "result": None}, {"id": "3", "error": "no", "name": "x"}
    )
    assert parse(text) == [
        Answer("1", {"result": {"a": [1]}}),
        Answer("2", {"result": None}),
        Answer("3", {"error": "no"}),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        '"x"',
        '{"ping": 1}',
        "[" * 100_000,
        '{"function_results": [NaN]}',
        '{"function_results": [1e999]}',
    ],
)
def test_nothing_about_functions(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "id", "why"),
    [
        ('{"function_results": {}}', None, "a list of 1 to 20 results"),
        (results(), None, "a list of 1 to 20 results"),
        (results(*range(21)), None, "a list of 1 to 20 results"),
        (results(1), None, "an object with the id"),
        (results({"result": 1}), None, "the id that the function's call had"),
        (results({"id": 1, "result": 1}), None, "the id that the function's call had"),
        (results({"id": "x" * 65, "result": 1}), None, "the id that the function's call had"),
        (results({"id": "1"}), "1", "its result, or an error"),
        (results({"id": "1", "error": {}}), "1", "a sentence for the model"),
        (results({"id": "1", "error": " "}), "1", "a sentence for the model"),
    ],
)
def test_what_is_wrong(text: str, id: str | None, why: str) -> None:
    found = parse(text)
    assert found is not None
    [one] = found
    assert isinstance(one, Misunderstood)
    assert one.id == id
    assert why in one.why
    assert refusal(one) == {"error": one.why, "isFinal": False, **({"id": id} if id else {})}


def test_names() -> None:
    assert names_of("*") is None
    assert names_of("one, two-2") == ["one", "two-2"]
    for text in ("", "one,", "o ne", "*,one", ",".join(f"f{n}" for n in range(129))):
        with pytest.raises(ValueError, match=r"\?functions=one,two"):
            names_of(text)
