"""Functions that clients answer, over real progress sockets; and those of another process, on one PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from blockbuster import BlockBuster

from gateway.admission import Admission
from gateway.caretaker import Caretaker
from gateway.client_messages import Answer
from gateway.clients import NOBODY, Clients, ClientsOfCall
from gateway.keys import CLIENTS
from gateway.leases import Leases
from pipelines.tools.means import ToolFault
from store import DEFAULT_OWNER, Owner, Store
from tests.gateway.service import KEY, Service, serving
from tests.gateway.test_two_processes import another
from tests.steady import PATIENCE
from tests.store.server import SERVER, own_database

Socket = aiohttp.ClientWebSocketResponse


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(tmp_path) as service:
        await service.ring("c-1")
        yield service
        await service.hang_up("c-1")
        await service.quiet()


def clients(service: Service) -> ClientsOfCall:
    """Those of the one call."""
    [call] = service.switchboard.calls
    assert call.clients is not None
    return call.clients


@asynccontextmanager
async def socket(service: Service, names: str | None = "*", *, at: str = "", **query: str) -> AsyncIterator[Socket]:
    asked = {"access_token": KEY, **({"functions": names} if names is not None else {}), **query}
    url = f"{at or service.url}/progress/{service.listener_id}"
    async with service.http.ws_connect(url, params=asked) as socket:
        yield socket


async def question(socket: Socket) -> dict[str, Any]:
    """The next one that it is asked."""
    while True:
        event = await socket.receive_json(timeout=PATIENCE)
        if "function_calls" in event:
            [call] = event["function_calls"]
            return {**event, **call}


async def refusal(socket: Socket, **result: Any) -> str:
    """What is said to a result."""
    await socket.send_json({"function_results": [result]})
    while True:
        event = await socket.receive_json(timeout=PATIENCE)
        if "error" in event:
            assert event["isFinal"] is False
            assert event.get("id") == result.get("id")
            return str(event["error"])


def ask(service: Service, name: str = "look", seconds: float = 5.0, **arguments: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(clients(service).ask(name, arguments, seconds=seconds))


async def test_it_is_asked_and_answers(service: Service) -> None:
    async with socket(service) as client:
        asked = ask(service, where="here")
        told = await question(client)
        [call] = service.switchboard.calls
        assert (told["name"], told["arguments"], told["seconds"]) == ("look", {"where": "here"}, 5.0)
        assert (told["callId"], told["isFinal"]) == (call.id, False)
        assert "seq" not in told
        await client.send_json({"function_results": [{"id": told["id"], "result": {"found": True}}]})
        assert await asked == {"found": True}
        assert await refusal(client, id=told["id"], result=2) == "This call of a function was answered already."
        asked = ask(service)
        told = await question(client)
        await client.send_json({"function_results": [{"id": told["id"], "error": "it is too dark"}]})
        with pytest.raises(ToolFault, match="it is too dark"):
            await asked


async def test_nobody_is_there_and_that_is_told_at_once(service: Service) -> None:
    async with socket(service, None) as watcher, socket(service, "other"), socket(service, call="another-call"):
        with pytest.raises(ToolFault, match=NOBODY):
            async with asyncio.timeout(PATIENCE):
                await ask(service, seconds=60)
        assert "does not answer functions: open it with" in await refusal(watcher, id="x", result=1)


async def test_the_one_that_came_last_is_asked_and_no_other(service: Service) -> None:
    async with socket(service) as first, socket(service, "look") as second, socket(service, "other") as third:
        asked = ask(service)
        told = await question(second)
        assert "no call of a function with this id" in await refusal(third, id="x", result=1)
        await first.send_json({"function_results": [{"id": told["id"], "result": "by another"}]})
        assert await asked == "by another"  # whoever answers first
        await second.close()
        while len(service.server.app[CLIENTS]._lines) > 2:  # noqa: ASYNC110 - it leaves in its own time
            await asyncio.sleep(0)
        asked = ask(service)
        told = await question(first)
        await first.send_json({"function_results": [{"id": told["id"], "result": 1}]})
        assert await asked == 1


async def test_a_client_that_was_lost_comes_again_and_answers(service: Service) -> None:
    async with socket(service) as client:
        asked = ask(service)
        told = await question(client)
    async with socket(service) as client:
        await client.send_json({"function_results": [{"id": told["id"], "result": 1}]})
        assert await asked == 1


async def test_one_that_does_not_answer_in_time_is_too_late(service: Service) -> None:
    """Real time: a tenth of a second."""
    async with socket(service) as client:
        with pytest.raises(ToolFault, match=r"nobody answered within 0\.1 s; it may have been done or not"):
            await ask(service, seconds=0.1)
        told = await question(client)
        assert "its time has passed, or the caller interrupted it" in await refusal(client, id=told["id"], result=1)
        asked = ask(service)
        told = await question(client)
        asked.cancel()
        await asyncio.sleep(0)
        assert "its time has passed, or the caller interrupted it" in await refusal(client, id=told["id"], result=1)


async def test_of_two_answers_at_once_the_first_is_the_one(service: Service) -> None:
    async with socket(service) as client:
        asked = ask(service)
        told = await question(client)
        await client.send_json({"function_results": [{"id": told["id"], "result": one} for one in (1, 2)]})
        assert await asked == 1
        while "error" not in (event := await client.receive_json(timeout=PATIENCE)):
            pass
        assert event["error"] == "This call of a function was answered already."


async def test_a_stranger_cannot_answer(service: Service) -> None:
    """Nor can one who watches another listener."""
    async with socket(service) as client:
        asked = ask(service)
        told = await question(client)
        answer, all_clients = Answer(told["id"], {"result": "mine"}), service.server.app[CLIENTS]
        for owner, listener in ((Owner("other", None), service.listener_id), (DEFAULT_OWNER, "other")):
            assert "no call of a function with this id" in str(await all_clients.answer(owner, listener, answer))
        await client.send_json({"function_results": [{"id": told["id"], "result": 1}]})
        assert await asked == 1


async def test_names_that_are_none(service: Service) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with socket(service, "a b"):
            pass
    assert refused.value.status == 400


async def test_who_may_only_read_does_not_answer(service: Service) -> None:
    reading = {"Authorization": f"Bearer {KEY}"}
    made = {"name": "reads", "scopes": ["calls:read"]}
    async with service.http.post(f"{service.url}/api/keys", json=made, headers=reading) as answer:
        key = (await answer.json())["key"]
    async with socket(service, None, access_token=key):
        pass
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with socket(service, "*", access_token=key):
            pass
    assert refused.value.status == 403


@pytest.mark.skipif(not SERVER, reason="no PostgreSQL: set TEST_DATABASE_URL to test against one")
class TestOfAnotherProcess:
    @pytest_asyncio.fixture
    async def two(self, no_blocking_calls: BlockBuster, tmp_path: Path) -> AsyncIterator[tuple[Service, str]]:
        async with (
            own_database(no_blocking_calls) as url,
            serving(tmp_path / "a", database_url=url, credentials_key="c") as service,
            another(tmp_path / "b", url) as other,
        ):
            await service.ring("c-1")
            yield service, str(other.make_url("")).rstrip("/")
            await service.hang_up("c-1")
            await service.quiet()

    async def test_it_is_asked_and_answers(self, two: tuple[Service, str]) -> None:
        service, other = two
        async with socket(service) as here, socket(service, at=other) as there:
            asked = ask(service, where="here")
            told = await question(there)  # which came last
            assert told["arguments"] == {"where": "here"}
            await there.send_json({"function_results": [{"id": told["id"], "result": {"found": True}}]})
            assert await asked == {"found": True}
            assert await refusal(here, id=told["id"], result=2) == "This call of a function was answered already."
            again = await refusal(there, id=told["id"], result=2)
            assert "answered already" in again or "no call of a function with this id" in again  # its row goes beside

    async def test_a_client_that_was_lost_comes_again_there(self, two: tuple[Service, str]) -> None:
        service, other = two
        async with socket(service) as here:
            asked = ask(service)
            told = await question(here)
        async with socket(service, at=other) as there:
            await there.send_json({"function_results": [{"id": told["id"], "result": 1}]})
            assert await asked == 1

    async def test_a_process_that_was_taken_for_dead_has_its_sockets_again(
        self, no_blocking_calls: BlockBuster, tmp_path: Path
    ) -> None:
        async with own_database(no_blocking_calls) as url:
            a, b = [await Store.open(url, data_dir=tmp_path, credentials_key="c", node=node) for node in "ab"]
            await a.processes.join()
            await b.processes.join()
            clients, admission = Clients(b), Admission(b)
            caretaker = Caretaker(b, admission, Leases(b), clients.revive)
            try:
                async with clients.line(DEFAULT_OWNER, "listener", None) as line:
                    who = DEFAULT_OWNER.organisation_id, "listener", "call", "look"
                    assert await a.questions.newest(*who) == ("b", line.id)
                    await b.processes.leave()
                    assert await a.questions.newest(*who) is None
                    await caretaker.beat()
                    await clients.close()
                    assert await a.questions.newest(*who) == ("b", line.id)
            finally:
                await clients.close()
                await admission.close()
                await a.close()
                await b.close()

    async def test_nobody_is_there_any_more(self, two: tuple[Service, str]) -> None:
        service, other = two
        async with socket(service, at=other):
            pass
        call = clients(service)
        who = call.listener.owner.organisation_id, service.listener_id, call.call_id, "look"
        async with asyncio.timeout(PATIENCE):
            while await service.store.questions.newest(*who) is not None:  # noqa: ASYNC110 - its row goes beside
                await asyncio.sleep(0.01)
        with pytest.raises(ToolFault, match=NOBODY):
            await ask(service)
