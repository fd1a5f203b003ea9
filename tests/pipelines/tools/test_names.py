"""Hosts of functions are looked up beside everything else, whatever becomes of it."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from typing import Any

import pytest

from pipelines.tools.means import ToolFault
from pipelines.tools.names import Names
from tests.pipelines.tools.test_http import ask

FEW = min(32, (os.cpu_count() or 1) + 4)
"""Threads of an event loop."""


@pytest.fixture
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of all names but addresses nothing comes, of those that begin with ``slow`` before the test is over. The list of
    what was looked up."""
    over, asked, real = threading.Event(), list[str](), socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **how: Any) -> Any:
        asked.append(host)
        if host.startswith("slow"):
            over.wait(30)
        if host.endswith("example"):
            raise socket.gaierror("no answer")
        return real(host, *arguments, **how)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield asked
    over.set()


async def test_a_name_that_hangs_holds_up_nobody_else(slow_names: list[str]) -> None:
    names = Names()
    waiting = [asyncio.create_task(names.resolve("slow.example", 443)) for _ in range(FEW + 1)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        [one] = await names.resolve("127.0.0.1", 443)
        assert (one["host"], one["port"], one["family"]) == ("127.0.0.1", 443, socket.AF_INET)
        assert await asyncio.to_thread(lambda: 1) == 1
    assert slow_names.count("slow.example") == 1
    for task in waiting:
        task.cancel()
    assert all(
        isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*waiting, return_exceptions=True)
    )
    await names.close()


async def test_a_request_waits_for_its_name_no_longer_than_for_anything_else(slow_names: list[str]) -> None:
    with pytest.raises(ToolFault, match=r"the service did not answer within 0\.02 s"):
        await ask("https://slow.example/", seconds=0.02)
    with pytest.raises(ToolFault, match="the service could not be reached"):
        await ask("https://no.example/")


async def test_it_is_looked_up_anew_each_time(slow_names: list[str]) -> None:
    names = Names()
    for _ in range(2):
        assert await names.resolve("127.0.0.1")
    assert slow_names == ["127.0.0.1"] * 2
    await names.close()
