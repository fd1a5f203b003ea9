"""Transfers of one call: what may be asked for, how it is done, and what the agent is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway import metrics
from gateway.consultation import Consultation
from gateway.permits import NotPermitted, transferable
from gateway.putting_through import JOINED, PuttingThrough, e164
from gateway.surroundings import Surroundings
from jambonz import verbs
from jambonz.hooks import normalize_number
from jambonz.provisioning.wanted import registration_of
from jambonz.verbs import Verb, VerbError
from pipelines.history import Conversation
from pipelines.tools.means import ToolFault
from pipelines.tools.parameters import text_of
from pipelines.tools.results import REDACTED_FAILURE
from pipelines.tools.transfer import OUTCOME_WORDS, TransferBegun, TransferOutcome, TransferRequest
from store.errors import reason
from store.numbers import Line

if TYPE_CHECKING:
    from gateway.session import CallSession

LOOK_UP_SECONDS = 2.0
"""The longest that the database may take."""

MOST_TRANSFERS = 10
"""In one call: one more is a loop."""

CLOSE_SECONDS = 2.0
"""The longest that it takes to tell whoever is asked that there is no caller any more."""


@dataclass(frozen=True, slots=True)
class Route:
    """How whoever is wanted is rung. ``caller_id`` is whose call it sees, ``trunk`` the carrier; of a bridge."""

    refers: bool
    caller_id: str | None = None
    trunk: str | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """``verb`` is what rings. ``comes_back``: the caller does where it fails; ``off``: it is not to be done after
    all."""

    wanted: TransferRequest
    verb: Verb
    comes_back: bool = True
    off: bool = False


class Transfers:
    """The entry for functions and clients alike is :meth:`request`; that for clients is
    :meth:`~gateway.commands.Commands.transfer`."""

    def __init__(self, call: CallSession, around: Surroundings) -> None:
        self._call = call
        self._around = around
        self._clock = asyncio.get_running_loop().time
        self._pending: Pending | None = None
        self._count = 0
        self._last: dict[str, Any] = {"state": "none"}
        self._consultation: Consultation | None = None
        self._asking: asyncio.Task[None] | None = None

    @property
    def possible(self) -> bool:
        """Whether the caller is on a telephone line."""
        return self._call.listen_again is not None

    @property
    def pending(self) -> bool:
        """One was asked for, and is to be done once the agent has said what he had to."""
        return self._pending is not None

    @property
    def asks(self) -> bool:
        """Somebody is rung, or asked, while the agent stays with the caller."""
        return self._consultation is not None and self._consultation.under_way

    def status(self) -> Mapping[str, Any]:
        """``state`` is ``none``, ``dialling``, ``talking``, ``accepted``, ``rejected`` or ``failed``."""
        asked = self._consultation
        if asked is None:
            return self._last
        return {"state": asked.state, "reason": asked.reason} if asked.reason else {"state": asked.state}

    # Whether it may be

    async def request(self, wanted: TransferRequest) -> TransferBegun:
        if not self.possible:
            raise ToolFault("this call cannot be transferred: it did not come by telephone")
        if self._count >= MOST_TRANSFERS:
            raise ToolFault(f"there were {MOST_TRANSFERS} transfers in this call: no more are possible")
        if self.asks:
            reason = "A consultation is under way already. Use transfer_status to check progress."
            return TransferBegun({"status": "FAILED", "reason": reason}, leaves=False)
        wanted = await self._permitted(wanted)
        if wanted.operation == "consultative":
            return await self._consult(wanted)
        route = await self._route(wanted)
        try:
            pending = Pending(wanted, self._verb(wanted, route))
        except VerbError as error:
            raise ToolFault(f"the transfer cannot be made: {error}") from None
        self._count += 1
        self._pending, self._consultation = pending, None
        return TransferBegun({"status": "OK", "reason": "The call is being transferred."}, leaves=True)

    def withdraw(self) -> None:
        """What was asked for is not to be done after all."""
        self._pending = None

    async def _consult(self, wanted: TransferRequest) -> TransferBegun:
        """It goes on beside the call; the agent stays with the caller."""
        place = self._around.place
        if place is None:
            raise ToolFault("nobody can be asked first: this service has no REST API of Jambonz's to place calls by")
        if not wanted.number.startswith("+"):
            raise ToolFault("only a number with its country can be asked first")
        route = await self._route(replace(wanted, bridged=True))
        if route.caller_id is None:
            raise ToolFault("nobody can be asked first: the number that was called is none that can be shown")
        self._count += 1
        placed = partial(place, called=wanted.number.removeprefix("+"), from_=route.caller_id, trunk=route.trunk)
        asked = self._consultation = Consultation(self._call, wanted)
        work = asked.run(lambda listener, prepare: placed(listener, prepare=prepare))
        self._asking = asyncio.get_running_loop().create_task(work, name=f"consultation {self._call.id}")
        reason = "Consultation started. Use transfer_status to check progress."
        return TransferBegun({"status": "OK", "reason": reason}, leaves=False)

    async def _permitted(self, wanted: TransferRequest) -> TransferRequest:
        """With the number as it is dialled. The plan of a country is read from disk when it is first needed."""
        call = self._call
        home = call.own_number if registration_of(call.carrier) is None else None
        judge = partial(transferable, wanted.number, call.listener.agent.options, home=home, fixed=wanted.fixed)
        try:
            return replace(wanted, number=await self._around.beside(judge))
        except NotPermitted as refused:
            raise ToolFault(f"the number may not be called: it {refused.why}") from None

    async def _route(self, wanted: TransferRequest) -> Route:
        called = self._call.own_number
        asked = (normalize_number(wanted.caller_id) if wanted.caller_id is not None else None) or ""
        lines = await self._lines([number for number in (called, asked) if number], needed=bool(asked))
        own = lines.get(called or "")
        registered = registration_of(self._call.carrier) is not None
        if (registered or (own is not None and own.can_refer)) and not wanted.bridged:
            return Route(refers=True)
        carrier = self._call.carrier if registered else own.trunk if own is not None else None
        if wanted.caller_id is None:
            return Route(False, e164(called), carrier)
        line = lines.get(asked)
        if line is None:
            raise ToolFault("the caller id is no number of this account's")
        if not line.outbound:
            raise ToolFault("the caller id is a number that may not be used for outbound calls")
        if own is not None and line.trunk_id != own.trunk_id:
            raise ToolFault("the caller id is a number of another trunk than the one that was called")
        return Route(False, e164(asked), carrier or line.trunk)

    async def _lines(self, numbers: Sequence[str], *, needed: bool) -> Mapping[str, Line]:
        """Without a database nothing is known of the numbers: which is enough, unless something has to be."""
        if self._around.find_lines is None:
            return {}
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                return await self._around.find_lines(self._call.listener.owner, numbers)
        except Exception as error:  # noqa: BLE001 - whatever a database fails with
            self._call.log.warning("the numbers of a transfer cannot be looked up", error=reason(error))
            if needed:
                raise ToolFault("the caller id could not be looked up; try again") from None
            return {}

    # How it is done

    def will_meet(self, room: str, *, comes_back: bool = False) -> None:
        """Once the agent has left the call, it is sent to a room; and ``comes_back`` where nobody else is there."""
        call = self._call
        verb = verbs.conference(room, action_hook=call.next_url, id=JOINED)
        self._pending = Pending(TransferRequest(room), verb, comes_back=comes_back)

    def call_off(self) -> bool:
        """Whether the agent is just leaving for a room: he is told when he would have."""
        if self._pending is None:
            return False
        self._pending = replace(self._pending, off=True)
        return True

    async def close(self) -> None:
        """The call is over; whoever is asked still is told so."""
        if self._asking is not None and not self._asking.done():
            await asyncio.wait([self._asking], timeout=CLOSE_SECONDS)
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def perform(self, so_far: Conversation) -> Conversation | None:
        """What was asked for, once our pipeline is gone. Returns what the agent is to go on from once the caller is
        back; None: the call is over."""
        pending, self._pending = self._pending, None
        call = self._call
        if pending is None:
            return None
        wanted = pending.wanted
        if pending.off:
            return self._back(so_far, wanted, "failed")
        back = call.listen_again() if call.listen_again is not None and pending.comes_back else ()
        through = PuttingThrough(wanted.number, pending.verb, back=back)
        if through.by == "room":
            return await self._meet(so_far, wanted, through)
        call.handing.will(through)
        call.handing.record_bridge()
        self._note(wanted, through.by, "dialling")
        outcome = await call.handing.go()
        if outcome is None and call.reason == "caller":
            outcome = "caller_gone"
        if outcome is None:  # the service stops, or so
            return None
        metrics.transfers.labels("blind", through.by, outcome).inc()
        self._note(wanted, through.by, outcome, sip_status=through.sip_status)
        return None if call.over.is_set() else self._back(so_far, wanted, outcome)

    async def _meet(
        self, so_far: Conversation, wanted: TransferRequest, through: PuttingThrough
    ) -> Conversation | None:
        """Whoever has sent them there tells of it."""
        call = self._call
        call.handing.will(through)
        outcome = await call.handing.go()
        return None if outcome is None or call.over.is_set() else self._back(so_far, wanted, outcome)

    def _verb(self, wanted: TransferRequest, route: Route) -> Verb:
        """Raises :class:`VerbError`."""
        call = self._call
        if route.refers:
            return verbs.sip_refer(wanted.number, action_hook=call.next_url, event_hook=call.next_url)
        is_sip = wanted.number.startswith(("sip:", "sips:"))
        target = verbs.sip(wanted.number) if is_sip else verbs.phone(wanted.number, trunk=route.trunk)
        return call.handing.bridge_to(target, route.caller_id)

    def _back(self, so_far: Conversation, wanted: TransferRequest, outcome: TransferOutcome) -> Conversation:
        reason = (
            f"The transfer has failed: {OUTCOME_WORDS.get(outcome, outcome)}. The caller is on the line with you again."
        )
        told = text_of({"status": "FAILED", "outcome": outcome, "reason": reason})
        by, now = wanted.asked_by, self._clock()
        if by is None:
            return so_far.told(None, f"[{reason}]", now)
        return so_far.told(by.call.id, REDACTED_FAILURE if by.redact else told, now)

    def _note(self, wanted: TransferRequest, by: str, state: str, sip_status: int | None = None) -> None:
        self._last = {"state": state if state == "dialling" else "failed"}
        told: dict[str, Any] = {"operation": "blind", "by": by, "number": wanted.number, "state": state}
        if (bridged := self._call.handing.bridged) is not None:
            told["callId"] = bridged.id
        if sip_status is not None:
            told["sipStatus"] = sip_status
        self._call.log.info("transfer", by=by, state=state)
        self._call.note("status", {"transfer": told})
