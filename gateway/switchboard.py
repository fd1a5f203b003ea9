"""The calls of this process: who is let in, what Jambonz is answered, and who is still there when the service stops.

No HTTP here, and no socket: what Jambonz tells comes in, as a body with its signature or as a hook that was read
already, and verbs go out.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal, Protocol, assert_never

import structlog
from pydantic import ValidationError

from gateway import metrics
from gateway.admission import Admission
from gateway.bridged import Bridges
from gateway.control import CallControl, RestControl
from gateway.dialler import Dialler
from gateway.dialling import TAG, Dialling
from gateway.known import KnownListeners
from gateway.placing import Placing
from gateway.putting_through import JOINED, PuttingThrough
from gateway.session import CallSession, new_token
from gateway.surroundings import Surroundings
from gateway.webhooks import HookReader, Reply
from jambonz import verbs
from jambonz.hooks import ActionHook, CallHook, StatusHook
from jambonz.provisioning.wanted import registration_of
from jambonz.rest import Api
from jambonz.signature import MAX_AGE, MAX_AHEAD
from jambonz.verbs import Verb, VerbError
from store import Owner, Store
from store.errors import NotFound, StoreError
from store.listeners import ListenerForCall
from store.places import LimitReached, ListenerGone, Place, Scope

log = structlog.get_logger(__name__)

LOOK_UP_SECONDS = 2.0
"""The longest that finding the agent, and then taking a place, may take each: Jambonz gives a webhook 10 s, and an
application socket 5."""

REMEMBER_SECONDS = MAX_AGE + MAX_AHEAD
"""A call that is over is known this long, for its hook's signature is good this long: it may come again."""


def next_path(call_id: str) -> str:
    """Where Jambonz asks what comes after a verb."""
    return f"/jambonz/next/{call_id}"


class NoPlace(Exception):
    """``current`` calls are under way where ``limit`` may be; ``scope`` says whose limit that is."""

    def __init__(self, scope: Scope | Literal["process"], limit: int, current: int) -> None:
        super().__init__(f"There is no place for another call: {current} of {limit} are under way")
        self.scope, self.limit, self.current = scope, limit, current


class Applicant(Protocol):
    id: str

    def refuse(self, scope: Scope, sentence: str) -> None: ...


