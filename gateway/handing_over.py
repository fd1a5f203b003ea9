"""The caller's line is Jambonz's: for good, where the call cannot go on here, or until it is known what became of a
transfer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.bridged import LONGEST_SECONDS, BridgedCall
from gateway.putting_through import LEAST_NEWS, NEWS_AFTER, RINGBACK_PATH, PuttingThrough, bridge
from gateway.surroundings import Surroundings
from gateway.waiting import first_of
from jambonz import verbs
from jambonz.hooks import ActionHook, StatusHook
from jambonz.verbs import Target, Verb, VerbError
from pipelines.tools.transfer import TransferOutcome

if TYPE_CHECKING:
    from gateway.session import CallSession

GRACE_SECONDS = 2.0
"""The far end of a REFER hangs up when it is done, which may be told before the news that it is."""


class HandingOver:
    """Of one call."""

    def __init__(self, call: CallSession, around: Surroundings) -> None:
        self.bridged: BridgedCall | None = None
        """The record of what the latest bridge has made, from its first ring."""
        self.leaving = False
        """Our socket was ended for it."""
        self._call = call
        self._around = around
        self._through: PuttingThrough | None = None
        self._settled = asyncio.Event()
        self.asked = asyncio.Event()
        """Jambonz has come for the verbs of the latest."""

    def will(self, through: PuttingThrough) -> None:
        """Whenever Jambonz asks what comes after our socket, unless that was ended by somebody else."""
        self._through, self.bridged = through, None
        self._settled.clear()
        self.asked.clear()

    def record_bridge(self) -> None:
        """From now on, if it is one."""
        through = self._through
        if through is not None and through.by == "bridge" and self.bridged is None:
            self.bridged = BridgedCall(self._call.record.row, through, self._around)

    def record_room(self, number: str, caller_id: str | None) -> None:
        """Two have met in one. ``caller_id`` is what the other one saw."""
        if self._through is not None:
            self._through.number, self._through.caller_id = number, caller_id
            self.bridged = BridgedCall(self._call.record.row, self._through, self._around)

    def end_record(self) -> None:
        """Our part of the call is over. A bridge of which there are no news goes on, as far as is known."""
        through, bridged = self._through, self.bridged
        if through is None or bridged is None or through.outcome is not None:
            return
        match self._call.reason:
            case "caller":
                bridged.end("caller_gone")
            case "transferred":
                bridged.answered()
            case "shutdown":
                bridged.end("shutdown")
            case _:
                bridged.end("failed")

    def will_put_through(self, number: str) -> None:
        """The call's fallback: to a telephone, for good."""
        call, target = self._call, verbs.phone(f"+{number}")
        try:
            dial = self.bridge_to(target, call.own_number)
        except VerbError as error:  # rather in silence than not at all
            call.log.warning("there is no music while it rings", error=str(error))
            dial = self.bridge_to(target, call.own_number, music=False)
        self.will(PuttingThrough(f"+{number}", dial))

    def bridge_to(self, target: Target, caller_id: str | None, *, music: bool = True) -> Verb:
        """``caller_id`` is whose call is seen there. Raises :class:`VerbError`."""
        call, options = self._call, self._call.listener.agent.options.transfer
        return bridge(
            target,
            hook=call.next_url,
            caller_id=caller_id,
            caller=call.record.row.caller_id,
            music=(options.music or call.base_url + RINGBACK_PATH) if music else None,
            ring_seconds=options.ring_seconds,
            time_limit=LONGEST_SECONDS,
        )

    async def put_through(self) -> None:
        """There. Returns once it is known what became of it."""
        through = self._through
        if through is None or self._call.over.is_set():
            return
        self._call.went_on("number", number=through.number)
        await self._leave()
        self._call.finish("transferred" if through.asked else "failed")

    async def go(self) -> TransferOutcome | None:
        """End our socket, so that Jambonz asks. Returns once it is known what became of it: the caller comes back, or
        does not. None: the call was over before."""
        call, through = self._call, self._through
        if through is None:
            return None
        await self._leave()
        if through.outcome is None and not call.over.is_set():  # no news, no return: who was asked to has them
            through.outcome = "answered" if through.asked else "failed"
            if self.bridged is not None:
                self.bridged.become(through.outcome)
            call.finish("transferred" if through.asked else "failed")
        if not call.over.is_set():
            self._through, self.leaving = None, call.leg is None
        return through.outcome

    async def _leave(self) -> None:
        call = self._call
        seconds = max(call.listener.agent.options.transfer.ring_seconds + NEWS_AFTER, LEAST_NEWS)
        self.leaving = True
        call.attached.clear()
        if call.leg is not None:
            call.leg.disconnect()
        await first_of(call.over, self._settled, seconds=seconds)

    # What Jambonz says

    @property
    def pending(self) -> PuttingThrough | None:
        """Whom Jambonz is to ring, whenever it asks; None once the caller is gone."""
        return None if self._call.reason == "caller" or self._call.progress.ended else self._through

    def next_verbs(self, hook: ActionHook) -> Sequence[Verb] | None:
        """What comes after our socket; None: what there is already. The socket may not be known to be closed yet."""
        if self._call.leg is not None and not self.leaving:
            return None  # somebody has redirected the call, and what we say would replace it
        if self._call.returning.awaited:
            return self._call.returning.next(hook)
        through = self.pending
        answer = through.next(hook) if through is not None else None
        if answer is not None:
            self.asked.set()
            self.record_bridge()
        return answer

    def met(self) -> None:
        """Whoever was sent to the same room is there, too."""
        self._resolve("answered")

    def alone(self) -> Sequence[Verb] | None:
        """Nobody comes to the room any more: the verbs by which the caller comes back, if he is to."""
        through = self._through
        self._resolve("failed")
        return through.back if through is not None and through.asked else None

    def _resolve(self, outcome: TransferOutcome) -> None:
        through = self._through
        if through is not None and through.outcome is None and not self._call.over.is_set():
            through.outcome = outcome
            self._settle(through, outcome)

    def on_news(self, hook: ActionHook | StatusHook) -> Sequence[Verb] | None:
        """Of whoever is rung; what comes after the verb that rang."""
        through = self._through
        if through is None:
            return None
        outcome = None if self._call.over.is_set() else through.heard_of(hook)
        if outcome is not None:
            self._settle(through, outcome)
        return through.after()

    def _settle(self, through: PuttingThrough, outcome: TransferOutcome) -> None:
        call = self._call
        self._settled.set()
        if self.bridged is not None:
            self.bridged.become(outcome)
        if not through.returns and through.by == "bridge":
            call.note("status", {"dial": {"number": through.number, "outcome": through.word}})
        match outcome:
            case "answered":
                call.finish("transferred")
            case "caller_gone":
                call.finish("caller")
            case _ if through.by == "room" and not through.returns:
                call.finish("agent")  # it was us who sent them there
            case _ if not through.returns:
                call.note("error", f"{through.number} could not be reached: {through.word}")
                call.finish("failed")
            case _:
                pass  # the caller comes back

    def on_call_over(self, *, by_jambonz: bool) -> None:
        """There is no call any more, and none of our sockets."""
        call, through = self._call, self._through
        if through is not None and through.by == "refer" and through.asked and through.outcome is None:
            asyncio.get_running_loop().call_later(GRACE_SECONDS, self._give_up)
            return
        if not by_jambonz:
            call.finish("caller")
        elif through is not None:
            call.finish("failed")
        elif call.returning.awaited:
            call.finish("media_lost")  # what we had said to that did not arrive, and Jambonz went on to our hangup
        else:
            call.finish("caller" if call.attached_at else "no_media")  # likewise: no socket could be connected

    def _give_up(self) -> None:
        if self._through is not None and self._through.outcome is None:
            self._through.outcome = "caller_gone"
        self._call.finish("caller")

    def on_attached(self) -> None:
        """A socket of the caller's is there: the first, or another one."""
        through = self._through
        if self.leaving and through is not None and through.outcome is None:
            through.came_back()
            self._settled.set()
            if self.bridged is not None and through.outcome is not None:
                self.bridged.become(through.outcome)
            if through.outcome == "answered":  # and has hung up since: nobody told us
                self._call.end("transferred")
        self.leaving = False

    @property
    def may_come_back(self) -> bool:
        """The caller, with whom the agent would go on then."""
        return self.leaving and self._through is not None and self._through.returns

    def goes_on(self, code: int) -> bool:
        """Our socket was closed with ``code``: whether the caller is put through, and not gone."""
        return self.leaving or (self._through is not None and code != 1000)
