from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.agent import Function
from pipelines.parts import ToolCall
from pipelines.tools import Toolbox, ToolResult
from pipelines.tools.means import HttpAnswer, Means
from pipelines.tools.request import HttpRequest
from tests.pipelines.tools.rest_functions import key

METADATA: dict[str, Any] = {
    "customer": {"name": "Ann", "vip": False, "tags": ["a", "b"], "since": None},
    "trunk": "north",
    "zero": 0,
}


def function(name: str = "tool", /, **fields: Any) -> Function:
    fields = {"implementation": "stub", "result": "done", "description": f"The {name}.", **fields}
    return Function.model_validate({"name": name, **fields})


def stub(result: str, /, required: list[str] | None = None, **parameters: Any) -> Toolbox:
    schema = {"properties": parameters, "required": required or []}
    return Toolbox([function(result=result, input_schema=schema)], METADATA)


def run(toolbox: Toolbox, name: str = "tool", **arguments: Any) -> ToolResult:
    return toolbox.call(ToolCall("1", name, arguments))


def error(result: ToolResult) -> str:
    assert result.ends is None
    told: dict[str, str] = json.loads(result.text)
    assert list(told) == ["error"]
    return told["error"]


GENERATED = {"type": "string", "description": "when"}
STATIC = {"source": "static", "from": "secret-7"}


@pytest.mark.parametrize(
    ("parameter", "arguments", "expected"),
    [
        pytest.param(GENERATED, {"x": "nine"}, "<nine>", id="generated"),
        pytest.param(GENERATED, {"x": 9}, "<9>", id="whatever its type"),
        pytest.param(GENERATED, {}, "<{x}>", id="generated and not given: the text stays as it is"),
        pytest.param({**GENERATED, "default": "ten"}, {}, "<ten>", id="default"),
        pytest.param({**GENERATED, "default": "ten"}, {"x": "nine"}, "<nine>", id="the model goes before the default"),
        pytest.param(STATIC, {}, "<secret-7>", id="static"),
        pytest.param(STATIC, {"x": "mine"}, "<secret-7>", id="the model cannot change what is static"),
        pytest.param({"source": "metadata", "from": "customer.name"}, {}, "<Ann>", id="metadata"),
        pytest.param({"source": "metadata", "from": "customer.name"}, {"x": "Eve"}, "<Ann>", id="nor metadata"),
        pytest.param({"source": "metadata", "from": "customer.tags.1"}, {}, "<b>", id="a place in a list"),
        pytest.param({"source": "metadata", "from": "zero"}, {}, "<0>", id="nothing is something"),
        pytest.param({"source": "metadata", "from": "customer.vip"}, {}, "<false>", id="false is something"),
    ],
)
def test_where_a_parameter_comes_from(parameter: dict[str, Any], arguments: dict[str, Any], expected: str) -> None:
    assert run(stub("<{x}>", x=parameter), **arguments) == ToolResult(expected)


@pytest.mark.parametrize(
    "path", ["customer.street", "nobody", "trunk.name", "customer.tags.2", "customer.tags.-1", "customer.since", ""]
)
def test_metadata_that_the_call_does_not_have(path: str) -> None:
    if not path:
        with pytest.raises(ValueError, match="metadata"):
            stub("<{x}>", x={"source": "metadata", "from": path})
        return
    told = error(run(stub("<{x}>", x={"source": "metadata", "from": path}), x="made up"))
    assert told == f"tool needs the call's metadata {path!r}, which it does not have"


@pytest.mark.parametrize(
    "toolbox",
    [stub("<{x}>", x={**GENERATED, "required": True}), stub("<{x}>", required=["x"], x=GENERATED)],
    ids=["by itself", "by the schema"],
)
def test_a_parameter_that_is_required(toolbox: Toolbox) -> None:
    assert error(run(toolbox)) == "tool needs the parameter 'x'"
    assert run(toolbox, x="9").text == "<9>"


def test_the_model_sees_only_what_it_is_to_fill_in() -> None:
    toolbox = stub(
        "",
        required=["when"],
        when={"type": "string", "description": "when", "enum": ["am", "pm"]},
        count={"type": "integer", "minimum": 1, "maximum": 9, "default": 2},
        tags={"type": "array", "items": {"type": "string"}, "required": True},
        secret=STATIC,
        who={"source": "metadata", "from": "customer.name"},
    )
    [spec] = toolbox.specs
    assert (spec.name, spec.description) == ("tool", "The tool.")
    assert spec.parameters == {
        "type": "object",
        "properties": {
            "when": {"type": "string", "description": "when", "enum": ["am", "pm"]},
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["when", "tags"],
        "additionalProperties": False,
    }
    assert "secret-7" not in json.dumps(spec.parameters)


def test_arguments_that_no_parameter_has_go_nowhere() -> None:
    assert run(stub("<{x}> <{__class__}>", x=GENERATED), x="{y}", y="no", __class__="no").text == "<{y}> <{__class__}>"


def test_hangup() -> None:
    toolbox = Toolbox([function("bye", implementation="builtin", platform="hangup", result=None)], {})
    assert run(toolbox, "bye") == ToolResult("OK", ends="agent")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("customer.name, trunk", {"customer.name": "Ann", "trunk": "north"}),
        ("customer", {"customer": METADATA["customer"]}),
        ("street,,  ", {"street": "unknown"}),
        ("", {}),
    ],
)
def test_metadata_that_the_model_asks_for(keys: str, expected: dict[str, Any]) -> None:
    schema = {"properties": {"keys": {"type": "string"}}}
    lookup = function("look", implementation="builtin", platform="metadata", result=None, input_schema=schema)
    assert json.loads(run(Toolbox([lookup], METADATA), "look", keys=keys).text) == expected


