"""The model over real sockets on loopback, and its REST client when things go wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from media.audio import PCM_8K, PCM_16K
from pipelines.parts import ProviderError
from pipelines.realtime.model import (
    Address,
    AudioCame,
    RealtimeModel,
    ResponseEnded,
    SessionOver,
    SessionReady,
    Setup,
    WordsCame,
)
from tests.simulators.ultravox import KEY, UltravoxServer, serve_ultravox
from tests.simulators.ultravox_call import Faults
from tests.steady import PATIENCE
from ultravox import model as model_module
from ultravox import rest as rest_module
from ultravox.model import CallAddress, UltravoxModel
from ultravox.protocol import UltravoxProtocol
from ultravox.rest import UltravoxRest
from ultravox.webhook import CallEnded, verify


@asynccontextmanager
async def rest_of(server: UltravoxServer, key: str = KEY) -> AsyncGenerator[UltravoxRest, None]:
    rest = UltravoxRest(key, server.base_url)
    try:
        yield rest
    finally:
        await rest.close()


async def read(socket: aiohttp.ClientWebSocketResponse, protocol: UltravoxProtocol) -> list[Any]:
    """The events of one message."""
    async with asyncio.timeout(PATIENCE):
        message = await socket.receive()
    if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
        return [message.type]
    return list(protocol.receive(message.data)[0])


async def test_a_whole_call() -> None:
    async with serve_ultravox() as server, rest_of(server) as rest, aiohttp.ClientSession() as http:
        model = UltravoxModel(rest, "ultravox-v0.7", wideband=True)
        setup = Setup("Be brief.", greeting="Hello there.")
        address = await model.dial(setup)
        assert server.mistakes == []
        assert server.requests[0]["medium"]["serverWebSocket"]["inputSampleRate"] == 16000
        protocol = model.protocol(setup)
        events: list[Any] = []
        async with http.ws_connect(address.url, headers=address.headers) as socket:
            while not any(isinstance(event, ResponseEnded) for event in events):
                events += await read(socket, protocol)
            for message in protocol.closing():
                await socket.send_str(str(message))
            while not socket.closed:
                await read(socket, protocol)
        assert events[0] == SessionReady()
        sound = b"".join(event.data for event in events if isinstance(event, AudioCame))
        assert PCM_16K.seconds(sound) == pytest.approx(0.4)
        assert "".join(event.text for event in events if isinstance(event, WordsCame)) == "Hello there."
        assert await model.hang_up(address) == SessionOver("agent_hangup", by_agent=True)
        await model.close()


async def test_what_it_can() -> None:
    model: RealtimeModel = UltravoxModel(UltravoxRest(KEY), "ultravox-v0.7", max_seconds=600)
    can = model.capabilities
    assert (can.input, can.output, can.pacing) == (PCM_8K, PCM_8K, "burst")
    assert (can.truncates, can.continuous, can.idles, can.speaks) == (False, True, True, True)
    assert can.detections == frozenset({"server"})
    assert can.session_seconds == 600


async def test_the_reason_of_the_end_is_written_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "END_REASON_SECONDS", 0.6)
    monkeypatch.setattr(model_module, "_ASK_AGAIN_AFTER", 0.02)
    async with serve_ultravox(reason_after=0.1) as server, rest_of(server) as rest, aiohttp.ClientSession() as http:
        model = UltravoxModel(rest, "ultravox-v0.7")
        address = await model.dial(Setup(""))
        async with http.ws_connect(address.url) as socket:
            await socket.receive()
        began = asyncio.get_running_loop().time()
        assert await model.hang_up(address) is None
        assert asyncio.get_running_loop().time() - began < 0.5, "it was told, and that we hung up is no news"
        server.reason_after = 60
        assert await model.hang_up(address) is None
        server.reason_after, server.refuse = 0, [500]
        assert await model.hang_up(address) is None
        assert await model.hang_up(Address(address.url)) is None


async def test_a_socket_cut_in_the_middle_of_a_word() -> None:
    faults = Faults(cut_speech=0.1)
    async with (
        serve_ultravox(faults=faults) as server,
        rest_of(server) as rest,
        aiohttp.ClientSession() as http,
    ):
        model = UltravoxModel(rest, "ultravox-v0.7")
        address = await model.dial(Setup("", greeting="Hello there."))
        protocol = model.protocol(Setup(""))
        async with http.ws_connect(address.url) as socket:
            while not socket.closed:
                await read(socket, protocol)
            assert socket.close_code == 1006
        assert await model.hang_up(address) == SessionOver("system_error")


async def test_an_agent_that_makes_no_call_is_refused_before_anything_is_asked() -> None:
    async with serve_ultravox() as server, rest_of(server) as rest:
        model = UltravoxModel(rest, "ultravox-v0.7")
        with pytest.raises(ProviderError, match=r"did you mean experimentalSettings\?") as refused:
            await model.dial(Setup("", vendor={"ultravox": {"experimentalSetting": {}}}))
        assert refused.value.kind == "bad_request"
        assert server.requests == []


@pytest.mark.parametrize(
    ("status", "kind", "sentence"),
    [
        (400, "bad_request", "does not accept the request"),
        (401, "auth", "does not know the API key"),
        (402, "rate_limit", "no credit left"),
        (403, "auth", "may not do this"),
        (404, "bad_request", "nothing of that name"),
        (418, "bad_request", "does not accept the request"),
        (422, "bad_request", "not in a state for this"),
        (429, "rate_limit", "too many requests"),
        (500, "server", "it failed (status 500): simulated"),
        (503, "server", "it failed (status 503)"),
    ],
)
async def test_refusals_are_told_apart(status: int, kind: str, sentence: str) -> None:
    async with serve_ultravox(refuse=[status]) as server, rest_of(server) as rest:
        with pytest.raises(ProviderError) as refused:
            await rest.create_call({})
        assert refused.value.kind == kind
        assert sentence in str(refused.value)


async def test_a_wrong_key_is_in_no_message() -> None:
    async with serve_ultravox() as server, rest_of(server, "sk-secret") as rest:
        with pytest.raises(ProviderError) as refused:
            await rest.create_call({})
        assert "Invalid API key: …" in str(refused.value), "though the vendor repeats it"


@pytest.mark.parametrize("key", ["", "sk\nsecret", "schlüssel"])
async def test_a_key_that_cannot_be_sent(key: str) -> None:
    with pytest.raises(ProviderError, match="no API key that could be sent"):
        await UltravoxRest(key, "http://127.0.0.1:1").create_call({})


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("hello", "is not a JSON object"),
        ("[]", "is not a JSON object"),
        ("[" * 100_000, "is not a JSON object"),
        ("{}", "does not tell its callId"),
        ('{"callId": "c", "joinUrl": null}', "joinUrl is not the address of a WebSocket"),
        ('{"callId": "c", "joinUrl": "https://example.com"}', "joinUrl is not the address of a WebSocket"),
        ('"' + "x" * 2_000_000 + '"', "is larger than a call can be"),
    ],
)
async def test_answers_that_are_none(answer: str, sentence: str) -> None:
    async with serve_ultravox(answer_with=answer) as server, rest_of(server) as rest:
        with pytest.raises(ProviderError) as wrong:
            await rest.create_call({"medium": {"serverWebSocket": {"inputSampleRate": 8000}}})
        assert wrong.value.kind == "protocol"
        assert sentence in str(wrong.value)


async def test_a_request_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_module, "TOTAL_SECONDS", 0.1)
    async with serve_ultravox(answer_after=30) as server, rest_of(server) as rest:
        with pytest.raises(ProviderError, match="did not answer within") as late:
            await rest.create_call({})
        assert late.value.kind == "timeout"


async def test_nobody_there(unused_tcp_port: int) -> None:
    rest = UltravoxRest(KEY, f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(ProviderError) as failed:
        await rest.create_call({})
    await rest.close()
    assert failed.value.kind == "connect"
    assert KEY not in str(failed.value)


async def test_a_connection_that_was_dropped_meanwhile_is_made_again() -> None:
    """And only once: a server that drops every connection is not asked for ever."""
    seen = 0

    async def drop_first(request: web.Request) -> web.StreamResponse:
        nonlocal seen
        seen += 1
        if seen == 1 or request.path.endswith("drop"):
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"callId": "c", "joinUrl": "wss://example.com"}, status=201 if seen == 2 else 200)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", drop_first)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    rest = UltravoxRest(KEY, f"http://127.0.0.1:{runner.addresses[0][1]}")
    assert (await rest.create_call({})).call_id == "c"
    with pytest.raises(ProviderError) as dropped:
        await rest.get_call("drop")
    assert dropped.value.kind == "connect"
    await rest.close()
    await runner.cleanup()
    assert seen <= 6, "twice by us, and aiohttp repeats a GET itself"


async def test_a_redirect_is_not_followed() -> None:
    """It would take the key to another host."""
    async with serve_ultravox() as server:

        async def elsewhere(request: web.Request) -> web.StreamResponse:
            raise web.HTTPTemporaryRedirect(server.base_url + request.path)

        app = web.Application()
        app.router.add_post("/api/calls", elsewhere)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        rest = UltravoxRest(KEY, f"http://127.0.0.1:{runner.addresses[0][1]}")
        with pytest.raises(ProviderError, match="status 307"):
            await rest.create_call({})
        await rest.close()
        await runner.cleanup()
        assert server.requests == []


async def test_calls_are_looked_up_and_deleted() -> None:
    async with serve_ultravox() as server, rest_of(server) as rest:
        created = await rest.create_call({"medium": {"serverWebSocket": {"inputSampleRate": 8000}}})
        assert (await rest.get_call(created.call_id))["endReason"] is None
        await rest.delete_call(created.call_id)
        assert server.deleted == [created.call_id]
        with pytest.raises(ProviderError, match="Not found"):
            await rest.get_call(created.call_id)
        await rest.close()
        with pytest.raises(ProviderError, match="Not found"):
            await rest.get_call("../agents")  # and it is open again


async def test_a_webhook_of_the_end() -> None:
    ended: list[CallEnded | None] = []

    async def hook(request: web.Request) -> web.Response:
        body = await request.read()
        stamp, signature = (request.headers[f"X-Ultravox-Webhook-{name}"] for name in ("Timestamp", "Signature"))
        verify(stamp, signature, body, ["whsec"], time.time())
        ended.append(CallEnded.parse(body))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hooks/ultravox", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/ultravox"
    async with serve_ultravox() as server, rest_of(server) as rest, aiohttp.ClientSession() as http:
        address = await UltravoxModel(rest, "m").dial(Setup(""))
        assert isinstance(address, CallAddress)
        async with http.ws_connect(address.url) as socket:
            await socket.receive()
        await asyncio.sleep(0.05)
        assert await server.send_webhook(url, address.call_id, "whsec") == 204
        assert await server.send_webhook(url, address.call_id, "other") == 500
    await runner.cleanup()
    (told,) = ended
    assert told is not None
    assert (told.call_id, told.end_reason) == (address.call_id, "hangup")
