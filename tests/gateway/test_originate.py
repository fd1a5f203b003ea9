"""Ringing somebody by the API: who may, what is answered, and what a repeated request comes to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from gateway import recorder
from gateway.api import examples, originate
from gateway.cli import trunkline
from gateway.settings import Settings
from jambonz.provisioning.wanted import Application
from jambonz.simulator.outgoing import Callee
from jambonz.simulator.rest_api import ApiServer
from store import DEFAULT_OWNER, NewCall, Store
from store.listeners import ListenerForCall
from store.places import Place
from store.rows import now
from tests.gateway.api_service import conforms
from tests.gateway.service import KEY, NUMBER, Service, serving
from tests.simulators.jambonz_wire import jambonz_on_loopback
from tests.steady import PATIENCE

HOME = examples.NUMBER
CALLED = examples.CALLED
PUBLIC = "http://calls.example.com"
BUSY = Callee(sip_status=486, ring_seconds=0.05)


@dataclass(slots=True)
class Desk:
    service: Service
    server: ApiServer

    async def ask(
        self, method: str, path: str, body: Any = None, *, key: str = KEY, again: str = ""
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key}"} | ({"Idempotency-Key": again} if again else {})
        async with self.service.http.request(
            method, f"{self.service.url}/api{path}", json=body, headers=headers
        ) as answer:
            given = await answer.json()
            conforms(method, path, answer.status, given)
            return answer.status, given

    async def ring(self, *, again: str = "", key: str = KEY, listener: str = "", **changes: Any) -> tuple[int, Any]:
        path = f"/listener/{listener or self.service.listener_id}/originate"
        return await self.ask("POST", path, examples.BODIES["originate"] | changes, key=key, again=again)


@asynccontextmanager
async def desk(
    directory: Path, *, instead: dict[str, Callable[[web.Request], Any]] | None = None, **agent: Any
) -> AsyncIterator[Desk]:
    server = ApiServer(api_key="key")
    async with jambonz_on_loopback(server, instead) as url:
        settings: dict[str, Any] = {"jambonz_server": url, "jambonz_api_key": "key", "public_url": PUBLIC}
        async with serving(directory, agent=agent, **settings) as service:

            def create(body: dict[str, Any], sid: str) -> None:
                hooks = {
                    name: {"url": body[name]["url"].replace(PUBLIC, service.url)}
                    for name in ("call_hook", "call_status_hook")
                }
                service.jambonz.create_call(body | hooks, call_sid=sid, account_sid=server.account_sid)

            server.on_create = create
            service.jambonz.callees[f"+{CALLED}"] = BUSY
            await service.store.numbers.create(DEFAULT_OWNER, HOME, handler="jambonz", outbound=True)
            async with asyncio.timeout(PATIENCE):  # the provisioner makes the application
                while not any(row["name"] == Application.at(PUBLIC).name for row in server.applications.values()):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            yield Desk(service, server)


async def test_the_example_rings_and_its_record_tells_what_came_of_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as office:
        status, answer = await office.ring()
        assert (status, answer["success"]) == (200, True)
        assert answer["data"] | {"callId": ""} == {
            "callId": "",
            "listenerId": office.service.listener_id,
            "callerId": HOME,
            "calledId": CALLED,
            "organisationId": DEFAULT_OWNER.organisation_id,
        }
        await office.service.quiet()
        call = await over(office, answer["data"]["callId"])
        assert (call["status"], call["endReason"]) == ("failed: busy", "busy")
        assert (call["callerId"], call["calledId"]) == (HOME, CALLED)
        [placed] = office.server.created_calls
        assert (placed["from"], placed["to"]["number"]) == (f"+{HOME}", f"+{CALLED}")
        started = office.service.store.calls
        assert await started.get(DEFAULT_OWNER, answer["data"]["callId"]) is not None


async def over(office: Desk, call_id: str) -> Any:
    async with asyncio.timeout(PATIENCE):
        while True:
            status, call = await office.ask("GET", f"/calls/{call_id}")
            if status == 200 and call["endedAt"]:
                return call
            await asyncio.sleep(0.02)


async def test_metadata_are_laid_over_those_of_the_listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(tmp_path) as office:
        placing = office.service.switchboard.placing
        placed, originate = [], placing.originate

        async def noted(listener: ListenerForCall, *what: Any, **how: Any) -> Any:
            placed.append(listener.options.metadata)
            return await originate(listener, *what, **how)

        monkeypatch.setattr(placing, "originate", noted)
        metadata = {"shop": "high-street", "customer": {"name": "Nobody"}}
        _, agent = await office.ask("POST", "/agents", {"modelName": "scripted/echo", "prompt": ""})
        _, other = await office.ask("POST", f"/agents/{agent['id']}/listen", {"options": {"metadata": metadata}})
        status, _ = await office.ring(listener=other["id"], metadata={"customer": {"name": "Ann"}})
        assert status == 200
        assert placed == [{"shop": "high-street", "customer": {"name": "Ann"}}]
        await office.service.quiet()


async def test_a_request_that_is_repeated_rings_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as office:
        office.service.jambonz.callees[f"+{CALLED}"] = Callee(sip_status=486, ring_seconds=0.3)
        answers = await asyncio.gather(*(office.ring(again="order-7") for _ in range(3)))
        assert {(status, answer["data"]["callId"]) for status, answer in answers} == {
            (200, answers[0][1]["data"]["callId"])
        }
        await office.service.quiet()
        await over(office, answers[0][1]["data"]["callId"])
        status, answer = await office.ring(again="order-7")
        assert (status, answer) == answers[0]
        assert len(office.server.created_calls) == 1
        status, answer = await office.ring(again="order-7", calledId="+442079460124")
        assert (status, answer["code"]) == (409, "IN_USE")
        status, answer = await office.ring(again="order-8")
        assert status == 200
        assert len(office.server.created_calls) == 2
        await office.service.store.numbers.create(DEFAULT_OWNER, "442079460555", handler="jambonz", outbound=True)
        status, answer = await office.ring(again="order-7", callerId="+442079460555")
        assert (status, answer["code"]) == (409, "IN_USE"), "it is another one that rings"
        together = await asyncio.gather(
            office.ring(again="order-9"), office.ring(again="order-9", calledId="+442079460124")
        )
        assert sorted(status for status, _ in together) == [200, 409]
        assert len(office.server.created_calls) == 3
        await office.service.quiet()


REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"calledId": "ann"}, 400, "NOT_PERMITTED", "telephone number"),
    ({"calledId": "+12025550123"}, 400, "NOT_PERMITTED", "outboundCallFilter"),
    ({"calledId": "+449098790000"}, 400, "NOT_PERMITTED", "outboundCallFilter"),
    ({"callerId": "+442079469999"}, 400, "UNKNOWN_CALLER", "no number"),
    ({"callerId": f"+{NUMBER}"}, 400, "NOT_OUTBOUND", "not for outbound"),
    ({"callerId": "ann"}, 400, "VALIDATION_ERROR", "E.164"),
    ({"callerId": 7}, 400, "VALIDATION_ERROR", "callerId"),
    ({"metadata": []}, 400, "VALIDATION_ERROR", "metadata"),
    ({"callTo": "+44"}, 400, "VALIDATION_ERROR", "callTo"),
    ({"listener": "another"}, 404, "NOT_FOUND", "no listener"),
]


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as office:
        yield office


async def test_what_is_refused(shared: Desk) -> None:
    for changes, status, code, said in REFUSED:
        given, answer = await shared.ring(**changes)
        assert (given, answer["code"]) == (status, code), changes
        assert said.lower() in answer["error"].lower()
    assert shared.server.created_calls == []


NO_KEYS: list[list[str]] = [[""], ["k" * 256], ["order 7"], ["order\t7"], ["é"], ["☎"], ["order-7", "order-8"]]


async def test_a_key_that_is_none_rings_nobody(shared: Desk) -> None:
    """Its rule is in the OpenAPI."""
    url = f"{shared.service.url}/api/listener/{shared.service.listener_id}/originate"
    for keys in NO_KEYS:
        headers = [("Authorization", f"Bearer {KEY}"), *(("Idempotency-Key", key) for key in keys)]
        async with shared.service.http.post(url, json=examples.BODIES["originate"], headers=headers) as answer:
            told = await answer.json()
        assert (answer.status, told["code"], told["details"][0]["path"]) == (400, "VALIDATION_ERROR", "Idempotency-Key")
        assert "1 to 255 visible ASCII characters" in told["error"]
    assert shared.server.created_calls == []
    assert (await shared.ring(again="~" * 254 + "!"))[0] == 200
    await shared.service.quiet()


async def test_nobody_rings_with_what_is_somebody_elses(shared: Desk) -> None:
    store = shared.service.store
    other = await store.accounts.create_organisation("other")
    await store.accounts.add_key(other, "other", "key-of-somebody-else")
    status, answer = await shared.ring(key="key-of-somebody-else")
    assert (status, answer["code"]) == (404, "NOT_FOUND")
    await store.numbers.create(other, "442079460777", handler="jambonz", outbound=True)
    assert (await shared.ring(callerId="+442079460777"))[1]["code"] == "UNKNOWN_CALLER"
    await store.numbers.create(DEFAULT_OWNER, "442079460778", handler="livekit", outbound=True)
    assert (await shared.ring(callerId="+442079460778"))[1]["code"] == "NOT_OUTBOUND"
    await store.accounts.add_key(DEFAULT_OWNER, "reader", "key-that-reads", scopes=["calls:read"])
    assert (await shared.ring(key="key-that-reads"))[0] == 403
    assert shared.server.created_calls == []


async def test_a_trunk_and_a_registration_say_what_it_goes_out_by(shared: Desk) -> None:
    store = shared.service.store
    trunk = await store.trunks.create(DEFAULT_OWNER, "Carrier", handler="jambonz", outbound=True, flags={})
    await store.numbers.create(DEFAULT_OWNER, "442079460555", handler="jambonz", outbound=True, trunk_id=trunk.id)
    account: dict[str, Any] = {
        "registrar": "sip.example.com",
        "username": "1001",
        "password": "p",
        "handler": "jambonz",
    }
    desk_phone = await store.registrations.create(DEFAULT_OWNER, **account, outbound=True)
    silent = await store.registrations.create(DEFAULT_OWNER, **account | {"username": "1002"})
    assert (await shared.ring(callerId="+442079460555"))[0] == 200
    status, answer = await shared.ring(callerId=desk_phone)
    assert (status, answer["data"]["callerId"]) == (200, desk_phone)
    assert (await shared.ring(callerId=silent))[1]["code"] == "NOT_OUTBOUND"
    await store.registrations.set_status(DEFAULT_OWNER, desk_phone, "disabled")
    status, answer = await shared.ring(callerId=desk_phone)
    assert (status, answer["code"]) == (400, "NOT_OUTBOUND"), "its carrier is not active"
    by_trunk, by_account = shared.server.created_calls
    assert (by_trunk["from"], by_trunk["to"]["trunk"]) == ("+442079460555", "Carrier")
    assert (by_account["from"], by_account["to"]["trunk"]) == ("1001", f"Trunkline registration {desk_phone}")
    await store.trunks.update(DEFAULT_OWNER, trunk.id, {"outbound": False})
    status, answer = await shared.ring(callerId="+442079460555")
    assert (status, answer["code"]) == (400, "NOT_OUTBOUND"), "the number was allowed it before"
    assert len(shared.server.created_calls) == 2
    await shared.service.quiet()


async def test_a_limit_is_429_and_jambonz_that_is_away_503(shared: Desk) -> None:
    shared.service.jambonz.callees[f"+{CALLED}"] = Callee(sip_status=486, ring_seconds=0.5)
    await shared.service.store.accounts.set_limits(DEFAULT_OWNER, organisation=1)
    assert (await shared.ring())[0] == 200
    status, answer = await shared.ring()
    assert (status, answer["code"], answer["scope"]) == (429, "AGENT_CONCURRENCY_LIMIT_EXCEEDED", "organisation")
    await shared.service.quiet()
    shared.server.feature_servers = 0
    status, answer = await shared.ring(again="away")
    assert (status, answer["code"]) == (503, "UNAVAILABLE")
    assert "no available feature servers" in answer["error"]
    call = await over(shared, answer["details"]["callId"])
    assert call["status"] == "failed: Jambonz did not place the call"
    shared.server.feature_servers = 1
    assert (await shared.ring(again="away"))[0] == 409
    assert (await shared.ring())[0] == 200, "no place was kept"
    await shared.service.quiet()


async def test_a_call_that_is_over_before_it_was_stored_is_not_placed_again(
    shared: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "BATCH_SECONDS", 0.6)
    shared.service.jambonz.callees[f"+{CALLED}"] = Callee(sip_status=486, ring_seconds=0)
    status, first = await shared.ring(again="busy")
    assert status == 200
    await shared.service.quiet()
    assert await shared.service.store.calls.get(DEFAULT_OWNER, first["data"]["callId"]) is None
    assert await shared.ring(again="busy") == (200, first)
    assert len(shared.server.created_calls) == 1


async def test_what_another_process_is_just_placing_is_not_placed_twice(
    shared: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two services on one database were sent the same key in the same instant."""

    async def not_yet_written(*_: Any) -> None:
        pass

    monkeypatch.setattr(originate, "STORED_SECONDS", 0.1)
    listener = shared.service.listener_id
    theirs = NewCall(DEFAULT_OWNER, "agent", listener, "scripted/echo", "jambonz", HOME, CALLED)
    monkeypatch.setattr(originate, "_call_id", lambda *_: theirs.id)
    store = await Store.open(Settings(data_dir=tmp_path).database, data_dir=tmp_path, node="another")
    try:
        await store.processes.join()
        await store.places.take([Place(theirs.id, listener, DEFAULT_OWNER)])
        status, answer = await shared.ring(again="order-1")
        assert (status, answer["code"]) == (503, "UNAVAILABLE"), "nobody knows yet what becomes of it"
        await store.calls.start(theirs, started_at=now())
        monkeypatch.setattr(originate, "_known", not_yet_written)
        status, answer = await shared.ring(again="order-1")
        assert (status, answer["data"]["callId"]) == (200, theirs.id)
    finally:
        await store.close()
    assert shared.server.created_calls == []


