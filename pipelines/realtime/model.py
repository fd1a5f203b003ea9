"""A realtime model: hears the caller, thinks and speaks, over one socket. What such a model has to be for a call.

A model is a :class:`RealtimeModel`, shared by the calls of a process, and a pure :class:`RealtimeProtocol` for each
socket, which turns the vendor's messages into events of one closed union, and what the call wants into messages. The
pipeline knows a model by its :class:`Capabilities`, and never by its vendor's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from media.audio import AudioFormat
from pipelines.parts import Message, ProviderFault, ToolCall, ToolSpec

Outgoing = str | bytes
"""A message to the model: text, or binary."""

Detection = Literal["server", "semantic", "own"]
"""Who says that the caller's turn is over: the model by the voice, the model by what was said, or we."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do, as far as the pipeline has to know."""

    input: AudioFormat
    output: AudioFormat
    pacing: Literal["burst", "realtime"] = "burst"
    """``burst``: an answer comes faster than it is spoken, and its end is told. ``realtime``: sound comes as it is to
    be heard, silence included, with no word of where an answer ends: nothing of it may wait."""
    truncates: bool = False
    """Wants to be told how much of its answer the caller heard, and forgets the rest."""
    detections: frozenset[Detection] = frozenset({"server"})
    continuous: bool = False
    """Wants sound all the time, and takes none for a stall: silence is sent while the caller's line sends nothing."""
    idles: bool = False
    """Asks a silent caller by itself whether he is there, as its :class:`Setup` says."""
    speaks: bool = True
    """Can be made to say a given text (:meth:`RealtimeProtocol.say`)."""
    notes: bool = True
    """Takes text that it is not to answer (:meth:`RealtimeProtocol.note`)."""
    updates: bool = False
    """Can be given other instructions and tools (:meth:`RealtimeProtocol.update`). One that cannot gets another
    session."""
    frozen_seconds: float | None = None
    """Hears and says nothing while it waits for what a function returns: it is told that it takes a while
    (:meth:`RealtimeProtocol.placeholder`) after so many seconds."""
    session_seconds: float | None = None
    """The longest session. Before that the call goes on in another one."""
    tells_last_usage: bool = False
    """Once it is told of the end it says what was used, and that its session is over (:class:`SessionOver`)."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What an agent's definition and the call so far mean for a session."""

    instructions: str
    tools: Sequence[ToolSpec] = ()
    voice: str | None = None
    language: str | None = None
    hints: Sequence[str] = ()
    """Words that are likely to be said."""
    temperature: float | None = None
    """0 to 1; the vendor's range is the adapter's business."""
    detection: Detection = "server"
    interruptible: bool = True
    silence_seconds: float | None = None
    """How much silence ends the caller's turn, where the agent says so."""
    greeting: str | None = None
    """Said first; None: the caller speaks first."""
    greeting_interruptible: bool = True
    idle_seconds: float | None = None
    idle_prompts: Sequence[str] = ()
    idle_farewell: str | None = None
    longest_seconds: float | None = None
    time_exceeded: str | None = None
    history: Sequence[Message] = ()
    """What was said before this session, without the instructions: it goes on from there."""
    vendor: Mapping[str, Any] = field(default_factory=dict)
    """The agent's ``vendorSpecific`` options, for the adapter to take or refuse in words."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a session's socket is. ``url`` is ``ws://`` or ``wss://``; headers may hold secrets."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


# What a model says: a closed union, to be matched exhaustively


@dataclass(frozen=True, slots=True)
class SessionReady:
    """The session is set up: sound can be sent. ``seconds`` is how long it may last, where the model says so."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class CallerSpeaks:
    """The model hears the caller begin to speak. What it was saying is over, unless it cannot be interrupted."""


@dataclass(frozen=True, slots=True)
class CallerSilent:
    """The model hears the caller stop."""


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """The caller's words. A later one with the same ``item`` replaces an earlier; ``final`` ones are not revised."""

    item: str
    text: str
    final: bool = True


@dataclass(frozen=True, slots=True)
class ResponseBegan:
    """An answer is on its way; ``response`` names it. What has no name of its own is named by the adapter."""

    response: str


@dataclass(frozen=True, slots=True)
class AudioCame:
    """Sound of an answer in the model's output format, whole samples. ``item`` is the part of the answer it belongs to:
    what is truncated."""

    response: str
    item: str
    data: bytes


@dataclass(frozen=True, slots=True)
class WordsCame:
    """More of the words of an answer's sound: before, with or after the sound itself."""

    response: str
    item: str
    text: str


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """No more comes of an answer. ``cancelled`` because of the caller; ``failed`` with the reason in ``detail``."""

    response: str
    status: Literal["completed", "cancelled", "incomplete", "failed"] = "completed"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class OutputCleared:
    """The model has dropped what it was saying, and takes what the caller did not hear yet for dropped, too."""


