"""Two workers on one PostgreSQL, in this process; whatever comes to either of them gets to the one with the call."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from itertools import count, product
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from blockbuster import BlockBuster

from gateway import metrics
from gateway.api import examples
from gateway.workers.routing import order
from jambonz.provisioning.wanted import Application
from jambonz.signature import SIGNATURE_HEADER, sign
from jambonz.simulator.caller import AwaitAgentSpeech, Caller, HangUp, Wait
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.outgoing import Callee
from jambonz.simulator.report import CallReport
from jambonz.simulator.requestor import basic_auth
from jambonz.simulator.rest_api import ApiServer
from store import DEFAULT_OWNER
from store.tables import calls
from tests.gateway.recordings.test_api import RECORDED
from tests.gateway.service import CALLER, NUMBER, PASSWORD, SECRET, call_hook
from tests.gateway.test_originate import CALLED, HOME, PUBLIC
from tests.gateway.workers.crewed import AUTHORIZED, Crewed, Spread, api, crewed
from tests.simulators.codeword import read
from tests.simulators.jambonz_wire import jambonz_on_loopback
from tests.steady import PATIENCE
from tests.store.server import SERVER, own_database

pytestmark = pytest.mark.skipif(not SERVER, reason="no PostgreSQL: set TEST_DATABASE_URL to test against one")


@pytest.fixture
async def two(no_blocking_calls: BlockBuster, tmp_path: Path) -> AsyncIterator[Crewed]:
    async with own_database(no_blocking_calls) as url, crewed(tmp_path, url, max_calls=2, agent=RECORDED) as two:
        yield two


@contextmanager
def passed() -> Iterator[dict[str, float]]:
    """How much one worker had for the other, of each kind, in the context."""
    before = {what: metrics.workers_passed.labels(what)._value.get() for what in ("request", "socket")}
    told: dict[str, float] = {}
    yield told
    for what, value in before.items():
        told[what] = metrics.workers_passed.labels(what)._value.get() - value


async def converse(two: Crewed, choose: Callable[[str], int], how_many: int, *, application: bool) -> list[CallReport]:
    """Calls at the same time, each of which hears the greeting and hangs up."""
    base = f"127.0.0.1:{two.ports[0]}"
    hook = {"url": f"ws://{base}/jambonz/application", "username": "jambonz", "password": PASSWORD}
    async with Spread(two.ports, choose) as transport:
        jambonz = SimulatedJambonz(base_url=f"http://{base}", transport=transport, webhook_secret=SECRET)

        async def one() -> CallReport:
            caller = Caller([AwaitAgentSpeech(), Wait(0.04), HangUp()], patience=10.0)
            return await jambonz.place_call(
                to="+" + NUMBER, from_=CALLER, caller=caller, call_hook=hook if application else None
            )

        reports = await asyncio.gather(*(one() for _ in range(how_many)))
    await two.quiet()
    return list(reports)


async def test_however_they_are_spread_each_hook_and_socket_reaches_its_worker(two: Crewed) -> None:
    """By webhooks and by application sockets: 24 calls of a moment each, in 2 s."""
    turns = count()
    spreads: tuple[Callable[[str], int], ...] = (lambda _: 0, lambda _: 1, lambda _: next(turns) % 2)
    for application, choose in product((False, True), spreads):
        had = [len(switchboard.live._over) for switchboard in two.switchboards]
        with passed() as told:
            reports = await converse(two, choose, 4, application=application)
        for report in reports:
            assert report.ended_by == "caller", report.events
            assert read(report.heard)[0].word == "hello"
            assert [hook.error for hook in report.hooks if hook.error] == []
            assert report.statuses[-1] == "completed"
        new = [len(switchboard.live._over) - before for switchboard, before in zip(two.switchboards, had, strict=True)]
        assert sum(new) == 4, "each call is one worker's"
        assert min(new) >= 1, "and none has all"
        if choose is not spreads[2]:
            assert told["socket"] >= 1, "some sockets came to the wrong worker"
            assert told["request"] >= 2 or application
    async with asyncio.timeout(PATIENCE):
        while set(stored := await reasons(two)) != {"caller"} or len(stored) != 24:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def reasons(two: Crewed) -> list[str | None]:
    """How the stored calls ended."""
    async with two.store._database.read() as connection:
        return list(await connection.scalars(sa.select(calls.c.end_reason)))


async def post(two: Crewed, slot: int, path: str, told: Any) -> tuple[int, str]:
    body = json.dumps(told).encode()
    headers = {SIGNATURE_HEADER: sign(body, SECRET, time.time()), "Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(two.workers[slot].url.with_path(path), data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.text()


async def test_a_hook_that_comes_again_elsewhere_begins_no_second_call(two: Crewed) -> None:
    hook = call_hook(call_sid="a call")
    answers = await asyncio.gather(*(post(two, slot, "/jambonz/call", hook) for slot in (0, 1, 0, 1)))
    assert sum(two.calls()) == 1
    assert {status for status, _ in answers} == {200}
    tokens = {json.loads(text)[0]["url"].rsplit("/")[-1] for _, text in answers}
    assert len(tokens) == 1
    again = [await post(two, slot, "/jambonz/call", hook) for slot in (0, 1)]
    assert {json.loads(text)[0]["url"].rsplit("/")[-1] for _, text in again} == tokens
    [wrong] = [slot for slot in (0, 1) if not two.calls()[slot]]
    [call] = two.switchboards[1 - wrong].calls
    assert await post(two, wrong, f"/jambonz/next/{call.id}", {"call_sid": "a call"}) == (200, "")
    completed = {"call_sid": "a call", "call_status": "completed"}
    assert await post(two, wrong, "/jambonz/status", {**completed, "call_sid": "another"}) == (204, "")
    assert sum(two.calls()) == 1
    assert await post(two, wrong, "/jambonz/status", completed) == (204, "")
    await two.quiet()


async def test_what_is_refused_is_refused_by_either(two: Crewed) -> None:
    for path in ("/worker/standing", "/worker/place", "/worker/offer", "/worker/call", "/worker/report"):
        assert (await api(two.workers[0].url, "GET", path))[0] == 404
    async with aiohttp.ClientSession() as http:
        wrong = f"ws://127.0.0.1:{two.ports[0]}/jambonz/application"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(wrong, protocols=["ws.jambonz.org"])
        assert refused.value.status == 401
        for token in ("1.forged", "0.forged", "7.forged", "forged"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(f"ws://127.0.0.1:{two.ports[0]}/audio/{token}", protocols=["audio.jambonz.org"])
            assert refused.value.status == 404
    for slot, (body, status) in ((slot, case) for slot in (0, 1) for case in ((b"{", 400), (b"x" * 300_000, 413))):
        signed = {SIGNATURE_HEADER: sign(body, SECRET, time.time())}
        async with (
            aiohttp.ClientSession() as http,
            http.post(two.workers[slot].url.with_path("/jambonz/call"), data=body, headers=signed) as answer,
        ):
            assert answer.status == status
    with passed() as told:
        for number in range(8):
            body = json.dumps(call_hook(call_sid=f"a call {number}")).encode()
            async with (
                aiohttp.ClientSession() as http,
                http.post(two.workers[number % 2].url.with_path("/jambonz/call"), data=body) as answer,
            ):
                assert answer.status == 403
    assert told["request"] == 0, "what is not signed troubles nobody else"
    assert two.calls() == [0, 0]


async def test_calls_go_to_both_until_both_are_full(two: Crewed) -> None:
    async def ring(sid: str) -> str:
        """The first verb of the answer."""
        status, text = await post(two, 0, "/jambonz/call", call_hook(call_sid=sid))
        assert status == 200
        return str(json.loads(text)[0]["verb"])

    assert [await ring(f"call {number}") for number in range(5)] == ["listen"] * 4 + ["sip:decline"]
    assert two.calls() == [2, 2]
    assert await api(two.workers[1].url, "GET", "/readyz") == (200, {"status": "ready", "calls": 4, "workers": 2})
    status, told = await api(two.workers[0].url, "POST", f"/api/listener/{two.room_id}/join", json={})
    assert (status, told["scope"]) == (429, "process")
    for number in range(4):
        await post(two, 1, "/jambonz/status", {"call_sid": f"call {number}", "call_status": "completed"})
    await two.quiet()


async def test_browsers_are_spread_and_their_sockets_get_to_their_calls(two: Crewed) -> None:
    said = {"options": {"metadata": {"told": "by the page"}}}
    joined = [await api(two.workers[0].url, "POST", f"/api/listener/{two.room_id}/join", json=said) for _ in range(4)]
    assert [status for status, _ in joined] == [200] * 4
    assert two.calls() == [2, 2]
    told = [call.record.row.metadata.get("told") for switchboard in two.switchboards for call in switchboard.calls]
    assert told == ["by the page"] * 4, "bodies come with the requests"
    async with aiohttp.ClientSession() as http:
        for slot in (0, 1):
            for _, one in joined[2 * slot : 2 * slot + 2]:
                path = one["audioSocket"]["url"].split("/", 3)[3]
                url = two.workers[slot].url.with_path(f"/{path}")
                async with http.ws_connect(url, protocols=["audio.jambonz.org"]) as browser:
                    await browser.send_json({"callId": one["callId"]})
                    while (await browser.receive(timeout=PATIENCE)).type is not aiohttp.WSMsgType.BINARY:
                        pass
                async with http.get(url) as again:
                    assert again.status == 404, "a token is good once"
    await two.quiet()


async def test_a_call_is_commanded_and_watched_through_either(two: Crewed) -> None:
    async with Spread(two.ports, lambda _: 0) as transport:
        base = f"http://127.0.0.1:{two.ports[0]}"
        jambonz = SimulatedJambonz(base_url=base, transport=transport, webhook_secret=SECRET)
        caller = Caller([AwaitAgentSpeech(), Wait(20), HangUp()], patience=10.0)
        ringing = asyncio.create_task(jambonz.place_call(to="+" + NUMBER, from_=CALLER, caller=caller))
        async with asyncio.timeout(PATIENCE):
            while not (live := [call for one in two.switchboards for call in one.calls if call.recording is not None]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for slot, what in ((0, "pause"), (1, "resume"), (1, "pause"), (0, "resume")):
            status, told = await api(two.workers[slot].url, "POST", f"/api/calls/{live[0].id}/recording/{what}")
            assert (status, told["paused"]) == (200, what == "pause")
        for slot in (0, 1):
            assert (await api(two.workers[slot].url, "POST", "/api/calls/nobody/recording/pause"))[0] == 404

        [wrong] = [slot for slot in (0, 1) if not two.calls()[slot]]
        url = two.workers[wrong].url.with_path(f"/progress/{two.listener_id}")
        async with aiohttp.ClientSession() as http, http.ws_connect(url, headers=AUTHORIZED) as watcher:

            async def reply(message: dict[str, Any]) -> dict[str, Any]:
                await watcher.send_json(message)
                async with asyncio.timeout(PATIENCE):
                    while "reply" not in (event := await watcher.receive_json()):
                        pass
                return dict(event["reply"])

            refused = await reply({"id": 1, "command": "say", "callId": live[0].id})
            assert (refused["id"], refused["status"], refused["code"]) == (1, 400, "VALIDATION_ERROR")
            taken = await reply({"id": 2, "command": "hangup", "callId": live[0].id})
            assert taken == {"id": 2, "status": 202, "callId": live[0].id, "command": "hangup"}
            assert (await ringing).ended_by == "jambonz"
            async with asyncio.timeout(PATIENCE):
                while (await watcher.receive_json()).get("hangup") is None:
                    pass


async def test_an_application_socket_comes_back_to_its_call_through_the_other(two: Crewed) -> None:
    """And what is heard on it of either end is told to the other."""
    sid = "a call"
    auth = {"Authorization": basic_auth("jambonz", PASSWORD)}

    def message(kind: str) -> dict[str, Any]:
        return {"type": kind, "msgid": kind, "call_sid": sid, "data": call_hook(call_sid=sid)}

    async with aiohttp.ClientSession(headers=auth) as http:

        async def opened(slot: int) -> aiohttp.ClientWebSocketResponse:
            url = two.workers[slot].url.with_path("/jambonz/application")
            return await http.ws_connect(url, protocols=["ws.jambonz.org"])

        for slot in (0, 1):
            first = await opened(slot)
            await first.send_json(message("session:new"))
            assert (await first.receive_json(timeout=PATIENCE))["data"][0]["verb"] == "listen"
            assert sum(two.calls()) == 1
            await first.close(code=1001)
            second = await opened(1 - slot)
            await second.send_json(message("session:reconnect"))
            assert (await second.receive_json(timeout=PATIENCE))["data"][0]["verb"] == "listen"
            assert sum(two.calls()) == 1
            await second.close(code=1000)
            await two.quiet()
            sid = "another call"
        third = await opened(order(sid, 2)[1])
        await third.send_json({"type": "session:new", "call_sid": "a third"})
        closed = await third.receive(timeout=PATIENCE)
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1007), "it has no msgid"


async def test_a_call_that_is_placed_is_answered_by_whom_was_asked_to(
    no_blocking_calls: BlockBuster, tmp_path: Path
) -> None:
    """Jambonz makes up its sid, and posts its hooks to whichever worker."""
    server = ApiServer(api_key="key")
    async with (
        jambonz_on_loopback(server) as api_url,
        own_database(no_blocking_calls) as url,
        crewed(tmp_path, url, agent=RECORDED, jambonz_server=api_url, jambonz_api_key="key", public_url=PUBLIC) as two,
        Spread(two.ports, lambda _: next(turns) % 2) as transport,
    ):
        turns = count()
        base = f"http://127.0.0.1:{two.ports[0]}"
        jambonz = SimulatedJambonz(base_url=base, transport=transport, webhook_secret=SECRET)

        def create(body: dict[str, Any], sid: str) -> None:
            jambonz.create_call(body, call_sid=sid, account_sid=server.account_sid)

        server.on_create = create
        jambonz.callees[f"+{CALLED}"] = Callee(ring_seconds=0.05, steps=(AwaitAgentSpeech(), HangUp()))
        await two.store.numbers.create(DEFAULT_OWNER, HOME, handler="jambonz", outbound=True)
        async with asyncio.timeout(PATIENCE):  # the provisioner makes the application
            while not any(row["name"] == Application.at(PUBLIC).name for row in server.applications.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

        async def ring(slot: int, key: str) -> str:
            path, again = f"/api/listener/{two.listener_id}/originate", {"Idempotency-Key": key}
            async with aiohttp.ClientSession(headers=AUTHORIZED | again) as http:
                posted = http.post(two.workers[slot].url.with_path(path), json=examples.BODIES["originate"])
                async with posted as answer:
                    told = await answer.json()
                    assert answer.status == 200, told
                    return str(told["data"]["callId"])

        async with asyncio.timeout(PATIENCE):
            rung = await asyncio.gather(*(ring(slot, f"key-{number}") for number in range(3) for slot in (0, 1)))
        assert len(set(rung)) == 3, "what is asked for twice, of whomever, rings once"
        assert len(server.created_calls) == 3
        await two.quiet()
        async with asyncio.timeout(PATIENCE):
            while None in (ended := await reasons(two)) or len(ended) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert ended == ["caller"] * 3
