"""Waits of a call, each of which ends when something happens."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def first_of(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Until one of them is set, or for so many seconds."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def unless(work: Coroutine[Any, Any, T], *events: asyncio.Event) -> T | None:
    """What ``work`` returns, or raises; None, and it is cancelled, where one of the ``events`` comes first."""
    task = asyncio.ensure_future(work)
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait((task, *waits), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for wait in waits:
            wait.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
