"""What the messages of one application socket do to the calls, and what they are acknowledged with.

The socket's side of what ``gateway/routes.py`` does for webhooks; the switchboard does the same for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import structlog

from gateway import metrics
from gateway.control import Line, SocketControl
from gateway.session import CallSession
from gateway.switchboard import Switchboard, next_path
from jambonz import verbs
from jambonz.application import (
    POLICY,
    Again,
    ApplicationProtocol,
    ApplicationRefused,
    ErrorTold,
    HookDue,
    MessageTooLarge,
    SessionAdulting,
    SessionNew,
    SessionReconnect,
    StatusTold,
    Unheeded,
    Unreadable,
    VerbStatus,
)
from jambonz.hooks import CallHook
from jambonz.verbs import Verb

log = structlog.get_logger(__name__)

CALL_OVER = 1000
"""The close code after which Jambonz does not come back: from it the call is over, from us it is over for us."""


class Dispatcher:
    """``line`` is the socket. Messages are to be given one after the other."""

    def __init__(self, switchboard: Switchboard, line: Line, base_url: str) -> None:
        self._switchboard = switchboard
        self._line = line
        self._base_url = base_url
        self._protocol = ApplicationProtocol()
        self._control: SocketControl | None = None
        self._begun = False

    @property
    def call(self) -> CallSession | None:
        """The call of this socket, while it is under way."""
        return self._switchboard.live.of_sid(self._protocol.call_sid)

    @property
    def over(self) -> bool:
        """Its call was there, or declined, and is not under way any more."""
        return self._begun and self.call is None

    async def receive(self, text: str) -> None:
        """Raises :class:`ApplicationRefused`, and what :meth:`Line.send` raises."""
        event = self._protocol.receive(text)
        match event:
            case None:
                pass
            case SessionNew(msgid, hook):
                await self._begin(msgid, hook)
            case SessionReconnect(msgid, hook):
                await self._go_on(msgid, hook)
            case SessionAdulting(msgid):
                await self._acknowledge(msgid, [verbs.hangup()])  # nobody of ours is there for that leg
            case HookDue(msgid):
                await self._acknowledge(msgid, self._next(event))
            case StatusTold(hook):
                self._switchboard.tell_status(hook)
            case VerbStatus():
                if self.call is not None:
                    self.call.on_verb(event)
            case ErrorTold(sentence):
                self._told_of_error(sentence)
            case Again(acknowledgement):
                await self._line.send(acknowledgement)
            case Unheeded(msgid, kind, first):
                if first:
                    log.info(
                        "a message of Jambonz that means nothing to us", type=kind, call_sid=self._protocol.call_sid
                    )
                if msgid:
                    await self._acknowledge(msgid)
            case Unreadable():
                await self._refuse(event)
            case _:
                assert_never(event)

    def closed(self, code: int) -> None:
        """The peer has closed it, or it was lost (1006). The call goes on where it can."""
        if self._control is None or not self._control.disconnect(self._line, over=code == CALL_OVER):
            return
        call = self.call
        if call is None:
            return
        if code == CALL_OVER:
            call.on_application_over()
        else:
            call.log.warning("the application socket was lost", code=code)

    async def _begin(self, msgid: str, hook: CallHook) -> None:
        reply = await self._switchboard.announce(hook, self._base_url, SocketControl())
        self._attach()
        self._begun = True
        await self._acknowledge(msgid, reply.verbs)

    async def _go_on(self, msgid: str, hook: CallHook) -> None:
        """A call that we know goes on. It gets its application again if it may not have had it; so does one that we do
        not know: it may ring still, and if it does not, Jambonz heeds no verbs here."""
        metrics.applications_reconnected.inc()
        call = self.call
        has_it = call.leg is not None or call.attached.is_set() if call is not None else self._is_over(hook)
        if not has_it:
            await self._begin(msgid, hook)
            return
        self._attach()
        self._begun = True
        await self._acknowledge(msgid)

    def _is_over(self, hook: CallHook) -> bool:
        return self._switchboard.live.call_id_of(hook.call_sid) is not None

    def _attach(self) -> None:
        """This is the socket of its call from now on."""
        call = self.call
        if call is not None and isinstance(call.control, SocketControl):
            self._control = call.control
            self._control.connect(self._line)

    def _next(self, due: HookDue) -> Sequence[Verb] | None:
        """Of the hooks that we gave this call; others are none."""
        call_id = self._switchboard.live.call_id_of(self._protocol.call_sid)
        if call_id is None:
            return None
        if due.path != next_path(call_id):
            metrics.hooks_refused.labels("application", "unknown_hook").inc()
            log.warning("a hook that is not this call's", call_id=call_id, call_sid=self._protocol.call_sid)
            return None
        return self._switchboard.next_verbs(call_id, due.hook)

    def _told_of_error(self, sentence: str) -> None:
        metrics.application_errors.inc()
        log.warning("Jambonz could not do it", call_sid=self._protocol.call_sid, error=sentence)
        if self.call is not None:
            self.call.note("error", f"Jambonz: {sentence}")

    async def _refuse(self, event: Unreadable) -> None:
        metrics.hooks_refused.labels("application", "bad_request").inc()
        log.warning("a message was refused", type=event.type, reason=event.sentence, call_sid=self._protocol.call_sid)
        if event.msgid:
            await self._acknowledge(event.msgid)
        if not self._protocol.call_sid:
            raise ApplicationRefused(POLICY, event.sentence)

    async def _acknowledge(self, msgid: str, answer: Sequence[Verb] | None = None) -> None:
        try:
            text = self._protocol.ack(msgid, answer)
        except MessageTooLarge as error:
            log.error("an answer that Jambonz would not take", call_sid=self._protocol.call_sid, error=str(error))
            text = self._protocol.ack(msgid)
        await self._line.send(text)