class Guest(Applicant, Protocol):
    async def run(self) -> None: ...

    def shut_down(self) -> None: ...


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
        self._store = store
        self._admission = admission
        self.placing = Placing(self, around, dialler, next_path)
        self._around = self.placing.around
        self.max_calls = max_calls
        self._api = api
        self._reader = HookReader(secrets, wall_clock)
        self._known = KnownListeners()
        self._calls: dict[str, CallSession] = {}
        self._by_sid: dict[str, CallSession] = {}
        self._by_token: dict[str, CallSession] = {}
        self._answering: dict[str, asyncio.Task[Reply]] = {}
        self._over: dict[str, tuple[float, str]] = {}  # by call sid: until when it is remembered, and the call's id
        self._gone: dict[str, PuttingThrough] = {}  # by call id, of those: who is still to be put through
        self._guests: dict[str, Guest] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.bridges = Bridges()
        self._taken = 0
        self.draining = False

    @property
    def calls(self) -> Sequence[CallSession]:
        return tuple(self._calls.values())

    # As other workers see it: gateway.workers.crew.Desk

    @property
    def under_way(self) -> int:
        return len(self._calls)

    def has(self, call_id: str) -> bool:
        return call_id in self._calls or self.placing.has(call_id) or call_id in self._gone

    def knows(self, call_sid: str) -> bool:
        return call_sid in self._answering or self.call_id_of(call_sid) is not None

    def genuine(self, body: bytes, signature: str | None) -> bool:
        return self._reader.genuine(body, signature)

    @property
    def taken(self) -> int:
        return self._taken

    # Hooks

    async def on_call(self, body: bytes, signature: str | None, base_url: str) -> Reply:
        """Jambonz announces a call, and is answered at once: who speaks, or why not."""
        hook = self._reader.read("call", CallHook, body, signature)
        return hook if isinstance(hook, Reply) else await self.announce(hook, base_url)

    async def announce(self, hook: CallHook, base_url: str, control: CallControl | None = None) -> Reply:
        """The same of a hook that was read already. ``control`` is that of the call where it comes by an application
        socket: then its hooks do, too."""
        known = self._by_sid.get(hook.call_sid) or self.placing.of_hook(hook)
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
        self._forget()
        if hook.call_sid in self._over:
            return self._decline(hook, 480, "Temporarily Unavailable", "over")
        if TAG in hook.customer_data:  # it was placed by a process that is gone, or given up: nobody is there to speak
            return self._decline(hook, 480, "Temporarily Unavailable", "not_placed_here")
        if self.draining or self._taken >= self.max_calls:
            return self._decline(hook, 486, "Busy Here", "draining" if self.draining else "full")
        self._taken += 1  # before the first await: two calls never share the last place
        call: CallSession | None = None
        place_used = False
        try:
            found = await self._find(hook)
            if isinstance(found, Reply):
                return found
            call = CallSession(hook, found, self._around)
            self._reach(call, hook, base_url, control)
            try:
                application = self._listen(call, base_url)
            except VerbError as error:  # the request's Host is no place to send anybody to
                log.warning("a call cannot be answered", call_sid=hook.call_sid, error=str(error))
                return Reply(400, error=f"{error}; set TRUNKLINE_PUBLIC_URL, or send a Host that can be called")
            refusal = await self._admit(hook, call)
            if refusal is not None:
                return refusal
            if self.draining:
                return self._decline(hook, 486, "Busy Here", "draining")
            self.start(call)
            place_used = True
            return Reply(200, application)
        finally:
            if not place_used:
                self._taken -= 1
                if call is not None:
                    self._admission.give_back(call.id)

    def _reach(self, call: CallSession, hook: CallHook, base_url: str, control: CallControl | None) -> None:
        """How we reach Jambonz from now on, and it us."""
        call.control = control or self._by_rest(hook, call, base_url)
        # A path is a hook of the application itself: with a socket it comes by that.
        call.next_url = ("" if control is not None else base_url) + next_path(call.id)
        call.base_url, call.listen_again = base_url, partial(self._listen_again, call, base_url)

    async def _find(self, hook: CallHook) -> ListenerForCall | Reply:
        registration = registration_of(hook.originating_sip_trunk_name)
        wanted = registration or hook.to
        if wanted is None:
            return self._decline(hook, 404, "Not Found", "no_number")
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                listener = await self._listener(registration, hook.to)
        except (StoreError, ValidationError) as error:  # it is there, and cannot be read
            return self._no_store(hook, "cannot look up who answers", error)
        except Exception as error:  # noqa: BLE001 - a database that is away: who answered before goes on to
            known = self._known.recall(wanted)
            if known is None:
                return self._no_store(hook, "cannot look up who answers", error)
            metrics.calls_without_store.inc()
            log.warning("the database is away; who answered before does", call_sid=hook.call_sid, error=_words(error))
            return known
        self._known.remember(wanted, listener)
        if listener is None:
            return self._decline(hook, 404, "Not Found", "no_listener")
        return listener

    async def _listener(self, registration: str | None, called: str | None) -> ListenerForCall | None:
        """Whoever is on the registration that the call came by; else on the number."""
        found = await self._store.find_listener_of_registration(registration) if registration else None
        return found if found is not None or called is None else await self._store.find_listener(called)

    async def _admit(self, hook: CallHook, call: CallSession) -> Reply | None:
        """A place within the limits of its listener, user and organisation; or why there is none."""
        place = Place(call.id, call.listener.id, call.listener.owner)
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                refused = await self._admission.take(place)
        except Exception as error:  # noqa: BLE001 - likewise: what is known here has to do
            log.warning("cannot count calls in the database", call_sid=hook.call_sid, error=_words(error))
            refused = self._admission.assume(place, call.listener.options.agent_limit, call.listener.limits)
        match refused:
            case None:
                return None
            case ListenerGone():
                return self._decline(hook, 404, "Not Found", "no_listener")
            case LimitReached(scope):
                call.refuse(scope, str(refused))
                return self._decline(hook, 486, "Busy Here", f"{scope}_limit")
            case _:
                assert_never(refused)

    def _no_store(self, hook: CallHook, what: str, error: Exception) -> Reply:
        log.error(what, call_sid=hook.call_sid, error=_words(error))
        return self._decline(hook, 480, "Temporarily Unavailable", "store")

    def _by_rest(self, hook: CallHook, call: CallSession, base_url: str) -> CallControl | None:
        if self._api is None or not hook.account_sid:
            return None
        return RestControl(self._api, hook.account_sid, hook.call_sid, f"{base_url}/jambonz/redirect/{call.id}")

    def on_redirect(self, call_id: str, body: bytes, signature: str | None) -> Reply:
        """Jambonz comes for the verbs of a redirect that we asked for. Without any, the call goes on as it was."""
        hook = self._reader.read("redirect", ActionHook, body, signature)
        if isinstance(hook, Reply):
            return hook
        call = self._calls.get(call_id)
        control = call.control if call is not None else None
        return Reply(200, control.redirected if isinstance(control, RestControl) else None)

    def on_status(self, body: bytes, signature: str | None) -> Reply:
        hook = self._reader.read("status", StatusHook, body, signature)
        if isinstance(hook, Reply):
            return hook
        self.tell_status(hook)
        return Reply(204)

    def tell_status(self, hook: StatusHook) -> None:
        call = self._by_sid.get(hook.call_sid) or self.placing.of_hook(hook) or self._by_sid.get(hook.parent_call_sid)
        if call is not None:
            call.on_status(hook)
        else:
            self.bridges.on_status(hook)

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
        self._forget()
        call, gone = self._calls.get(call_id), self._gone.get(call_id)
        if hook.type.startswith("amd_"):
            if call is not None and call.dialling is not None:
                call.dialling.tell(hook)
            return None
        if hook.is_of_transfer or hook.verb_id == JOINED:
            if call is not None:
                return call.handing.on_news(hook)
            return self.bridges.on_news(call_id, hook) or (gone.after() if gone is not None else None)
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
        self._by_token.pop(call.token, None)
        call.token = self._around.mark + new_token()
        self._by_token[call.token] = call
        return self._listen(call, base_url)

    # Browser sessions

    async def join(self, listener: ListenerForCall) -> CallSession:
        """A call whose media socket a client of the API is to open, with the call's token. Raises :class:`NoPlace`,
        :class:`NotFound`, and what the store raises, or TimeoutError."""
        call = CallSession(CallHook(call_sid=str(uuid.uuid4())), listener, self._around, platform="websocket")
        async with self.place_of(call):
            return self.start(call)

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

    @asynccontextmanager
    async def place_of(self, call: CallSession, *, counted: bool = True) -> AsyncIterator[None]:
        """A place for a call that somebody asks for; ``counted`` by the limits, too. What begins inside keeps it.
        Raises as :meth:`join` does."""
        if self.draining or self._taken >= self.max_calls:
            raise self.full()
        self._taken += 1
        try:
            if counted:
                await self.admit(call, call.listener)
            yield
        finally:
            if not call.begun:
                self._taken -= 1
                self._admission.give_back(call.id)

    def full(self) -> NoPlace:
        """The process takes no more calls."""
        metrics.calls_declined.labels("draining" if self.draining else "full").inc()
        return NoPlace("process", self.max_calls, self._taken)

    async def admit(self, call: Applicant, listener: ListenerForCall) -> None:
        """Take the call's place within the limits. Raises as :meth:`join` does; whatever it raises, the place is to be
        given back."""
        async with asyncio.timeout(LOOK_UP_SECONDS):
            refused = await self._admission.take(Place(call.id, listener.id, listener.owner))
        match refused:
            case None:
                return
            case ListenerGone():
                metrics.calls_declined.labels("no_listener").inc()
                raise NotFound(f"There is no listener {listener.id}")
            case LimitReached(scope, limit, current):
                metrics.calls_declined.labels(f"{scope}_limit").inc()
                call.refuse(scope, str(refused))
                raise NoPlace(scope, limit, current)
            case _:
                assert_never(refused)

    def give_up(self, call: Applicant) -> None:
        """Its place is not used."""
        self._admission.give_back(call.id)

    def attend(self, call: Guest) -> asyncio.Task[None]:
        """A call whose sound is elsewhere has begun: it has its place, and takes none of this process."""
        self._guests[call.id] = call
        task = asyncio.get_running_loop().create_task(self._attend(call), name=f"call {call.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _attend(self, call: Guest) -> None:
        try:
            await call.run()
        finally:
            del self._guests[call.id]
            self._admission.give_back(call.id)

    # Calls

    def call_of(self, owner: Owner, call_id: str) -> CallSession | None:
        """A call under way here, if it is of that organisation."""
        call = self._calls.get(call_id)
        mine = call is not None and call.record.owner.organisation_id == owner.organisation_id
        return call if mine else None

    def of_id(self, call_id: str) -> CallSession | None:
        """Likewise, of anybody's."""
        return self._calls.get(call_id)

    def find(self, call_sid: str) -> CallSession | None:
        """The call under way that Jambonz knows by this sid."""
        return self._by_sid.get(call_sid)

    def call_id_of(self, call_sid: str) -> str | None:
        """Of a call under way, or of one that is over since not long, or goes on without us."""
        self._forget()
        call = self._by_sid.get(call_sid)
        if call is not None:
            return call.id
        return self.bridges.call_id_of(call_sid) or self._over.get(call_sid, (0.0, None))[1]

    def take_token(self, token: str) -> CallSession | None:
        """The call that a media socket is for. A token opens one socket, once."""
        return self._by_token.pop(token, None)

    def give_back(self, call: CallSession) -> None:
        """The socket was refused before it opened: its token still holds."""
        call.detach()
        if call.id in self._calls:
            self._by_token[call.token] = call

    def start(self, call: CallSession) -> CallSession:
        """It has its place, and goes on by itself."""
        call.begun = True
        self._calls[call.id] = self._by_sid[call.call_sid] = self._by_token[call.token] = call
        task = asyncio.get_running_loop().create_task(self._run(call), name=f"call {call.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return call

    async def _run(self, call: CallSession) -> None:
        try:
            await call.run()
            await self.placing.stop_ringing(call)
        finally:
            self._taken -= 1
            self._admission.give_back(call.id)
            self._by_token.pop(call.token, None)
            self._by_sid.pop(call.call_sid, None)
            self._calls.pop(call.id, None)
            self._forget()
            self._over[call.call_sid] = asyncio.get_running_loop().time() + REMEMBER_SECONDS, call.id
            if call.handing.pending is not None:
                self._gone[call.id] = call.handing.pending
            if call.handing.bridged is not None:
                self.bridges.take(call.call_sid, call.handing.bridged, gone=call.progress.ended)

    def _forget(self) -> None:
        """Calls that are over for long enough."""
        now = asyncio.get_running_loop().time()
        while self._over and next(iter(self._over.values()))[0] < now:
            _, call_id = self._over.pop(next(iter(self._over)))
            self._gone.pop(call_id, None)

    async def drain(self, seconds: float) -> None:
        """Take no more calls, wait for those there are, and end what is left after ``seconds``."""
        self.draining = True
        if self._tasks:
            log.info("draining", calls=len(self._tasks), seconds=seconds)
            await asyncio.wait(self._tasks, timeout=seconds)
        for call in (*self.calls, *self._guests.values()):
            call.shut_down()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5.0)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.bridges.close()


def _words(error: Exception) -> str:
    return str(error) or "no answer in time"
