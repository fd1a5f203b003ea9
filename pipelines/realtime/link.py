"""A call's line to its model: one session after the other, so that the caller notices none of them.

A session that is lost is followed by another, which is told the conversation as the caller heard it; attempts are
bounded. A session that nears its end is followed by another one at a quiet moment, while it still serves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

from pipelines.parts import ProviderError
from pipelines.realtime.connection import ConnectionListener, RealtimeConnection
from pipelines.realtime.model import (
    Outgoing,
    RealtimeEvent,
    RealtimeModel,
    RealtimeProtocol,
    Resumable,
    SessionEnding,
    SessionOver,
    Setup,
    Used,
)
from pipelines.realtime.pulse import Pulse

PAUSES = (0.0, 0.3, 0.8)
"""Before each attempt."""

SHORT_SECONDS = 10.0
MOST_SHORT = 3
"""So many sessions in a row that did not last for so long: another one would not, either."""

ATTEMPT_SECONDS = 3.5
"""After this long no further attempt is begun: the caller has waited long enough."""

RENEW_SECONDS = 120.0
"""Before a session's end another one is opened, and taken at the first quiet moment ..."""

RENEW_SHARE = 0.2
"""... or this share of a short session before its end."""

URGENT_SECONDS = 3.0
"""So close to the end it is taken in any event."""

RETRY_SECONDS = 5.0
"""Between attempts to open it."""

ASK_SECONDS = 1.0
"""How long the vendor is asked why a session is over, before another one is opened."""

BACKLOG_FRAMES = 250
"""Of the caller's sound, while there is no session: 5 s, and more where it goes out in larger pieces."""


class Session(Protocol):
    """What the link needs of a :class:`RealtimeConnection`."""

    protocol: RealtimeProtocol
    seconds: float | None
    heard_at: float

    @property
    def is_open(self) -> bool: ...

    def send(self, messages: Sequence[Outgoing]) -> None: ...

    def send_audio(self, pcm: bytes) -> None: ...

    def ping(self) -> None: ...

    def lose(self, reason: str) -> None: ...

    async def close(self, model: RealtimeModel) -> SessionOver | None: ...


class Opener(Protocol):
    """Opens a session; :meth:`RealtimeConnection.open` is one."""

    def __call__(
        self,
        model: RealtimeModel,
        setup: Setup,
        listener: ConnectionListener,
        *,
        on_fault: Callable[[Exception], None],
        handle: str | None = None,
    ) -> Awaitable[Session]: ...


class LinkListener(Protocol):
    """Who is told of the link."""

    def on_model_event(self, event: RealtimeEvent) -> None: ...

    def on_link_lost(self, reason: str) -> None:
        """The session is gone, and another is being opened."""
        ...

    def on_link_restored(self, *, renewed: bool) -> None:
        """There is another session; ``renewed``: in place of one that still served."""
        ...

    def on_link_given_up(self, error: ProviderError) -> None:
        """There is none, and there will be none."""
        ...

    def on_link_fault(self, error: Exception) -> None: ...