async def test_without_jambonz_there_is_nobody_to_ring(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.store.numbers.create(DEFAULT_OWNER, HOME, handler="jambonz", outbound=True)
        status, answer = await Desk(service, ApiServer(api_key="key")).ring()
        assert (status, answer["code"]) == (501, "NOT_IMPLEMENTED")


async def test_the_command_line_rings_and_says_what_is_wrong(shared: Desk) -> None:
    environment = {"TRUNKLINE_PUBLIC_URL": shared.service.url, "TRUNKLINE_ADMIN_KEY": KEY}

    async def invoke(*arguments: str) -> Result:
        given = ["calls", "originate", shared.service.listener_id, "--from", f"+{HOME}", *arguments]
        return await asyncio.to_thread(CliRunner(env=environment).invoke, trunkline, given)

    rang = await invoke("--to", f"+{CALLED}", "--once", "a", "--metadata", '{"a": 1}')
    assert rang.exit_code == 0, rang.output
    again = await invoke("--to", f"+{CALLED}", "--once", "a")
    assert again.output.split()[-1] == rang.output.split()[-1]
    assert len(shared.server.created_calls) == 1
    refused = await invoke("--to", "+12025550123")
    assert refused.exit_code == 1
    assert "outboundCallFilter" in refused.output
    assert (await invoke("--to", f"+{CALLED}", "--metadata", "{")).exit_code == 2
    await shared.service.quiet()
