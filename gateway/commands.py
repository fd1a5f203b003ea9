"""What is asked of a call under way by others than its two parties. It enters the log before what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gateway.call_log import CallLog
from gateway.control import ControlFailed
from gateway.relay import Relay
from pipelines.interlude import Interlude
from pipelines.messages import NOBODY, CallMessage, HangUp, NotNow, NotPossible
from pipelines.tools.transfer import TransferBegun, TransferRequest

if TYPE_CHECKING:
    from gateway.session import CallSession


class Commands:
    """To one call. Each raises :class:`NotNow` and :class:`NotPossible`; what it is given as ``shown`` is what the log
    has of it."""

    def __init__(self, call: CallSession, relay: Relay, log: CallLog) -> None:
        self._call = call
        self._relay = relay
        self._log = log
        self._updating = asyncio.Lock()
        self._asking = False  # whether a transfer may be

    def take(self, message: CallMessage, shown: Mapping[str, Any]) -> None:
        """For whoever has the call."""
        with self._log.because_of("inject", shown):
            self._relay.take(message)

    async def update(self, changes: Mapping[str, Any], context: str | None, shown: Mapping[str, Any]) -> None:
        """The agent is another one for the rest of the call: one update after the other. Raises
        :class:`~pipelines.messages.NotReachable` and :class:`pydantic.ValidationError`, too."""
        async with self._updating:
            await self._relay.ready_for(changes)
            with self._log.because_of("inject", shown):
                self._relay.update(changes, context)

    async def hang_up(self, text: str | None, why: str | None) -> None:
        """After ``text`` was heard; without one, or where nobody has answered yet, at once, whatever is being said."""
        call = self._call
        shown = {"hangup": why or "", "text": text}
        if text is not None and (call.dialling is None or not call.dialling.rings):
            self.take(HangUp(text), shown)
            return
        if call.leg is None and call.attached_at and call.control is None and not call.returning.awaited:
            raise NotPossible("The caller is on the telephone with somebody else, and Jambonz's REST API is not set up")
        self._log.note("inject", shown)
        without_socket = call.leg is None
        call.end("api")
        if without_socket and call.control is not None:
            try:
                await call.control.hang_up()
            except ControlFailed as error:
                raise NotNow(str(error)) from None

    def press(self, digits: str) -> None:
        """Begin to press keys, once the agent is silent; the log tells when that is done."""
        keypad = self._call.keypad
        with self._log.because_of("inject", {"dtmf": keypad.shown(digits)}):
            _ = keypad.begin(digits)  # nobody waits for it

    async def transfer(self, wanted: TransferRequest, saying: str | None, shown: Mapping[str, Any]) -> TransferBegun:
        """What is being said is broken off, for ``saying`` or words of the service's own. Where the transfer fails the
        agent goes on with the caller, and is told. Raises :class:`~pipelines.tools.means.ToolFault`, too, in words,
        where it cannot be."""
        call = self._call
        if call.speaker is None or isinstance(call.speaker, Interlude):
            raise NotNow(NOBODY)
        if self._asking or call.transfers.pending:
            raise NotNow("The caller is being put through already")
        self._asking = True
        try:
            begun = await call.transfers.request(wanted)
        finally:
            self._asking = False
        if not begun.leaves:
            self._log.note("inject", shown)
            return begun
        try:
            self.take(HangUp(saying or call.phrases.connecting, "transferred"), shown)
        except NotNow:
            call.transfers.withdraw()
            raise
        return begun