@pytest.mark.parametrize(
    ("parameter", "told"),
    [
        ({"type": "string"}, {"callHook": "unknown", "callHook.hashKey": "unknown", "toolsCalls.tool": "unknown"}),
        (
            {"source": "static", "from": "callHook.hashKey, toolsCalls.tool.result"},
            {"callHook.hashKey": "secret", "toolsCalls.tool.result": "done"},
        ),
    ],
    ids=["where the model names it", "where the definition does"],
)
def test_metadata_that_is_not_for_the_model(parameter: dict[str, Any], told: dict[str, str]) -> None:
    schema = {"properties": {"keys": parameter}}
    lookup = function("look", implementation="builtin", platform="metadata", result=None, input_schema=schema)
    toolbox = Toolbox([function(), lookup], {"callHook": {"url": "https://x/", "hashKey": "secret"}})
    assert run(toolbox).text == "done"
    assert json.loads(run(toolbox, "look", keys="callHook,callHook.hashKey,toolsCalls.tool").text) == told


SECRET = "s3cr/et&key"
IN_BASE64 = "dTpzM2NyL2V0JmtleQ=="
"""``u:`` and the secret."""


@pytest.mark.parametrize(
    ("credential", "url", "repeated"),
    [
        (key("bearer", value=SECRET), "https://x/", f"Bearer {SECRET} is wrong"),
        (key("header", header="X-Key", value=SECRET), "https://x/", f'{{"key": "{SECRET}"}}'),
        (key("query", value=SECRET), "https://x/", "no /?crm=s3cr%2Fet%26key here"),
        (key("path", value=SECRET), "https://x/{crm}", "no /s3cr%2Fet%26key here"),
        (key("basic", username="u", password=SECRET), "https://x/", f"Basic {IN_BASE64}, that is u:{SECRET}"),
    ],
    ids=["bearer", "header", "query", "path", "basic"],
)
@pytest.mark.parametrize("status", [200, 401])
async def test_a_service_that_repeats_its_key_does_not_tell_the_model(
    credential: Any, url: str, repeated: str, status: int
) -> None:
    class Echo:
        async def ask(self, request: HttpRequest, *, seconds: float, tenant: str) -> HttpAnswer:
            return HttpAnswer(status, f"{SECRET}!", "text/plain", repeated)

    fetch = function("fetch", implementation="rest", url=url, key="crm", result=None)
    toolbox = Toolbox([fetch], {}, keys=[credential], means=Means(http=Echo()))
    result = await toolbox.run(ToolCall("1", "fetch"))
    assert "***" in result.text
    for secret in (SECRET, IN_BASE64, "s3cr%2Fet%26key"):
        assert secret not in result.text


async def test_a_short_key_is_not_taken_out_of_words() -> None:
    class Service:
        async def ask(self, request: HttpRequest, *, seconds: float, tenant: str) -> HttpAnswer:
            return HttpAnswer(200, "OK", "text/plain", "abcd are letters")

    fetch = function("fetch", implementation="rest", url="https://x/", key="crm", result=None)
    toolbox = Toolbox([fetch], {}, keys=[key("bearer", value="abc")], means=Means(http=Service()))
    assert (await toolbox.run(ToolCall("1", "fetch"))).text == "abcd are letters"


def test_a_tool_that_is_not_there_is_told_with_those_that_are() -> None:
    toolbox = Toolbox([function("book"), function("cancel")], {})
    assert error(run(toolbox, "boook")) == "there is no tool 'boook'; the tools are: book, cancel"
    assert error(run(Toolbox([], {}), "x")) == "there is no tool 'x'; the tools are: none"


def test_kinds_that_cannot_run_are_not_offered_and_do_not_run() -> None:
    rest = function("fetch", implementation="rest", url="https://example.com", result=None)
    client = function("show", implementation="client", result=None)
    toolbox = Toolbox([rest, client, function("book")], {})
    assert [spec.name for spec in toolbox.specs] == ["book"]
    assert toolbox.unavailable == ["fetch", "show"]
    assert "there is no tool 'fetch'" in error(run(toolbox, "fetch"))


def test_what_a_stub_answers_stays_as_it_was_written() -> None:
    assert run(stub("1e3")).text == "1e3"
    assert run(stub('"x"')).text == '"x"'


def test_a_stub_without_a_result_says_nothing() -> None:
    assert run(Toolbox([function(result=None)], {})) == ToolResult("")


def test_all_functions_together_have_a_number_of_calls() -> None:
    toolbox = Toolbox([function("book"), function("cancel")], {})
    results = [run(toolbox, name) for _ in range(100) for name in ("book", "cancel")]
    assert not any(result.failed for result in results)
    assert "there were 200 calls of tools in this call" in error(run(toolbox, "book"))


@pytest.mark.parametrize("platform", ["hangup", "metadata", "pause_recording"])
def test_a_builtin_waits_for_what_was_called_before_it(platform: str) -> None:
    """A call is not hung up on what was asked for, and what is looked up is there."""
    schema = {"properties": {"keys": {"type": "string"}} if platform == "metadata" else {}}
    builtin = function("now", implementation="builtin", platform=platform, result=None, input_schema=schema)
    toolbox = Toolbox([builtin, function()], {})
    assert toolbox.is_sequential("now")
    assert not toolbox.is_sequential("tool")
