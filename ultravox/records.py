"""What Ultravox's REST API tells of a call that goes on, or went on, without us. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.events import AgentSaid, EndReason, PipelineEvent, ToolCalled, ToolReturned, UserSaid
from pipelines.json_text import duration_seconds, json_object

_REASONS: Mapping[str, EndReason] = {
    "hangup": "caller",
    "agent_hangup": "agent",
    "timeout": "max_duration",
    "unjoined": "no_media",
    "connection_error": "media_lost",
    "system_error": "failed",
}


@dataclass(frozen=True, slots=True)
class CallState:
    """``reason``: None while it goes on, and for a moment after its end. ``billed_seconds``: None until Ultravox has
    worked it out."""

    joined: bool
    ended: bool
    reason: EndReason | None
    billed_seconds: float | None

    @classmethod
    def parse(cls, call: Mapping[str, Any]) -> CallState:
        """Of ``GET /api/calls/{id}``. A reason that is not known is a failure."""
        said = call.get("endReason")
        reason = _REASONS.get(said, "failed") if isinstance(said, str) and said else None
        ended = reason is not None or bool(call.get("ended"))
        return cls(bool(call.get("joined")), ended, reason, duration_seconds(call.get("billedDuration")))


class Minutes:
    """The messages of one call, told once each and in order, as events of its log."""

    def __init__(self) -> None:
        self._arguments: dict[str, Mapping[str, Any]] = {}  # of functions that have not returned, by invocation

    def read(self, message: Mapping[str, Any]) -> Iterator[PipelineEvent]:
        """What one message tells. Of one that is not known, or is empty, nothing."""
        text, name = message.get("text"), message.get("toolName")
        invocation = str(message.get("invocationId") or "")
        if not isinstance(text, str):
            return
        match message.get("role"):
            case "MESSAGE_ROLE_USER" if text.strip():
                yield UserSaid(text.strip())
            case "MESSAGE_ROLE_AGENT" if text.strip():
                yield AgentSaid(text.strip(), 0, False, 0.0)
            case "MESSAGE_ROLE_TOOL_CALL" if isinstance(name, str):
                self._arguments[invocation] = arguments = json_object(text) or {}
                yield ToolCalled(name, arguments)
            case "MESSAGE_ROLE_TOOL_RESULT" if isinstance(name, str):
                yield ToolReturned(name, self._arguments.pop(invocation, {}), text)
