"""A consultative transfer: somebody else is rung, and an agent of ours asks whether he takes the call. If he does, both
are sent to one room; if not, the caller's agent learns why, and has had the call all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from gateway import metrics
from gateway.control import ControlFailed
from gateway.waiting import first_of, unless
from pipelines.agent.consultant import consultant, opening
from pipelines.events import EndReason
from pipelines.tools.means import ToolFault
from pipelines.tools.transfer import OUTCOME_WORDS, TransferOutcome, TransferRequest
from store.listeners import ListenerForCall

if TYPE_CHECKING:
    from gateway.session import CallSession

Place = Callable[["ListenerForCall", Callable[["CallSession"], None]], Coroutine[Any, Any, "CallSession"]]
"""Has the number rung for a listener, once the call was prepared, and gives it."""

State = Literal["dialling", "talking", "accepted", "rejected", "failed", "answered"]

PARTING_SECONDS = 25.0
"""The longest that an agent may take to say his last words, and Jambonz to come for what is next."""

MEETING_SECONDS = 1.0
"""From the second of them being sent to the room: by then both are there, or it is known that one is gone."""

HOOK_SECONDS = 0.5
"""Who is out of the room by himself is told of sooner than this."""

_OUTCOMES: dict[str, TransferOutcome] = {"busy": "busy", "no_answer": "no_answer", "declined": "declined"}
"""How a call that nobody answered has ended."""


class Consultation:
    """Of one call; :meth:`run` it in a task."""

    def __init__(self, call: CallSession, wanted: TransferRequest) -> None:
        self.state: State = "dialling"
        self.reason = ""
        self.other: CallSession | None = None
        self._call = call
        self._wanted = wanted
        self._decided = asyncio.Event()
        self._accepted = False

    @property
    def under_way(self) -> bool:
        return self.state in ("dialling", "talking", "accepted")

    # What whoever is rung says (Answers)

    def accept(self) -> None:
        if self._call.over.is_set() or self.other is None:
            raise ToolFault("the caller has hung up: there is nobody to be connected with; say so, and say goodbye")
        self._accepted = True
        self.other.transfers.will_meet(self._room)
        self._decided.set()

    def reject(self, reason: str) -> None:
        self.reason = reason.strip()
        self._decided.set()

    @property
    def _room(self) -> str:
        return f"trunkline-{self._call.id}"

    # Its course

    async def run(self, place: Place) -> None:
        try:
            await self._run(place)
        except Exception as error:
            self._call.log.error("a consultation failed", exc_info=error)
            self._fail("failed", "")

    async def _run(self, place: Place) -> None:
        call = self._call
        self._note_state(self.state)
        try:
            other = await unless(place(self._listener(), self._prepare), call.over)
        except Exception as error:  # noqa: BLE001 - nobody rings, whatever the reason
            call.log.warning("nobody can be rung for a consultation", error=str(error) or type(error).__name__)
            self._fail("failed", str(error))
            return
        if other is None:
            self._caller_gone()
            return
        self.other = other
        await first_of(other.attached, other.over, call.over)
        if not other.over.is_set() and not call.over.is_set():
            self._enter("talking")
            if self._wanted.feedback:
                self._tell_agent("They have answered, and are being asked whether they take the call.")
            await first_of(self._decided, other.over, call.over)
        if call.over.is_set():
            await self._call_off(other)
        elif self._accepted:
            await self._join(other)
        elif self._decided.is_set():
            self._enter("rejected")
            metrics.transfers.labels("consultative", "room", "declined").inc()
            self._tell_agent(f"They do not take the call. Their reason: {self.reason or 'none was given'}")
        else:
            self._fail(_OUTCOMES.get(other.reason or "", "failed"), "")

    def _listener(self) -> ListenerForCall:
        own = self._call.listener
        agent = consultant(own.agent, self._wanted.prompt, self._call.record.log.conversation)
        metadata = {name: value for name, value in own.options.metadata.items() if name != "callHook"}
        options = replace(own.options, recording=None, agent_limit=None, metadata=metadata)
        return replace(own, agent=agent, number=None, options=options)

    def _prepare(self, other: CallSession) -> None:
        """Before it is rung."""
        other.answers = self
        other.record.row = replace(other.record.row, parent_id=self._call.id)
        other.opening = opening()

    async def _call_off(self, other: CallSession) -> None:
        """The caller has hung up: nobody is left ringing, and whoever has answered is told."""
        self._caller_gone()
        if other.dialling is not None and other.dialling.rings:
            other.end("caller")
        elif other.handing.leaving:
            await self._hang_up(other, "agent")
        elif other.speaker is not None:
            other.speaker.say_and_end(other.phrases.caller_gone, "agent")
        else:
            other.end("agent")

    async def _join(self, other: CallSession) -> None:
        """First whoever was rung is sent to the room, then the caller, after a word."""
        call = self._call
        self._enter("accepted")
        await first_of(other.handing.asked, other.over, call.over, seconds=PARTING_SECONDS)
        if other.handing.asked.is_set() and not other.over.is_set() and not call.over.is_set():
            call.transfers.will_meet(self._room, comes_back=True)
            if call.speaker is not None:
                call.speaker.say_and_end(call.phrases.connecting, "transferred")
            await first_of(call.handing.asked, other.over, call.over, seconds=PARTING_SECONDS)
        if call.handing.asked.is_set():
            await first_of(other.over, call.over, seconds=MEETING_SECONDS)
        if call.over.is_set():
            await self._call_off(other)
        elif other.over.is_set() or not call.handing.asked.is_set():
            await self._bring_back(other)
        else:
            self._met(other)

    def _met(self, other: CallSession) -> None:
        call = self._call
        call.handing.record_room(self._wanted.number, other.record.row.caller_id)
        self._enter("answered")
        metrics.transfers.labels("consultative", "room", "answered").inc()
        other.handing.met()
        call.handing.met()

    async def _bring_back(self, other: CallSession) -> None:
        """Whoever took the call is gone before they have met."""
        call = self._call
        if call.handing.leaving:
            await first_of(call.handing.asked, call.over, seconds=PARTING_SECONDS)
        parts = call.transfers.call_off()
        self._fail("failed", "they took the call, and have hung up since", tells=not parts)
        if not other.over.is_set():
            await self._hang_up(other, "agent")
        if not call.handing.asked.is_set():
            return
        await first_of(call.over, seconds=HOOK_SECONDS)
        back = call.handing.alone()
        if back is None or call.control is None or call.leg is not None:
            return
        try:
            await call.control.redirect(back)
        except ControlFailed as error:
            call.log.error("a caller waits alone", error=str(error))
            await self._hang_up(call, "failed")

    async def _hang_up(self, whom: CallSession, reason: EndReason) -> None:
        if whom.control is None:
            return
        whom.reason = whom.reason or reason  # whatever is told of it first
        try:
            await whom.control.hang_up()
        except ControlFailed as error:
            whom.log.warning("somebody waits alone", error=str(error))

    # What is told

    def _fail(self, outcome: TransferOutcome, reason: str, *, tells: bool = True) -> None:
        self.state = "failed"
        self.reason = reason or OUTCOME_WORDS.get(outcome, outcome)
        metrics.transfers.labels("consultative", "room", outcome).inc()
        self._note_state(outcome)
        if tells:
            self._tell_agent(f"The consultation has failed: {self.reason}.")

    def _caller_gone(self) -> None:
        self.state = "failed"
        self._note_state("caller_gone")
        metrics.transfers.labels("consultative", "room", "caller_gone").inc()

    def _enter(self, state: State) -> None:
        self.state = state
        self._note_state(state)

    def _tell_agent(self, news: str) -> None:
        speaker = self._call.speaker
        if speaker is not None:
            speaker.learn(
                f"[Of the transfer: {news} The caller is on the line with you, and has heard nothing of this.]"
            )

    def _note_state(self, state: str) -> None:
        told: dict[str, Any] = {
            "operation": "consultative",
            "by": "room",
            "number": self._wanted.number,
            "state": state,
        }
        if self.other is not None:
            told["callId"] = self.other.id
        if self.reason:
            told["reason"] = self.reason
        self._call.log.info("transfer", by="room", state=state)
        self._call.note("status", {"transfer": told})
