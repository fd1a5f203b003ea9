from __future__ import annotations

from typing import Any

import pytest

from pipelines.agent import Function
from pipelines.agent.functions import Parameter
from pipelines.agent.parameter_rules import expression_problem
from pipelines.tools.parameters import LONGEST_ARGUMENTS, BadArguments, Parameters, coerced

NESTED = {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}


def parameters(**properties: Any) -> Parameters:
    schema = {"properties": properties}
    return Parameters(Function.model_validate({"name": "do", "implementation": "stub", "input_schema": schema}))


@pytest.mark.parametrize(
    ("parameter", "said", "value"),
    [
        ({"type": "string"}, "a", "a"),
        ({"type": "string"}, 9, "9"),
        ({"type": "string"}, True, "true"),
        ({"type": "integer"}, 3, 3),
        ({"type": "integer"}, "3", 3),
        ({"type": "integer"}, 3.0, 3),
        ({"type": "number"}, " 2.5 ", 2.5),
        ({"type": "boolean"}, "True", True),
        ({"type": "array"}, "[1]", [1]),
        ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({"type": "string", "enum": ["am", "pm"]}, "am", "am"),
        ({"type": "integer", "enum": [1, 2]}, "2", 2),
        ({"type": "integer", "minimum": 1, "maximum": 3}, 3, 3),
        ({"type": "string", "pattern": "^[A-Z]{2}$"}, "AB", "AB"),
        ({"type": "string", "maxLength": 3}, "abc", "abc"),
        (NESTED, [{"n": 1}], [{"n": 1}]),
    ],
)
def test_what_may_be_said(parameter: dict[str, Any], said: Any, value: Any) -> None:
    resolved = parameters(x=parameter).resolve({"x": said}, {})["x"]
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    ("parameter", "said", "complaint"),
    [
        ({"type": "string"}, ["a"], "['a'] is not of type 'string'"),
        ({"type": "integer"}, "three", "'three' is not of type 'integer'"),
        ({"type": "integer"}, 2.5, "2.5 is not of type 'integer'"),
        ({"type": "integer"}, True, "True is not of type 'integer'"),
        ({"type": "number"}, "NaN", "'NaN' is not of type 'number'"),
        ({"type": "number"}, "1e999", "'1e999' is not of type 'number'"),
        ({"type": "boolean"}, "yes", "'yes' is not of type 'boolean'"),
        ({"type": "array"}, "{}", "'{}' is not of type 'array'"),
        ({"type": "object"}, "[", "'[' is not of type 'object'"),
        ({"type": "string", "enum": ["am", "pm"]}, "noon", "'noon' is not one of ['am', 'pm']"),
        ({"type": "integer", "minimum": 1}, 0, "0 is less than the minimum of 1.0"),
        ({"type": "integer", "maximum": 3}, 4, "4 is greater than the maximum of 3.0"),
        ({"type": "string", "pattern": "^[A-Z]{2}$"}, "abc", "'abc' does not match '^[A-Z]{2}$'"),
        ({"type": "string", "maxLength": 3}, "abcd", "'abcd' is too long"),
        (NESTED, [{"n": 1}, {"n": "x"}], "[1].n: 'x' is not of type 'integer'"),
        (NESTED, [{}], "[0]: 'n' is a required property"),
    ],
)
def test_what_may_not(parameter: dict[str, Any], said: Any, complaint: str) -> None:
    with pytest.raises(BadArguments) as refused:
        parameters(x=parameter).resolve({"x": said}, {})
    assert str(refused.value) == f"do cannot take that: the parameter 'x' is wrong: {complaint}"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"x": "y" * LONGEST_ARGUMENTS}, f"do cannot take that: its arguments are longer than {LONGEST_ARGUMENTS}"),
        ({"other": "y" * LONGEST_ARGUMENTS}, "are longer than"),
        ({"x": float("nan")}, "do cannot take that: its arguments are no JSON"),
        ({"x": float("inf")}, "are no JSON"),
        ({"x": b"bytes"}, "are no JSON"),
    ],
)
def test_arguments_that_are_too_much_or_no_json(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadArguments, match=complaint):
        parameters(x={}).resolve(arguments, {})


def test_a_value_that_is_too_deep() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadArguments, match="no JSON"):
        parameters(x={"type": "array"}).resolve({"x": deep}, {})
    while isinstance(deep, list):  # taking it apart at once would be too deep as well
        deep = deep.pop()


def test_null_is_what_models_write_for_nothing() -> None:
    assert parameters(x={}).resolve({"x": None}, {}) == {}
    assert parameters(x={"default": "a"}).resolve({"x": None}, {}) == {"x": "a"}
    with pytest.raises(BadArguments, match="do needs the parameter 'x'"):
        parameters(x={"required": True}).resolve({"x": None}, {})


def metadata(**parameter: Any) -> dict[str, Any]:
    return {"source": "metadata", "from": "a", **parameter}