class Link:
    """``setup`` tells what the next session is to know. Driven by :meth:`watch` and :meth:`tick`."""

    def __init__(
        self,
        model: RealtimeModel,
        setup: Callable[[], Setup],
        listener: LinkListener,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        clock: Callable[[], float],
        opener: Opener | None = None,
    ) -> None:
        self.fault: ProviderError | None = None
        """Why there is no session, and none is being opened."""
        self._model = model
        self._setup = setup
        self._listener = listener
        self._spawn = spawn
        self._clock = clock
        self._open: Opener = opener or RealtimeConnection.open
        self._session: Session | None = None
        self._pulse = Pulse(clock())
        self._opening: asyncio.Task[None] | None = None
        self._backlog: deque[bytes] = deque(maxlen=BACKLOG_FRAMES)
        self._handle: str | None = None
        self._taken_at = 0.0
        self._short = 0
        self._ends_at: float | None = None
        self._renew_at: float | None = None
        self._early: list[RealtimeEvent] | None = []  # what came before the call began
        self._ending = False

    @property
    def is_open(self) -> bool:
        return self._session is not None and self._session.is_open

    async def prepare(self, patience: float) -> None:
        """Begin to open the first session, and wait for it, but not for long: the call goes on meanwhile."""
        self._opening = self._spawn(self._connect_first())
        await asyncio.wait([self._opening], timeout=patience)

    async def _connect_first(self) -> None:
        await self._connect(PAUSES[:2])
        self._opening = None
        if self.fault is not None and self._early is None:
            self._listener.on_link_given_up(self.fault)

    async def _connect(self, pauses: Sequence[float] = PAUSES) -> None:
        """Open a session; :attr:`fault` tells if there is none after all attempts."""
        began = self._clock()
        for pause in pauses:
            await asyncio.sleep(pause)
            if self._clock() - began > ATTEMPT_SECONDS:
                return
            try:
                session = await self._open(
                    self._model, self._setup(), self, on_fault=self._listener.on_link_fault, handle=self._handle
                )
            except ProviderError as error:
                self.fault = error
                self._handle = None  # it may be what was wrong
                if error.kind in ("auth", "bad_request"):
                    return
            else:
                self.fault = None
                self._take(session)
                return

    def begin(self) -> None:
        """The call begins: what came before it is told now."""
        early, self._early = self._early, None
        for event in early or ():
            self._listener.on_model_event(event)

    def expect_the_end(self) -> None:
        """What happens to the session from here on is no loss."""
        self._ending = True

    def send(self, messages: Callable[[RealtimeProtocol], Sequence[Outgoing]]) -> None:
        if self._session is not None:
            self._session.send(messages(self._session.protocol))

    def send_audio(self, pcm: bytes) -> None:
        session = self._session
        if session is None:
            self._backlog.append(pcm)
        else:
            session.send_audio(pcm)

    def lose(self, reason: str) -> None:
        """Give the session up."""
        if self._session is not None:
            self._session.lose(reason)

    def watch(self, now: float, *, awaited: bool) -> None:
        """Find out whether the session's socket is alive; ``awaited``: something of it is waited for."""
        session = self._session
        if session is None or not session.is_open:
            return
        match self._pulse.tick(now, session.heard_at, awaited=awaited):
            case "ask":
                session.ping()
            case "lost":
                session.lose("it answers no ping")
            case None:
                pass

    def renew(self) -> None:
        """In another session, as soon as nobody speaks: this one was told what does not hold any more."""
        self._renew_at = self._clock()

    def in_doubt(self, now: float) -> bool:
        """There is no session, or maybe none any more."""
        return not self.is_open or self._pulse.doubtful(now)

    def tick(self, now: float, *, quiet: bool) -> None:
        """Time passes; ``quiet``: another session may take over."""
        if self._ending or self._renew_at is None or now < self._renew_at:
            return
        urgent = self._ends_at is not None and now >= self._ends_at - URGENT_SECONDS
        if self._opening is None and (quiet or urgent):
            self._opening = self._spawn(self._renew())

    async def close(self) -> SessionOver | None:
        """Bounded. Says why the vendor holds the last session to be over, where it can be asked."""
        self._ending = True
        if self._opening is not None:
            self._opening.cancel()  # or there were a session after the last one, which nobody closes
        session, self._session = self._session, None
        return await session.close(self._model) if session is not None else None

    # ConnectionListener

    def on_model_event(self, connection: Session, event: RealtimeEvent) -> None:
        match event:
            case Resumable(handle):
                self._handle = handle
            case SessionEnding(seconds):
                self._ends_at = self._clock() + seconds
                self._renew_at = self._clock()
            case _:
                pass
        if self._early is not None:
            self._early.append(event)
        elif connection is self._session or self._session is None or isinstance(event, Used):
            self._listener.on_model_event(event)

    def on_model_lost(self, connection: Session, reason: str) -> None:
        if connection is not self._session:
            return
        self._session = None
        if self._ending:
            return
        if self._opening is None:
            self._opening = self._spawn(self._go_on(connection, reason))
        else:  # of another session, in good time
            self._listener.on_link_lost(reason)

    # Sessions

    def _take(self, session: Session) -> None:
        self._session = session
        self._pulse = Pulse(self._clock())
        self._taken_at = self._clock()
        limit = session.seconds or self._model.capabilities.session_seconds
        now = self._clock()
        self._ends_at = now + limit if limit is not None else None
        self._renew_at = now + limit - min(RENEW_SECONDS, limit * RENEW_SHARE) if limit is not None else None
        while self._backlog:
            session.send_audio(self._backlog.popleft())

    async def _go_on(self, lost: Session, reason: str) -> None:
        """In another session, unless the vendor says that this one was over for good."""
        over = None
        with suppress(TimeoutError):
            async with asyncio.timeout(ASK_SECONDS):
                over = await lost.close(self._model)
        if self._ending:
            return
        if over is not None and over.by_agent:
            self._opening = None
            self._listener.on_model_event(over)
            return
        self._listener.on_link_lost(reason if over is None else f"{reason} ({over.reason})")
        self._short = self._short + 1 if self._clock() - self._taken_at < SHORT_SECONDS else 0
        if self._short >= MOST_SHORT:
            self._opening = None
            self.fault = ProviderError(self._model.name, "server", f"its sessions end as soon as they begin: {reason}")
            self._listener.on_link_given_up(self.fault)
        else:
            await self._reopen()

    async def _reopen(self) -> None:
        await self._connect()
        self._opening = None
        if self.fault is not None:
            self._listener.on_link_given_up(self.fault)
        else:
            self._listener.on_link_restored(renewed=False)

    async def _renew(self) -> None:
        """A session that cannot be opened yet is tried again, as long as the present one lasts."""
        try:
            session = await self._open(
                self._model, self._setup(), self, on_fault=self._listener.on_link_fault, handle=self._handle
            )
        except ProviderError:
            self._handle = None
            self._renew_at = self._clock() + RETRY_SECONDS
            if self._session is None:
                await self._reopen()
        else:
            self._swap(session)
        finally:
            self._opening = None

    def _swap(self, session: Session) -> None:
        old = self._session
        self._take(session)
        if old is not None:
            _ = self._spawn(self._retire(old))
        self._listener.on_link_restored(renewed=old is not None)

    async def _retire(self, session: Session) -> None:
        await session.close(self._model)
