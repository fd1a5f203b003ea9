"""Where the hosts are that agents' definitions name. The system may take half a minute for a name whose servers are
away, and the threads of the event loop are few and everybody's: those who look up vendors, too. These have threads of
their own, and one name has one of them, however many ask.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

AT_ONCE = 16
"""Names that are looked up at the same time; more wait for their turn, within the time of the request."""


class Names(AbstractResolver):
    """By the system. Nothing is kept: whoever asks later is told anew."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="names")
        self._under_way: dict[tuple[Any, ...], asyncio.Future[list[Any]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError."""
        found = await asyncio.shield(self._look_up(host, port, family))
        return [
            ResolveResult(
                hostname=host, host=address[0], port=port, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST
            )
            for kind, _, protocol, _, address in found
        ]

    def _look_up(self, host: str, port: int, family: socket.AddressFamily) -> asyncio.Future[list[Any]]:
        wanted = host, port, family
        if wanted not in self._under_way:
            ask = partial(
                socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
            asking = asyncio.get_running_loop().run_in_executor(self._threads, ask)
            asking.add_done_callback(partial(self._over, wanted))
            self._under_way[wanted] = asking
        return self._under_way[wanted]

    def _over(self, wanted: tuple[Any, ...], asked: asyncio.Future[list[Any]]) -> None:
        del self._under_way[wanted]
        if not asked.cancelled():
            _ = asked.exception()  # it may be that nobody waits for it any more

    async def close(self) -> None:
        """What is looked up is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
