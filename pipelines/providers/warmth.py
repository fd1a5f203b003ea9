"""A connection that is open before it is needed: the handshake of TLS is done while the phone rings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

AGAIN_SECONDS = 30.0
"""A connection that was used or opened so long ago may be gone: vendors and proxies close idle ones after a minute."""

GIVE_UP_SECONDS = 3.0


class Warmth:
    """``connect`` asks for something that costs nothing, and leaves an open connection behind; what goes wrong in it is
    found out, and told, by the first request. Without TLS there is nothing to win, and nothing is done."""

    def __init__(self, base_url: str, connect: Callable[[], Awaitable[object]]) -> None:
        self._connect = connect
        self._wanted = base_url.startswith("https:")
        self._at = -AGAIN_SECONDS
        self._task: asyncio.Task[None] | None = None

    def warm(self) -> None:
        """Connect in the background, unless that was done, or asked for, just now."""
        now = asyncio.get_running_loop().time()
        if self._wanted and now - self._at >= AGAIN_SECONDS and not self.busy:
            self._at = now
            self._task = asyncio.create_task(self._run(), name="connecting ahead")

    @property
    def busy(self) -> bool:
        """A connection is on its way."""
        return self._task is not None and not self._task.done()

    def used(self) -> None:
        """A request goes out now."""
        self._at = asyncio.get_running_loop().time()

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                await self._connect()
        except Exception:  # noqa: BLE001, S110 - whatever it is, the first request meets it, too, and tells of it
            pass
