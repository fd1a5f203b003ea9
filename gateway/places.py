"""Places for calls: of this process, and within the limits of listener, user and organisation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, Protocol, assert_never

from gateway import metrics
from gateway.admission import Admission
from gateway.session import CallSession
from store.errors import NotFound, reason
from store.listeners import ListenerForCall
from store.places import HeldElsewhere, LimitReached, ListenerGone, Place, Scope

COUNT_SECONDS = 2.0
"""The longest that the database may take to count calls: Jambonz gives a webhook 10 s, and an application socket 5."""


class NoPlace(Exception):
    """``current`` calls are under way where ``limit`` may be; ``scope`` says whose limit that is."""

    def __init__(self, scope: Scope | Literal["process"], limit: int, current: int) -> None:
        super().__init__(f"There is no place for another call: {current} of {limit} are under way")
        self.scope, self.limit, self.current = scope, limit, current


class Elsewhere(Exception):
    """Another process has this very call."""


class Applicant(Protocol):
    id: str

    def never(self, status: str, reason: str, sentence: str) -> None:
        """There is no place for it."""
        ...


class Places:
    def __init__(self, admission: Admission, most: int) -> None:
        self.most = most
        """Calls that this process takes at once."""
        self.taken = 0
        self.draining = False
        self._admission = admission

    @property
    def why_none(self) -> Literal["draining", "full"] | None:
        """Why the process takes no more calls; None: it does."""
        return "draining" if self.draining else "full" if self.taken >= self.most else None

    def full(self) -> NoPlace:
        """The process takes no more calls."""
        metrics.calls_declined.labels("draining" if self.draining else "full").inc()
        return NoPlace("process", self.most, self.taken)

    @asynccontextmanager
    async def of(self, call: CallSession, *, counted: bool = True) -> AsyncIterator[None]:
        """A place for a call that somebody asks for; ``counted`` by the limits, too. What begins inside keeps it.
        Raises :class:`NoPlace`, and what :meth:`admit` does."""
        if self.why_none is not None:
            raise self.full()
        self.enter()
        try:
            if counted:
                await self.admit(call, call.listener)
            yield
        finally:
            if not call.begun:
                self.leave(call.id)

    def enter(self) -> None:
        """A place of this process is taken."""
        self.taken += 1

    def leave(self, call_id: str | None) -> None:
        """A place of this process is free again; and those that the call took of the limits."""
        self.taken -= 1
        if call_id is not None:
            self.give_back(call_id)

    def give_back(self, call_id: str) -> None:
        """What the call took of the limits, if it took anything."""
        self._admission.give_back(call_id)

    async def admit(self, call: Applicant, listener: ListenerForCall) -> None:
        """Take the call's place within the limits; whatever it raises, that is to be given back: :class:`NoPlace`,
        :class:`NotFound`, :class:`Elsewhere`, what the store raises, or TimeoutError."""
        refused = await self._take(call, listener)
        match refused:
            case None:
                return
            case ListenerGone():
                metrics.calls_declined.labels("no_listener").inc()
                raise NotFound(f"There is no listener {listener.id}")
            case LimitReached(scope, limit, current):
                metrics.calls_declined.labels(f"{scope}_limit").inc()
                self._refuse(call, refused)
                raise NoPlace(scope, limit, current)
            case _:
                assert_never(refused)

    async def admit_anyway(self, call: CallSession) -> LimitReached | ListenerGone | None:
        """The same for a caller, who is not to wait until the database is back: what is known here has to do then.
        None: the place is taken."""
        listener = call.listener
        try:
            refused = await self._take(call, listener)
        except Exception as error:  # noqa: BLE001 - whatever a database fails with
            call.log.warning("cannot count calls in the database", error=reason(error))
            place = Place(call.id, listener.id, listener.owner)
            refused = self._admission.assume(place, listener.options.agent_limit, listener.limits)
        if isinstance(refused, LimitReached):
            self._refuse(call, refused)
        return refused

    async def _take(self, call: Applicant, listener: ListenerForCall) -> LimitReached | ListenerGone | None:
        async with asyncio.timeout(COUNT_SECONDS):
            refused = await self._admission.take(Place(call.id, listener.id, listener.owner))
        if isinstance(refused, HeldElsewhere):
            raise Elsewhere
        return refused

    def _refuse(self, call: Applicant, refused: LimitReached) -> None:
        call.never(f"failed: {refused.scope} concurrency limit", "limit", str(refused))
