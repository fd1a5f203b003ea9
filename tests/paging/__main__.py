"""Stores calls, asks for pages of them over HTTP, and prints how long each kind takes. Exits with 1 above the bound.

SQLite in a temporary directory; a PostgreSQL as well where TEST_DATABASE_URL names a server on this host.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.api import setup
from gateway.keys import SETTINGS, STORE
from gateway.settings import Settings
from pipelines.agent import AgentDefinition
from store import DEFAULT_OWNER, Store
from store.calls import OVERTAKEN
from store.database import parse_url
from store.tables import calls

ECHO = AgentDefinition.model_validate({"modelName": "scripted/echo", "prompt": "Echo."})
KEY = "key-of-the-default-user"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
APART = timedelta(seconds=20)
BATCH = 10_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--pages", type=int, default=500, help="of each kind")
    parser.add_argument("--bound", type=float, default=50.0, help="of the 99th percentile, in milliseconds")
    given = parser.parse_args()
    slowest = asyncio.run(measure_all(given.calls, given.pages))
    if slowest > given.bound:
        print(f"Too slow: {slowest:.1f} ms, and {given.bound:.0f} ms is the bound.")
    return int(slowest > given.bound)


async def measure_all(count: int, pages: int) -> float:
    """The 99th percentile of the slowest kind of page, in milliseconds."""
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp))
    try:
        slowest = await measure("SQLite", f"sqlite:///{directory}/calls.sqlite3", directory, count, pages)
        if server := os.environ.get("TEST_DATABASE_URL"):
            name = f"paging_{uuid.uuid4().hex}"
            await administer(server, f'CREATE DATABASE "{name}"')
            try:
                url = parse_url(server).set(database=name, drivername="postgresql")
                place = url.render_as_string(hide_password=False)
                slowest = max(slowest, await measure("PostgreSQL", place, directory, count, pages))
            finally:
                await administer(server, f'DROP DATABASE "{name}" WITH (FORCE)')
        else:
            print("PostgreSQL: not measured, TEST_DATABASE_URL names no server.")
    finally:
        await asyncio.to_thread(shutil.rmtree, directory)
    return slowest


async def administer(server: str, statement: str) -> None:
    engine = create_async_engine(parse_url(server), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql(statement)
    await engine.dispose()


async def measure(name: str, url: str, directory: Path, count: int, pages: int) -> float:
    store = await Store.open(url, data_dir=directory, credentials_key="c")
    try:
        agents = [(await store.agents.create(DEFAULT_OWNER, ECHO)).id for _ in range(100)]
        await fill(store, count, agents)
        await store.accounts.add_key(DEFAULT_OWNER, "mine", KEY)
        kinds = kinds_of_pages(agents)
        app = Application()
        app[STORE], app[SETTINGS] = store, Settings(requests_per_second=0)
        setup(app)
        async with TestClient(TestServer(app)) as client:
            return max(
                [
                    await timed(client, f"{name}, {count:,} calls, a page {kind}", ask, count, pages)
                    for kind, ask in kinds.items()
                ]
            )
    finally:
        await store.close()


async def fill(store: Store, count: int, agents: list[str]) -> None:
    """Calls of one organisation and a hundred agents, in the order of their index; few began in another."""
    chance = random.Random(1)
    async with store._database.write() as connection:
        for low in range(0, count, BATCH):
            rows: list[dict[str, Any]] = [
                {
                    "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
                    "organisation_id": DEFAULT_OWNER.organisation_id,
                    "user_id": DEFAULT_OWNER.user_id,
                    "index": index + 1,
                    "agent_id": agents[index % len(agents)],
                    "platform": "jambonz",
                    "model_name": "scripted/echo",
                    "caller_id": "441",
                    "called_id": "442",
                    "metadata": {},
                    "status": "ended normally",
                    "end_reason": "caller",
                    "duration_ms": 90_000,
                    "created_at": FIRST,
                    "started_at": (began := FIRST + APART * (index + chance.randrange(min(9, OVERTAKEN)))),
                    "ended_at": began + timedelta(seconds=90),
                }
                for index in range(low, min(low + BATCH, count))
            ]
            await connection.execute(sa.insert(calls), rows)
    async with store._database.write() as connection:
        await connection.exec_driver_sql("ANALYZE")


def moment(index: float) -> str:
    return (FIRST + APART * index).isoformat()


Ask = Callable[[random.Random, int], tuple[str, dict[str, Any]]]


def kinds_of_pages(agents: list[str]) -> dict[str, Ask]:
    """What is asked for, at a place by chance among so many calls."""
    path = "/api/calls"
    return {
        "at the beginning": lambda chance, count: (path, {}),
        "anywhere": lambda chance, count: (path, {"lastIndex": chance.randrange(count)}),
        "of 200": lambda chance, count: (path, {"lastIndex": chance.randrange(count), "limit": 200}),
        "from a moment on": lambda chance, count: (path, {"startDate": moment(chance.randrange(count))}),
        "up to a moment": lambda chance, count: (
            path,
            {"endDate": moment(chance.randrange(count)), "lastIndex": chance.randrange(count)},
        ),
        "of an hour": lambda chance, count: (
            path,
            {"startDate": moment(at := chance.randrange(count)), "endDate": moment(at + 180)},
        ),
        "of a time without calls": lambda chance, count: (path, {"startDate": moment(count * 2)}),
        "of an agent": lambda chance, count: (f"/api/agents/{chance.choice(agents)}/calls", {}),
        "of an agent, of an hour": lambda chance, count: (
            f"/api/agents/{chance.choice(agents)}/calls",
            {"startDate": moment(at := chance.randrange(count)), "endDate": moment(at + 180)},
        ),
    }


async def timed(client: TestClient[Any, Any], what: str, ask: Ask, count: int, pages: int) -> float:
    chance, took = random.Random(2), []
    for _ in range(pages):
        path, query = ask(chance, count)
        started = time.perf_counter()
        async with client.get(path, params=query, headers={"Authorization": f"Bearer {KEY}"}) as answer:
            body = await answer.json()
        took.append((time.perf_counter() - started) * 1000)
        assert answer.status == 200, body
    tail = statistics.quantiles(took, n=100)[98]
    print(f"{what}: median {statistics.median(took):.1f} ms, p99 {tail:.1f} ms")
    return tail


if __name__ == "__main__":
    sys.exit(main())
