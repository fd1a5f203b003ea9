from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from pipelines.agent import AgentDefinition, Key
from pipelines.tools.parameters import BadArguments
from pipelines.tools.request import build
from tests.pipelines.tools.rest_functions import key, rest

BASE = "https://crm.example.com"


def url(function: Any, values: dict[str, Any], credential: Key | None = None) -> str:
    return build(function, values, credential, idempotency_key="i").url


ANY: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("method", "place", "query", "body"),
    [
        ("get", None, "?x=1", None),
        ("delete", None, "?x=1", None),
        ("post", None, "", {"x": 1}),
        ("put", None, "", {"x": 1}),
        ("get", "query", "?x=1", None),
        ("post", "query", "?x=1", {}),
        ("delete", "body", "", {"x": 1}),
        ("post", "body", "", {"x": 1}),
    ],
)
def test_where_a_value_goes(method: str, place: str | None, query: str, body: Any) -> None:
    function = rest(f"{BASE}/a", method, x={"type": "integer", **({"in": place} if place else {})})
    request = build(function, {"x": 1}, None, idempotency_key="i")
    assert request.method == method.upper()
    assert request.url == f"{BASE}/a{query}"
    assert (None if request.body is None else json.loads(request.body)) == body
    assert ("Content-Type" in request.headers) == (body is not None)
    assert request.headers.get("Idempotency-Key") == (None if method == "get" else "i")


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("/p/{x}", {"x": "a b/ü?&#"}, "/p/a%20b%2F%C3%BC%3F%26%23"),
        ("/p/{x}/q", {"x": 7}, "/p/7/q"),
        ("/p?id={x}", {"x": "a&admin=1#"}, "/p?id=a%26admin%3D1%23"),
        ("/p?id={x}&k=v", {"x": ""}, "/p?id=&k=v"),
        ("/p?k=v", {"x": "a"}, "/p?k=v&x=a"),
        ("", {"x": "a"}, "/?x=a"),
        ("/p", {"x": ["a", "b&c"]}, "/p?x=a&x=b%26c"),
        ("/p", {"x": {"a": 1}}, "/p?x=%7B%22a%22%3A1%7D"),
        ("/p", {"x": True}, "/p?x=true"),
        ("/p", {}, "/p"),
        ("/p/{x}.json", {"x": ".hidden"}, "/p/.hidden.json"),
    ],
)
def test_urls(template: str, values: dict[str, Any], expected: str) -> None:
    assert url(rest(BASE + template, x=ANY), values) == BASE + expected


@pytest.mark.parametrize(
    "value",
    ["", " ", ".", "..", "../admin", "a/../../admin", "..\\admin", "%2e%2e", "%252e%252e/x", "a\nb", "a\x00", "a%0ab"],
)
def test_no_value_leaves_its_place_in_the_path(value: str) -> None:
    with pytest.raises(BadArguments, match="no name that can stand in a URL"):
        url(rest(f"{BASE}/users/{{x}}", "delete", x=ANY), {"x": value})


def test_a_place_in_the_path_that_has_no_value() -> None:
    with pytest.raises(BadArguments, match="ask needs the parameter 'x'"):
        url(rest(f"{BASE}/users/{{x}}", x=ANY), {})


@pytest.mark.parametrize(
    "value", ["a@evil.com", "evil.com/", "evil.com#", "evil.com:80", "a b", "", "..", "evil.com\\"]
)
def test_a_host_of_metadata_is_a_name(value: str) -> None:
    function = rest("https://{x}.example.com/a", x={"source": "metadata", "from": "region"})
    assert url(function, {"x": "eu-1"}) == "https://eu-1.example.com/a"
    with pytest.raises(BadArguments, match="no name of a host"):
        url(function, {"x": value})


def test_headers() -> None:
    function = rest(f"{BASE}/a", "post", None, **{"X-Who": {"in": "header"}, "Idempotency-Key": {"in": "header"}})
    request = build(function, {"X-Who": "Ann", "Idempotency-Key": "own"}, None, idempotency_key="i")
    assert request.headers["X-Who"] == "Ann"
    assert request.headers["Idempotency-Key"] == "own"
    for value in ("a\r\nX-Admin: 1", "a\x00", "x" * 5000):
        with pytest.raises(BadArguments, match="in a header"):
            build(function, {"X-Who": value}, None, idempotency_key="i")


@pytest.mark.parametrize("place", ["path", "query", "body", "header"])
def test_half_a_character_goes_nowhere(place: str) -> None:
    """Models cut their JSON in the middle of an emoji."""
    function = rest(f"{BASE}/a/{{x}}" if place == "path" else f"{BASE}/a", "post", x={"in": place})
    with pytest.raises(BadArguments, match="ask cannot take that: there is half a character in it"):
        build(function, {"x": "\ud83d"}, None, idempotency_key="i")
    build(function, {"x": "\U0001f600"}, None, idempotency_key="i")


