"""What processes on one PostgreSQL ask each other's clients, by rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa
from blockbuster import BlockBuster

from store import DEFAULT_OWNER, Store
from store.questions import KEPT, ClientSocket, Question
from store.tables import client_questions
from tests.store.server import SERVER, own_database

pytestmark = pytest.mark.skipif(not SERVER, reason="no PostgreSQL: set TEST_DATABASE_URL to test against one")
ORGANISATION = DEFAULT_OWNER.organisation_id


@pytest_asyncio.fixture
async def stores(no_blocking_calls: BlockBuster, tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    async with own_database(no_blocking_calls) as url:
        a, b = [await Store.open(url, data_dir=tmp_path, credentials_key="c", node=node) for node in "ab"]
        await a.processes.join()
        await b.processes.join()
        yield a, b
        await a.close()
        await b.close()


def socket(id: str, names: list[str] | None = None, call_id: str | None = None) -> ClientSocket:
    return ClientSocket(id, ORGANISATION, "listener", names, call_id)


def question(id: str) -> Question:
    return Question(id, "s", ORGANISATION, "listener", {"function_calls": []})


async def test_the_newest_that_answers_the_function(stores: tuple[Store, Store]) -> None:
    a, b = stores
    who = ORGANISATION, "listener", "call"
    assert await a.questions.newest(*who, "look") is None
    await a.questions.open(socket("1"))
    await b.questions.open(socket("2", ["look"]))
    await b.questions.open(socket("3", None, "another-call"))
    assert await a.questions.newest(*who, "look") == ("b", "2")
    assert await a.questions.newest(*who, "book") == ("a", "1")
    assert await a.questions.newest("another", "listener", "call", "look") is None
    await b.processes.leave()  # its sockets go with it
    assert await a.questions.newest(*who, "look") == ("a", "1")
    await a.questions.close("1")
    assert await a.questions.newest(*who, "look") is None


async def test_a_question_is_told_once_and_answered_once(stores: tuple[Store, Store]) -> None:
    a, b = stores
    await a.questions.put(question("1"), process_id="b", seconds=60)
    assert await a.questions.asked_here() == []
    assert [asked.id for asked in await b.questions.asked_here()] == ["1"]
    assert await b.questions.asked_here() == []
    answer = {"result": 7}
    for organisation, listener in (("another", "listener"), (ORGANISATION, "another")):
        assert await b.questions.answer(organisation, listener, "1", answer) == "unknown"
    assert await b.questions.answer(ORGANISATION, "listener", "1", answer) == "taken"
    assert await b.questions.answer(ORGANISATION, "listener", "1", {"result": 8}) == "answered"
    assert await a.questions.answered_elsewhere() == {"1": answer}
    assert await b.questions.answered_elsewhere() == {}
    await a.questions.drop("1")
    assert await b.questions.answer(ORGANISATION, "listener", "1", answer) == "unknown"


async def test_one_that_is_over_takes_no_answer_and_goes(stores: tuple[Store, Store]) -> None:
    a, b = stores
    await a.questions.put(question("1"), process_id="b", seconds=-1)
    assert await b.questions.asked_here() == []
    assert await b.questions.answer(ORGANISATION, "listener", "1", {"result": 7}) == "late"
    await a.questions.put(question("2"), process_id="b", seconds=-KEPT.total_seconds() - 1)
    await a.questions.put(question("3"), process_id="a", seconds=60)
    async with a._database.read() as connection:
        left = set(await connection.scalars(sa.select(client_questions.c.id)))
    assert left == {"1", "3"}
