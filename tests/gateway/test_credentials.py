"""API keys over the API, tickets, and rate limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.auth import FROM_SETTINGS, ensure_admin_key
from gateway.rate import RateLimit
from gateway.scopes import SCOPES, allows, covers
from gateway.settings import Settings
from tests.gateway.api_service import KEY, OTHER_KEY, serving


async def test_a_key_is_made_used_and_deleted(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        made = await api("POST", "/keys", {"name": "dashboard", "scopes": ["calls:read"]}, status=201)
        assert made["key"].startswith("trk_")
        listed = {key["id"]: key for key in (await api("GET", "/keys"))["keys"]}
        assert made["key"] not in str(listed)
        assert listed[made["id"]]["scopes"] == ["calls:read"]
        assert listed[made["id"]]["lastUsedAt"] is None
        await api("GET", "/calls", key=made["key"])
        refused = await api("GET", "/agents", status=403, key=made["key"])
        assert refused["error"] == "This needs a key with the scope agents:read; this one has calls:read"
        assert made["id"] not in str(await api("GET", "/keys", key=OTHER_KEY))
        await api("DELETE", f"/keys/{made['id']}", status=404, key=OTHER_KEY)
        await api("DELETE", f"/keys/{made['id']}")
        await api("GET", "/calls", status=401, key=made["key"])
        await api("DELETE", f"/keys/{made['id']}", status=404)


async def test_the_last_use_is_noted(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        made = await api("POST", "/keys", {"name": "k"}, status=201)
        await api("GET", "/calls", key=made["key"])
        used = None
        for _ in range(100):  # beside the request
            [used] = [key["lastUsedAt"] for key in (await api("GET", "/keys"))["keys"] if key["id"] == made["id"]]
            if used is not None:
                break
        assert used is not None


async def test_a_key_gives_away_no_more_than_it_has(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        scopes = ["keys:write", "agents:read"]
        made = await api("POST", "/keys", {"name": "clerk", "scopes": scopes}, status=201)
        clerk = made["key"]
        await api("POST", "/keys", {"name": "x", "scopes": ["agents:write"]}, status=403, key=clerk)
        same = await api("POST", "/keys", {"name": "x"}, status=201, key=clerk)
        assert same["scopes"] == sorted(scopes), "without scopes, those of whoever makes it"
        [full] = [key["id"] for key in (await api("GET", "/keys"))["keys"] if key["name"] == "mine"]
        await api("POST", f"/keys/{full}/rotate", {}, status=403, key=clerk)
        await api("GET", "/agents", key=clerk)
        await api("POST", "/agents", {"modelName": "scripted/echo", "prompt": ""}, status=403, key=clerk)


async def test_a_key_is_rotated_without_a_gap(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        old = await api("POST", "/keys", {"name": "k", "scopes": ["calls:read"]}, status=201)
        new = await api("POST", f"/keys/{old['id']}/rotate", {"overlap": 60}, status=201)
        for key in (old["key"], new["key"]):
            await api("GET", "/calls", key=key)
        assert (new["name"], new["scopes"]) == ("k", ["calls:read"])
        last = await api("POST", f"/keys/{new['id']}/rotate", {"overlap": 0}, status=201)
        await api("GET", "/calls", status=401, key=new["key"])
        await api("GET", "/calls", key=last["key"])
        await api("POST", f"/keys/{new['id']}/rotate", {}, status=404)


async def test_the_key_of_the_settings_is_not_rotated(tmp_path: Path) -> None:
    """At the next start its successor, which has its name, would be gone; and itself, when its time is over."""
    async with serving(tmp_path) as api:
        await ensure_admin_key(api.store, Settings(admin_key=SecretStr("the key of the settings")))
        [key] = [one for one in (await api("GET", "/keys"))["keys"] if one["name"] == FROM_SETTINGS]
        error = await api("POST", f"/keys/{key['id']}/rotate", {}, status=409)
        assert "give that setting another value" in error["error"]
        assert [one for one in (await api("GET", "/keys"))["keys"] if one["name"] == FROM_SETTINGS] == [key]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "k", "scopes": ["agent:read"]}, "did you mean agents:read?"),
        ({"name": "k", "expiresAt": "2001-01-01T00:00:00Z"}, "ExpiresAt is in the past"),
        ({"name": "k", "expiresAt": "2031-01-01T00:00:00"}, "ExpiresAt has to have a time zone, as 2026-11-20T"),
        ({"name": "k", "expiresAt": "9999-12-31T23:59:59-14:00"}, "ExpiresAt has to be a date or a time such as 2026"),
        ({"name": "k", "expiresAt": "next year"}, "ExpiresAt has to be a date or a time such as 2026-11-20T"),
        ({"name": ""}, "Name"),
        ({"name": "Trunkline_Admin_Key"}, "Name is that of the key in the settings"),
        ({"nam": "k"}, "did you mean name?"),
    ],
)
async def test_bad_keys_are_refused_in_words(tmp_path: Path, body: dict[str, object], said: str) -> None:
    async with serving(tmp_path) as api:
        error = await api("POST", "/keys", body, status=400)
        assert said in error["error"]
        assert error["details"][0]["path"]


async def test_a_ticket_is_good_once_and_for_a_while(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        made = await api("POST", "/tickets", status=201)
        assert datetime.fromisoformat(made["expiresAt"]) <= datetime.now(UTC) + timedelta(seconds=30)
        accounts = api.store.accounts
        identity = await accounts.take_ticket(made["ticket"])
        assert identity is not None
        assert identity.owner == api.owner
        assert await accounts.take_ticket(made["ticket"]) is None
        assert await accounts.take_ticket("made up") is None
        await accounts.add_ticket(identity, "late", -1)
        assert await accounts.take_ticket("late") is None


async def test_a_key_with_less_than_a_request_in_ten_seconds_has_one(tmp_path: Path) -> None:
    async with serving(tmp_path, requests_per_second=0.001) as api:
        await api("GET", "/calls")
        await api("GET", "/calls", status=429)


async def test_too_many_requests_are_refused_for_a_while_and_other_keys_are_served(tmp_path: Path) -> None:
    async with serving(tmp_path, requests_per_second=0.5) as api:
        for _ in range(5):
            await api("GET", "/calls")
        headers = {"Authorization": f"Bearer {KEY}"}
        async with api.client.get("/api/calls", headers=headers) as answer:
            assert answer.status == 429
            assert 1 <= int(answer.headers["Retry-After"]) <= 2
            assert (await answer.json())["code"] == "TOO_MANY_REQUESTS"
        await api("GET", "/calls", key=OTHER_KEY)


@given(st.lists(st.floats(0, 5), max_size=200), st.floats(0.1, 50), st.floats(1, 20))
def test_no_more_are_served_than_the_rate_allows(pauses: list[float], rate: float, burst: float) -> None:
    limit, now, served = RateLimit(rate, burst), 0.0, 0
    for pause in pauses:
        now += pause
        wait = limit.take("k", now)
        served += wait == 0
        assert wait >= 0
        assert served <= burst + now * rate + 1e-6
        if wait:
            assert RateLimit(rate, burst).take("other", now) == 0
    assert limit.take("k", now + burst / rate + 1) == 0, "after a while it is full again"


def test_writing_includes_reading_and_all_includes_everything() -> None:
    assert all(allows(None, scope) for scope in SCOPES)
    assert allows({"agents:write"}, "agents:read")
    assert not allows({"agents:read"}, "agents:write")
    assert not allows({"agents:write"}, "calls:read")
    assert allows((), "")
    assert covers(None, None)
    assert not covers({"agents:write"}, None)
    assert covers({"agents:write"}, {"agents:read"})
    assert not covers({"agents:read"}, {"agents:write"})
