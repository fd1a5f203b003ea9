"""One call: from the webhook that announced it to the last line of its record.

When the call ends, for whatever reason, one ``finally`` ends what is left of it, writes the record and gives back the
place that the call took.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal

import structlog

from gateway import metrics
from gateway.call_record import CallRecord
from gateway.commands import Commands
from gateway.control import CallControl
from gateway.dialling import Dialling
from gateway.floor import Floor
from gateway.handing_over import HandingOver
from gateway.keypad import Keypad
from gateway.recordings.call import CallRecording
from gateway.relay import Relay
from gateway.returning import LOST, Returning
from gateway.surroundings import Leg, Surroundings
from gateway.transfers import Transfers
from gateway.waiting import first_of
from jambonz.application import VerbStatus
from jambonz.hooks import CallHook, CallProgress, StatusHook
from jambonz.listen import Started
from jambonz.verbs import Verb
from media.audio import PCM_8K, AudioFormat, Encoding
from media.playout import Playout
from pipelines.agent import AgentDefinition
from pipelines.events import EndReason, PipelineEvent
from pipelines.history import Conversation
from pipelines.phrasebook import Phrases, phrases
from pipelines.pipeline import Pipeline
from pipelines.tools.means import ToolMemory
from pipelines.tools.transfer import Answers
from store.calls import NewCall
from store.listeners import ListenerForCall

FAULT = "The call failed by a fault of this service."

GONE_SECONDS = 3.0
"""From our word that the call is over to the end of its socket."""

Platform = Literal["jambonz", "websocket"]


def leg_format(agent: AgentDefinition, hook: CallHook) -> AudioFormat:
    """Of the caller's sound, and ours. A line of more than 8 kHz is worth it only where the call carries that: one
    whose INVITE offers no such codec is resampled by Jambonz, and its marks are no longer exact."""
    rate = agent.options.audio.sample_rate
    return AudioFormat(Encoding.PCM16, PCM_8K.rate if hook.offers_wideband is False else rate)


class CallSession:
    """Implements what the leg tells (LegListener) and what the pipelines tell (PipelineHost)."""

    def __init__(
        self,
        hook: CallHook,
        listener: ListenerForCall,
        around: Surroundings,
        *,
        platform: Platform = "jambonz",
        dialling: Dialling | None = None,
        call_id: str | None = None,
    ) -> None:
        """``platform``: who opens the media socket, Jambonz or a client of the API. ``dialling`` is of a call that we
        place; ``call_id`` where its id is given."""
        row = NewCall(
            owner=listener.owner,
            agent_id=listener.agent_id,
            listener_id=listener.id,
            model_name=listener.agent.model_name,
            platform=platform,
            caller_id=hook.from_,
            called_id=hook.to,
            platform_call_id=hook.call_sid,
            metadata=listener.options.metadata,
            **({"id": call_id} if call_id is not None else {}),
        )
        self.record = CallRecord(row, listener, around)
        self.id = row.id
        self.begun = False
        """It has the place that was taken for it."""
        self.dialling = dialling
        self.facts: dict[str, Any] = {"direction": "inbound" if dialling is None else "outbound"}
        """What functions may read of the call, beside what they are told anyway."""
        self.call_sid = hook.call_sid
        self.token = around.new_token()
        self.next_url = ""
        """Where Jambonz asks what comes after our socket."""
        self.base_url = ""
        """How Jambonz reaches us, where it does."""
        self.carrier = hook.originating_sip_trunk_name
        self.listen_again: Callable[[], Sequence[Verb]] | None = None
        """Makes the verbs of another socket for this call; None where none can be: in a browser."""
        self.control: CallControl | None = None
        """What can be done to the call at any moment; None where nothing can."""
        self.listener = listener
        self.format = leg_format(listener.agent, hook)
        self.exact_marks = platform == "jambonz" and self.format == PCM_8K and hook.offers_wideband is not True
        """Not if the call's codec may have another rate than the leg, or what plays is not Jambonz."""
        self.progress = CallProgress(hook.call_sid)
        self.reason: EndReason | None = None
        self.due = 0.0
        self.leg: Leg | None = None
        self.attached = asyncio.Event()
        """The leg can be heard; or nobody will come any more."""
        self.attached_at = 0.0
        self.answered_at: float | None = None
        self.over = asyncio.Event()
        self._around = around
        self._clock = asyncio.get_running_loop().time
        told = self.record.log
        self.note, self.on_saying = told.note, told.on_saying
        self.on_event: Callable[[PipelineEvent], None] = told.on_event
        self._relay = Relay(self, around)
        self.commands = Commands(self, self._relay, told)
        self.keypad = Keypad(self, self.note)
        self.on_audio: Callable[[bytes], None] = self._relay.floor.hear_early
        """Of LegListener: that of whoever listens."""
        self.recording: CallRecording | None = None
        self._replaced = 0  # sockets whose end does not matter any more
        self.handing = HandingOver(self, around)
        self.returning = Returning(self)
        self.transfers = Transfers(self, around)
        self.tool_memory = ToolMemory()
        self.clients = around.clients.of_call(listener, self.id) if around.clients is not None else None
        """Those who answer functions."""
        self.answers: Answers | None = None
        """Whom the agent tells what whoever was rung says: of the call that a consultation has placed."""
        self.opening: Conversation | None = None
        """What the agent goes on from, where somebody is rung for a purpose."""
        if any(function.platform == "transfer" for function in listener.agent.functions):
            told.transcript = []

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """The service's, bound to the call."""
        return self.record.log.bound

    @property
    def own_number(self) -> str | None:
        """The number of ours that the call is on: that was called, or that rings."""
        row = self.record.row
        return row.called_id if self.dialling is None else row.caller_id

    # The call's life

    async def run(self) -> None:
        """The whole call. Returns when nothing of it is left."""
        row = self.record.row
        self.record.begin(caller=_masked(row.caller_id), called=row.called_id)
        try:
            await self._relay.run()
        except Exception as error:  # noqa: BLE001 - whatever it was, it ends this call and no other
            self.on_fault(error)
            self.reason = "failed"
        finally:
            reason: EndReason = self.reason or "shutdown"
            self.over.set()
            self.handing.end_record()
            self._around.ticker.discard(self)
            await self.keypad.close()
            self._end_recording()
            if self.leg is not None:
                self.leg.close()
                self.leg = None
            unanswered = self.dialling.close(self.progress, self.note) if self.dialling is not None else None
            self.record.end(reason, unanswered)
            await self.transfers.close()

    def never(self, status: str, reason: str, sentence: str) -> None:
        """Instead of :meth:`run`: there is no place for the call, or Jambonz rings nobody. Its record says so, and
        whoever watches hears of it."""
        failed = {"call_failed": {"outcome": "failed", "sipStatus": None}} if self.dialling is not None else {}
        self.record.never(status, reason, sentence, **failed)

    def on_fault(self, error: BaseException) -> None:
        """A fault of ours: it ends what had the call. Where nothing has it any more, it is how the call ended."""
        self.log.error("the call failed", exc_info=error)
        self.note("error", FAULT)
        if self.over.is_set():
            self.reason = "failed"

    @property
    def floor(self) -> Floor:
        return self._relay.floor

    @property
    def speaker(self) -> Pipeline | None:
        """Whose the caller's line is at the moment."""
        return self._relay.floor.speaker

    @property
    def playout(self) -> Playout | None:
        """Once somebody has had the caller's line."""
        return self._relay.floor.playout

    def tick(self, now: float) -> None:
        self.due = self._relay.floor.tick(now)

    def attach(self, leg: Leg) -> None:
        """The media socket that carries this call. There is one at a time: its token was used up."""
        if self.leg is not None:  # it is not known to be closed yet
            self._replaced += 1
            self.leg.close()
        self.leg = leg

    def detach(self) -> None:
        """That socket was refused before it opened."""
        self.leg = None

    def shut_down(self) -> None:
        """The service stops, and its patience is over."""
        self.end("shutdown")

    def end(self, reason: EndReason) -> None:
        """End the listen verb: Jambonz then asks what is next, and is told to hang up. Where nobody has answered yet,
        the ringing ends."""
        if self.reason is None:
            self.reason = reason if self.dialling is None else self.dialling.end_reason(reason)
        if self.leg is not None:
            self.leg.disconnect()
        else:
            self.finish(reason)

    async def take_leave(self, reason: EndReason) -> None:
        """:meth:`end` it for good: return once it is over, which it is within a bound."""
        self.end(reason)
        await first_of(self.over, seconds=GONE_SECONDS)
        self.finish(reason)

    def finish(self, reason: EndReason) -> None:
        """Our part of the call is over."""
        if self.reason is None:
            self.reason = reason
        self.over.set()
        self.attached.set()

    @property
    def phrases(self) -> Phrases:
        """What the service says itself, in the agent's language."""
        return phrases(self.listener.agent.options.tts.language or "en")

    # A call that we place

    def placed(self, call_sid: str) -> None:
        """Jambonz knows it by this sid."""
        self.call_sid = call_sid
        self.progress = CallProgress(call_sid)
        self.record.placed(call_sid)

    async def picked_up(self) -> bool:
        """Whether there is somebody, once that is known: of a call that came in there always is."""
        dialling = self.dialling
        if dialling is None:
            return True
        await first_of(dialling.answered, self.over, seconds=dialling.patience)
        if not dialling.answered.is_set() and not self.over.is_set():
            self.log.warning("nothing more was heard of a call that was placed", seconds=dialling.patience)
            self.end("no_answer")
        return not self.over.is_set()

    def _end_recording(self) -> None:
        if self.recording is not None:
            self.recording.end()

    # Somebody else goes on

    def went_on(self, kind: str, **details: Any) -> None:
        metrics.fallbacks.labels(kind).inc()
        self.log.warning("somebody else goes on with the call", kind=kind, **details)
        self.note("status", {"fallback": {"kind": kind, **details}})

    # What Jambonz says

    def on_status(self, hook: StatusHook) -> None:
        """What the network says of the call: in any order, and more than once."""
        if hook.call_sid != self.call_sid:
            self.handing.on_news(hook)
            return
        news = self.progress.update(hook)
        if news and self.dialling is not None:
            unanswered = self.dialling.learn(self.progress, self.note)
            if unanswered is not None:
                self.finish(unanswered)
        if self.progress.ended and self.leg is None:
            self.handing.on_call_over(by_jambonz=self.progress.terminated_by == "jambonz")

    def on_verb(self, status: VerbStatus) -> None:
        self.note("status", {"verb": {"name": status.verb, "event": status.event}})

    def on_application_over(self) -> None:
        """Jambonz has closed the call's application socket for good: there is no call any more, or it is somebody
        else's. Where there still is a media socket, its end says more."""
        if self.leg is None:
            self.handing.on_call_over(by_jambonz=False)

    # LegListener

    def on_started(self, started: Started) -> None:
        if started.call_sid != self.call_sid:
            self.log.warning("the media socket is for another call", other=started.call_sid)
            if self.leg is not None:
                self.leg.close(1008, "this token is for another call")
            return
        if self.answered_at is None:
            self.answered_at = self._clock()
            self.note("answer", {"callId": self.id})
        self.handing.on_attached()
        self.returning.on_attached()
        self.attached_at = self._clock()
        self.attached.set()
        if self.reason is not None and self.leg is not None:
            self.leg.disconnect()  # the call was ended while the socket opened

    def on_dtmf(self, digit: str, milliseconds: int | None) -> None:
        self._relay.floor.dtmf(digit)

    def on_mark(self, name: str, cleared: bool) -> None:
        self._relay.floor.mark(name, cleared)

    def on_closed(self, code: int, reason: str) -> None:
        if self._replaced:
            self._replaced -= 1
            return
        self.leg = None
        if self.reason is None and code != 1000:
            self.log.warning("the media socket was lost", code=code, why=reason)
        goes_on = self.reason is None and self.handing.goes_on(code)
        comes_back = self.reason is None and not goes_on and code in LOST and self._relay.lose()
        if not (comes_back or self.handing.may_come_back):
            self._end_recording()
        if goes_on or comes_back:
            return  # Jambonz asks what is next: the caller is put through, or has another socket
        self.finish("caller" if code == 1000 or self.progress.ended else "media_lost")

    # PipelineHost

    @property
    def relief(self) -> bool:
        return self._relay.relief

    @property
    def agent_first(self) -> bool:
        return self._relay.agent_first

    @property
    def caller_holds(self) -> bool:
        return self.transfers.asks

    def wake(self) -> None:
        self.due = 0.0

    def end_call(self, reason: EndReason) -> None:
        """Of the pipeline that has the call: unless somebody else goes on with it."""
        if self._relay.changing or (reason == "failed" and self._relay.fail()):
            return
        if not (reason == "transferred" and self._relay.hand_over()):
            self.end(reason)


def _masked(number: str | None) -> str | None:
    """A caller's number as logs may have it: enough to recognise, not enough to call."""
    return None if number is None else f"{number[:3]}***{number[-3:]}" if len(number) > 7 else "***"
