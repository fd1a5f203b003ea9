"""Browser sessions: who may join, by which credential, and a conversation over the audio socket."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from gateway import places
from tests.gateway.api_service import conforms
from tests.gateway.service import GREETING, KEY, Service, serving
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.steady import PATIENCE

OTHER_KEY = "key-of-somebody-else"
AGENT = {"modelName": "scripted/test", "prompt": "You are a test.", "options": {"greeting": GREETING}}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(tmp_path, max_calls=3) as service:
        other = await service.store.accounts.create_organisation("other")
        await service.store.accounts.add_key(other, "other", OTHER_KEY)
        yield service


async def ask(service: Service, method: str, path: str, body: Any = None, *, key: str | None = KEY) -> tuple[int, Any]:
    """The answer, which has to be as documented."""
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    async with service.http.request(method, f"{service.url}/api{path}", json=body, headers=headers) as answer:
        text = await answer.text()
        given = json.loads(text) if text else None
        conforms(method, path, answer.status, given)
        return answer.status, given


async def room(service: Service, agent: dict[str, Any] | None = None, **body: Any) -> Any:
    """A listener without a number; its answer."""
    _, made = await ask(service, "POST", "/agents", {**AGENT, **(agent or {})})
    status, listener = await ask(service, "POST", f"/agents/{made['id']}/listen", body)
    assert status == 200, listener
    return listener


async def join(service: Service, listener_id: str, key: str | None, body: Any = None) -> tuple[int, Any]:
    return await ask(service, "POST", f"/rooms/{listener_id}/join", body, key=key)


@pytest.mark.realtime
async def test_a_browser_converses_over_its_audio_socket(service: Service) -> None:
    """Real sockets know real time only: some 3 s."""
    listener = await room(service, options={"metadata": {"a": 1, "b": 1}})
    status, joined = await join(service, listener["id"], listener["key"], {"options": {"metadata": {"b": 2}}})
    assert status == 200
    assert set(joined) == {"callId", "audioSocket"}
    socket = joined["audioSocket"]
    assert socket["url"].startswith(f"ws{service.url.removeprefix('http')}/audio/")
    async with service.http.ws_connect(socket["url"], protocols=["audio.jambonz.org"]) as browser:
        await browser.send_json({"callId": joined["callId"]})
        heard = await hear(browser, 2, socket["sampleRate"])
        said = speak("good morning")
        for at in range(0, len(said), 320):
            await browser.send_bytes(said[at : at + 320])
            await asyncio.sleep(0.02)
        heard += await hear(browser, 3, socket["sampleRate"])
        await browser.close(code=1000)
    assert heard_words(heard) == plain_words("hello there i hear you")
    await service.quiet()
    call = await until_over(service, joined["callId"])
    assert (call["endReason"], call["callerId"], call["calledId"]) == ("caller", None, None)
    assert call["listenerId"] == listener["id"]
    _, log = await ask(service, "GET", f"/calls/{joined['callId']}/logs")
    assert [entry["data"] for entry in log if entry["type"] in ("user", "agent")] == [
        GREETING, "good morning", "I hear you.",
    ]  # fmt: skip
    [pipeline] = service.factory.pipelines
    assert pipeline is not None


async def hear(browser: ClientWebSocketResponse, words: int, rate: int) -> bytes:
    """The agent's sound, until so many words of it were played and it is silent. Marks are answered."""
    sound = bytearray()
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                message = await browser.receive(timeout=0.5)
            except TimeoutError:
                if len(heard_words(bytes(sound))) < words:
                    continue
                break
            if message.type is WSMsgType.BINARY:
                sound += message.data
            elif message.type is WSMsgType.TEXT:
                text = json.loads(message.data)
                if text["type"] == "mark":
                    await browser.send_json({"type": "mark", "data": {**text["data"], "event": "playout"}})
            else:
                raise AssertionError(f"the socket was closed: {message}")
    assert rate == 8000
    return bytes(sound)


async def until_over(service: Service, call_id: str) -> Any:
    async with asyncio.timeout(PATIENCE):
        while True:
            status, call = await ask(service, "GET", f"/calls/{call_id}")
            if status == 200 and call["endedAt"]:
                return call
            await asyncio.sleep(0.02)


async def test_who_may_join(service: Service) -> None:
    listener, another = await room(service), await room(service)
    listener_id = listener["id"]
    made_up = b64encode(f"instance:{listener_id}:".encode() + b"x" * 48).decode()
    for key in (None, "x", made_up, another["key"], listener["key"][:-4] + "AAAA", listener["key"] + " x"):
        status, error = await join(service, listener_id, key)
        assert (status, error["code"]) == (401, "UNAUTHORIZED"), key
    assert (await join(service, listener_id, OTHER_KEY))[0] == 404
    assert (await join(service, "nobody", listener["key"]))[0] == 401
    assert (await join(service, "nobody", KEY))[0] == 404
    assert not service.switchboard.calls
    for key in (listener["key"], KEY):
        assert (await join(service, listener_id, key))[0] == 200


async def test_the_key_of_a_room_opens_nothing_else(service: Service) -> None:
    listener = await room(service)
    for method, path in (
        ("POST", f"/listener/{listener['id']}/join"),
        ("GET", f"/listener/{listener['id']}/room-key"),
        ("DELETE", f"/listener/{listener['id']}"),
        ("GET", "/agents"),
        ("GET", "/calls"),
        ("POST", "/tickets"),
    ):
        assert (await ask(service, method, path, key=listener["key"]))[0] == 401, path
    async with service.http.get(f"{service.url}/progress/{listener['id']}?access_token={listener['key']}") as answer:
        assert answer.status == 401
    await ask(service, "DELETE", f"/listener/{listener['id']}")
    assert (await join(service, listener["id"], listener["key"]))[0] == 401


