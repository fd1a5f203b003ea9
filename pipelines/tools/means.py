"""What functions need of the service that they run in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from pipelines.functions import PythonFunction, RunContext
from pipelines.tools.mcp_wire import McpServer, McpTool
from pipelines.tools.request import HttpRequest
from pipelines.tools.transfer import Answers, Transfers


class ToolFault(Exception):
    """A tool could not be run; the message is a sentence for the model, without secrets."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """``text`` is None where the answer is nothing that can be read."""

    status: int
    reason: str
    type: str
    text: str | None
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)
    """By their names in lower case."""


class Http(Protocol):
    async def ask(self, request: HttpRequest, *, seconds: float, tenant: str) -> HttpAnswer:
        """Raises :class:`ToolFault`, within ``seconds``."""
        ...


class Python(Protocol):
    """Functions that are written in Python, by name."""

    def get(self, name: str) -> PythonFunction | None: ...

    async def run(self, function: PythonFunction, values: Mapping[str, Any], run: RunContext, seconds: float) -> Any:
        """What it returns, as JSON has it. Raises :class:`ToolFault`, within ``seconds``."""
        ...


class Mcp(Protocol):
    """Tools of MCP servers."""

    async def tools(self, server: McpServer) -> Sequence[McpTool]:
        """Raises :class:`ToolFault`, in bounded time."""
        ...

    async def call(
        self, server: McpServer, tool: str, arguments: Mapping[str, Any], *, seconds: float, meta: Mapping[str, str]
    ) -> Any:
        """Raises :class:`ToolFault`, within ``seconds``."""
        ...


class Clients(Protocol):
    """Those who watch the call, and answer functions."""

    async def ask(self, name: str, arguments: Mapping[str, Any], *, seconds: float) -> Any:
        """What one of them answers, as JSON. Raises :class:`ToolFault`, within ``seconds``."""
        ...


class Recorder(Protocol):
    """Of a call that is recorded."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


def _nobody() -> Recorder | None:
    return None


@dataclass(frozen=True, slots=True)
class ToolMemory:
    """What functions have done in a call, whoever had it: ``done`` is the latest call of each, ``count`` how often.
    ``data`` is what those in Python keep until the call is over."""

    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Means:
    """Of one call. What is None cannot be done here, and functions of that kind are not offered to the model.
    ``metadata`` is the call's own, beside the listener's. Without a ``memory`` each pipeline begins anew. ``recorder``:
    who records it now, if somebody does."""

    call_id: str = ""
    tenant: str = ""
    http: Http | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    transfers: Transfers | None = None
    answers: Answers | None = None
    memory: ToolMemory | None = None
    recorder: Callable[[], Recorder | None] = _nobody
    python: Python | None = None
    clients: Clients | None = None
    mcp: Mcp | None = None
    log: Any = field(default_factory=structlog.get_logger)
    press: Callable[[str], Awaitable[None]] | None = None
    """Presses keys, while the agent is silent; raises :class:`ToolFault`."""
