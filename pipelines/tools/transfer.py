"""What a transfer of the call is asked for with, and what may come of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pipelines.agent import Function
from pipelines.agent.telephone import target
from pipelines.parts import ToolCall
from pipelines.tools.parameters import BadArguments

Operation = Literal["blind", "consultative"]

TransferOutcome = Literal["answered", "busy", "no_answer", "declined", "failed", "caller_gone"]
"""What became of whoever was rung: a closed list, so that it can be a metric's label."""

OUTCOME_WORDS: Mapping[TransferOutcome, str] = {
    "busy": "the line is busy",
    "no_answer": "nobody answered",
    "declined": "the call was declined",
    "failed": "the call could not be connected",
}
"""For the agent to whom the caller comes back."""

_YES = re.compile(r"\s*(true|yes|1)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AskedBy:
    """The function that asked: its model is told of the outcome in that call's result."""

    call: ToolCall
    redact: bool = False


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """``number`` is a telephone number or a SIP address, ``caller_id`` whose call is seen there. ``fixed``: the
    agent's definition has the number as it stands. ``bridged``: not by REFER, whatever the trunk can. ``prompt`` and
    ``feedback`` are of consultations."""

    number: str
    caller_id: str | None = None
    operation: Operation = "blind"
    prompt: str | None = None
    feedback: bool = False
    bridged: bool = False
    fixed: bool = False
    asked_by: AskedBy | None = None


@dataclass(frozen=True, slots=True)
class TransferBegun:
    """``told`` is what the model is told. ``leaves``: the agent has the call no more, once its words were heard."""

    told: Mapping[str, Any]
    leaves: bool


class Transfers(Protocol):
    """Of one call."""

    async def request(self, wanted: TransferRequest) -> TransferBegun:
        """Raises :class:`~pipelines.tools.means.ToolFault` where it may not be, within seconds."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Of the latest one."""
        ...


class Answers(Protocol):
    """What whoever is rung in a consultation may say to the call."""

    def accept(self) -> None:
        """Raises :class:`~pipelines.tools.means.ToolFault` where the caller is gone."""
        ...

    def reject(self, reason: str) -> None: ...


def request_of(function: Function, values: Mapping[str, Any], call: ToolCall) -> TransferRequest:
    """What a call of a ``transfer`` function asks for. Raises :class:`BadArguments`."""
    operation = str(values.get("operation") or "blind").strip().lower()
    if operation not in ("blind", "consultative"):
        raise BadArguments(f"{function.name} knows the operations blind and consultative, not {operation[:40]!r}")
    number = target(str(values.get("number", "")))
    if number is None:
        raise BadArguments(f"{function.name} has no number that can be rung")
    return TransferRequest(
        number,
        caller_id=_text(values.get("callerId")),
        operation="blind" if operation == "blind" else "consultative",
        prompt=_text(values.get("transferPrompt")),
        feedback=_is_true(values.get("consultFeedback")),
        bridged=_is_true(values.get("forceBridged")),
        fixed=function.parameters["number"].source == "static",
        asked_by=AskedBy(call, function.redact),
    )


def _text(value: Any) -> str | None:
    return str(value).strip() or None if value is not None else None


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str | int) and _YES.fullmatch(str(value)) is not None)
