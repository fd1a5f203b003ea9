"""A connection goes from one worker to another, with the request that came on it: the descriptor itself, so that what
is heard on it afterwards goes through one process.

It is for WebSocket handshakes: between the request and its answer the client sends nothing, so the request is all that
has to be told. The other end of the connection notices nothing.
"""

from __future__ import annotations

import array
import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import structlog
from aiohttp import web

log = structlog.get_logger(__name__)

MAX_HEAD_BYTES = 64 * 1024
"""Of a request that is handed over: aiohttp takes lines of 8 KB, and some hundred of them; those of a handshake are a
kilobyte together."""

TRIES = 50
TRY_SECONDS = 0.02
"""While the other worker has more of them waiting than fit into its socket."""


class CannotHandOver(Exception):
    """The connection is still ours; the message is a sentence."""


def heard_of(request: web.Request) -> bytes:
    """The request as it came, and what a client that does not wait for its answer has sent behind it."""
    lines = [f"{request.method} {request.raw_path} HTTP/1.1".encode()]
    lines += [name + b": " + value for name, value in request.raw_headers]
    behind = request.protocol._message_tail  # noqa: SLF001 - aiohttp keeps it for whoever answers the handshake
    return b"\r\n".join(lines) + b"\r\n\r\n" + behind


async def hand_over(request: web.Request, path: Path) -> web.Response:
    """To the worker whose socket is at ``path``. Returns what the handler has to return: it goes nowhere. Raises
    :class:`CannotHandOver`."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise CannotHandOver("The connection is closed.")
    transport.pause_reading()
    head = heard_of(request)
    try:
        if len(head) > MAX_HEAD_BYTES:
            raise CannotHandOver(f"The request has {len(head)} bytes; {MAX_HEAD_BYTES} can be handed over.")
        await _send(head, transport.get_extra_info("socket").fileno(), path)
    except (OSError, CannotHandOver) as error:
        transport.resume_reading()
        if isinstance(error, CannotHandOver):
            raise
        raise CannotHandOver(f"The other worker does not take it: {error}") from None
    transport.abort()  # of ours; the connection lives on with the descriptor that was sent
    return web.Response()


async def _send(head: bytes, descriptor: int, path: Path) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for left in reversed(range(TRIES)):
            try:
                sender.sendmsg([head], rights, 0, str(path))
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ENOBUFS) or not left:
                    raise
                await asyncio.sleep(TRY_SECONDS)
            else:
                return


class Receiver:
    """Where a worker is handed connections; ``protocol`` makes what serves one."""

    def __init__(self, path: Path, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._path = path
        self._protocol = protocol
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """In place of whoever was there before. Raises OSError."""
        await asyncio.to_thread(self._path.unlink, missing_ok=True)
        await asyncio.to_thread(self._socket.bind, str(self._path))
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._on_readable)

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        await asyncio.to_thread(self._path.unlink, missing_ok=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_readable(self) -> None:
        size = socket.CMSG_SPACE(array.array("i").itemsize)
        try:
            head, ancillary, _, _ = self._socket.recvmsg(MAX_HEAD_BYTES, size, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError as error:  # no descriptors left, for instance
            log.error("a connection of another worker cannot be taken", error=str(error))
            return
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                [descriptor] = array.array("i", data)
                task = asyncio.create_task(self._adopt(socket.socket(fileno=descriptor), head))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _adopt(self, connection: socket.socket, head: bytes) -> None:
        connection.setblocking(False)
        try:
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(lambda: _Replay(self._protocol(), head), connection)
        except BaseException as error:
            with suppress(OSError):
                connection.close()
            if not isinstance(error, OSError):
                raise
            log.warning("a connection of another worker is lost", error=str(error))


class _Replay(asyncio.Protocol):
    """Tells the protocol that serves the connection of the request that came before, and is gone."""

    def __init__(self, protocol: asyncio.Protocol, head: bytes) -> None:
        self._protocol = protocol
        self._head = head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).set_protocol(self._protocol)  # uvloop's is none of asyncio's classes
        self._protocol.connection_made(transport)
        self._protocol.data_received(self._head)
