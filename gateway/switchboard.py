"""The calls of this process: who is let in, what Jambonz is answered, and who is still there when the service stops.

No HTTP here, and no socket: what Jambonz tells comes in, as a body with its signature or as a hook that was read
already, and verbs go out.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import assert_never

import structlog

from gateway import metrics
from gateway.admission import Admission
from gateway.control import CallControl, RestControl
from gateway.dialler import Dialler
from gateway.dialling import TAG, Dialling
from gateway.live_calls import LiveCalls
from gateway.lookup import Lookup, Nobody
from gateway.places import Places
from gateway.placing import Placing
from gateway.putting_through import JOINED
from gateway.session import CallSession
from gateway.surroundings import Surroundings
from gateway.webhooks import HookReader, Reply
from jambonz import verbs
from jambonz.hooks import ActionHook, CallHook, StatusHook
from jambonz.rest import Api
from jambonz.verbs import Verb, VerbError
from store import Store
from store.listeners import ListenerForCall
from store.places import LimitReached, ListenerGone

log = structlog.get_logger(__name__)


def next_path(call_id: str) -> str:
    """Where Jambonz asks what comes after a verb."""
    return f"/jambonz/next/{call_id}"


class Switchboard:
    """``secrets`` verify webhooks (several while one is being replaced); without any, webhooks are not verified.
    ``api`` is Jambonz's, where there is one: by it calls that came by webhooks are commanded. ``dialler``
    places calls."""

    def __init__(
        self,
        store: Store,
        admission: Admission,
        around: Surroundings,
        *,
        max_calls: int,
        secrets: Sequence[str] = (),
        api: Api | None = None,
        dialler: Dialler | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.places = Places(admission, max_calls)
        self.live = LiveCalls(self.places)
        self.placing = Placing(self.live, self.places, around, dialler, next_path)
        self._around = self.placing.around
        self._lookup = Lookup(store)
        self._api = api
        self._reader = HookReader(secrets, wall_clock)
        self._answering: dict[str, asyncio.Task[Reply]] = {}

    @property
    def calls(self) -> Sequence[CallSession]:
        """Those under way."""
        return self.live.all

    # As other workers see it: gateway.workers.crew.Desk

    @property
    def max_calls(self) -> int:
        return self.places.most

    @property
    def draining(self) -> bool:
        return self.places.draining

    @property
    def taken(self) -> int:
        return self.places.taken

    @property
    def under_way(self) -> int:
        return len(self.live)

    def has(self, call_id: str) -> bool:
        there = self.live.of_id(call_id) is not None or self.placing.has(call_id)
        return there or self.live.still_to_be_put_through(call_id) is not None

    def knows(self, call_sid: str) -> bool:
        return call_sid in self._answering or self.live.call_id_of(call_sid) is not None

    def genuine(self, body: bytes, signature: str | None) -> bool:
        return self._reader.genuine(body, signature)

    # Hooks

    async def on_call(self, body: bytes, signature: str | None, base_url: str) -> Reply:
        """Jambonz announces a call, and is answered at once: who speaks, or why not."""
        hook = self._reader.read("call", CallHook, body, signature)
        return hook if isinstance(hook, Reply) else await self.announce(hook, base_url)

    async def announce(self, hook: CallHook, base_url: str, control: CallControl | None = None) -> Reply:
        """The same of a hook that was read already. ``control`` is that of the call where it comes by an application
        socket: then its hooks do, too."""
        known = self.live.of_sid(hook.call_sid) or self.placing.of_hook(hook)
        if known is not None and known.dialling is not None:
            return self._answered(known, known.dialling, hook, base_url, control)
        if known is not None:
            return Reply(200, self._listen(known, base_url))  # the same hook again: the same answer, once the effect
        answer = self._answering.get(hook.call_sid)
        if answer is None:
            answer = asyncio.get_running_loop().create_task(self._answer(hook, base_url, control))
            self._answering[hook.call_sid] = answer
            answer.add_done_callback(lambda _: self._answering.pop(hook.call_sid))
        return await asyncio.shield(answer)

    async def _answer(self, hook: CallHook, base_url: str, control: CallControl | None) -> Reply:
        if self.live.is_over(hook.call_sid):
            return self._decline(hook, 480, "Temporarily Unavailable", "over")
        if TAG in hook.customer_data:  # it was placed by a process that is gone, or given up: nobody is there to speak
            return self._decline(hook, 480, "Temporarily Unavailable", "not_placed_here")
        if self.places.why_none is not None:
            return self._decline(hook, 486, "Busy Here", self.places.why_none)
        self.places.enter()  # before the first await: two calls never share the last place
        call: CallSession | None = None
        try:
            found = await self._lookup.find(hook)
            if isinstance(found, Nobody):
                return self._decline(hook, found.status, found.phrase, found.reason)
            call = CallSession(hook, found, self._around)
            self._reach(call, hook, base_url, control)
            try:
                application = self._listen(call, base_url)
            except VerbError as error:  # the request's Host is no place to send anybody to
                log.warning("a call cannot be answered", call_sid=hook.call_sid, error=str(error))
                return Reply(400, error=f"{error}; set TRUNKLINE_PUBLIC_URL, or send a Host that can be called")
            match await self.places.admit_anyway(call):
                case None if self.places.draining:
                    return self._decline(hook, 486, "Busy Here", "draining")
                case None:
                    self.live.start(call)
                    return Reply(200, application)
                case ListenerGone():
                    return self._decline(hook, 404, "Not Found", "no_listener")
                case LimitReached(scope):
                    return self._decline(hook, 486, "Busy Here", f"{scope}_limit")
                case refused:
                    assert_never(refused)
        finally:
            if call is None or not call.begun:
                self.places.leave(call.id if call is not None else None)

    def _reach(self, call: CallSession, hook: CallHook, base_url: str, control: CallControl | None) -> None:
        """How we reach Jambonz from now on, and it us."""
        call.control = control or self._by_rest(hook, call, base_url)
        # A path is a hook of the application itself: with a socket it comes by that.
        call.next_url = ("" if control is not None else base_url) + next_path(call.id)
        call.base_url, call.listen_again = base_url, partial(self._listen_again, call, base_url)

    def _by_rest(self, hook: CallHook, call: CallSession, base_url: str) -> CallControl | None:
        if self._api is None or not hook.account_sid:
            return None
        return RestControl(self._api, hook.account_sid, hook.call_sid, f"{base_url}/jambonz/redirect/{call.id}")

    def on_redirect(self, call_id: str, body: bytes, signature: str | None) -> Reply:
        """Jambonz comes for the verbs of a redirect that we asked for. A failure leaves a call as it was, and an answer
        without verbs would not: it ends the verb that runs."""
        hook = self._reader.read("redirect", ActionHook, body, signature)
        if isinstance(hook, Reply):
            return hook
        call = self.live.of_id(call_id)
        control = call.control if call is not None else None
        verbs = control.redirected if isinstance(control, RestControl) else None
        return Reply(404) if verbs is None else Reply(200, verbs)

    def on_status(self, body: bytes, signature: str | None) -> Reply:
        hook = self._reader.read("status", StatusHook, body, signature)
        if isinstance(hook, Reply):
            return hook
        self.tell_status(hook)
        return Reply(204)

    def tell_status(self, hook: StatusHook) -> None:
        of_sid = self.live.of_sid
        call = of_sid(hook.call_sid) or self.placing.of_hook(hook) or of_sid(hook.parent_call_sid)
        if call is not None:
            call.on_status(hook)
        else:
            self.live.bridges.on_status(hook)

    def on_next(self, call_id: str, body: bytes, signature: str | None) -> Reply:
        """A verb is over, and Jambonz asks what is next."""
        hook = self._reader.read("next", ActionHook, body, signature)
        return hook if isinstance(hook, Reply) else Reply(200, self.next_verbs(call_id, hook))

    def next_verbs(self, call_id: str, hook: ActionHook) -> Sequence[Verb] | None:
        """What is next. Mostly nothing else, so that Jambonz goes on to our hangup: to say "hang up" here would be
        wrong, and replace what somebody redirected the call to just now.

        After ours (``listen``), the caller may have to be put through; that verb (``dial``) tells what became of it.
        """
        log.debug("a verb is over", call_id=call_id, call_sid=hook.call_sid, connected=hook.listen_connected)
        call, gone = self.live.of_id(call_id), self.live.still_to_be_put_through(call_id)
        if hook.type.startswith("amd_"):
            if call is not None and call.dialling is not None:
                call.dialling.tell(hook)
            return None
        if hook.is_of_transfer or hook.verb_id == JOINED:
            if call is not None:
                return call.handing.on_news(hook)
            return self.live.bridges.on_news(call_id, hook) or (gone.after() if gone is not None else None)
        if call is not None:
            return call.handing.next_verbs(hook)
        return gone.next(hook) if gone is not None else None

    def _decline(self, hook: CallHook, status: int, phrase: str, reason: str) -> Reply:
        metrics.calls_declined.labels(reason).inc()
        log.info("call declined", call_sid=hook.call_sid, called=hook.to, sip_status=status, reason=reason)
        answered = hook.direction == "outbound" and hook.call_status == "in-progress"
        return Reply(200, [verbs.hangup() if answered else verbs.sip_decline(status, phrase)])

    def _listen(self, call: CallSession, base_url: str) -> list[Verb]:
        url = f"ws{base_url.removeprefix('http')}/jambonz/listen/{call.token}"
        listen = verbs.listen(
            url,
            action_hook=call.next_url,
            sample_rate=call.format.rate,
            metadata={"call": call.id},
        )
        return [listen, verbs.hangup()]

    def _listen_again(self, call: CallSession, base_url: str) -> list[Verb]:
        """By another socket, with another token: the caller comes back."""
        self.live.change_token(call, self._around.new_token())
        return self._listen(call, base_url)

    # Browser sessions

    async def join(self, listener: ListenerForCall) -> CallSession:
        """A call whose media socket a client of the API is to open, with the call's token. Raises what
        :meth:`Places.of` does."""
        call = CallSession(CallHook(call_sid=str(uuid.uuid4())), listener, self._around, platform="websocket")
        async with self.places.of(call):
            return self.live.start(call)

    # Calls that we place

    def _answered(
        self, call: CallSession, dialling: Dialling, hook: CallHook, base_url: str, control: CallControl | None
    ) -> Reply:
        """Whoever was rung is there: from here on the call is as others."""
        if call.over.is_set():
            return self._decline(hook, 480, "Temporarily Unavailable", "over")
        if not dialling.answered.is_set():
            self._reach(call, hook, base_url, control)
        try:
            application = self._listen(call, base_url)
        except VerbError as error:
            log.warning("a call that was placed cannot be held", call_sid=hook.call_sid, error=str(error))
            call.end("failed")
            return Reply(200, [verbs.hangup()])
        dialling.answered.set()
        return Reply(200, application)
