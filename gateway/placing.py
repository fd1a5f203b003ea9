"""Calls that Jambonz is asked to place, from the place that they take to their sid: from then on they are the
switchboard's, as others are."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace

from gateway import metrics
from gateway.dialler import CannotDial, Dialler
from gateway.dialling import TAG, Dialling
from gateway.live_calls import LiveCalls
from gateway.places import Places
from gateway.session import CallSession
from gateway.surroundings import Surroundings
from jambonz import verbs
from jambonz.hooks import CallHook, Hook
from jambonz.outgoing import Detection, new_call
from pipelines.agent.options import Outbound
from store.listeners import ListenerForCall

PLACE_SECONDS = 15.0
"""The longest that placing a call may take: whoever asks for it waits."""


class Placing:
    """``hook_of`` is where Jambonz posts what it has to tell of a call, by the call's id."""

    def __init__(
        self,
        live: LiveCalls,
        places: Places,
        around: Surroundings,
        dialler: Dialler | None,
        hook_of: Callable[[str], str],
    ) -> None:
        self._live = live
        self._places = places
        self.around = around if dialler is None else replace(around, place=self.ask)
        """In which calls can have others rung."""
        self._dialler = dialler
        self._hook_of = hook_of
        self._asked: dict[str, asyncio.Task[CallSession]] = {}  # by call id
        self._under_way: dict[str, CallSession] = {}  # by call id: Jambonz is just asked to place them

    async def originate(
        self,
        listener: ListenerForCall,
        called: str,
        *,
        from_: str,
        trunk: str | None = None,
        call_id: str | None = None,
    ) -> CallSession:
        """Have ``called`` (digits) rung by ``from_``, over the carrier ``trunk``; returns once it rings, or is about
        to. Who asks for the same ``call_id`` meanwhile gets the same call. Raises :class:`CannotDial`, and what
        :meth:`~gateway.places.Places.admit` does."""
        new = call_id or str(uuid.uuid4())
        known = self._live.of_id(new)
        if known is not None:
            return known
        asked = self._asked.get(new)
        if asked is None:
            work = self._place(listener, called, from_, trunk, new)
            asked = self._asked[new] = self._live.place(new, work)
            asked.add_done_callback(lambda _: self._asked.pop(new))
        return await asyncio.shield(asked)

    async def ask(
        self,
        listener: ListenerForCall,
        called: str,
        *,
        from_: str,
        trunk: str | None,
        prepare: Callable[[CallSession], None],
    ) -> CallSession:
        """The same for a call that is under way: of a place of this process's, and no other limit. ``prepare`` is given
        the new call before anybody hears of it. Where it is cancelled, the ringing ends."""
        new = str(uuid.uuid4())
        placing = self._live.place(new, self._place(listener, called, from_, trunk, new, prepare))
        try:
            return await asyncio.shield(placing)
        except asyncio.CancelledError:  # Jambonz may be ringing them already, and has not said so
            placing.add_done_callback(_end)
            raise

    def has(self, call_id: str) -> bool:
        return call_id in self._under_way

    def of_hook(self, hook: Hook) -> CallSession | None:
        """One whose hooks come before Jambonz's answer does: it has begun now."""
        if not hook.customer_data or hook.parent_call_sid:
            return None
        call = self._under_way.get(str(hook.customer_data.get(TAG)))
        if call is not None:
            self._begin(call, hook.call_sid)
        return call

    async def _stop_ringing(self, call: CallSession) -> None:
        """Where it may ring still."""
        dialling = call.dialling
        if dialling is None or self._dialler is None or call.progress.answered or call.progress.ended:
            return
        if dialling.answered.is_set():
            return
        try:
            await self._dialler.stop(call.call_sid)
        except CannotDial as error:
            call.log.warning("somebody rings on, and will be hung up on", error=str(error))

    async def _place(
        self,
        listener: ListenerForCall,
        called: str,
        from_: str,
        trunk: str | None,
        call_id: str,
        prepare: Callable[[CallSession], None] | None = None,
    ) -> CallSession:
        if self._dialler is None:
            raise CannotDial("There is no Jambonz that could place calls: set JAMBONZ_SERVER", "nowhere")
        options = listener.agent.options.outbound
        # Nobody leaves a message with whom a caller is to be put through to.
        dialling = Dialling(called, options.ring_timeout, options.detection if prepare is None else None)
        hook = CallHook(call_sid=str(uuid.uuid4()), from_=from_, to=called, direction="outbound")
        call = CallSession(hook, listener, self.around, dialling=dialling, call_id=call_id)
        call.carrier = trunk or ""
        if prepare is not None:
            prepare(call)
        body = new_call(
            verbs.phone(f"+{called}", trunk=trunk),
            from_=from_,
            timeout=options.ring_timeout,
            tag={TAG: call.id},
            detection=self._detection(options, call) if prepare is None else None,
        )
        async with self._places.of(call, counted=prepare is None):
            self._under_way[call.id] = call
            try:
                async with asyncio.timeout(PLACE_SECONDS):
                    self._begin(call, await self._dialler.place(body))
            except (CannotDial, TimeoutError) as error:
                if not call.begun:
                    sentence = str(error) or f"Jambonz did not answer within {PLACE_SECONDS:g} s"
                    metrics.calls_placed.labels("failed").inc()
                    call.never("failed: Jambonz did not place the call", "failed", sentence)
                    raise CannotDial(sentence, error.kind if isinstance(error, CannotDial) else "away") from None
            finally:
                del self._under_way[call.id]
            if self._places.draining:
                call.shut_down()
            return call

    def _begin(self, call: CallSession, call_sid: str) -> None:
        """Its sid is known."""
        if not call.begun:
            call.placed(call_sid)
            self._live.start(call, self._stop_ringing)

    def _detection(self, options: Outbound, call: CallSession) -> Detection | None:
        """Jambonz's own, where the account has a recogniser for it."""
        wanted = options.detection
        if wanted is None or wanted.recognizer is None:
            return None
        seen = wanted.recognizer
        return Detection(self._hook_of(call.id), seen.vendor, seen.language, wanted.words)


def _end(placing: asyncio.Task[CallSession]) -> None:
    """Nobody wants the call any more."""
    if not placing.cancelled() and placing.exception() is None:
        placing.result().end("caller")
