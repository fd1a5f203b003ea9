"""What functions need of the service that they run in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.tools.request import HttpRequest
from pipelines.tools.transfer import Transfers


class ToolFault(Exception):
    """A tool could not be run; the message is a sentence for the model, without secrets."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """``text`` is None where the answer is nothing that can be read."""

    status: int
    reason: str
    type: str
    text: str | None


class Http(Protocol):
    async def ask(self, request: HttpRequest, *, seconds: float, tenant: str) -> HttpAnswer:
        """Raises :class:`ToolFault`, within ``seconds``."""
        ...


class Recorder(Protocol):
    """Of a call that is recorded."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


def _nobody() -> Recorder | None:
    return None


@dataclass(frozen=True, slots=True)
class ToolMemory:
    """What functions have done in a call, whoever had it: ``done`` is the latest call of each, ``count`` how often."""

    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)


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
    memory: ToolMemory | None = None
    recorder: Callable[[], Recorder | None] = _nobody