@dataclass(frozen=True, slots=True)
class ToolsAsked:
    """The answer wants tools. It goes on in another answer once all their results were told."""

    response: str
    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class ToolsWithdrawn:
    """The model does not want these results any more (ids of calls)."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Used:
    """What was used since the last report: ``input_tokens``, ``cached_tokens``, ``output_tokens``,
    ``input_audio_tokens``, ``output_audio_tokens``, ``seconds``."""

    units: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RateLimited:
    """How much is left of the vendor's limits, by their names, as a share of 1."""

    left: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Resumable:
    """From here on a new session could go on with this handle instead of with the history."""

    handle: str


@dataclass(frozen=True, slots=True)
class SessionEnding:
    """The model will end the session in so many seconds: it is time for another one."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SessionOver:
    """The model ended the session, and says why. ``by_agent``: the agent hung up, or what the agent's definition allows
    was over; its goodbye was said, and the call is not to go on in another session."""

    reason: str
    by_agent: bool = False


@dataclass(frozen=True, slots=True)
class ModelFault:
    """Something went wrong. ``fatal``: nothing more comes of this session, nor of another one with the same key and
    settings. Otherwise ``kind`` is for the metrics, and the session goes on."""

    kind: ProviderFault
    message: str
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A message of a kind that the adapter does not know, or that is no message at all: counted, never fatal."""

    what: str


RealtimeEvent = (
    SessionReady
    | CallerSpeaks
    | CallerSilent
    | CallerSaid
    | ResponseBegan
    | AudioCame
    | WordsCame
    | ResponseEnded
    | OutputCleared
    | ToolsAsked
    | ToolsWithdrawn
    | Used
    | RateLimited
    | Resumable
    | SessionEnding
    | SessionOver
    | ModelFault
    | NotUnderstood
)


@dataclass(frozen=True, slots=True)
class ItemHeard:
    """How much of a part of an interrupted answer the caller heard; 0 is none of it."""

    item: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a call returned. ``response``: the answer that asked for it."""

    response: str
    call: ToolCall
    text: str


class RealtimeProtocol(Protocol):
    """One session on one socket, without the socket: pure. All methods return messages to be sent, in order.

    ``receive`` never raises, whatever comes: what cannot be understood is a :class:`NotUnderstood`.
    """

    def opened(self) -> Sequence[Outgoing]:
        """The socket is open: what sets up the session. It may wait for the model's first message instead."""
        ...

    def audio(self, pcm: bytes) -> Outgoing:
        """The caller's sound in the model's input format, whole frames. On the audio path: builds no objects."""
        ...

    def receive(self, message: str | bytes) -> tuple[Sequence[RealtimeEvent], Sequence[Outgoing]]:
        """The model's message: what it means, and what is to be sent at once because of it."""
        ...

    def say(self, text: str) -> Sequence[Outgoing]:
        """Have the model say this, as it stands, as an answer of its own."""
        ...

    def tell(self, text: str) -> Sequence[Outgoing]:
        """The caller said this in another way than by voice (keys): it is to be answered."""
        ...

    def note(self, text: str) -> Sequence[Outgoing]:
        """The caller said this, in text: it is to be known, and not to be answered."""
        ...

    def update(self, setup: Setup) -> Sequence[Outgoing]:
        """The instructions and tools are those of ``setup`` from its next answer on."""
        ...

    def answer(self) -> Sequence[Outgoing]:
        """Detection is our own: the caller's turn is over, if there was one; answer it, and what functions returned."""
        ...

    def interrupt(self) -> Sequence[Outgoing]:
        """Stop the answer under way, if there is one: the caller broke in, as we hear it, or another thing is said."""
        ...

    def heard(self, items: Sequence[ItemHeard]) -> Sequence[Outgoing]:
        """An answer was interrupted, and of its parts the caller heard so much."""
        ...

    def results(self, outputs: Sequence[ToolOutput]) -> Sequence[Outgoing]:
        """What all calls of one :class:`ToolsAsked` returned: the model answers. Where detection is our own, it does
        once it is told to (:meth:`answer`)."""
        ...

    def placeholder(self, call: ToolCall) -> Sequence[Outgoing]:
        """A function takes a while: the conversation goes on, and its result comes later by :meth:`results`."""
        ...

    def closing(self) -> Sequence[Outgoing]:
        """The call is over: a word of goodbye, where the vendor wants one."""
        ...


class RealtimeModel(Protocol):
    """A model for one agent, shared by the calls of a process: knows its model id, key and address."""

    name: str
    capabilities: Capabilities

    async def dial(self, setup: Setup) -> Address:
        """Where a new session's socket is. Vendors whose calls are made by REST are asked here, in bounded time.
        Raises :class:`pipelines.parts.ProviderError`."""
        ...

    def protocol(self, setup: Setup, handle: str | None = None) -> RealtimeProtocol:
        """For the socket that :meth:`dial` told of. ``handle``: of a :class:`Resumable`, instead of the history."""
        ...

    async def hang_up(self, address: Address) -> SessionOver | None:
        """The session's socket is closed. Says why the vendor holds it to be over, where it can be asked; bounded, and
        may be cancelled."""
        ...

    async def close(self) -> None: ...
