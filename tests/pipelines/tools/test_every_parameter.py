"""Every source of a parameter, in every place, by every method, with every kind of key; and every rule of a definition.

The tables name what the API has, and a test fails where it has something that they do not name."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, get_args

import pytest

from pipelines.agent import AgentDefinition, Function, Key
from pipelines.agent.functions import Parameter
from pipelines.parts import ToolCall
from pipelines.tools.means import HttpAnswer, Means
from pipelines.tools.request import HttpRequest
from pipelines.tools.toolbox import Toolbox

VALUE = "a b/ü"
ENCODED = "a%20b%2F%C3%BC"

SOURCES: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "generated": ({}, {"x": VALUE}),
    "generated and not said": ({"default": VALUE}, {}),
    "static": ({"source": "static", "from": VALUE}, {"x": "said"}),
    "metadata": ({"source": "metadata", "from": "customer.names.1"}, {"x": "said"}),
    "metadata that is not there": ({"source": "metadata", "from": "nobody", "default": VALUE}, {"x": "said"}),
    "metadata: what another returned": ({"source": "metadata", "from": "toolsCalls.find.result.name"}, {"x": "said"}),
    "metadata: what another was given": ({"source": "metadata", "from": "toolsCalls.find.parameter.a"}, {"x": "said"}),
}  # fmt: skip
"""The parameter, and what the model says."""

KEYS: Mapping[str, dict[str, Any]] = {
    "none": {},
    "basic": {"username": "user", "password": "secret"},
    "bearer": {"value": "secret"},
    "header": {"header": "X-Key", "value": "secret"},
    "path": {"value": "secret"},
    "query": {"value": "secret"},
}
KEY_HEADERS: Mapping[str, tuple[str, str]] = {
    "basic": ("Authorization", f"Basic {b64encode(b'user:secret').decode()}"),
    "bearer": ("Authorization", "Bearer secret"),
    "header": ("X-Key", "secret"),
}
METHODS = ("get", "post", "put", "delete")
PLACES = ("path", "query", "body", "header", None)


class Sink:
    def __init__(self) -> None:
        self.asked: list[HttpRequest] = []

    async def ask(self, request: HttpRequest, *, seconds: float, tenant: str) -> HttpAnswer:
        self.asked.append(request)
        return HttpAnswer(200, "OK", "text/plain", "fine")


def agent(function: dict[str, Any], *keys: dict[str, Any]) -> AgentDefinition:
    find = {
        "name": "find",
        "implementation": "stub",
        "result": json.dumps({"name": VALUE}),
        "input_schema": {"properties": {"a": {}}},
    }
    fields = {"modelName": "scripted/echo", "prompt": "", "functions": [find, function], "keys": list(keys)}
    return AgentDefinition.model_validate(fields)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("source", SOURCES)
async def test_every_source_in_every_place(source: str, place: str | None) -> None:
    for method in METHODS:
        for kind in KEYS:
            if (method, place) != ("get", "body"):  # which is refused: below
                await one(source, place, method, kind)


async def one(source: str, place: str | None, method: str, kind: str) -> None:
    parameter, said = SOURCES[source]
    path = "/{crm}" if kind == "path" else ""
    fields: dict[str, Any] = {
        "name": "ask",
        "implementation": "rest",
        "method": method,
        "url": f"https://api.example.com{path}/a" + ("/{x}" if place == "path" else ""),
        "input_schema": {"properties": {"x": {**parameter, **({"in": place} if place else {})}}},
    }
    key = [{"name": "crm", "in": kind, **KEYS[kind]}] if kind != "none" else []
    definition = agent({**fields, **({"key": "crm"} if key else {})}, *key)
    sink = Sink()
    metadata = {"customer": {"names": ["other", VALUE]}}
    toolbox = Toolbox(definition.functions, metadata, keys=definition.keys, means=Means("call", "acme", sink))
    toolbox.call(ToolCall("1", "find", {"a": VALUE}))
    assert (await toolbox.run(ToolCall("2", "ask", said))).text == "fine"

    [request] = sink.asked
    where = place or ("body" if method in ("post", "put") else "query")
    assert request.method == method.upper()
    query = [*([f"x={ENCODED}"] if where == "query" else []), *(["crm=secret"] if kind == "query" else [])]
    start = "https://api.example.com" + ("/secret" if kind == "path" else "")
    assert request.url == f"{start}/a{'/' + ENCODED if where == 'path' else ''}{'?' if query else ''}{'&'.join(query)}"
    body = {"x": VALUE} if where == "body" else {} if method in ("post", "put") else None
    assert (request.body and json.loads(request.body)) == body
    others = {"User-Agent", "Accept", "Content-Type", "Idempotency-Key"}
    given = {name: value for name, value in request.headers.items() if name not in others}
    expected = [*([("x", VALUE)] if where == "header" else []), *([KEY_HEADERS[kind]] if kind in KEY_HEADERS else [])]
    assert given == dict(expected)
    assert "secret" not in json.dumps(request.shown)


def test_the_tables_name_all_that_there_is() -> None:
    def values(model: Any, field: str) -> set[Any]:
        annotation = model.model_fields[field].annotation
        options = [one for part in get_args(annotation) for one in (get_args(part) or (part,))]
        return {one for one in options if isinstance(one, str)}

    assert {name.split()[0].rstrip(":") for name in SOURCES} == values(Parameter, "source")
    assert set(PLACES) - {None} == values(Parameter, "location")
    assert set(KEYS) - {"none"} == values(Key, "location")
    assert set(METHODS) == values(Function, "method")
    assert {kind for kind, _, _ in RULES} >= values(Function, "implementation") | values(Function, "platform")


def _builtin(platform: str, **properties: Any) -> dict[str, Any]:
    return {"implementation": "builtin", "platform": platform, "input_schema": {"properties": properties}}


def _rest(**fields: Any) -> dict[str, Any]:
    return {"implementation": "rest", "url": "https://api.example.com/", **fields}


def _mcp(**fields: Any) -> dict[str, Any]:
    return {"implementation": "mcp", "url": "https://crm.example.com/mcp", "tools": ["find_*"], **fields}


STATIC = {"source": "static", "from": "+441234567890"}
RULES: tuple[tuple[str, dict[str, Any], str | None], ...] = (
    # Names
    ("name", {"name": "a" * 64, "implementation": "client"}, None),
    ("name", {"name": "a_B-9", "implementation": "client"}, None),
    ("name", {"name": "a" * 65, "implementation": "client"}, "match pattern"),
    ("name", {"name": "", "implementation": "client"}, "match pattern"),
    ("name", {"name": "a.b", "implementation": "client"}, "match pattern"),
    ("name", {"name": "é", "implementation": "client"}, "match pattern"),
    ("name", {"name": "a\n", "implementation": "client"}, "match pattern"),
    # Kinds
    ("rest", _rest(), None),
    ("rest", {"implementation": "rest"}, "write its url"),
    ("rest", _rest(method="patch"), "method"),
    ("rest", _rest(url="ftp://api.example.com/"), "http:// or https://"),
    ("rest", _rest(url="https://api.example.com/{x}"), "no parameter of that name"),
    ("rest", _rest(platform="hangup"), "only a builtin has"),
    ("rest", _rest(input_schema={"properties": {"x": {"in": "body"}}}), "which a get has not"),
    ("rest", _rest(input_schema={"properties": {"x": {"in": "cookie"}}}), "in"),
    ("rest", _rest(input_schema={"properties": {"x": {"source": "caller"}}}), "source"),
    ("rest", _rest(input_schema={"properties": {"x": {"type": "date"}}}), "type"),
    ("rest", _rest(input_schema={"properties": {"x": {"enum": []}}}), "enum"),
    ("rest", _rest(input_schema={"properties": {"x": {"source": "static"}}}), "write its value as from"),
    ("rest", _rest(input_schema={"properties": {"x": {"source": "metadata"}}}), "write the path of the value as from"),
    ("rest", _rest(input_schema={"properties": {"x": {"source": "metadata", "from": 7}}}), "the path of the value"),
    ("rest", _rest(key="crm"), "not among keys"),
    ("stub", {"implementation": "stub", "result": "{x}", "input_schema": {"properties": {"x": {}}}}, None),
    ("client", {"implementation": "client", "input_schema": {"properties": {"x": {}}}}, None),
    ("client", {"implementation": "client", "python": "x"}, "names a function in Python"),
    ("client", {"implementation": "client", "tools": ["*"]}, "which only an MCP server has"),
    ("python", {"implementation": "python"}, None),
    (
        "python",
        {"implementation": "python", "python": "acme.look", "input_schema": {"properties": {"x": STATIC}}},
        None,
    ),
    ("python", {"implementation": "python", "python": "acme look"}, "match pattern"),
    ("mcp", _mcp(), None),
    ("mcp", _mcp(name="n" * 33), "more than 32 characters"),
    ("mcp", _mcp(tools=[]), "at least 1"),
    ("mcp", _mcp(tools=None), "write as tools"),
    ("mcp", _mcp(url=None), "write its url"),
    ("mcp", _mcp(url="stdio:crm"), "write its url"),
    ("mcp", _mcp(url="https://a:b@crm.example.com/"), "credentials in its url"),
    ("mcp", _mcp(url="https://crm.example.com/{x}"), "is asked as it stands"),
    ("mcp", _mcp(key="crm"), "not among keys"),
    ("builtin", {"implementation": "builtin"}, "write its platform"),
    ("builtin", {"implementation": "builtin", "platform": "dial"}, "platform"),
    # Builtins
    ("hangup", _builtin("hangup"), None),
    ("hangup", _builtin("hangup", why={}), "takes no parameters"),
    ("hangup", _builtin("hangup", why=STATIC), "takes no parameters"),
    ("transfer_status", _builtin("transfer_status"), None),
    ("transfer_status", _builtin("transfer_status", id={}), "takes no parameters"),
    ("pause_recording", _builtin("pause_recording"), None),
    ("pause_recording", _builtin("pause_recording", why={}), "takes no parameters"),
    ("resume_recording", _builtin("resume_recording"), None),
    ("resume_recording", _builtin("resume_recording", why=STATIC), "takes no parameters"),
    ("dtmf", _builtin("dtmf", digits={}), None),
    ("dtmf", _builtin("dtmf", digits={"source": "static", "from": "1w2p#"}), None),
    ("dtmf", _builtin("dtmf", digits=STATIC), "digits that cannot be pressed"),
    ("dtmf", _builtin("dtmf", digits={"type": "integer"}), "digits that are no string"),
    ("dtmf", _builtin("dtmf"), "exactly one parameter, digits"),
    ("dtmf", _builtin("dtmf", digits={}, more={}), "exactly one parameter, digits"),
    ("metadata", _builtin("metadata", keys={}), None),
    ("metadata", _builtin("metadata", keys=STATIC), None),
    ("metadata", _builtin("metadata"), "exactly one parameter, keys"),
    ("metadata", _builtin("metadata", keys={}, more={}), "exactly one parameter, keys"),
    ("transfer", _builtin("transfer", number=STATIC), None),
    ("transfer", _builtin("transfer", number={"source": "metadata", "from": "desk"}), None),
    ("transfer", _builtin("transfer", number=STATIC, operation={}, callerId=STATIC, transferPrompt=STATIC), None),
    ("transfer", _builtin("transfer"), "give it a parameter number"),
    ("transfer", _builtin("transfer", number={}), "make up the number"),
    ("transfer", _builtin("transfer", number={"source": "generated"}), "make up the number"),
    ("transfer", _builtin("transfer", number=STATIC, to={}), "no parameter 'to'"),
    ("transfer", _builtin("transfer", number=STATIC, transferPrompt={}), "transferPrompt that is not static"),
    ("transfer", _builtin("transfer", number={"source": "static", "from": "the desk"}), "something that is no number"),
    ("transfer", _builtin("transfer", number=STATIC, operation=STATIC), "neither blind nor consultative"),
    ("accept_transfer", _builtin("accept_transfer"), "write its platform"),
    ("reject_transfer", _builtin("reject_transfer", reason={}), "write its platform"),
    ("dtmf", _builtin("dtmf", digits={}), None),
    ("dtmf", _builtin("dtmf"), "exactly one parameter, digits"),
    ("dtmf", _builtin("dtmf", digits={}, more={}), "exactly one parameter, digits"),
)
"""Of what, a function, and what is wrong with it."""


@pytest.mark.parametrize(("fields", "problem"), [(fields, problem) for _, fields, problem in RULES])
def test_every_rule_of_a_definition(fields: dict[str, Any], problem: str | None) -> None:
    if problem is None:
        assert agent({"name": "ask", **fields}).functions[1].as_sent() == {"name": "ask", **fields}
        return
    with pytest.raises(ValueError, match="functions") as refused:
        agent({"name": "ask", **fields})
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("location", "problem"), [(kind, kind in ("path", "query")) for kind in KEYS if kind != "none"]
)
def test_the_key_of_an_mcp_server_goes_into_a_header(location: str, problem: bool) -> None:
    fields, key = {"name": "crm", "key": "crm", **_mcp()}, {"name": "crm", "in": location, **KEYS[location]}
    if not problem:
        assert agent(fields, key).functions[1].key == "crm"
        return
    with pytest.raises(ValueError, match="does not go into a header"):
        agent(fields, key)


@pytest.mark.parametrize(
    ("key", "missing"),
    [
        *(({"in": kind, **fields}, None) for kind, fields in KEYS.items() if kind != "none"),
        *(
            ({"in": kind, **{name: value for name, value in fields.items() if name != left}}, left)
            for kind, fields in KEYS.items()
            for left in fields
        ),
    ],
)
def test_every_kind_of_key_has_what_it_needs(key: dict[str, Any], missing: str | None) -> None:
    function = _rest(url="https://api.example.com/{crm}" if key["in"] == "path" else "https://api.example.com/")
    fields = {"name": "ask", "key": "crm", **function}
    if missing is None:
        [kept] = agent(fields, {"name": "crm", **key}).keys
        assert kept.reveal() == {"name": "crm", **key}
        assert "secret" not in repr(kept)
        return
    with pytest.raises(ValueError, match=f"needs {missing}"):
        agent(fields, {"name": "crm", **key})
