"""Jambonz's application socket over real WebSockets on loopback: who is let in, and how it is closed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from pydantic import SecretStr

from gateway import application
from gateway.control import SocketControl
from gateway.keys import APPLICATIONS
from gateway.routes import close_sockets
from gateway.settings import Settings
from jambonz.application import MAX_RECEIVED_BYTES, SUBPROTOCOL
from jambonz.simulator.caller import AwaitAgentSpeech, HangUp, Wait
from jambonz.simulator.requestor import basic_auth
from tests.gateway.service import NUMBER, PASSWORD, Service, call_hook, serving
from tests.simulators.codeword import read
from tests.steady import PATIENCE

AUTH = {"Authorization": basic_auth("jambonz", PASSWORD)}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(tmp_path, jambonz_application_password=SecretStr(PASSWORD)) as service:
        yield service


async def opened(service: Service) -> ClientWebSocketResponse:
    return await service.http.ws_connect(
        f"{service.url}/jambonz/application", protocols=(SUBPROTOCOL,), headers=AUTH, max_msg_size=24 * 1024
    )


def message(kind: str, msgid: str = "m-1", **more: Any) -> str:
    return json.dumps({"type": kind, "msgid": msgid, **more})


async def begin(service: Service, sid: str, kind: str = "session:new", to: str = NUMBER) -> ClientWebSocketResponse:
    socket = await opened(service)
    await socket.send_str(message(kind, call_sid=sid, data=call_hook(call_sid=sid, to=to)))
    return socket


async def answer(socket: ClientWebSocketResponse) -> Any:
    return await socket.receive_json(timeout=PATIENCE)


async def closed(socket: ClientWebSocketResponse) -> tuple[int, str]:
    """The code and the reason of the close frame."""
    received = await socket.receive(timeout=PATIENCE)
    assert received.type is WSMsgType.CLOSE, received
    return int(received.data), str(received.extra or "")


# A call


async def test_a_call_over_real_sockets(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    report = await service.call(AwaitAgentSpeech(), Wait(0.04), HangUp(), call_hook=service.application)
    await service.quiet()
    assert [word.word for word in read(report.heard)][:1] == ["hello"]
    assert (report.ended_by, report.application_closes) == ("caller", [1000])
    assert [hook.error for hook in report.hooks] == [None] * len(report.hooks)
    assert report.statuses == ["trying", "in-progress", "completed"]
    assert [record.getMessage() for record in caplog.records if record.name == "aiohttp.websocket"] == []


async def test_a_call_and_its_hooks_are_one_socket(service: Service) -> None:
    socket = await begin(service, "c-1")
    told = await answer(socket)
    assert (told["type"], told["msgid"]) == ("ack", "m-1")
    listen, hangup = told["data"]
    assert listen["url"].startswith(f"ws{service.url.removeprefix('http')}/jambonz/listen/"), "host and port are ours"
    [call] = service.switchboard.calls
    assert (listen["actionHook"], hangup["verb"]) == (f"/jambonz/next/{call.id}", "hangup")
    await socket.send_str(message("verb:hook", "m-2", hook=listen["actionHook"], data={"call_sid": "c-1"}))
    assert await answer(socket) == {"type": "ack", "msgid": "m-2"}
    await socket.send_str(message("call:status", "m-3", data={"call_sid": "c-1", "call_status": "completed"}))
    await service.quiet()
    await socket.close()


async def test_nobody_listens_there(service: Service) -> None:
    socket = await begin(service, "c-1", to="999")
    assert (await answer(socket))["data"] == [{"verb": "sip:decline", "status": 404, "reason": "Not Found"}]
    await socket.close()


async def test_commands_reach_jambonz_by_the_socket_that_there_is(service: Service) -> None:
    first = await begin(service, "c-1")
    await answer(first)
    [call] = service.switchboard.calls
    control = call.control
    assert isinstance(control, SocketControl)
    await control.hang_up()
    assert (await answer(first))["command"] == "call:status"
    assert first._response.connection is not None
    assert first._response.connection.transport is not None
    first._response.connection.transport.abort()
    second = await begin(service, "c-1", "session:reconnect")
    assert [verb["verb"] for verb in (await answer(second))["data"]] == ["listen", "hangup"], "it may not have had it"
    await control.dtmf("7", milliseconds=1)
    assert (await answer(second))["data"] == {"dtmf": {"digit": "7", "duration": 1}}
    assert service.switchboard.calls == (call,)
    await second.close(code=1000)
    await service.quiet()
    await first.close()


# Who is let in


REFUSED: list[tuple[dict[str, str], int, str]] = [
    ({}, 401, "password"),
    ({"Authorization": "Basic"}, 401, "password"),
    ({"Authorization": "Bearer " + PASSWORD}, 401, "password"),
    ({"Authorization": basic_auth("jambonz", PASSWORD + "x")}, 401, "password"),
    ({"Authorization": basic_auth("other", PASSWORD)}, 401, "password"),
    ({"Authorization": basic_auth("jambonz", "\u00e9")}, 401, "password"),
    ({"Authorization": "Basic \u00e9"}, 401, "password"),
    (AUTH, 400, SUBPROTOCOL),
    ({**AUTH, "Sec-WebSocket-Protocol": "audio.jambonz.org"}, 400, SUBPROTOCOL),
    ({**AUTH, "Sec-WebSocket-Protocol": f"x, {SUBPROTOCOL}"}, 400, "no WebSocket"),
]


async def test_who_is_not_let_in(service: Service) -> None:
    for headers, status, word in REFUSED:
        async with service.http.get(f"{service.url}/jambonz/application", headers=headers) as answered:
            body = await answered.json()
            assert (answered.status, word in body["error"]) == (status, True), (headers, body)
            assert PASSWORD not in json.dumps(body)
            assert ("WWW-Authenticate" in answered.headers) == (status == 401)


async def test_without_a_password_sockets_are_no_way_around_the_webhooks_signatures(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await opened(service)
        assert refused.value.status == 403
        report = await service.call(AwaitAgentSpeech(), HangUp(), call_hook=service.application)
        assert (report.ended_by, report.sip_status) == ("refused", 480)
        assert report.reason == "Unexpected server response: 403"


async def test_where_webhooks_are_not_verified_sockets_need_no_password(tmp_path: Path) -> None:
    async with serving(tmp_path, jambonz_webhook_secret=None) as service:
        socket = await begin(service, "c-1")
        assert (await answer(socket))["type"] == "ack"
        await socket.close()


async def test_nothing_is_looked_up_before_the_upgrade(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jambonz waits 1.5 s for it, and longer for the acknowledgement."""
    away = asyncio.Event()

    async def find(number: str) -> None:
        await away.wait()

    monkeypatch.setattr(service.store, "find_listener", find)
    async with asyncio.timeout(PATIENCE):
        socket = await begin(service, "c-1")
    away.set()
    assert (await answer(socket))["data"][0]["status"] == 404
    await socket.close()


