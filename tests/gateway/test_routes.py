"""What is served beside the API, over real HTTP and WebSockets on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from pydantic import SecretStr

from gateway import progress, watching
from gateway.keys import PROGRESS
from gateway.progress import Live
from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, HangUp, Speak
from jambonz.simulator.ear import peak_of
from media.audio import PCM_8K
from media.wav import read_wav
from store import DEFAULT_OWNER
from store.calls import Period
from tests.gateway.service import KEY, NUMBER, Service, call_hook, serving
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.steady import PATIENCE


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(tmp_path) as service:
        yield service


async def get(service: Service, path: str, **headers: str) -> tuple[int, str]:
    async with service.http.get(service.url + path, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_the_tone_that_callers_hear_while_somebody_is_rung(service: Service) -> None:
    async with service.http.get(f"{service.url}/jambonz/ringback.wav") as answer:
        tone = read_wav(await answer.read())
        assert (answer.status, answer.content_type) == (200, "audio/wav")
        assert "max-age" in answer.headers["Cache-Control"]
    assert tone.format == PCM_8K
    assert tone.seconds == 120, "Jambonz plays it once"
    sound, silence = tone.data[:16000], tone.data[16000:80000]
    assert 2900 < peak_of(sound) <= 3000
    assert not any(silence)
    assert tone.data[80000:96000] == sound


@pytest.mark.realtime
async def test_a_call_over_real_sockets(service: Service) -> None:
    """Real sockets know real time only: this conversation takes some 5 s."""
    url = f"{service.url}/progress/{service.listener_id}?access_token={KEY}"
    async with service.http.ws_connect(url) as watcher:
        report = await service.call(
            AwaitAgentSilence(), Speak(speak("good morning")), AwaitAgentSpeech(), AwaitAgentSilence(), HangUp()
        )
        await service.quiet()
        seen = [await watcher.receive_json(timeout=PATIENCE)]
        while "hangup" not in seen[-1]:
            seen.append(await watcher.receive_json(timeout=PATIENCE))
    assert heard_words(report.heard) == plain_words("hello there i hear you")
    final = [(kind, told[kind]) for told in seen if told["isFinal"] for kind in told if kind in ("user", "agent")]
    assert final == [("agent", "Hello there."), ("user", "good morning"), ("agent", "I hear you.")]
    async with asyncio.timeout(PATIENCE):
        while not (calls := await _calls(service)) or calls[0].ended_at is None:  # noqa: ASYNC110 - written in the background
            await asyncio.sleep(0.05)
    [call] = calls
    assert (call.end_reason, call.called_id) == ("caller", NUMBER)
    log = await service.store.calls.events(DEFAULT_OWNER, call.id) or []
    assert [(e.type, e.data) for e in log if e.type in ("user", "agent")] == final


async def _calls(service: Service) -> Any:
    return await service.store.calls.of_organisation(DEFAULT_OWNER, after_index=0, limit=9, period=Period())


async def test_probes(service: Service) -> None:
    assert await get(service, "/ping") == (200, "pong")
    assert await get(service, "/healthz") == (200, '{"status": "ok"}')
    assert await get(service, "/readyz") == (200, '{"status": "ready", "calls": 0}')
    await service.ring("c-1")
    assert await get(service, "/readyz") == (200, '{"status": "ready", "calls": 1}')
    service.switchboard.places.draining = True
    assert await get(service, "/readyz") == (503, '{"status": "draining", "calls": 1}')
    assert (await get(service, "/healthz"))[0] == 200, "it lives"
    await service.hang_up("c-1")
    await service.quiet()


async def test_metrics_are_open_unless_there_is_a_token(service: Service, tmp_path: Path) -> None:
    status, text = await get(service, "/metrics")
    assert status == 200
    assert "trunkline_calls_active" in text
    async with serving(tmp_path / "other", metrics_token=SecretStr("let-me-see")) as guarded:
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer Ünsinn"}):
            status, text = await get(guarded, "/metrics", **header)
            assert status == 401
            assert "Authorization: Bearer <token>" in text
        assert (await get(guarded, "/metrics", Authorization="Bearer let-me-see"))[0] == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", guarded.server.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 "), "it is no text"
        writer.close()


async def test_the_urls_of_verbs(service: Service, tmp_path: Path) -> None:
    assert (await service.ring("c-1")).startswith(service.url.replace("http", "ws") + "/jambonz/listen/")
    async with serving(tmp_path / "other", public_url="https://voice.example.com/") as public:
        assert (await public.ring("c-2")).startswith("wss://voice.example.com/jambonz/listen/")
        await public.hang_up("c-2")
        await public.quiet()
    await service.hang_up("c-1")
    await service.quiet()


async def test_without_a_secret_hooks_are_believed(tmp_path: Path) -> None:
    async with serving(tmp_path, jambonz_webhook_secret=None) as open_house:
        status, body = await open_house.post("/jambonz/call", call_hook(call_sid="c-1"), signature=None)
        assert status == 200
        assert "listen" in body
        await open_house.hang_up("c-1")
        await open_house.quiet()


async def test_a_watcher_that_was_too_slow_is_told(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MAX_WAITING", 4)
    app = service.server.app
    async with service.http.ws_connect(f"{service.url}/progress/{service.listener_id}?access_token={KEY}") as ws:
        await _watched(service)
        for n in range(6):
            app[PROGRESS].publish(service.listener_id, Live({"n": n}))
        message = await ws.receive(timeout=PATIENCE)
        while message.type is WSMsgType.TEXT:
            message = await ws.receive(timeout=PATIENCE)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1013)
    await _watched(service, 0)


async def test_a_watcher_that_does_not_read_costs_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its events fill the buffers of the kernel and ours; then it is cut off, in bounded time."""
    monkeypatch.setattr(watching, "SEND_SECONDS", 0.2)
    reader, writer = await _deaf(service)
    await _watched(service)
    for n in range(200):
        service.server.app[PROGRESS].publish(service.listener_id, Live({"n": n, "text": "x" * 100_000}))
    await service.answers()
    await _watched(service, 0)
    writer.transport.abort()
    assert reader.exception() is None


