"""What a call needs of the service around it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gateway.call_hooks import CallHooks, Note
from gateway.callbacks import Callback, Callbacks
from gateway.clients import Clients
from gateway.progress import Progress
from gateway.recorder import Recorder
from gateway.recordings.keeper import Recordings
from gateway.ticker import Ticker
from media.audio import AudioFormat
from media.playout import PlayoutSink
from pipelines.agent import AgentDefinition
from pipelines.ears import VoiceDetector
from pipelines.interlude import Interlude
from pipelines.parts import SpeechToText
from pipelines.pipeline import Pipeline
from store import Owner
from store.listeners import ListenerForCall
from store.numbers import Line

if TYPE_CHECKING:
    from gateway.session import CallSession


class Leg(PlayoutSink, Protocol):
    """The caller's media connection."""

    format: AudioFormat

    def disconnect(self) -> None: ...

    def close(self, code: int = 1000, reason: str = "") -> None: ...


class PipelineFactory(Protocol):
    """Makes the pipelines of a call, and its caller's voice detector."""

    def pipeline(
        self,
        listener: ListenerForCall,
        session: CallSession,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> Pipeline:
        """For the agent of ``listener``. Raises :class:`ProviderError` in words."""
        ...

    def interlude(self, listener: ListenerForCall, session: CallSession) -> Interlude | None:
        """What can speak while no pipeline does; None where there is no voice at all."""
        ...

    def recogniser_for(self, listener: ListenerForCall) -> SpeechToText | None:
        """What can tell words before a pipeline listens; None where nothing can."""
        ...

    def detector(self, format: AudioFormat) -> VoiceDetector: ...

    async def close(self) -> None: ...


class Placing(Protocol):
    async def __call__(
        self,
        listener: ListenerForCall,
        called: str,
        *,
        from_: str,
        trunk: str | None,
        prepare: Callable[[CallSession], None],
    ) -> CallSession:
        """``called`` is digits, ``from_`` has its ``+``. ``prepare`` is given the call before anybody can hear of it.
        Raises in words where nobody rings."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a session needs of the service. ``find_agent`` and ``find_lines`` are the store's, and take as long as that
    takes. ``mark`` is what the tokens of media sockets begin with."""

    factory: PipelineFactory
    recorder: Recorder
    progress: Progress
    ticker: Ticker
    find_agent: Callable[[Owner, str], Awaitable[AgentDefinition | None]]
    hooks: CallHooks | None = None
    recordings: Recordings | None = None
    find_lines: Callable[[Owner, Sequence[str]], Awaitable[Mapping[str, Line]]] | None = None
    clients: Clients | None = None
    place: Placing | None = None
    """Has somebody rung for a call; None where nobody can be."""
    mark: str = ""
    callbacks: Callbacks | None = None
    beside: Callable[[Callable[[], str]], Awaitable[str]] = asyncio.to_thread
    """Runs what may read from disk."""

    def new_token(self) -> str:
        """For one media socket, once: 192 random bits."""
        return self.mark + secrets.token_urlsafe(24)

    def callback_of(self, listener: ListenerForCall, note: Note) -> Callback | None:
        """Who is posted all that happens in a call from now on, if its agent says so. ``note`` is the call's."""
        url = listener.agent.options.callback_url
        return self.callbacks.of_call(str(url), note) if self.callbacks is not None and url is not None else None
