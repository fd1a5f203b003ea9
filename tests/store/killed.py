"""Two processes that take numbers and places as fast as they can, killed again and again at random points:

    python -m tests.store.killed DATABASE_URL SEED

Written to be run by a test: what it imports is paid for once, its workers are forked. Exits with 0 if whatever was
refused was refused in words.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import sys
import time
import traceback

import asyncpg  # noqa: F401 - all this is imported once for all workers

from store import DEFAULT_OWNER, ListenerOptions, Page, Store
from store.database import Database
from store.errors import InUse
from store.places import Place
from store.rows import new_id
from store.vault import Vault

WORKERS = 2
KILLS = 5
AT_ONCE = 6
READY_SECONDS = 30.0
ALIVE_SECONDS = 0.2
"""At most, once it is at work."""


async def work(url: str, ready: int) -> None:
    """Until it is killed. ``ready`` is a pipe that is told when it begins."""
    store = Store(Database(url), Vault("c"), new_id())  # its tables are there
    await store.processes.join()
    [agent] = await store.agents.list(DEFAULT_OWNER, Page())

    async def ask(gives_back: bool) -> None:
        """For any number, and for the place of a call on it."""
        try:
            listener, _ = await store.listeners.create(
                DEFAULT_OWNER, agent.id, number="*", options=ListenerOptions(ttl=60)
            )
        except InUse:
            return
        place = Place(new_id(), listener.id, DEFAULT_OWNER)
        await store.places.take([place])
        if gives_back:
            await store.places.give_back([place.call_id])
            await store.listeners.delete(DEFAULT_OWNER, listener.id)

    async def ask_again_and_again(gives_back: bool) -> None:
        while True:
            await ask(gives_back)

    await asyncio.gather(*(ask(gives_back=n > 0) for n in range(AT_ONCE)))  # connections are open then, one place taken
    os.write(ready, b".")
    await asyncio.gather(*(ask_again_and_again(gives_back=n > 0) for n in range(AT_ONCE)))


def start(url: str) -> tuple[int, int]:
    """The process, and a pipe that can be read once it is at work."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(work(url, tell))
        finally:
            traceback.print_exc()
            os._exit(1)
    os.close(tell)
    return pid, ready


def main(url: str, seed: int) -> int:
    dice = random.Random(seed)
    workers = [start(url) for _ in range(WORKERS)]
    failed = 0
    for kill in range(KILLS + WORKERS):
        victim, ready = workers.pop(0)
        readable, _, _ = select.select([ready], [], [], READY_SECONDS)
        time.sleep(dice.uniform(0, ALIVE_SECONDS))
        os.kill(victim, signal.SIGKILL)
        _, status = os.waitpid(victim, 0)
        failed += not (readable and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)
        os.close(ready)
        if kill < KILLS:
            workers.append(start(url))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
