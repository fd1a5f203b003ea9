"""Calls that a bridge makes: the caller and somebody else, by Jambonz, without us. Each has a record of its own, which
is kept up by what Jambonz tells."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import structlog

from gateway.call_log import CallLog
from gateway.putting_through import ENDED, PuttingThrough
from gateway.surroundings import Surroundings
from jambonz import verbs
from jambonz.hooks import ActionHook, StatusHook
from jambonz.verbs import Verb
from pipelines.tools.transfer import TransferOutcome
from store.calls import NewCall

log = structlog.get_logger(__name__)

MODEL_NAME = "telephony:bridged-call"
"""Of the record of such a call: nobody of ours speaks."""

LONGEST_SECONDS = 4 * 3600.0
"""Of a bridged call: a line that was forgotten costs money, and hooks that never come leave a record open."""

EndOfBridge = TransferOutcome | Literal["caller", "callee", "shutdown"]


class BridgedCall:
    """From the first ring. ``parent`` is the caller's call, and ``through`` rings."""

    def __init__(self, parent: NewCall, through: PuttingThrough, around: Surroundings) -> None:
        self.record = NewCall(
            owner=parent.owner,
            agent_id=parent.agent_id,
            listener_id=parent.listener_id,
            model_name=MODEL_NAME,
            platform=parent.platform,
            caller_id=(through.caller_id or parent.caller_id or "").removeprefix("+") or None,
            called_id=through.number.removeprefix("+"),
            parent_id=parent.id,
            metadata=parent.metadata,
        )
        self.id = self.record.id
        self.parent_id = parent.id
        self.hangs_up = through.returns
        """Whether it is for us to say that the caller is hung up on, too: else Jambonz was told so."""
        self.over = False
        self._around = around
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._answered: float | None = None
        listener = parent.listener_id or ""
        self._log = CallLog(self.id, listener, around.recorder, around.progress, log.bind(call_id=self.id))
        around.recorder.start_call(self.record, datetime.now(UTC))
        called = {"callerId": self.record.caller_id, "calledId": self.record.called_id}
        self._log.note("call", {"callId": self.id, "parentId": parent.id, **called})

    @property
    def until(self) -> float:
        """After this, nothing is waited for."""
        return (self._answered or self._began) + LONGEST_SECONDS + 60.0

    def become(self, outcome: TransferOutcome) -> None:
        """What became of the ringing."""
        if outcome == "answered":
            self.answered()
        else:
            self.end(outcome)

    def answered(self) -> None:
        if self._answered is None:
            self._answered = self._clock()
            self._log.note("answer", {"callId": self.id})

    def end(self, reason: EndOfBridge) -> None:
        """Once, by whoever knows it first."""
        if self.over:
            return
        self.over = True
        self._log.note("hangup", {"reason": reason, "usage": []})
        went_well = reason in ("caller", "callee", "shutdown", "caller_gone")
        seconds = self._clock() - self._answered if self._answered is not None else 0.0
        status = "ended normally" if went_well else "failed"
        self._around.recorder.end_call(self.id, status, reason, datetime.now(UTC), round(seconds * 1000))


class Bridges:
    """Those of this process whose callers have left us. What is told of them is told by the caller's call."""

    def __init__(self) -> None:
        self._by_sid: dict[str, BridgedCall] = {}

    def take(self, call_sid: str, bridged: BridgedCall, *, gone: bool) -> None:
        """``call_sid`` is the caller's, who may be ``gone`` already."""
        self._forget()
        if gone:
            bridged.end("caller")
        elif not bridged.over:
            self._by_sid[call_sid] = bridged

    def call_id_of(self, call_sid: str) -> str | None:
        """The caller's call."""
        bridged = self._by_sid.get(call_sid)
        return bridged.parent_id if bridged is not None else None

    def on_status(self, hook: StatusHook) -> None:
        """The caller's state tells who hung up; that of the other may come before it, and does not."""
        if hook.call_status in ENDED and hook.call_sid in self._by_sid:
            self._end(hook.call_sid, "callee" if hook.call_termination_by == "jambonz" else "caller")

    def on_news(self, call_id: str, hook: ActionHook) -> Sequence[Verb] | None:
        """The verb that made the bridge is over: so is the caller's call."""
        for call_sid, bridged in self._by_sid.items():
            if bridged.parent_id == call_id:
                self._end(call_sid, "caller" if hook.call_status in ENDED else "callee")
                return [verbs.hangup()] if bridged.hangs_up else None
        return None

    def close(self) -> None:
        """The service stops; they go on, and nothing more is known of them."""
        for call_sid in tuple(self._by_sid):
            self._end(call_sid, "shutdown")

    def _end(self, call_sid: str, reason: EndOfBridge) -> None:
        self._by_sid.pop(call_sid).end(reason)

    def _forget(self) -> None:
        now = asyncio.get_running_loop().time()
        for call_sid, bridged in tuple(self._by_sid.items()):
            if bridged.until < now:
                self._end(call_sid, "callee")
