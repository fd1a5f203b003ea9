"""Messages into calls of another service on the same PostgreSQL. They run where TEST_DATABASE_URL names a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from blockbuster import BlockBuster

from gateway.api import messages
from gateway.keys import FEEDS
from pipelines.messages import Tell
from store import DEFAULT_OWNER
from tests.gateway.api_service import conforms
from tests.gateway.service import KEY, Service, serving
from tests.gateway.test_messages import LONG, OTHER_KEY, speaking
from tests.gateway.test_two_processes import another
from tests.steady import PATIENCE
from tests.store.server import SERVER, own_database

pytestmark = pytest.mark.skipif(not SERVER, reason="no PostgreSQL: set TEST_DATABASE_URL to test against one")


@dataclass(slots=True)
class Two:
    """``service`` has the calls, ``other`` is asked."""

    service: Service
    other: TestServer

    async def ask(self, method: str, path: str, body: Any = None, *, key: str = KEY) -> tuple[int, Any]:
        url = f"{str(self.other.make_url('')).rstrip('/')}/api{path}"
        headers = {"Authorization": f"Bearer {key}"}
        async with self.service.http.request(method, url, json=body, headers=headers) as answer:
            given = json.loads(await answer.text())
            conforms(method, path, answer.status, given)
            return answer.status, given


@pytest_asyncio.fixture
async def two(no_blocking_calls: BlockBuster, tmp_path: Path) -> AsyncIterator[Two]:
    async with own_database(no_blocking_calls) as url:
        agent = {"options": {"greeting": LONG}}
        async with (
            serving(tmp_path / "a", agent=agent, database_url=url, credentials_key="c") as service,
            another(tmp_path / "b", url) as other,
        ):
            stranger = await service.store.accounts.create_organisation("other")
            await service.store.accounts.add_key(stranger, "other", OTHER_KEY)
            yield Two(service, other)


async def stored(service: Service, call_id: str) -> None:
    """The call's row is written beside it."""
    async with asyncio.timeout(PATIENCE):
        while await service.store.calls.get(DEFAULT_OWNER, call_id) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_message_reaches_the_service_that_has_the_call(two: Two) -> None:
    """In the order in which they come, and refused as they are there."""
    async with speaking(two.service) as call_id:
        await stored(two.service, call_id)
        path = f"/calls/{call_id}"
        assert (await two.ask("PATCH", path, {"context": "Ann."}))[0] == 202
        for n in range(5):
            text = {"text": f"text {n}", "urgency": "later"}
            assert await two.ask("POST", f"{path}/text", text) == (202, {"callId": call_id, "command": "text"})
        assert (await two.ask("POST", f"{path}/say", {"text": "x" * 7300}))[0] == 202
        more = {"text": "more", "urgency": "later"}
        answers = await asyncio.gather(*(two.ask("POST", f"{path}/text", more) for _ in range(8)))
        assert {status for status, _ in answers} == {202}
        status, refused = await two.ask("POST", f"{path}/dtmf", {"digits": "1"})
        assert (status, refused["code"]) == (501, "NOT_IMPLEMENTED")
        status, refused = await two.ask("PATCH", path, {"functions": [{"name": "a", "implementation": "x"}]})
        assert (status, refused["code"]) == (400, "VALIDATION_ERROR")
        assert (await two.ask("POST", f"{path}/text", {"text": "x"}, key=OTHER_KEY))[0] == 404
        for body in ({"keys": [{"name": "k", "in": "bearer", "value": "the-secret"}]}, {"prompt": "ä" * 4000}):
            status, refused = await two.ask("PATCH", path, body)
            assert (status, refused["code"]) == (409, "ELSEWHERE")
        [pipeline] = two.service.factory.pipelines
        assert [one.text for one in pipeline._inbox.all if isinstance(one, Tell)] == [
            *(f"text {n}" for n in range(5)),
            *["more"] * 8,
        ]
        assert (await two.ask("POST", f"{path}/hangup", {"reason": "enough"}))[0] == 202
        await two.service.quiet()
    async with asyncio.timeout(PATIENCE):
        while (call := await two.service.store.calls.get(DEFAULT_OWNER, call_id)) is None or not call.ended_at:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert call.end_reason == "api"
    assert (await two.ask("POST", f"/calls/{call_id}/text", {"text": "x"}))[0] == 410


async def test_a_service_that_does_not_answer(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked is told that it is not known."""
    monkeypatch.setattr(messages, "PASS_SECONDS", 0.3)
    async with speaking(two.service) as call_id:
        await stored(two.service, call_id)
        monkeypatch.setattr(two.service.server.app[FEEDS].elsewhere.asking, "_answering", {})
        status, answer = await two.ask("POST", f"/calls/{call_id}/text", {"text": "x"})
        assert (status, answer["code"]) == (503, "UNAVAILABLE")
        assert "may have been taken, or not" in answer["error"]
