"""The progress socket: what a watcher missed, and then what happens, as :mod:`gateway.feed` has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from gateway import metrics
from gateway.clients import Line
from gateway.feed import StoreAway
from gateway.progress import Event

log = structlog.get_logger(__name__)

SEND_SECONDS = 10.0
"""The longest that a watcher may take to accept one event, or that its socket is closed."""

HEARTBEAT = 20.0

MOST_BYTES = 1024 * 1024
"""Of a message: as of a body of the API."""

STANDS_SECONDS = 15.0
"""Between two looks at whether a watcher's key is still good."""

TOO_SLOW = "too slow: go on with the cursor of the last event, as ?since="
NO_STORE = "the events before now cannot be read: try again with the same cursor"
NO_KEY = "the key or token that this was opened with is no longer good"
STOPPED = "the service stops: go on with the cursor of the last event, as ?since="

_LABELS = {TOO_SLOW: "too_slow", NO_STORE: "no_store", NO_KEY: "no_key", STOPPED: "stopped"}
_CODES = {NO_KEY: WSCloseCode.POLICY_VIOLATION, STOPPED: WSCloseCode.GOING_AWAY}


async def watch(
    request: web.Request,
    events: AsyncGenerator[Event, None],
    line: Line,
    answer: Callable[[str], Awaitable[Event]],
    stands: Callable[[], Awaitable[bool]],
    stopping: asyncio.Event,
) -> web.WebSocketResponse:
    """Serve one watcher until it leaves, or is closed with the reason: 1013, but 1008 where what it was let in by no
    longer ``stands``, and 1001 once the service is ``stopping``. On ``line`` it answers functions; ``answer`` replies
    to what else it sends, one message after the other."""
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT, compress=False, max_msg_size=MOST_BYTES)
    await socket.prepare(request)
    transport = request.transport
    reader = asyncio.create_task(_read(socket, line, answer))
    working = (_send(socket, events), _ask(socket, line), _until_not(stands), _until(stopping))
    others = [asyncio.create_task(one) for one in working]
    reason = None
    try:
        done, _ = await asyncio.wait((reader, *others), return_when=asyncio.FIRST_COMPLETED)
        if reader not in done:
            reason = next(task for task in others if task in done).result()
            metrics.watchers_closed.labels(_LABELS[reason]).inc()
    except ConnectionError:
        pass  # it is gone
    finally:
        for task in (reader, *others):
            task.cancel()
        await asyncio.gather(reader, *others, return_exceptions=True)
    code = WSCloseCode.OK if reason is None else _CODES.get(reason, WSCloseCode.TRY_AGAIN_LATER)
    # In a task of its own: what waits to be sent was cancelled above, and with it whatever waits for that.
    closing = asyncio.create_task(socket.close(code=code, message=(reason or "").encode(), drain=False))
    await asyncio.wait((closing,), timeout=SEND_SECONDS)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    if transport is not None and transport.get_write_buffer_size():
        transport.abort()  # who reads nothing would keep it for ever, with all that waits to be sent
    return socket


async def _until_not(stands: Callable[[], Awaitable[bool]]) -> str:
    while await stands():  # noqa: ASYNC110 - it is looked up
        await asyncio.sleep(STANDS_SECONDS)
    return NO_KEY


async def _until(stopping: asyncio.Event) -> str:
    await stopping.wait()
    return STOPPED


async def _send(socket: web.WebSocketResponse, events: AsyncGenerator[Event, None]) -> str:
    """Returns why it went no further. Raises ConnectionError if nobody is there."""
    async with aclosing(events):
        try:
            async for event in events:
                if not await _accepted(socket, event):
                    break
        except StoreAway as error:
            log.warning("cannot read what a watcher missed", error=str(error))
            return NO_STORE
    return TOO_SLOW


async def _accepted(socket: web.WebSocketResponse, event: Event) -> bool:
    """Whether the watcher took it in time."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await socket.send_str(json.dumps(event))
    except TimeoutError:
        return False
    return True


async def _ask(socket: web.WebSocketResponse, line: Line) -> str:
    """Questions of functions, and what became of its answers. Returns why it went no further."""
    while await _accepted(socket, await line.outbox.get()):
        pass
    return TOO_SLOW


async def _read(socket: web.WebSocketResponse, line: Line, answer: Callable[[str], Awaitable[Event]]) -> None:
    """Until it is closed."""
    async for message in socket:
        if message.type is WSMsgType.ERROR:
            return
        if message.type is not WSMsgType.TEXT or await line.hear(message.data):
            continue
        if not await _accepted(socket, await answer(message.data)):
            return