def test_a_url_has_its_bounds() -> None:
    with pytest.raises(BadArguments, match="too long for a URL"):
        url(rest(f"{BASE}/a", x=ANY), {"x": "x" * 9000})


SECRET = "s3cr/et&"


@pytest.mark.parametrize(
    ("credential", "template", "expected", "header"),
    [
        (key("bearer", value=SECRET), "/a", "/a", ("Authorization", f"Bearer {SECRET}")),
        (
            key("basic", username="u", password=SECRET),
            "/a",
            "/a",
            ("Authorization", "Basic " + base64.b64encode(f"u:{SECRET}".encode()).decode()),
        ),
        (key("header", header="X-Api-Key", value=SECRET), "/a", "/a", ("X-Api-Key", SECRET)),
        (key("query", value=SECRET), "/a?b=c", "/a?b=c&x=1&crm=s3cr%2Fet%26", None),
        (key("path", value=SECRET), "/{crm}/a", "/s3cr%2Fet%26/a", None),
    ],
    ids=["bearer", "basic", "header", "query", "path"],
)
def test_keys(credential: Key, template: str, expected: str, header: tuple[str, str] | None) -> None:
    fields = rest(f"{BASE}{template.replace('{crm}', 'x')}", x=ANY).as_sent()
    fields |= {"url": f"{BASE}{template}", "key": "crm"}
    agent = {"modelName": "scripted/echo", "prompt": "", "functions": [fields], "keys": [credential.reveal()]}
    [function] = AgentDefinition.model_validate(agent).functions
    request = build(function, {"x": 1}, credential, idempotency_key="i")
    assert request.url == BASE + (expected if "x=1" in expected else f"{expected}?x=1")
    if header is not None:
        assert request.headers[header[0]] == header[1]
        assert request.shown["headers"][header[0]] == "***"
    for told in (json.dumps(request.shown), repr(request)):
        assert "s3cr" not in told
        assert base64.b64encode(b"u:s3")[:4].decode() not in told
    assert request.shown["url"].startswith(BASE)


def problem_of(function: dict[str, Any], *keys: dict[str, Any]) -> str:
    fields = {"name": "ask", "implementation": "rest", **function}
    agent = {"modelName": "scripted/echo", "prompt": "", "functions": [fields], "keys": list(keys)}
    with pytest.raises(ValueError, match=r"functions|keys") as refused:
        AgentDefinition.model_validate(agent)
    return str(refused.value)


PATH_KEY = {"name": "crm", "in": "path", "value": "v"}


@pytest.mark.parametrize(
    ("function", "keys", "problem"),
    [
        ({"url": "https://x/#a"}, [], "white space, a backslash or a #"),
        ({"url": "https://x/a b"}, [], "white space"),
        ({"url": "https://x\\@y/"}, [], "backslash"),
        ({"url": "https://u:p@x/"}, [], "credentials in its url"),
        ({"url": "https://{h}/", "input_schema": {"properties": {"h": {}}}}, [], "choose the host"),
        (
            {
                "url": "https://{h}/",
                "input_schema": {"properties": {"h": {"source": "metadata", "from": "toolsCalls.a"}}},
            },
            [],
            "choose the host",
        ),
        ({"url": "https://x/", "input_schema": {"properties": {"a": {"in": "path"}}}}, [], "no {a} in its url"),
        ({"url": "https://x/", "input_schema": {"properties": {"a": {"in": "body"}}}}, [], "which a get has not"),
        ({"url": "https://x/", "input_schema": {"properties": {"Host": {"in": "header"}}}}, [], "of that name"),
        ({"url": "https://x/", "input_schema": {"properties": {"a b": {"in": "header"}}}}, [], "of that name"),
        ({"url": "https://x/", "key": "crm"}, [PATH_KEY], "there is no {crm} in the url"),
        ({"url": "https://x/{crm}", "key": "crm"}, [PATH_KEY | {"in": "query"}], "is not for the path"),
        (
            {"url": "https://x/", "key": "crm", "input_schema": {"properties": {"authorization": {"in": "header"}}}},
            [PATH_KEY | {"in": "bearer"}],
            "as a parameter does",
        ),
        (
            {"url": "https://x/", "key": "crm", "input_schema": {"properties": {"crm": {}}}},
            [PATH_KEY | {"in": "query"}],
            "there is a parameter of that name",
        ),
        ({"url": "https://x/"}, [PATH_KEY | {"in": "header", "header": "Host"}], "header of the name 'Host'"),
        ({"url": "https://x/", "timeout": 61}, [], "timeout"),
        ({"url": "https://x/", "maxCalls": 0}, [], "maxCalls"),
    ],
)
def test_definitions_of_which_no_request_could_come(function: dict[str, Any], keys: Any, problem: str) -> None:
    assert problem in problem_of(function, *keys)
