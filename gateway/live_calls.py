"""The calls of this process, from their beginning until nobody asks for them any more: by their ids, by Jambonz's sids,
and by the tokens of their media sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import structlog

from gateway.bridged import Bridges
from gateway.places import Applicant, Places
from gateway.putting_through import PuttingThrough
from gateway.session import CallSession
from jambonz.signature import MAX_AGE, MAX_AHEAD
from store import Owner

log = structlog.get_logger(__name__)

T = TypeVar("T")

REMEMBER_SECONDS = MAX_AGE + MAX_AHEAD
"""A call that is over is known this long, for its hook's signature is good this long: it may come again."""

CLOSE_SECONDS = 5.0
"""The longest that calls may take to end once they have to."""


class Guest(Applicant, Protocol):
    """A call whose sound is elsewhere."""

    async def run(self) -> None: ...

    def shut_down(self) -> None: ...


class LiveCalls:
    def __init__(self, places: Places) -> None:
        self.bridges = Bridges()
        self._places = places
        self._calls: dict[str, CallSession] = {}
        self._by_sid: dict[str, CallSession] = {}
        self._by_token: dict[str, CallSession] = {}
        self._over: dict[str, tuple[float, str]] = {}  # by call sid: until when it is remembered, and the call's id
        self._gone: dict[str, PuttingThrough] = {}  # by call id, of those: who is still to be put through
        self._guests: dict[str, Guest] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # Which there are

    @property
    def all(self) -> Sequence[CallSession]:
        return tuple(self._calls.values())

    def __len__(self) -> int:
        return len(self._calls)

    def of_id(self, call_id: str) -> CallSession | None:
        return self._calls.get(call_id)

    def of_owner(self, owner: Owner, call_id: str) -> CallSession | None:
        """If it is of that organisation."""
        call = self._calls.get(call_id)
        mine = call is not None and call.record.row.owner.organisation_id == owner.organisation_id
        return call if mine else None

    def of_sid(self, call_sid: str) -> CallSession | None:
        return self._by_sid.get(call_sid)

    def is_over(self, call_sid: str) -> bool:
        """Since not long."""
        self._forget()
        return call_sid in self._over

    def call_id_of(self, call_sid: str) -> str | None:
        """Of a call under way, or of one that is over since not long, or goes on without us."""
        self._forget()
        call = self._by_sid.get(call_sid)
        if call is not None:
            return call.id
        return self.bridges.call_id_of(call_sid) or self._over.get(call_sid, (0.0, None))[1]

    def still_to_be_put_through(self, call_id: str) -> PuttingThrough | None:
        """Of a call that is over: its caller, who is with Jambonz still."""
        self._forget()
        return self._gone.get(call_id)

    # Tokens

    def take_token(self, token: str) -> CallSession | None:
        """The call that a media socket is for. A token opens one socket, once."""
        return self._by_token.pop(token, None)

    def give_back(self, call: CallSession) -> None:
        """The socket was refused before it opened: its token still holds."""
        call.detach()
        if call.id in self._calls:
            self._by_token[call.token] = call

    def change_token(self, call: CallSession, token: str) -> None:
        """The one that it has is good no more."""
        self._by_token.pop(call.token, None)
        call.token = token
        self._by_token[token] = call

    # From their beginning to their end

    def start(
        self, call: CallSession, at_its_end: Callable[[CallSession], Awaitable[None]] | None = None
    ) -> CallSession:
        """It has its place, and goes on by itself."""
        call.begun = True
        self._calls[call.id] = self._by_sid[call.call_sid] = self._by_token[call.token] = call
        _ = self._begin(call.id, self._run(call, at_its_end))
        return call

    def place(self, call_id: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """What is about to begin a call is waited for as the call is."""
        return self._begin(call_id, work)

    def attend(self, call: Guest) -> asyncio.Task[None]:
        """It has its place within the limits, and takes none of this process."""
        self._guests[call.id] = call
        return self._begin(call.id, self._attend(call))

    def _begin(self, call_id: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work, name=f"call {call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, call: CallSession, at_its_end: Callable[[CallSession], Awaitable[None]] | None) -> None:
        try:
            await call.run()
            if at_its_end is not None:
                await at_its_end(call)
        finally:
            self._places.leave(call.id)
            self._by_token.pop(call.token, None)
            self._by_sid.pop(call.call_sid, None)
            self._calls.pop(call.id, None)
            self._forget()
            self._over[call.call_sid] = asyncio.get_running_loop().time() + REMEMBER_SECONDS, call.id
            if call.handing.pending is not None:
                self._gone[call.id] = call.handing.pending
            if call.handing.bridged is not None:
                self.bridges.take(call.call_sid, call.handing.bridged, gone=call.progress.ended)

    async def _attend(self, call: Guest) -> None:
        try:
            await call.run()
        finally:
            del self._guests[call.id]
            self._places.give_back(call.id)

    def _forget(self) -> None:
        """Calls that are over for long enough."""
        now = asyncio.get_running_loop().time()
        while self._over and next(iter(self._over.values()))[0] < now:
            _, call_id = self._over.pop(next(iter(self._over)))
            self._gone.pop(call_id, None)

    async def drain(self, seconds: float) -> None:
        """Take no more calls, wait for those there are, and end what is left after ``seconds``."""
        self._places.draining = True
        if self._tasks:
            log.info("draining", calls=len(self._tasks), seconds=seconds)
            await self._all_over(seconds)
        for call in (*self.all, *self._guests.values()):
            call.shut_down()
        await self._all_over(CLOSE_SECONDS)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.bridges.close()

    async def _all_over(self, seconds: float) -> None:
        """Also what begins meanwhile: a call that Jambonz was just asked to place."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)
