"""Questions of the same kind that come at once are asked together.

A question never gets an answer that was read before it was asked: what comes while an answer is read waits for the next
one. So nothing is kept, and nothing can be out of date.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST_AT_ONCE = 500
"""Keys of one question; databases have their limits."""

READERS = 2
"""Questions that are asked at the same time: one that gets no answer does not hold up all others."""


class Batches(Generic[K, V]):
    """``load`` answers for many keys at once; those that it leaves out have no value."""

    def __init__(self, load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._load = load
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._reading = 0

    async def get(self, key: K) -> V | None:
        """Raises what ``load`` does."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[V | None] = loop.create_future()
        self._waiting.setdefault(key, []).append(answer)
        if self._reading < READERS:
            self._reading += 1
            reader = loop.create_task(self._read())
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)
        return await answer

    async def close(self) -> None:
        """Whoever still waits is told so by cancellation."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        for answers in self._waiting.values():
            for answer in answers:
                answer.cancel()
        self._waiting.clear()

    async def _read(self) -> None:
        """As long as there is anything to be asked."""
        try:
            while self._waiting:
                await self._read_once()
        finally:
            self._reading -= 1  # at once: who asks now must not wait for a reader that is about to go

    async def _read_once(self) -> None:
        keys = list(self._waiting)[:MOST_AT_ONCE]
        asked = [(key, answer) for key in keys for answer in self._waiting.pop(key) if not answer.done()]
        wanted = list(dict.fromkeys(key for key, _ in asked))  # for whoever asked and has gone nothing is to be done
        if not wanted:
            return
        try:
            found = await self._load(wanted)
            for key, answer in asked:
                if not answer.done():  # whoever asked may have gone
                    answer.set_result(found.get(key))
        except Exception as error:  # noqa: BLE001 - it is theirs who asked
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
        finally:
            for _, answer in asked:
                answer.cancel()
