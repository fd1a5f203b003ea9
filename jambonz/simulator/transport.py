"""How the simulated feature server reaches the service: by HTTP and WebSocket, or by plain calls in a test.

:class:`~jambonz.simulator.network.AiohttpTransport` is the real one, :class:`~jambonz.simulator.memory.MemoryTransport`
the one for virtual time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

SUBPROTOCOL = "audio.jambonz.org"
NORMAL_CLOSURE = 1000


class HookResponse(NamedTuple):
    status: int
    content_type: str
    body: bytes


class HookUnreachable(Exception):
    """No response: refused, reset, or none in time. ``code`` is Node's word for it (ECONNREFUSED, ...)."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = code


class SocketRefused(Exception):
    """The listen socket was not opened. ``status`` is the HTTP status of the answer, if there was one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class SocketHandler(Protocol):
    """Who is told what comes in on a socket."""

    def on_text(self, text: str) -> None: ...

    def on_binary(self, data: bytes) -> None: ...

    def on_closed(self, code: int) -> None:
        """Called once, whoever closed."""
        ...


class ServiceSocket(Protocol):
    """An open socket, one end of it. Sending never blocks; what is sent after the close is lost."""

    @property
    def writable(self) -> bool:
        """False while the other end does not take what was sent."""
        ...

    def send_text(self, text: str) -> None: ...

    def send_binary(self, data: bytes) -> None: ...

    def close(self, code: int = NORMAL_CLOSURE) -> None: ...


class HookTransport(Protocol):
    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HookResponse:
        """Raises :class:`HookUnreachable`. The caller bounds the time."""
        ...


class SocketTransport(Protocol):
    async def connect(
        self, url: str, *, subprotocol: str, headers: Mapping[str, str], handler: SocketHandler
    ) -> ServiceSocket:
        """Raises :class:`SocketRefused`. The caller bounds the time."""
        ...


class Transport(HookTransport, SocketTransport, Protocol):
    """Both."""
