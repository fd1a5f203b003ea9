"""The progress socket: what a watcher missed, from the store and from what waits for it, and then what happens.

All events of a process are in one order: each has a moment of its own, which is its cursor. What is sent at first lies
after the watcher's cursor and not after the moment at which it began to watch; what is live lies after that moment. So
there is neither a gap nor a doubled event between the two.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import datetime
from operator import itemgetter

import structlog
from aiohttp import WSMsgType, web

from gateway import metrics
from gateway.progress import Event, Progress, Watcher, describe
from gateway.recorder import Recorder
from store import Owner, Store

log = structlog.get_logger(__name__)

SEND_SECONDS = 10.0
"""The longest that a watcher may take to accept one event."""

HEARTBEAT = 20.0

PAGE = 200
"""Stored events that are read at once."""

STORE_SECONDS = 5.0

TOO_SLOW = "too slow: go on with the cursor of the last event, as ?since="
NO_STORE = "the events before now cannot be read: try again with the same cursor"


async def missed(
    store: Store,
    recorder: Recorder,
    owner: Owner,
    listener_id: str,
    *,
    call_id: str | None,
    after: datetime,
    until: datetime,
) -> AsyncGenerator[Event, None]:
    """The events after ``after``, up to and with ``until``, in their order. Raises what the store raises, and
    TimeoutError."""
    # First what waits: what leaves it from now on is in the store before that is read.
    waiting = {
        (event.at, call, event.seq): event
        for call, event in recorder.waiting(listener_id)
        if after < event.at <= until and call_id in (None, call)
    }
    while True:
        async with asyncio.timeout(STORE_SECONDS):
            page = await store.calls.events_of_listener(
                owner, listener_id, call_id=call_id, after=after, until=until, limit=PAGE
            )
        last = page[-1][1].at if len(page) == PAGE else until
        stored = {(event.at, call, event.seq): event for call, event in page}
        sooner = {key: event for key, event in waiting.items() if after < key[0] <= last}
        for (_, call, _), event in sorted((sooner | stored).items(), key=itemgetter(0)):
            yield describe(call, event)
        if len(page) < PAGE:
            return
        after = last


async def watch(
    request: web.Request,
    progress: Progress,
    store: Store,
    recorder: Recorder,
    owner: Owner,
    listener_id: str,
    *,
    call_id: str | None,
    since: datetime | None,
) -> web.WebSocketResponse:
    """Serve one watcher until it leaves, or is closed with 1013 and the reason."""
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT, compress=False, max_msg_size=64 * 1024)
    await socket.prepare(request)
    with progress.watch(listener_id, call_id) as watcher:
        reader = asyncio.create_task(_until_closed(socket))
        sender = asyncio.create_task(_send(socket, watcher, store, recorder, owner, listener_id, call_id, since))
        reason = None
        try:
            await asyncio.wait((sender, reader), return_when=asyncio.FIRST_COMPLETED)
            if sender.done() and not reader.done():
                reason = sender.result()
            if reason is not None:
                metrics.watchers_closed.labels("no_store" if reason == NO_STORE else "too_slow").inc()
        except ConnectionError:
            pass  # it is gone
        finally:
            for task in (reader, sender):
                task.cancel()
            await asyncio.gather(reader, sender, return_exceptions=True)
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(SEND_SECONDS):
                await socket.close(code=1013 if reason else 1000, message=(reason or "").encode())
    return socket


async def _send(
    socket: web.WebSocketResponse,
    watcher: Watcher,
    store: Store,
    recorder: Recorder,
    owner: Owner,
    listener_id: str,
    call_id: str | None,
    since: datetime | None,
) -> str | None:
    """Returns why it went no further. Raises ConnectionError if nobody is there."""
    if since is not None:
        earlier = missed(store, recorder, owner, listener_id, call_id=call_id, after=since, until=watcher.since)
        async with aclosing(earlier):
            while True:
                try:
                    event = await anext(earlier, None)
                except Exception as error:  # noqa: BLE001 - whatever a database fails with: the watcher can come again
                    log.warning("cannot read what a watcher missed", listener_id=listener_id, error=str(error))
                    return NO_STORE
                if event is None:
                    break
                if not await _accepted(socket, event):
                    return TOO_SLOW
    while (live := await watcher.next()) is not None:
        if not await _accepted(socket, live):
            return TOO_SLOW
    return TOO_SLOW


async def _accepted(socket: web.WebSocketResponse, event: Event) -> bool:
    """Whether the watcher took it in time."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await socket.send_str(json.dumps(event))
    except TimeoutError:
        return False
    return True


async def _until_closed(socket: web.WebSocketResponse) -> None:
    async for message in socket:
        if message.type is WSMsgType.ERROR:
            return
