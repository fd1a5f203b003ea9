"""What processes on one PostgreSQL tell each other at once, by LISTEN and NOTIFY. It only wakes: what counts is in the
tables, and a message that is lost costs time and nothing else.

A listener is named to all when events of its calls were stored, and when somebody watches it, so that the process of a
call hurries. A process is named where it is asked something, or answered. Beside that processes tell each other what is
in no table, and may be lost: :meth:`Wakeups.tell`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database import Database
from store.trouble import Trouble

log = structlog.get_logger(__name__)

STORED, WATCHED, CLIENTS, TOLD = "trunkline_stored", "trunkline_watched", "trunkline_clients", "trunkline_told"

ANNOUNCE_SECONDS = 5.0
"""How often it is said again who is watched; and a connection that is dead is found."""

RETRY_SECONDS = 1.0
ANSWER_SECONDS = 5.0

MOST_BYTES = 7900
"""Of what is told at once: PostgreSQL takes less than 8000."""

MOST_WAITING = 256
"""Messages that wait to be told: with more, those that come are lost."""

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
    on_told: Callable[[str, Mapping[str, Any]], None] = lambda _by, _message: None
    """By which process, and what."""


async def tell_clients(connection: AsyncConnection, process_id: str, *, by: str) -> None:
    """There is something for this process, once the transaction is over."""
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_notify(CLIENTS, f"{by} {process_id}")))


class Wakeups:
    """:meth:`run` it in a task. ``node`` is this process."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node
        self._work = asyncio.Event()
        self._announcing = False
        self._telling: list[str] | None = None
        """What is still to be told; None while nobody can be told anything."""

    def announce(self) -> None:
        """Somebody else is watched now: say so at once."""
        self._announcing = True
        self._work.set()

    def tell(self, message: Mapping[str, Any]) -> bool:
        """To every other process, at once, as JSON of at most :data:`MOST_BYTES`. Nobody knows whether it comes; False
        if it certainly does not."""
        text = json.dumps({"by": self._node, "what": message}, ensure_ascii=False, separators=(",", ":"))
        waiting = self._telling
        if waiting is None or len(waiting) >= MOST_WAITING or len(text.encode()) > MOST_BYTES:
            return False
        waiting.append(text)
        self._work.set()
        return True

    async def run(self, ears: Ears) -> None:
        """For ever: a connection that is lost is replaced."""
        trouble = Trouble(log, "cannot hear of other processes")
        while True:
            try:
                await self._listen(ears, trouble.over)
            except Exception as error:  # noqa: BLE001 - whatever a database fails with: what is stored is asked for meanwhile
                trouble.failed(error)
            finally:
                self._telling = None
            ears.on_gap()
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self, ears: Ears, on_heard: Callable[[], None]) -> None:
        async with self._database.apart() as connection:
            gone = asyncio.Event()

            def on_gone(_: Any) -> None:
                gone.set()
                self._work.set()

            connection.add_termination_listener(on_gone)
            receivers = {
                STORED: self._receiver(ears.on_stored),
                WATCHED: self._receiver(ears.on_watched),
                CLIENTS: self._receiver(ears.on_clients),
                TOLD: self._hearer(ears.on_told),
            }
            for channel, receiver in receivers.items():
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.add_listener(channel, receiver)
            self._telling = []
            on_heard()
            ears.on_gap()
            clock = asyncio.get_running_loop().time
            due = clock()
            while not gone.is_set():
                self._work.clear()
                if self._announcing or clock() >= due:
                    self._announcing = False
                    due = clock() + ANNOUNCE_SECONDS
                    # Also with nobody to name: does it still answer?
                    await _say(connection, WATCHED, [f"{self._node} {one}" for one in ears.watched()])
                if self._telling:
                    now, self._telling = self._telling, []
                    await _say(connection, TOLD, now)
                with suppress(TimeoutError):
                    async with asyncio.timeout(due - clock()):
                        await self._work.wait()
            raise ConnectionError("the database closed the connection")

    def _receiver(self, tell: Callable[[str], None]) -> Callable[[Any, int, str, str], None]:
        def receive(_connection: Any, _pid: int, _channel: str, message: str) -> None:
            by, _, what = message.partition(" ")
            if by != self._node:
                tell(what)

        return receive

    def _hearer(self, tell: Callable[[str, Mapping[str, Any]], None]) -> Callable[[Any, int, str, str], None]:
        def hear(_connection: Any, _pid: int, _channel: str, message: str) -> None:
            match json.loads(message):
                case {"by": str(by), "what": dict(what)} if by != self._node:
                    tell(by, what)

        return hear


async def _say(connection: Any, channel: str, messages: Collection[str]) -> None:
    async with asyncio.timeout(ANSWER_SECONDS):
        await connection.execute(_TELL, channel, messages)
