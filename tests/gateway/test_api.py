"""What holds for the whole API: who may, how errors look, and that it is documented as it is."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import web
from structlog.testing import capture_logs
from yarl import URL

from gateway.api import OPERATIONS, examples, messages, operations
from gateway.app import create_app
from gateway.auth import ensure_admin_key
from gateway.keys import STORE
from gateway.scopes import SCOPES
from gateway.settings import Settings
from store import CallEvent, NewCall, Store
from tests.gateway.api_service import AGENT, DOCUMENT, KEY, OTHER_KEY, Api, serving
from tests.simulators.issuer import AUDIENCE, SigningPair, serve_issuer

VALID_BODIES: dict[str, Any] = {
    **examples.BODIES,
    "create_agent": AGENT,
    "update_agent": {"prompt": "Mine now."},
    "listen": {"number": "+442080996945"},
    "create_phone_endpoint": {"type": "e164-ddi", "number": "+442080990000"},
    "update_phone_endpoint": {"name": "Mine now"},
    "create_trunk": {"name": "Mine"},
    "update_trunk": {"name": "Mine now"},
    "create_key": {"name": "Mine"},
}


EXPIRED = "key-that-has-expired"


async def furnish(api: Api) -> dict[str, str]:
    """One of everything for the owner; gives the ids for the paths."""
    agent = await api.agent(name="Owned")
    await api.number()
    listener = await api.listener(agent["id"], number="*")
    trunk = await api("POST", "/trunks", {"name": "Owned"}, status=201)
    account = {"type": "phone-registration", "registrar": "a.example.com", "username": "Owned", "password": "secret"}
    await api("POST", "/phone-endpoints", account, status=201)
    call = await api.store.calls.start(
        NewCall(api.owner, agent["id"], listener["id"], "scripted/echo", "jambonz", "441", "442"),
        started_at=datetime.now(UTC),
    )
    await api.store.calls.append_events(call.id, [CallEvent(0, "user", "Owned", datetime.now(UTC))])
    return {
        "agentId": agent["id"],
        "listenerId": listener["id"],
        "callId": call.id,
        "identifier": "+442080996945",
        "trunkId": trunk["id"],
        "keyId": await api.store.accounts.add_key(api.owner, "Owned", "key-that-is-owned", scopes=["keys:read"]),
    }


async def test_no_route_answers_without_a_key(tmp_path: Path) -> None:
    """Nor with one that has expired, or is of a browser session, nor with a token that is not good."""
    async with serve_issuer() as issuer, serving(tmp_path, oidc_issuers=issuer.url, oidc_audience=AUDIENCE) as api:
        bad_tokens = [issuer.token(exp=1), issuer.token(aud="x"), issuer.token(SigningPair("first"))]
        ids = await furnish(api)
        room = await api.store.listeners.room(ids["listenerId"])
        assert room is not None
        room_key = room.key
        await api.store.accounts.add_key(api.owner, "old", EXPIRED, datetime.now(UTC) - timedelta(seconds=1))
        for operation in OPERATIONS:
            path = operation.path.format(**ids)
            for key in (None, "unknown", "", f"{KEY}x", EXPIRED, room_key, *bad_tokens):
                if key == room_key and operation.room:
                    continue  # it is what that one is for: see test_rooms
                body = VALID_BODIES.get(operation.id)
                error = await api(operation.method, path, body, status=401, key=key)
                assert error["code"] == "UNAUTHORIZED", operation.id


PUBLIC = {
    ("GET", "/api/openapi.json"), ("GET", "/api/api-docs"), ("GET", "/api/docs"),  # the document and its page
    ("POST", "/api/hooks/ultravox"),  # by its signature
    ("POST", "/api/hooks/ultravox/{callId}/{token}/{name}"),  # by the token of its call
    ("*", "/api/agent-db"), ("*", "/api/agent-db/{tail}"),  # 501
}  # fmt: skip


def test_every_route_of_the_api_is_an_operation_or_known_to_be_for_anybody() -> None:
    """So that those who ask every operation for its key ask every route."""
    routed = {
        (route.method, route.resource.canonical)
        for route in create_app(Settings()).router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api") and route.method != "HEAD"
    }
    asked = {(operation.method, f"/api{operation.path}") for operation in OPERATIONS}
    preflights = {("OPTIONS", f"/api{operation.path}") for operation in OPERATIONS if operation.any_origin}
    assert routed == asked | preflights | PUBLIC


async def test_every_route_asks_for_its_scope(tmp_path: Path) -> None:
    """And for no other: with all scopes but its own, a key is refused; with its own alone, it is served."""
    async with serving(tmp_path) as api:
        ids = await furnish(api)
        for scope in SCOPES:
            others = set(SCOPES) - {scope, f"{scope.partition(':')[0]}:write"}
            await api.store.accounts.add_key(api.owner, scope, f"only {scope}", scopes=[scope])
            await api.store.accounts.add_key(api.owner, scope, f"but {scope}", scopes=others)
        for operation in OPERATIONS:
            assert operation.scope in SCOPES, operation.id
            path, body = operation.path.format(**ids), VALID_BODIES.get(operation.id)
            error = await api(operation.method, path, body, status=403, key=f"but {operation.scope}")
            assert operation.scope in error["error"]
        for operation in sorted(OPERATIONS, key=lambda one: one.method == "DELETE"):
            path, body = operation.path.format(**ids), VALID_BODIES.get(operation.id)
            headers = {"Authorization": f"Bearer only {operation.scope}"}
            async with api.client.request(operation.method, f"/api{path}", json=body, headers=headers) as answer:
                assert answer.status not in (401, 403), operation.id


async def test_no_route_gives_or_changes_what_belongs_to_somebody_else(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        ids = await furnish(api)
        before = await everything(api)
        for operation in OPERATIONS:
            if operation in set(messages.operations):
                continue  # of calls under way, which need more of a service: see test_messages
            path = operation.path.format(**ids)
            status = 404 if "{" in operation.path else operation.status
            answer = await api(operation.method, path, VALID_BODIES.get(operation.id), status=status, key=OTHER_KEY)
            assert "Owned" not in str(answer), operation.id
            if operation.method == "GET" and status == 200:
                assert not any(value in str(answer) for value in ids.values()), operation.id
        assert await everything(api) == before


async def everything(api: Api) -> list[Any]:
    paths = ("/agents", "/listener", "/phone-endpoints", "/trunks", "/calls", "/keys")
    return [await api("GET", path) for path in paths]


async def test_without_users_everybody_is_the_default_user(tmp_path: Path) -> None:
    async with serving(tmp_path, authenticate_users=False) as api:
        agent = await api("POST", "/agents", AGENT, key=None)
        assert (await api("GET", f"/agents/{agent['id']}", key="whatever"))[
            "organisationId"
        ] == api.owner.organisation_id
        asked = {"Origin": "https://evil.example"}
        status, refused = await raw(api, "POST", "/api/agents", json=AGENT, headers=asked)
        assert (status, refused["code"]) == (403, "FORBIDDEN")
        status, _ = await raw(api, "POST", "/api/listener/none/join", headers=asked)
        assert status == 404, "that any page may ask for"
    async with serving(tmp_path / "other", authenticate_users=False, insecure=True) as api:
        status, _ = await raw(api, "POST", "/api/agents", json=AGENT, headers=asked)
        assert status == 200


async def raw(api: Api, method: str, path: str | URL, **request: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {KEY}", **request.pop("headers", {})}
    async with api.client.request(method, path, headers=headers, **request) as answer:
        assert answer.content_type == "application/json"
        return answer.status, await answer.json()


A_TIME = "StartDate has to be a date or a time such as 2026-11-20T12:00:00Z"

REFUSED = [
    ("GET", "agent", None, 404, "NOT_FOUND", "There is nothing at /api/agent; did you mean /api/agents?"),
    ("GET", "", None, 404, "NOT_FOUND", "There is nothing at /api/;"),
    ("PATCH", "agents", None, 405, "METHOD_NOT_ALLOWED", "/api/agents does not take PATCH; it takes GET, "),
    ("POST", "agents", b"{", 400, "BAD_JSON", "The body is not JSON: "),
    ("POST", "agents", b"\xff\xfe", 400, "BAD_JSON", "The body is not JSON: "),
    ("POST", "agents", b'"\\ud800"', 400, "BAD_JSON", "The body is not JSON: "),
    ("POST", "agents", b'{"a": NaN}', 400, "BAD_JSON", "The body is not JSON: "),
    ("POST", "agents", b'{"a": 1e999}', 400, "BAD_JSON", "The body is not JSON: "),
    ("POST", "agents", b'{"a": 1%s}' % (b"0" * 5000), 400, "BAD_JSON", "The body is not JSON: "),
    ("POST", "agents", b"[" * 100_000, 400, "BAD_JSON", "The body is not JSON: "),
    ("POST", "agents", b"[]", 400, "BAD_JSON", "The body has to be a JSON object"),
    ("POST", "agents", b'{"name": "\\u0000"}', 400, "VALIDATION_ERROR", "The body holds the character U+0000"),
    ("POST", "agents", b'{"name": "\\\\\\u0000"}', 400, "VALIDATION_ERROR", "The body holds the character U+0000"),
    ("POST", "agents", b"", 400, "VALIDATION_ERROR", "ModelName is missing (and 1 more problem)"),
    ("POST", "agents", b'{"modelNam": "x"}', 400, "VALIDATION_ERROR", "ModelNam is not known; did you mean modelName?"),
    ("POST", "agents", b" " * (operations.MAX_BODY + 1), 413, "TOO_LARGE", "The body is larger than 1048576"),
    ("GET", "agents/%00", None, 404, "NOT_FOUND", "There is nothing at '/"),
    ("GET", "agents?search=%00", None, 400, "VALIDATION_ERROR", "Search holds the character U+0000"),
    ("GET", "agents?%00=a", None, 400, "VALIDATION_ERROR", "\0 holds the character U+0000"),
    ("GET", "agents?limt=3", None, 400, "VALIDATION_ERROR", "Limt is not known; did you mean limit?"),
    ("GET", "agents?limit=0", None, 400, "VALIDATION_ERROR", "Limit has to be greater than or equal to 1"),
    ("GET", "agents?limit=1&limit=2", None, 400, "VALIDATION_ERROR", "Limit has to be a whole number"),
    ("GET", f"agents?limit={'9' * 5000}", None, 400, "VALIDATION_ERROR", "Limit has to be a smaller number"),
    ("GET", "agents?searchField=nmae", None, 400, "VALIDATION_ERROR", "SearchField has to be 'all', 'name' or "),
    ("GET", "calls?startDate=0", None, 400, "VALIDATION_ERROR", A_TIME),
    ("GET", "calls?startDate=1.7e9", None, 400, "VALIDATION_ERROR", A_TIME),
    ("GET", "calls?startDate=soon", None, 400, "VALIDATION_ERROR", A_TIME),
    ("GET", "calls?startDate=0001-01-01T00:00%2B14:00", None, 400, "VALIDATION_ERROR", A_TIME),
    ("GET", "calls?endDate=9999-12-31T23:59-14:00", None, 400, "VALIDATION_ERROR", A_TIME.replace("Start", "End")),
]  # fmt: skip


async def test_errors_have_one_shape(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        for method, path, data, status, code, said in REFUSED:
            body = io.BytesIO(data) if data is not None else None
            got, error = await raw(api, method, URL(f"/api/{path}", encoded=True), data=body)
            assert (got, error["code"]) == (status, code), path
            assert error["error"].startswith(said), path
            assert set(error) == {"error", "code", "details"}, path


async def test_a_text_about_u_0000_is_a_text(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        agent = await api.agent(prompt="Write \\u0000 as \\\\u0000.")
        assert agent["prompt"] == "Write \\u0000 as \\\\u0000."


async def test_a_wrong_method_is_told_the_right_ones(tmp_path: Path) -> None:
    async with serving(tmp_path) as api, api.client.request("PATCH", "/api/agents") as answer:
        assert {method.strip() for method in answer.headers["Allow"].split(",")} == {"GET", "HEAD", "POST"}


async def test_whatever_can_be_read_has_a_head(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        ids = await furnish(api)
        for operation in OPERATIONS:
            if operation.method == "GET":
                path, headers = f"/api{operation.path.format(**ids)}", {"Authorization": f"Bearer {KEY}"}
                async with api.client.get(path, headers=headers) as whole:
                    expected = (whole.status, whole.content_type)
                async with api.client.head(path, headers=headers) as head:
                    assert (head.status, head.content_type) == expected, operation.id
                    assert head.content_length, operation.id
                async with api.client.head(path) as refused:
                    assert refused.status == 401, operation.id


async def test_a_slash_too_many_does_no_harm(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        status, agent = await raw(api, "POST", "/api/agents/", json=AGENT)
        assert (status, agent["prompt"]) == (200, AGENT["prompt"])
        assert (await raw(api, "GET", f"/api/agents/{agent['id']}/"))[1]["id"] == agent["id"]
        assert (await raw(api, "GET", "/api/agents//calls"))[0] == 404, "an id that is empty is none"


async def test_whoever_sends_no_key_is_told_how(tmp_path: Path) -> None:
    async with serving(tmp_path) as api, api.client.get("/api/agents") as answer:
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError("secret"), 500, "INTERNAL"),
        (sa.exc.OperationalError("SELECT secret", {}, Exception("gone")), 503, "UNAVAILABLE"),
        (TimeoutError("secret"), 503, "UNAVAILABLE"),
        (web.HTTPTooManyRequests(), 429, "REFUSED"),
    ],
)
async def test_what_breaks_inside_is_not_told_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    async def broken(*_arguments: object, **_more: object) -> None:
        raise error

    async with serving(tmp_path) as api:
        monkeypatch.setattr(api.client.app[STORE].agents, "list", broken)
        with capture_logs() as logged:
            got, answer = await raw(api, "GET", "/api/agents")
        assert (got, answer["code"]) == (status, code)
        assert "secret" not in str(answer)
        assert len(logged) == (status >= 500)


async def test_the_openapi_is_given_to_anybody_and_whole(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        async with api.client.get("/api/openapi.json") as answer:
            made = await answer.json()
        assert made == DOCUMENT
        assert made["openapi"] == "3.1.0"
        listed = {(method.upper(), path) for path, methods in made["paths"].items() for method in methods}
        assert listed == {(operation.method, f"/api{operation.path}") for operation in OPERATIONS}
        for reference in re.findall(r'"#/components/schemas/([^"]+)"', str(made).replace("'", '"')):
            assert reference in made["components"]["schemas"]
        ids = [operation["operationId"] for methods in made["paths"].values() for operation in methods.values()]
        assert len(set(ids)) == len(ids)


async def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with serving(tmp_path) as api, api.client.get("/api/docs") as answer:
        assert answer.content_type == "text/html"
        assert not re.search(r"(src|href)=\"(https?:)?//|@import|url\(", await answer.text())


async def test_the_first_key_is_made_once(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/db.sqlite3", data_dir=tmp_path)
    try:
        key = await ensure_admin_key(store, Settings())
        assert key is not None
        assert await store.accounts.identify(key) is not None
        assert await ensure_admin_key(store, Settings()) is None
    finally:
        await store.close()


async def test_the_key_of_the_settings_replaces_its_former_value(tmp_path: Path) -> None:
    def settings(key: str) -> Settings:
        return Settings.model_validate({"admin_key": key})

    async with serving(tmp_path) as api:
        assert await ensure_admin_key(api.store, settings("a" * 16)) is None
        await api("GET", "/agents", key="a" * 16)
        await ensure_admin_key(api.store, settings("b" * 16))
        await api("GET", "/agents", key="b" * 16)
        await api("GET", "/agents", key="a" * 16, status=401)
        await ensure_admin_key(api.store, Settings())
        await api("GET", "/agents", key="b" * 16, status=401)
        await api("GET", "/agents", key=KEY)


async def test_a_call_is_deleted(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        call = await api.store.calls.start(
            NewCall(api.owner, "agent", None, "scripted/echo", "jambonz", "1", "2"), started_at=datetime.now(UTC)
        )
        await api("DELETE", f"/calls/{call.id}", status=409)
        await api.store.calls.end(call.id, "ended normally", "caller", datetime.now(UTC), 1)
        await api("DELETE", f"/calls/{call.id}", key=OTHER_KEY, status=404)
        await api("DELETE", f"/calls/{call.id}", status=204)
        for path in (f"/calls/{call.id}", f"/calls/{call.id}/logs"):
            await api("GET", path, status=404)
        await api("DELETE", f"/calls/{call.id}", status=404)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/phone-endpoints?handler=jambons", "; did you mean jambonz?"),
        ("/phone-endpoints?type=e164", "; did you mean e164-ddi?"),
        ("/agents?searchField=nmae", "; did you mean name?"),
        ("/agents?searchField=qqqq", "'all', 'name' or 'model'"),
    ],
)
async def test_the_nearest_right_value_is_told(tmp_path: Path, path: str, meant: str) -> None:
    async with serving(tmp_path) as api:
        status, error = await raw(api, "GET", f"/api{path}")
        assert status == 400
        assert error["error"].endswith(meant)
