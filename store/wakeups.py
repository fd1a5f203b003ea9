"""What processes on one PostgreSQL tell each other at once, by LISTEN and NOTIFY. It only wakes: what counts is in the
tables, and a message that is lost costs time and nothing else.

A listener is named to all when events of its calls were stored, and when somebody watches it, so that the process of a
call hurries. A process is named where it is asked something, or answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database import Database

log = structlog.get_logger(__name__)

STORED, WATCHED, CLIENTS = "trunkline_stored", "trunkline_watched", "trunkline_clients"

ANNOUNCE_SECONDS = 5.0
"""How often it is said again who is watched; and a connection that is dead is found."""

RETRY_SECONDS = 1.0
ANSWER_SECONDS = 5.0

_TELL = "SELECT pg_notify($1, one) FROM unnest($2::text[]) AS one"


@dataclass(frozen=True, slots=True)
class Ears:
    """Whom to tell; each call returns at once. ``on_gap``: messages may have been lost, or are lost at the moment."""

    on_stored: Callable[[str], None]
    on_watched: Callable[[str], None]
    on_gap: Callable[[], None]
    watched: Callable[[], Collection[str]]
    """The listeners that are watched here."""
    on_clients: Callable[[str], None]
    """There is something for the clients of a process, which is named, or from them."""


async def tell_stored(connection: AsyncConnection, listener_ids: Collection[str], by: str) -> None:
    """Once the transaction is over. ``by`` itself is not told."""
    if listener_ids and connection.dialect.name == "postgresql":
        tell = sa.text("SELECT pg_notify(:channel, one) FROM unnest(CAST(:messages AS text[])) AS one")
        messages = [f"{by} {listener_id}" for listener_id in listener_ids]
        await connection.execute(tell, {"channel": STORED, "messages": messages})


async def tell_clients(connection: AsyncConnection, process_id: str, *, by: str) -> None:
    """There is something for this process, once the transaction is over."""
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_notify(CLIENTS, f"{by} {process_id}")))


class Wakeups:
    """:meth:`run` it in a task. ``node`` is this process."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node
        self._announce = asyncio.Event()

    def announce(self) -> None:
        """Somebody else is watched now: say so at once."""
        self._announce.set()

    async def run(self, ears: Ears) -> None:
        """For ever: a connection that is lost is replaced."""
        while True:
            try:
                await self._listen(ears)
            except Exception as error:  # noqa: BLE001 - whatever a database fails with: what is stored is asked for meanwhile
                log.warning("cannot hear of other processes; trying again", error=str(error) or "no answer in time")
            ears.on_gap()
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self, ears: Ears) -> None:
        async with self._database.apart() as connection:
            gone = asyncio.Event()

            def on_gone(_: Any) -> None:
                gone.set()
                self._announce.set()

            connection.add_termination_listener(on_gone)
            channels = ((STORED, ears.on_stored), (WATCHED, ears.on_watched), (CLIENTS, ears.on_clients))
            for channel, tell in channels:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.add_listener(channel, self._receiver(tell))
            ears.on_gap()
            while not gone.is_set():
                self._announce.clear()
                async with asyncio.timeout(ANSWER_SECONDS):  # also with nobody to name: does it still answer?
                    await connection.execute(_TELL, WATCHED, [f"{self._node} {one}" for one in ears.watched()])
                with suppress(TimeoutError):
                    async with asyncio.timeout(ANNOUNCE_SECONDS):
                        await self._announce.wait()
            raise ConnectionError("the database closed the connection")

    def _receiver(self, tell: Callable[[str], None]) -> Callable[[Any, int, str, str], None]:
        def receive(_connection: Any, _pid: int, _channel: str, message: str) -> None:
            by, _, what = message.partition(" ")
            if by != self._node:
                tell(what)

        return receive