async def _deaf(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", service.server.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
    path = f"/progress/{service.listener_id}?access_token={KEY}"
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    return reader, writer


async def _watched(service: Service, watchers: int = 1) -> None:
    """Returns once so many watch the listener."""
    async with asyncio.timeout(PATIENCE):
        while len(service.server.app[PROGRESS]._watchers.get(service.listener_id, ())) != watchers:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_watcher_that_leaves_is_forgotten(service: Service) -> None:
    url = f"{service.url}/progress/{service.listener_id}"
    async with service.http.ws_connect(url, headers={"Authorization": f"Bearer {KEY}"}):
        await _watched(service)
    await _watched(service, 0)


async def test_the_progress_of_somebody_elses_listener(service: Service) -> None:
    other = await service.store.accounts.create_organisation("other")
    await service.store.accounts.add_key(other, "other", "key-of-somebody-else")
    url = f"{service.url}/progress/{service.listener_id}?access_token=key-of-somebody-else"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await service.http.ws_connect(url)
    assert refused.value.status == 404


async def test_the_service_stops_during_a_call(tmp_path: Path) -> None:
    """Nothing is left of the call but its record."""
    async with serving(tmp_path) as service:
        calling = asyncio.create_task(service.call(AwaitAgentSpeech(), AwaitAgentSilence()))
        async with asyncio.timeout(PATIENCE):
            while not service.switchboard.calls:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        await service.switchboard.live.drain(0)
        assert service.switchboard.calls == ()
        report = await calling
        assert report.ended_by == "jambonz"
    async with serving(tmp_path / "next") as another:
        await another.answers()
