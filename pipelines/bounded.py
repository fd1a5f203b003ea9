"""Streams of vendors with a bound on each wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

from pipelines.parts import ProviderError

T = TypeVar("T")


class Patience:
    """How long a stream is waited for: ``first`` seconds for its first item, ``then`` for each further one.

    :meth:`end` ends a wait that is under way for ``item`` seconds or longer.
    """

    def __init__(self, first: float, then: float) -> None:
        self.first, self.then = first, then
        self._wait: asyncio.Timeout | None = None
        self._since = 0.0
        self._loop = asyncio.get_running_loop()

    def end(self, seconds: float) -> None:
        now = self._loop.time()
        if self._wait is not None and now - self._since >= seconds:
            self._wait.reschedule(now)

    async def of(self, stream: AsyncGenerator[T, None], provider: str, complaint: str) -> AsyncGenerator[T, None]:
        """The items of ``stream``, which is closed however this ends. A wait that ends is a :class:`ProviderError`
        which begins with ``complaint``."""
        seconds = self.first
        try:
            while True:
                self._since = self._loop.time()
                try:
                    async with asyncio.timeout(seconds) as self._wait:
                        item = await anext(stream)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    waited = self._loop.time() - self._since
                    raise ProviderError(provider, "timeout", f"{complaint} within {waited:.2g} s") from None
                finally:
                    self._wait = None
                seconds = self.then
                yield item
        finally:
            await stream.aclose()