async def test_a_page_adds_to_the_metadata_and_changes_nothing_of_it(service: Service) -> None:
    hours = {
        "name": "hours",
        "implementation": "rest",
        "url": "https://{region}.example.com/{cart}",
        "input_schema": {
            "properties": {
                "region": {"source": "metadata", "from": "site.region"},
                "cart": {"source": "metadata", "from": "cart"},
            }
        },
    }
    number = {"source": "metadata", "from": "desk"}
    transfer = {
        "name": "transfer",
        "implementation": "builtin",
        "platform": "transfer",
        "input_schema": {"properties": {"number": number}},
    }
    listener = await room(service, {"functions": [hours, transfer]}, options={"metadata": {"customer": {"id": 1}}})
    sent = {
        "cart": 7,
        "customer": {"id": 2},
        "site": {"region": "evil"},
        "desk": "+19005550100",
        "callHook": {"url": "https://evil.example.net/"},
    }
    kept = {listener["key"]: {"cart": 7, "customer": {"id": 1}}, KEY: sent}
    for key, metadata in kept.items():
        status, joined = await join(service, listener["id"], key, {"options": {"metadata": sent}})
        assert status == 200
        [call] = [call for call in service.switchboard.calls if call.id == joined["callId"]]
        assert call.record.row.metadata == metadata


async def test_the_key_of_a_room_can_be_read_again(service: Service) -> None:
    listener = await room(service)
    status, told = await ask(service, "GET", f"/listener/{listener['id']}/room-key")
    assert (status, told) == (200, {"listenerId": listener["id"], "roomKey": listener["key"]})
    assert (await ask(service, "GET", f"/listener/{listener['id']}/room-key", key=OTHER_KEY))[0] == 404
    assert (await ask(service, "GET", f"/listener/{service.listener_id}/room-key"))[0] == 400


async def test_a_listener_for_telephone_calls_is_not_for_browsers(service: Service) -> None:
    account = {"type": "phone-registration", "registrar": "sip.example.com", "username": "1001", "password": "p"}
    _, made = await ask(service, "POST", "/phone-endpoints", account)
    registered = await room(service, id=made["id"])
    for listener_id in (service.listener_id, registered["id"]):
        status, error = await join(service, listener_id, KEY)
        assert (status, error["code"]) == (400, "NOT_FOR_BROWSERS")
        assert (await ask(service, "GET", f"/listener/{listener_id}/room-key"))[0] == 400


async def test_what_is_not_served_says_so(service: Service) -> None:
    listener = await room(service, {"modelName": "ultravox:ultravox/ultravox-v0.7"})
    status, error = await join(service, listener["id"], KEY)
    assert (status, error["code"]) == (503, "UNAVAILABLE")
    assert "need ULTRAVOX_API_KEY" in error["error"]
    for method in ("GET", "POST", "PATCH"):
        async with service.http.request(method, f"{service.url}/api/agent-db/phone-numbers") as answer:
            assert answer.status == 501
            assert "livekit" in (await answer.json())["error"]


async def test_limits_hold_and_places_come_back(service: Service) -> None:
    listener = await room(service, options={"agentLimit": 1})
    assert (await join(service, listener["id"], listener["key"]))[0] == 200
    status, error = await join(service, listener["id"], listener["key"])
    assert status == 429
    assert (error["code"], error["scope"], error["details"]) == (
        "AGENT_CONCURRENCY_LIMIT_EXCEEDED", "instance", {"limit": 1, "current": 1},
    )  # fmt: skip
    another = await room(service)
    for _ in range(2):
        assert (await join(service, another["id"], KEY))[0] == 200
    status, error = await join(service, another["id"], KEY)
    assert (status, error["scope"]) == (429, "process")
    await service.switchboard.live.drain(0)
    assert not service.switchboard.calls
    service.switchboard.places.draining = False
    async with asyncio.timeout(PATIENCE):
        while (await join(service, listener["id"], KEY))[0] == 429:  # noqa: ASYNC110 - it is given back beside
            await asyncio.sleep(0.01)


async def test_a_database_that_is_away_starts_no_call(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        await asyncio.Event().wait()

    listener = await room(service)
    monkeypatch.setattr(places, "COUNT_SECONDS", 0.05)
    monkeypatch.setattr(service.switchboard.places._admission, "take", away)
    assert (await join(service, listener["id"], KEY))[0] == 503
    assert (service.switchboard.calls, service.switchboard.places.taken) == ((), 0)


async def test_the_token_opens_one_socket(service: Service) -> None:
    listener = await room(service)
    _, joined = await join(service, listener["id"], KEY)
    url = joined["audioSocket"]["url"]
    async with service.http.get("http" + url.removeprefix("ws")) as answer:
        assert answer.status == 400, "no WebSocket: the token still holds"
    async with service.http.ws_connect(url, protocols=["audio.jambonz.org"]) as browser:
        async with service.http.get("http" + url.removeprefix("ws")) as answer:
            assert answer.status == 404
        await browser.send_json({"callSid": "another call"})
        message = await browser.receive(timeout=PATIENCE)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)
    await service.quiet()


async def test_pages_of_any_origin_may_join_and_read_why_not(service: Service) -> None:
    for path in (f"/listener/{service.listener_id}/join", f"/rooms/{service.listener_id}/join"):
        asked = {"Origin": "https://shop.example.com", "Access-Control-Request-Method": "POST"}
        async with service.http.options(f"{service.url}/api{path}", headers=asked) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert answer.headers["Access-Control-Allow-Methods"] == "POST"
            assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        async with service.http.post(f"{service.url}/api{path}", headers=asked) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (401, "*")
    async with service.http.get(f"{service.url}/api/agents") as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers
