"""Messages into calls over REST and over the progress socket: who may, and what is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from gateway.api import OPERATIONS, examples
from gateway.api.operations import Operation
from gateway.cli import trunkline
from store import DEFAULT_OWNER, Page
from store.calls import NewCall
from store.listeners import ListenerOptions
from tests.gateway.api_service import conforms
from tests.gateway.service import KEY, Service, serving
from tests.steady import PATIENCE

OTHER_KEY, READER = "key-of-somebody-else", "key-that-may-only-read"
LONG = " ".join(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"] * 3)
KEYLESS = {"name": "a", "implementation": "rest", "url": "https://a.example.com", "key": "k"}
MESSAGES = [one for one in OPERATIONS if one.tag == "Messages"]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(tmp_path, agent={"options": {"greeting": LONG}}) as service:
        other = await service.store.accounts.create_organisation("other")
        await service.store.accounts.add_key(other, "other", OTHER_KEY)
        await service.store.accounts.add_key(DEFAULT_OWNER, "reader", READER, scopes={"calls:read"})
        yield service


async def ask(service: Service, method: str, path: str, body: Any = None, *, key: str = KEY) -> tuple[int, Any]:
    """The answer, which has to be as documented."""
    headers = {"Authorization": f"Bearer {key}"}
    async with service.http.request(method, f"{service.url}/api{path}", json=body, headers=headers) as answer:
        given = json.loads(await answer.text())
        conforms(method, path, answer.status, given)
        return answer.status, given


@asynccontextmanager
async def speaking(service: Service) -> AsyncIterator[str]:
    """A call over a real socket whose agent speaks. It is over afterwards, whoever ended it."""
    url = await service.ring("c-1")
    protocols = ["audio.jambonz.org"]
    async with service.http.ws_connect(url, protocols=protocols) as leg:
        await leg.send_json({"callSid": "c-1", "sampleRate": 8000, "mixType": "mono"})
        async with asyncio.timeout(PATIENCE):
            while not (pipelines := service.factory.pipelines) or pipelines[-1]._playout is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        [call] = service.switchboard.calls
        ending = asyncio.create_task(_until_disconnected(leg))
        yield call.id
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
    await service.quiet()


async def _until_disconnected(leg: aiohttp.ClientWebSocketResponse) -> None:
    async for message in leg:
        if message.type is aiohttp.WSMsgType.TEXT and message.json().get("type") == "disconnect":
            await leg.close()


async def test_the_examples_are_taken_in_a_call_and_answered_as_they_say(service: Service) -> None:
    """Hanging up last."""
    async with speaking(service) as call_id:
        here = [one for one in MESSAGES if one.id not in ("press_keys", "transfer_call")]  # which need Jambonz
        for operation in sorted(here, key=lambda one: one.id == "hang_up"):
            path, body = operation.path.format(callId=call_id), examples.BODIES.get(operation.id)
            if operation.id == "commit_turn":
                await ask(service, "POST", f"/calls/{call_id}/text", {"text": "so far", "urgency": "later"})
            if operation.id == "cancel_answer":  # of something that is long enough for a slow machine
                await ask(service, "POST", f"/calls/{call_id}/say", {"text": "one more word " * 30, "urgency": "now"})
            status, answer = await ask(service, operation.method, path, body)
            assert status == operation.status, answer
            assert answer == {**examples.ANSWERS[operation.id], "callId": call_id}


async def test_whose_calls_they_are_and_which_there_are(service: Service) -> None:
    over = NewCall(DEFAULT_OWNER, "agent", service.listener_id, "scripted/test", "jambonz", None, None)
    orphan = NewCall(DEFAULT_OWNER, "agent", service.listener_id, "scripted/test", "jambonz", None, None)
    for stored in (over, orphan):
        await service.store.calls.start(stored, started_at=datetime.now(UTC))
    await service.store.calls.end(over.id, "ended normally", "caller", datetime.now(UTC), 1)

    async def refused(operation: Operation, call_id: str, key: str = KEY) -> tuple[int, str]:
        path, body = operation.path.format(callId=call_id), examples.BODIES.get(operation.id)
        status, answer = await ask(service, operation.method, path, body, key=key)
        return status, answer["code"]

    async with speaking(service) as call_id:
        for one in MESSAGES:
            assert await refused(one, call_id, OTHER_KEY) == (404, "NOT_FOUND")
            assert await refused(one, call_id, READER) == (403, "FORBIDDEN")
            assert await refused(one, "no-such-call") == (404, "NOT_FOUND")
            assert await refused(one, over.id) == (410, "CALL_OVER")
            assert await refused(one, over.id, OTHER_KEY) == (404, "NOT_FOUND")
            assert await refused(one, orphan.id) == (410, "CALL_OVER"), "nobody has it"
        [call] = service.switchboard.calls
        assert call.reason is None


@pytest.mark.parametrize(
    ("method", "path", "body", "sentence"),
    [
        ("POST", "/text", {}, "Text is missing"),
        ("POST", "/text", {"text": "  "}, "Text has to have at least 1 character"),
        ("POST", "/text", {"text": "x", "urgency": "soom"}, "Urgency has to be 'now', 'soon' or 'later'; did you "
         "mean soon?"),
        ("POST", "/say", {"text": "x", "urgency": "later"}, "Urgency has to be 'now' or 'soon'"),
        ("POST", "/say", {"text": "x", "interuptible": True}, "Interuptible is not known; did you mean interruptible?"),
        ("POST", "/hangup", {"reason": 7}, "Reason has to be a string"),
        ("POST", "/dtmf", {"digits": "1x"}, "Digits takes up to 64 of 0-9, *, # and A-D, and w and p for pauses of 0.5 "
         "and 2 s"),
        ("POST", "/transfer", {"number": "nobody"}, "Number has to be a telephone number such as +442080996945, or a "
         "SIP address"),
        ("PATCH", "", {}, "Changes nothing: send prompt, context, functions or keys"),
        ("PATCH", "", {"promt": "x"}, "Promt is not known; did you mean prompt?"),
        ("PATCH", "", {"functions": [KEYLESS]}, "Functions[0].key names 'k', which is not among keys; add it to keys."),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said(service: Service, method: str, path: str, body: Any, sentence: str) -> None:
    async with speaking(service) as call_id:
        status, answer = await ask(service, method, f"/calls/{call_id}{path}", body)
        assert (status, answer["code"]) == (400, "VALIDATION_ERROR")
        assert answer["error"] == sentence


async def test_what_needs_jambonz_is_refused_in_words(service: Service) -> None:
    async with speaking(service) as call_id:
        status, answer = await ask(service, "POST", f"/calls/{call_id}/dtmf", {"digits": "1"})
        assert (status, answer["code"]) == (501, "NOT_IMPLEMENTED")
        status, answer = await ask(service, "POST", f"/calls/{call_id}/transfer", {"number": "+15551234567"})
        assert (status, answer["code"]) == (409, "TRANSFER_REFUSED")
        assert answer["error"].startswith("The number may not be called")
        [call] = service.switchboard.calls
        assert not call.transfers.pending


async def test_a_server_of_tools_that_cannot_be_reached_changes_nothing(service: Service) -> None:
    away = {"name": "crm", "implementation": "mcp", "url": "https://localhost/mcp", "tools": ["*"]}
    async with speaking(service) as call_id:
        status, answer = await ask(service, "PATCH", f"/calls/{call_id}", {"functions": [away], "prompt": "Another."})
        assert (status, answer["code"]) == (409, "NOT_REACHABLE")
        assert answer["error"].startswith("The MCP server crm cannot be used: ")
        [pipeline] = service.factory.pipelines
        assert pipeline._becoming is None


async def test_a_secret_of_a_key_is_nowhere(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    body = {
        "functions": [{"name": "a", "implementation": "rest", "url": "https://a.example.com", "key": "k"}],
        "keys": [{"name": "k", "in": "bearer", "value": "the-secret-of-k"}],
    }
    async with speaking(service) as call_id:
        status, answer = await ask(service, "PATCH", f"/calls/{call_id}", body)
        assert status == 202
        assert "the-secret-of-k" not in json.dumps(answer)
        [pipeline] = service.factory.pipelines
        assert pipeline._becoming is not None
        assert pipeline._becoming.keys[0].reveal()["value"] == "the-secret-of-k"
    async with asyncio.timeout(PATIENCE):
        while not (log := await service.store.calls.events(DEFAULT_OWNER, call_id)) or log[-1].type != "hangup":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert [event.data for event in log if event.type == "inject"] == [{"update": ["functions", "keys"]}]
    assert "the-secret-of-k" not in caplog.text


async def test_on_the_command_line(service: Service) -> None:
    async def trunk(*arguments: str) -> str:
        environment = {"TRUNKLINE_PUBLIC_URL": service.url, "TRUNKLINE_ADMIN_KEY": KEY}
        result = await asyncio.to_thread(CliRunner(env=environment).invoke, trunkline, ["calls", *arguments])
        return result.output.strip()

    async with speaking(service) as call_id:
        for arguments in (
            ("text", call_id, "hello there", "--urgency", "later"),
            ("say", call_id, "One moment.", "--now", "--to-its-end"),
            ("cancel", call_id),
            ("hangup", call_id, "--reason", "enough"),
        ):
            assert await trunk(*arguments) == f"{call_id} has taken it"
        async with asyncio.timeout(PATIENCE):
            while (stored := await service.store.calls.get(DEFAULT_OWNER, call_id)) is None or not stored.ended_at:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert "410: The call" in await trunk("say", call_id, "Too late.")
        assert "400: Digits takes up to 64" in await trunk("dtmf", call_id, "xyz")


# Over the progress socket


@asynccontextmanager
async def watching(
    service: Service, key: str = KEY, listener_id: str | None = None, **query: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    url = f"{service.url}/progress/{listener_id or service.listener_id}?access_token={key}{more}"
    async with service.http.ws_connect(url) as socket:
        yield socket


async def reply(socket: aiohttp.ClientWebSocketResponse, message: Any) -> Any:
    """What is answered, among the events."""
    await socket.send_str(message if isinstance(message, str) else json.dumps(message))
    while "reply" not in (event := await socket.receive_json(timeout=PATIENCE)):
        pass
    return event["reply"]


async def test_the_same_over_the_socket(service: Service) -> None:
    async with speaking(service) as call_id, watching(service) as socket, watching(service, call=call_id) as only:
        names = {"send_text": "text", "say": "say", "cancel_answer": "cancel", "update_call": "update"}
        for number, (id, name) in enumerate(names.items()):
            message = {"command": name, "callId": call_id, "id": number, **examples.BODIES.get(id, {})}
            assert await reply(socket, message) == {"id": number, "status": 202, "callId": call_id, "command": name}
        assert (await reply(only, {"command": "say", "text": "Hello."}))["status"] == 202
        events: list[Any] = []
        assert (await reply(socket, {"command": "hangup", "callId": call_id}))["status"] == 202
        while "hangup" not in (event := await socket.receive_json(timeout=PATIENCE)):
            events.append(event)
        assert event["hangup"]["reason"] == "api"


async def test_what_the_socket_refuses(service: Service) -> None:
    async with speaking(service) as call_id, watching(service) as socket:

        async def refused(message: Any) -> tuple[int, str, str]:
            answer = await reply(socket, message)
            return answer["status"], answer["code"], answer["error"]

        assert await refused("hello") == (400, "BAD_JSON", (await refused("hello"))[2])
        assert (await refused([]))[:2] == (400, "BAD_JSON")
        assert (await refused('{"text": "\\u0000"}'))[1] == "VALIDATION_ERROR"
        assert (await refused({"command": "txt", "callId": call_id}))[2] == (
            "Command has to be one of text, say, commit, cancel, dtmf, transfer, hangup, update; did you mean text?"
        )
        assert (await refused({"command": "text", "text": "x"}))[2].startswith("CallId is missing")
        assert (await refused({"command": "text", "callId": call_id}))[2] == "Text is missing"
        assert (await refused({"command": "text", "callId": "none", "text": "x"}))[0] == 404
        assert (await reply(socket, {"command": "commit", "callId": call_id, "id": "a"}))["id"] == "a"


async def test_who_may_over_the_socket(service: Service) -> None:
    [agent] = await service.store.agents.list(DEFAULT_OWNER, Page(10, 0))
    listener, _ = await service.store.listeners.create(
        DEFAULT_OWNER, agent.id, number=None, options=ListenerOptions(websocket=True)
    )
    async with speaking(service) as call_id:
        message = {"command": "cancel", "callId": call_id}
        async with watching(service, READER) as socket:
            assert (await reply(socket, message))["status"] == 403
        async with watching(service, listener_id=listener.id) as socket:
            assert (await reply(socket, message))["status"] == 404, "it is no call of that listener"


async def test_messages_over_a_socket_count_as_requests(tmp_path: Path) -> None:
    async with serving(tmp_path, requests_per_second=0.3) as service, watching(service) as socket:
        statuses = [(await reply(socket, {"command": "cancel", "callId": "x"}))["status"] for _ in range(3)]
        assert statuses == [404, 404, 429]
