"""Issuers of bearer tokens, over real HTTP: how their keys are fetched, kept and replaced, and who is let in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway import issuers as module
from gateway.issuers import FRESH_SECONDS, LARGEST_ANSWER, RETRY_SECONDS, USABLE_SECONDS, IssuerAway, Issuers
from gateway.settings import Settings
from gateway.tokens import Rules, TokenRefused
from tests.gateway.api_service import KEY, serving
from tests.simulators.issuer import AUDIENCE, SigningPair, SimulatedIssuer, serve_issuer


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def known() -> AsyncIterator[tuple[Issuers, SimulatedIssuer, Clock]]:
    clock = Clock()
    async with serve_issuer() as issuer:
        issuers = Issuers([issuer.url], Rules([AUDIENCE]), clock=clock)
        try:
            yield issuers, issuer, clock
        finally:
            await issuers.close()


async def test_keys_are_fetched_once_for_all_who_come() -> None:
    async with known() as (issuers, issuer, _):
        token = issuer.token()
        assert issuers.issuer(token) == issuer.url
        visitors = await asyncio.gather(*(issuers.visitor(token, issuer.url) for _ in range(20)))
        assert len(set(visitors)) == 1
        await issuers.visitor(issuer.token(sub="bob"), issuer.url)
        assert issuer.fetches == 1


async def test_a_key_that_is_new_is_fetched_when_its_first_token_comes() -> None:
    async with known() as (issuers, issuer, clock):
        old = issuer.token()
        await issuers.visitor(old, issuer.url)
        issuer.rotate("second")
        clock.now += RETRY_SECONDS
        await issuers.visitor(issuer.token(), issuer.url)
        await issuers.visitor(old, issuer.url)
        assert issuer.fetches == 2
        issuer.rotate("third", keep=False)
        clock.now += FRESH_SECONDS
        await issuers.visitor(issuer.token(), issuer.url)
        clock.now += RETRY_SECONDS
        with pytest.raises(TokenRefused, match="does not publish"):
            await issuers.visitor(old, issuer.url)


async def test_tokens_of_unknown_keys_do_not_have_the_issuer_asked_again_and_again() -> None:
    async with known() as (issuers, issuer, clock):
        strange = SigningPair("strange")
        for _ in range(50):
            with pytest.raises(TokenRefused, match="does not publish"):
                await issuers.visitor(issuer.token(strange), issuer.url)
        assert issuer.fetches == 1
        clock.now += RETRY_SECONDS
        for _ in range(50):
            with pytest.raises(TokenRefused, match="does not publish"):
                await issuers.visitor(issuer.token(strange), issuer.url)
        assert issuer.fetches == 2


async def test_an_issuer_that_is_away_lets_in_whoever_it_let_in_for_a_day() -> None:
    async with known() as (issuers, issuer, clock):
        await issuers.visitor(issuer.token(), issuer.url)
        issuer.status = 500
        for _ in range(3):
            clock.now += USABLE_SECONDS / 4
            await issuers.visitor(issuer.token(), issuer.url)
        clock.now += USABLE_SECONDS / 4
        with pytest.raises(IssuerAway, match="cannot be reached just now"):
            await issuers.visitor(issuer.token(), issuer.url)
        issuer.status = 200
        with pytest.raises(IssuerAway):
            await issuers.visitor(issuer.token(), issuer.url)
        clock.now += RETRY_SECONDS
        await issuers.visitor(issuer.token(), issuer.url)


@pytest.mark.parametrize(
    "bad",
    [
        {"status": 500},
        {"status": 302},
        {"garbage": b"{"},
        {"garbage": b"[" * 100_000},
        {"garbage": b'{"keys": []}'},
        {"garbage": b" " * (LARGEST_ANSWER + 1)},
        {"claims_to_be": "https://login.example.com"},
        {"silent": True},
    ],
)
async def test_an_issuer_that_answers_nonsense_is_away(bad: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FETCH_SECONDS", 0.2)
    async with known() as (issuers, issuer, clock):
        for name, value in bad.items():
            setattr(issuer, name, value)
        with pytest.raises(IssuerAway):
            await issuers.visitor(issuer.token(), issuer.url)
        issuer.silent, issuer.status, issuer.garbage, issuer.claims_to_be = False, 200, None, None
        clock.now += RETRY_SECONDS
        await issuers.visitor(issuer.token(), issuer.url)


async def test_a_request_that_is_given_up_leaves_the_others_their_keys() -> None:
    async with known() as (issuers, issuer, _):
        first = asyncio.create_task(issuers.visitor(issuer.token(), issuer.url))
        second = asyncio.create_task(issuers.visitor(issuer.token(), issuer.url))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).name == "ann"
        assert issuer.fetches == 1


async def test_what_is_no_token_of_ours_is_a_key() -> None:
    async with known() as (issuers, issuer, _):
        assert issuers.issuer(KEY) is None
        assert issuers.issuer(issuer.token(iss="https://login.example.com")) is None
        assert Issuers([], Rules([])).issuer(issuer.token()) is None


# Over the API


async def test_a_user_of_an_issuer_has_agents_of_his_own(tmp_path: Path) -> None:
    async with (
        serve_issuer() as issuer,
        serving(tmp_path, oidc_issuers=issuer.url, oidc_audience=AUDIENCE) as api,
    ):
        ann, bob = issuer.token(sub="ann", name="Ann"), issuer.token(sub="bob")
        agent = await api("POST", "/agents", {"modelName": "scripted/echo", "prompt": ""}, key=ann)
        listed = await api("GET", "/agents", key=issuer.token(sub="ann"))
        assert [one["id"] for one in listed["agents"]] == [agent["id"]]
        for stranger in (bob, KEY):
            assert (await api("GET", "/agents", key=stranger))["agents"] == []
            await api("GET", f"/agents/{agent['id']}", status=404, key=stranger)
        assert (await api("POST", "/tickets", status=201, key=ann))["ticket"]
        for bad in (
            issuer.token(exp=1),
            issuer.token(aud="x"),
            issuer.token(SigningPair("first")),
            ann[:-8] + "AAAAAAAA",
        ):
            error = await api("GET", "/agents", status=401, key=bad)
            assert error["code"] == "UNAUTHORIZED"
            assert bad not in str(error)
        foreign = issuer.token(iss="https://login.example.com")
        assert "API key" in (await api("GET", "/agents", status=401, key=foreign))["error"]


async def test_a_token_is_good_for_its_scopes(tmp_path: Path) -> None:
    settings = {"oidc_audience": AUDIENCE, "oidc_scope_claim": "scope", "oidc_organisation": "shared"}
    async with serve_issuer() as issuer, serving(tmp_path, oidc_issuers=issuer.url, **settings) as api:
        agent = await api.agent()
        reader = issuer.token(scope="openid agents:read keys:write")
        assert (await api("GET", f"/agents/{agent['id']}", key=reader))["id"] == agent["id"]
        await api("DELETE", f"/agents/{agent['id']}", status=403, key=reader)
        await api("GET", "/agents", status=403, key=issuer.token())
        made = await api("POST", "/keys", {"name": "k"}, status=201, key=reader)
        assert made["scopes"] == ["agents:read", "keys:write"], "a key of hers is good for no more than she is"


async def test_an_issuer_that_is_away_is_no_fault_of_the_user(tmp_path: Path) -> None:
    async with (
        serve_issuer() as issuer,
        serving(tmp_path, oidc_issuers=issuer.url, oidc_audience=AUDIENCE) as api,
    ):
        issuer.status = 500
        error = await api("GET", "/agents", status=503, key=issuer.token())
        assert (error["code"], issuer.url in error["error"]) == ("UNAVAILABLE", True)
        await api("GET", "/agents")


async def test_too_many_requests_of_one_user_are_refused_by_whichever_token(tmp_path: Path) -> None:
    async with (
        serve_issuer() as issuer,
        serving(tmp_path, oidc_issuers=issuer.url, oidc_audience=AUDIENCE, requests_per_second=0.2) as api,
    ):
        for _ in range(2):
            await api("GET", "/calls", key=issuer.token(jti="a"))
        await api("GET", "/calls", status=429, key=issuer.token(jti="b"))
        await api("GET", "/calls", key=issuer.token(sub="bob"))


def test_issuers_are_read_from_the_settings() -> None:
    read = Settings.model_validate(
        {"oidc_issuers": "https://a.example.com, https://b.example.com/x/", "oidc_audience": "c d"}
    )
    assert read.oidc_issuers == ("https://a.example.com", "https://b.example.com/x/")
    assert read.oidc_audience == ("c", "d")