@pytest.mark.parametrize(
    ("parameter", "found", "value"),
    [
        (metadata(), {"b": [1]}, {"b": [1]}),
        (metadata(), 7, 7),
        (metadata(type="string"), 7, "7"),
        (metadata(type="integer"), "7", 7),
        (metadata(default="none"), None, "none"),
        (metadata(enum=["x"]), "x", "x"),
    ],
)
def test_values_of_the_call(parameter: dict[str, Any], found: Any, value: Any) -> None:
    assert parameters(x=parameter).resolve({"x": "made up"}, {"a": found}) == {"x": value}


@pytest.mark.parametrize("parameter", [metadata(type="integer"), metadata(enum=["x"]), metadata(pattern="^x$")])
def test_a_value_of_the_call_that_is_not_what_it_has_to_be_is_not_told(parameter: dict[str, Any]) -> None:
    with pytest.raises(BadArguments) as refused:
        parameters(x=parameter).resolve({}, {"a": "secret"})
    assert str(refused.value) == "do cannot use the call's metadata 'a': it is not what 'x' has to be"


def test_what_another_tool_returned() -> None:
    chained = parameters(x={"source": "metadata", "from": "toolsCalls.find.result.people.0.id"})
    done = {"toolsCalls": {"find": {"result": {"people": [{"id": 7}]}}}}
    assert chained.resolve({"x": 8}, done) == {"x": 7}
    with pytest.raises(BadArguments, match="needs the call's metadata"):
        chained.resolve({"x": 8}, {})


def test_nothing_is_changed_that_means_something_else() -> None:
    for value, type in [("", "integer"), ("1 2", "integer"), (None, "string"), ("3", "string"), (1, "boolean")]:
        assert coerced(value, type) == value


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(\+44|44|0)[1237]\d{6,15}$",
        r"^\+(" + "|".join(rf"{country}\d{{6,12}}" for country in range(30, 60)) + ")$",
        r"^(\d{1,3}\.){3}\d{1,3}$",
        r"^[^@\s]+@([a-z0-9-]{1,63}\.){1,5}[a-z]{2,}$",
        r"^(0[1-9]|[12]\d|3[01])/(0[1-9]|1[0-2])/\d{4}$",
        r"(?:\(?\+?\d{2}\)?)?[*+?]{9}\d{1,3}?",
    ],
)
def test_patterns_that_people_write(pattern: str) -> None:
    assert expression_problem(pattern) is None


@pytest.mark.parametrize(
    ("parameter", "problem"),
    [
        ({"minimum": 2, "maximum": 1}, "minimum above its maximum"),
        ({"pattern": "("}, "no regular expression"),
        ({"pattern": "^(a+)+$"}, "repeats a repetition"),
        ({"pattern": r"^(?:\d+|[a-z])*$"}, "repeats a repetition"),
        ({"pattern": "((ab|a)b){1,99}"}, "repeats a repetition"),
        ({"pattern": r"((\d{0,9}){0,9}){0,9}x"}, "more than 10 repetitions or choices in a row"),
        ({"pattern": r"(?:[\])]??a\??){9}b{2,3}?c?d"}, "more than 10 repetitions"),
        ({"type": "array", "items": {"type": "strin"}}, "items that are no JSON Schema"),
        ({"type": "array", "items": {"$ref": "http://169.254.169.254/"}}, r"items that use \$ref"),
        ({"type": "object", "properties": {"a": {"items": {"$dynamicRef": "#a"}}}}, "properties that use"),
        ({"type": "array", "items": {"pattern": "(a*)*"}}, "repeats a repetition"),
        ({"type": "array", "items": {"const": "x" * 30_000}}, "are too long"),
        ({"source": "static", "from": "c", "enum": ["a", "b"]}, "from that is not in its enum"),
        ({"source": "static", "from": "c", "type": "integer"}, "from that is no integer"),
        ({"default": "c", "enum": ["a", "b"]}, "default that is not in its enum"),
        ({"default": [], "type": "object"}, "default that is no object"),
        ({"maxLength": 0}, "max_length|greater"),
    ],
)
def test_definitions_that_are_refused(parameter: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Parameter.model_validate(parameter)


@pytest.mark.parametrize(
    "parameter",
    [
        {"pattern": r"^(\+44|44|0)[1237]\d{6,15}$"},
        {"pattern": "^(?:[A-Z]{2}-?){3}$"},
        {"pattern": r"^[(+*]+\)+$"},
        {"source": "static", "from": "3", "type": "integer"},
        {"source": "static", "from": 3, "type": "string"},
        {"source": "static", "from": {"a": 1}},
        {"type": "array", "items": {"type": "string", "enum": ["a"]}, "default": ["a"]},
    ],
)
def test_definitions_that_are_not(parameter: dict[str, Any]) -> None:
    assert Parameter.model_validate(parameter).as_sent() == parameter
