"""Browsers that join an agent at Ultravox, by Ultravox's own URL: what is ours of such calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import remote
from gateway.keys import JOINING
from store import DEFAULT_OWNER
from tests.gateway.service import KEY, Service, serving
from tests.gateway.test_rooms import ask, join, room, until_over
from tests.simulators.ultravox import KEY as ULTRAVOX_KEY
from tests.simulators.ultravox import UltravoxServer, serve_ultravox
from tests.simulators.ultravox_browser import Browser
from tests.steady import PATIENCE

AGENT: dict[str, Any] = {
    "modelName": "ultravox:ultravox/ultravox-v0.7",
    "prompt": "You sell tables.",
    "options": {"greeting": "Hello.", "maxDuration": 600},
    "functions": [
        {"name": "stock", "implementation": "stub", "description": "d", "result": "{n} of them, {who}",
         "input_schema": {"properties": {"n": {"type": "integer"},
                                         "who": {"source": "metadata", "from": "customer.name"}}}},
        {"name": "show", "implementation": "client", "description": "d"},
        {"name": "bye", "implementation": "builtin", "platform": "hangup", "description": "d"},
    ],
}  # fmt: skip
FOR_ANN = {"options": {"metadata": {"customer": {"name": "Ann"}}}}


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JOIN_SECONDS", "POLL_SECONDS", "REASON_SECONDS"):
        monkeypatch.setattr(remote, name, 0.02)


@asynccontextmanager
async def at_ultravox(directory: Path, **settings: Any) -> AsyncIterator[tuple[Service, UltravoxServer]]:
    async with serve_ultravox() as ultravox:
        vendor = {"ultravox_api_key": ULTRAVOX_KEY, "ultravox_base_url": ultravox.base_url}
        async with serving(directory, **{**vendor, **settings}) as service:
            yield service, ultravox
        assert ultravox.mistakes == []


async def joined(service: Service, ultravox: UltravoxServer, body: Any = None, **options: Any) -> tuple[str, Browser]:
    """The id of a call, and who has it."""
    listener = await room(service, AGENT, options=options)
    status, answer = await join(service, listener["id"], listener["key"], body)
    assert status == 200, answer
    assert set(answer) == {"callId", "ultravox"}
    return answer["callId"], Browser(ultravox, answer["ultravox"]["joinUrl"])


async def log_of(service: Service, call_id: str) -> list[tuple[str, Any]]:
    status, entries = await ask(service, "GET", f"/calls/{call_id}/logs")
    found = [(entry["type"], entry["data"]) for entry in entries] if status == 200 else []
    return [(kind, data) for kind, data in found if kind != "status"]


async def test_a_browser_has_a_call_at_ultravox_and_its_record_is_here(tmp_path: Path) -> None:
    async with at_ultravox(tmp_path) as (service, ultravox):
        call_id, browser = await joined(service, ultravox, FOR_ANN)
        [request] = ultravox.requests
        assert (request["model"], request["systemPrompt"]) == ("ultravox-v0.7", "You sell tables.")
        assert request["maxDuration"] == "620s"
        tools = {t["temporaryTool"]["modelToolName"]: t["temporaryTool"] for t in request["selectedTools"]}
        assert set(tools) == {"stock", "show", "bye"}
        assert tools["show"]["client"] == {}
        assert [p["name"] for p in tools["stock"]["dynamicParameters"]] == ["n"]

        browser.hears("Hello.")
        browser.says("How many?")
        assert await browser.makes_the_agent_use("stock", {"n": 3}) == "3 of them, Ann"
        browser.hears("Three.")
        async with asyncio.timeout(PATIENCE):  # it is told while the call goes on
            while ("user", "How many?") not in await log_of(service, call_id):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        browser.leaves()
        call = await until_over(service, call_id)
        assert (call["endReason"], call["status"]) == ("caller", "ended normally")
        [used] = call["usage"]
        assert (used["part"], used["provider"]) == ("llm", "ultravox")
        assert await log_of(service, call_id) == [
            ("call", {"callId": call_id, "callerId": None, "calledId": None}),
            ("answer", {"callId": call_id}),
            ("agent", "Hello."),
            ("user", "How many?"),
            ("function_calls", [{"name": "stock", "arguments": {"n": 3}}]),
            ("function_results", [{"name": "stock", "input": {"n": 3}, "result": "3 of them, Ann"}]),
            ("agent", "Three."),
            ("hangup", {"reason": "caller", "usage": call["usage"]}),
        ]  # fmt: skip
        assert "no such call under way" in await browser.makes_the_agent_use("stock", {"n": 3})


async def test_a_function_ends_the_call(tmp_path: Path) -> None:
    async with at_ultravox(tmp_path) as (service, ultravox):
        call_id, browser = await joined(service, ultravox)
        assert await browser.makes_the_agent_use("bye", {}) == "OK"
        assert (await until_over(service, call_id))["endReason"] == "agent"


async def test_nobody_joins(tmp_path: Path) -> None:
    async with at_ultravox(tmp_path) as (service, ultravox):
        listener = await room(service, AGENT)
        _, answer = await join(service, listener["id"], KEY)
        ultravox.call.left(asyncio.get_running_loop().time(), clean=True)
        ultravox.call.end_reason = "unjoined"
        call = await until_over(service, answer["callId"])
        assert (call["endReason"], call["status"]) == ("no_media", "failed")


async def test_functions_are_for_who_has_the_token(tmp_path: Path) -> None:
    async with at_ultravox(tmp_path) as (service, ultravox):
        call_id, browser = await joined(service, ultravox, FOR_ANN)
        other_id, _ = await joined(service, ultravox)
        [url] = [
            tool["temporaryTool"]["http"]["baseUrlPattern"]
            for tool in ultravox.requests[0]["selectedTools"]
            if tool["temporaryTool"]["modelToolName"] == "stock"
        ]
        assert url.endswith("/stock")
        token = url.split("/")[-2]
        for path in (f"{call_id}/x{token[1:]}~", f"{other_id}/{token}", f"nobody/{token}"):
            async with service.http.post(f"{service.url}/api/hooks/ultravox/{path}/stock", json={}) as answer:
                assert answer.status == 404
        async with service.http.post(url, json={"n": "many"}) as answer:
            assert "n" in await answer.text(), "what is wrong is said to the model"
            assert answer.status == 200
        async with service.http.post(url.replace("/stock", "/show"), json={}) as answer:
            assert "there is no tool" in await answer.text()
        assert await browser.makes_the_agent_use("stock", {"n": 1}) == "1 of them, Ann"


async def test_limits_hold_until_it_is_over(tmp_path: Path) -> None:
    async with at_ultravox(tmp_path, max_calls=1) as (service, ultravox):
        listener = await room(service, AGENT, options={"agentLimit": 1})
        status, answer = await join(service, listener["id"], KEY)
        assert status == 200
        browser = Browser(ultravox, answer["ultravox"]["joinUrl"])
        status, refused = await join(service, listener["id"], KEY)
        assert (status, refused["code"], refused["scope"]) == (429, "AGENT_CONCURRENCY_LIMIT_EXCEEDED", "instance")
        assert len(ultravox.requests) == 1
        await service.answers()  # it costs this process nothing, and takes no place of it
        browser.leaves()
        await until_over(service, answer["callId"])
        async with asyncio.timeout(PATIENCE):
            while (await join(service, listener["id"], KEY))[0] != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_ultravox_refuses(tmp_path: Path) -> None:
    async with at_ultravox(tmp_path) as (service, ultravox):
        listener = await room(service, AGENT, options={"agentLimit": 1})
        ultravox.refuse = [402]
        status, error = await join(service, listener["id"], KEY)
        assert (status, error["code"]) == (503, "UNAVAILABLE")
        assert "no credit left" in error["error"]
        assert ULTRAVOX_KEY not in error["error"]
        async with asyncio.timeout(PATIENCE):
            while [call["status"] for call in (await ask(service, "GET", "/calls"))[1]["calls"]] != ["failed"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert (await join(service, listener["id"], KEY))[0] == 200, "the place was given back"


async def test_a_call_is_looked_at_again_and_again_and_at_once_where_a_webhook_tells_of_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = {"public_url": "https://voice.example.com", "ultravox_webhook_secret": "a webhook's secret"}
    async with at_ultravox(tmp_path, **home) as (service, ultravox):
        call_id, browser = await joined(service, ultravox)
        await asyncio.sleep(0.05)
        ultravox.refuse = [500, 503, 429]
        async with asyncio.timeout(PATIENCE):
            while ultravox.refuse:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        monkeypatch.setattr(remote, "POLL_SECONDS", 3600.0)
        monkeypatch.setattr(remote, "JOIN_SECONDS", 3600.0)
        second_id, second = await joined(service, ultravox)
        [ended] = {request["callbacks"]["ended"]["url"] for request in ultravox.requests}
        assert ended == "https://voice.example.com/api/hooks/ultravox"
        second.says("Goodbye.")
        second.leaves()
        await asyncio.sleep(0.1)
        assert service.server.app is not None
        assert second_id in service.server.app[JOINING]._calls
        url = f"{service.url}/api/hooks/ultravox"
        assert await ultravox.send_webhook(url, second.call_id, "a webhook's secret") == 204
        assert (await until_over(service, second_id))["endReason"] == "caller"
        assert ("user", "Goodbye.") in await log_of(service, second_id)
        browser.leaves()
        await until_over(service, call_id)


async def test_who_drains_waits_for_it_and_then_hangs_up(tmp_path: Path) -> None:
    async with at_ultravox(tmp_path) as (service, ultravox):
        call_id, browser = await joined(service, ultravox)
        listener = await room(service, AGENT)
        draining = asyncio.create_task(service.switchboard.live.drain(0.1))
        await asyncio.sleep(0.02)
        status, refused = await join(service, listener["id"], KEY)
        assert (status, refused["scope"]) == (429, "process")
        await draining
        assert ultravox.calls[browser.call_id].end_reason == "agent_hangup"
        assert (await until_over(service, call_id))["endReason"] == "shutdown"


async def test_what_is_logged_of_a_call_is_kept_where_the_join_says_so(tmp_path: Path) -> None:
    async with at_ultravox(tmp_path) as (service, ultravox):
        for body, kept in (({"options": {"streamLog": True}}, 1), (None, 0)):
            call_id, browser = await joined(service, ultravox, body)
            browser.leaves()
            await until_over(service, call_id)
            await service.switchboard._around.recorder.settled()
            assert len(await service.store.invocation_logs.of_call(DEFAULT_OWNER, call_id) or ()) == kept