# How it is closed


MISSPOKEN: list[tuple[str | bytes, int, str | None]] = [
    ("{", 1007, "The message is not JSON."),
    (b"{}", 1003, "Messages are JSON texts; this one is binary."),
    (message("verb:hook", hook="/a"), 1008, "The socket begins with verb:hook, and not with session:new."),
    ("x" * (MAX_RECEIVED_BYTES + 1), 1009, None),
]


async def test_who_does_not_speak_the_protocol(service: Service) -> None:
    for sent, code, reason in MISSPOKEN:
        socket = await opened(service)
        await (socket.send_bytes(sent) if isinstance(sent, bytes) else socket.send_str(sent))
        told = await closed(socket)
        assert told[0] == code
        assert reason is None or told[1] == reason


async def test_a_call_without_a_sid_is_refused_in_words(service: Service) -> None:
    socket = await opened(service)
    await socket.send_str(message("session:new", data={"to": NUMBER}))
    assert await answer(socket) == {"type": "ack", "msgid": "m-1"}, "which Jambonz refuses the call for"
    assert await closed(socket) == (1008, "The data of session:new lacks call_sid.")


async def test_who_says_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "START_SECONDS", 0.05)
    socket = await opened(service)
    assert await closed(socket) == (1008, "Nothing was sent, or nothing was read, for too long.")


async def test_who_reads_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every send has a deadline; past it the socket is closed, and Jambonz may come back. The call goes on."""
    socket = await begin(service, "c-1")
    await answer(socket)
    monkeypatch.setattr(application, "SEND_SECONDS", 0.05)
    [ours] = service.server.app[APPLICATIONS]
    stuck = asyncio.Event()

    async def send(_: str) -> None:
        await stuck.wait()

    monkeypatch.setattr(ours._ws, "send_str", send)
    await socket.send_str(message("queue:status", "m-2", data={}))
    assert (await closed(socket))[0] == 1008
    assert len(service.switchboard.calls) == 1


async def test_a_fault_of_ours_lets_jambonz_come_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = await begin(service, "c-1")
    await answer(socket)

    def fault(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(service.switchboard, "tell_status", fault)
    await socket.send_str(message("call:status", "m-2", data={"call_sid": "c-1", "call_status": "ringing"}))
    assert (await closed(socket))[0] == 1011
    monkeypatch.undo()
    again = await begin(service, "c-1", "session:reconnect")
    assert (await answer(again))["type"] == "ack"
    await again.close()


@pytest.mark.parametrize(("state", "code"), [("new", 1001), ("under way", 1001), ("over", 1000)])
async def test_when_the_service_stops(service: Service, state: str, code: int) -> None:
    """1000 ends a call once its verbs are used up: it is said of those only that are over for us."""
    socket = await opened(service) if state == "new" else await begin(service, "c-1")
    if state != "new":
        await answer(socket)
    if state == "over":
        await socket.send_str(message("call:status", "m-2", data={"call_sid": "c-1", "call_status": "completed"}))
        await service.quiet()
    stopping = asyncio.create_task(close_sockets(service.server.app))
    assert (await closed(socket))[0] == code
    await stopping
    async with asyncio.timeout(PATIENCE):
        while service.server.app[APPLICATIONS]:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


def test_a_password_that_keeps_nobody_out_is_no_setting() -> None:
    with pytest.raises(ValueError, match="JAMBONZ_APPLICATION_PASSWORD is too short to keep others out"):
        Settings(jambonz_application_password=SecretStr("short"))
