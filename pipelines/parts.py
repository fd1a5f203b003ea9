"""The three parts of a cascade, as Protocols: speech-to-text, language model, text-to-speech.

A provider is a module under :mod:`pipelines.providers` with classes that satisfy these. Each declares the audio format
it takes or gives; the cascade puts a converter between where the leg's differs, and nothing where it does not.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from media.audio import AudioFormat
from pipelines.json_text import plain

ProviderFault = Literal["connect", "timeout", "auth", "rate_limit", "bad_request", "server", "protocol", "unavailable"]


class ProviderError(Exception):
    """A provider failed in a way worth telling apart.

    ``provider`` is its name (``openai``), ``kind`` one of a closed list, so that metrics stay bounded; the message is a
    sentence without secrets.
    """

    def __init__(self, provider: str, kind: ProviderFault, message: str) -> None:
        super().__init__(f"{provider}: {message}")
        self.provider = provider
        self.kind: ProviderFault = kind


# Speech-to-text


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the caller said, so far or finally, in one segment of speech.

    A later transcript with the same ``segment`` replaces an earlier one. ``final`` ones are not revised any more.
    ``audio_seconds`` is how much sound it covers, ``took`` how long the recogniser worked after the sound ended.
    ``over``: the recogniser itself, by its own turn detection, holds the caller's turn to be over. ``likely``: it holds
    that for likely; a transcript of the segment that says neither takes it back.
    """

    segment: int
    text: str
    final: bool
    audio_seconds: float = 0.0
    took: float = 0.0
    over: bool = False
    likely: bool = False


class TranscriptListener(Protocol):
    """Who hears of transcripts. Called on the event loop, never from a thread."""

    def on_transcript(self, transcript: Transcript) -> None: ...

    def on_stt_error(self, error: ProviderError) -> None: ...

    def on_stt_over(self) -> None:
        """The stream has given up, after errors that were told: nothing more comes of it."""
        ...

    def on_stt_usage(self, units: Mapping[str, float]) -> None:
        """What recognition cost, as the vendor reports it: at any time, at the latest as the stream is closed. What was
        told before is not told again."""
        ...


class SttStream(Protocol):
    """The recognition of one call's caller."""

    def push(self, pcm: bytes) -> None:
        """One 20 ms frame in the provider's ``format``. On the audio path: no await, no blocking."""
        ...

    def speech_started(self) -> None:
        """Voice activity says that speech began, or goes on after a pause, about 200 ms ago at the most: a hint for
        recognisers that have no voice activity of their own. The stream keeps that much pre-roll itself."""
        ...

    def speech_paused(self) -> None:
        """The caller has gone quiet: a transcript of the segment is wanted now. It is not final: the caller may go on,
        and then a later transcript of the same segment covers all of it."""
        ...

    def end_segment(self) -> None:
        """The turn was taken (or the sound was nothing): what comes now is a new segment."""
        ...

    async def close(self) -> None: ...


class SpeechToText(Protocol):
    """A recogniser, shared by the calls of a process."""

    name: str
    format: AudioFormat

    async def prepare(self) -> None:
        """Load or connect what the first call would wait for. Called while the phone rings; idempotent."""
        ...

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> SttStream: ...

    async def close(self) -> None: ...


# Language model


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the conversation as a model is told it.

    ``tool_calls`` belong to ``assistant``; a ``tool`` message answers the call ``tool_call_id`` of the tool ``name``.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it: ``parameters`` is a JSON Schema object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool. ``arguments`` is the parsed object; JSON that does not parse is a ProviderError.

    They can be sent, logged and told to another model, whatever this one wrote.
    """

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "arguments", plain(self.arguments))


@dataclass(frozen=True, slots=True)
class Usage:
    """What one request cost, as the vendor reported it.

    ``input_tokens`` are all of the input: those read from the vendor's cache (``cached_tokens``), written into it
    (``cache_write_tokens``) or made of sound (``input_audio_tokens``) are some of them. Of the output likewise:
    ``reasoning_tokens`` were thought and not said.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0

    @property
    def units(self) -> Mapping[str, float]:
        """As in :class:`pipelines.events.UsageReported`: those that are not none."""
        return {name: count for name in self.__slots__ if (count := getattr(self, name))}


ModelEvent = TextDelta | ToolCall | Usage


class LanguageModel(Protocol):
    """A model for one agent: knows its model id and options."""

    name: str

    async def prepare(self) -> None: ...

    def generate(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncGenerator[ModelEvent, None]:
        """Stream one answer. Closing the generator (``aclose``) or cancelling the task stops the request at once."""
        ...

    async def close(self) -> None: ...


# Text-to-speech


@dataclass(frozen=True, slots=True)
class WordTiming:
    """Where a word of the text sounds, in seconds from the start of the synthesised piece."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    """Some sound in the provider's ``format``; any length of whole samples."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SpeechUsed:
    """What the phrase cost, where the vendor says so: ``units`` such as ``input_tokens``. Its characters are counted
    anyway; if the vendor counts them otherwise, its ``characters`` replace ours."""

    units: Mapping[str, float]


SpeechEvent = SpeechAudio | WordTiming | SpeechUsed


@runtime_checkable
class ToldWhatWasHeard(Protocol):
    """A synthesiser that wants to know how much of a phrase was heard, when it is broken off."""

    def synthesize_heard(self, text: str, heard: Callable[[], float]) -> AsyncGenerator[SpeechEvent, None]:
        """As ``synthesize``; ``heard`` tells how many seconds of the phrase have been heard by now."""
        ...


class TextToSpeech(Protocol):
    """A synthesiser with its voice, shared by the calls of an agent."""

    name: str
    format: AudioFormat

    async def prepare(self) -> None: ...

    def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        """Speak one phrase. Sound comes as it is made; word timings, where the vendor gives them, at any time.
        Closing the generator stops the synthesis at once."""
        ...

    async def close(self) -> None: ...
