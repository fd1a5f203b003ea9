"""The ledger of playout: what was to be said, what of it is under way, and what the caller heard. Pure.

Rule 1 of the house: whoever wants to know what the caller heard asks here, and nobody guesses.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from media.audio import FRAME_SECONDS, AudioFormat
from media.levels import energies
from media.words import Spoken, TimedWord

SILENT = 20.0
"""Root mean square of a frame that is silence (full scale is 32768): -64 dBov, the level that others gate at, too."""

_LOOK_FRAMES = 50
"""Looked at together."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What of a generation the caller heard. ``steps`` holds the text of each step of the generation."""

    generation: int
    seconds: float
    steps: tuple[str, ...]
    complete: bool

    @property
    def text(self) -> str:
        return " ".join(text for text in self.steps if text)


class Segment:
    """One phrase of a generation: its text and its sound, which may still be coming.

    ``step`` tells apart what a generation said before and after its tools. ``sent`` and ``heard`` count frames.
    ``in_step``: its text comes piece by piece with the sound, and is as whole as that.
    """

    __slots__ = ("_frame_bytes", "_made", "_prepare", "audio", "broken", "cancelled", "closed", "generation", "heard",
                 "in_step", "sent", "spoken", "step")  # fmt: skip

    def __init__(
        self, generation: int, text: str, step: int, format: AudioFormat, prepare: Callable[[bytes], bytes]
    ) -> None:
        self.generation = generation
        self.step = step
        self.spoken = Spoken(text, format)
        self.audio = bytearray()
        self.sent = 0
        self.heard = 0
        self.closed = False
        self.broken = False
        self.cancelled = False
        self.in_step = False
        self._frame_bytes = format.frame_bytes
        self._made: int | None = None
        self._prepare = prepare

    @property
    def frames(self) -> int:
        """Whole frames of sound so far; a closed segment has no others."""
        return len(self.audio) // self._frame_bytes if self._made is None else self._made

    @property
    def over(self) -> bool:
        """Whether all of its sound was heard, and there will be no more."""
        return self.closed and self.heard >= self.frames

    @property
    def complete(self) -> bool:
        """Whether the whole text was heard."""
        return self.over and not self.broken

    def write(self, pcm: bytes) -> bool:
        """Add sound (whole samples). False once the generation was cancelled: nothing of it is kept."""
        if self.cancelled or self.closed:
            return False
        self.audio += self._prepare(pcm)
        return True

    def add_word(self, word: TimedWord) -> None:
        """Tell where a word sounds, for providers that know."""
        self.spoken.timings.append(word)

    def close(self, *, broken: bool = False) -> None:
        """No more sound: the last frame is filled up with silence. ``broken``: it is not the whole text."""
        if not self.closed:
            self.closed = True
            self.broken = broken
            rest = len(self.audio) % self._frame_bytes
            if rest:
                self.audio += bytes(self._frame_bytes - rest)

    def break_off(self) -> str:
        """No more sound will come, and there is not all of it: keep it to the end of a word, as far as it is not out
        yet. Returns the words that somebody else has to say; the segment's text is what is left."""
        if self.closed or self.cancelled:
            return ""
        seconds, sent = len(self.audio) / self._frame_bytes * FRAME_SECONDS, self.sent * FRAME_SECONDS
        end, said, rest = self.spoken.cut(bytes(self.audio[: self.frames * self._frame_bytes]), seconds, sent)
        del self.audio[max(self.sent, math.ceil(end / FRAME_SECONDS - 0.01)) * self._frame_bytes :]
        self.spoken.text = said
        del self.spoken.timings[len(said.split()) :]
        self.spoken.forms = self.spoken.forms[: len(said.split())]
        self.close()
        return rest

    def next_frames(self, count: int) -> bytes:
        """The next frames to send, of which there have to be so many."""
        start = self.sent * self._frame_bytes
        self.sent += count
        return bytes(self.audio[start : self.sent * self._frame_bytes])

    def rewind(self) -> None:
        """Send again what was not heard, from a word's beginning: half a word is not understood."""
        self.sent = min(self.sent, self.heard)
        if self.sent < self.frames:
            start = self.spoken.word_start(bytes(self.audio), self.sent * FRAME_SECONDS)
            self.sent = min(self.sent, round(start / FRAME_SECONDS))

    @property
    def has_sound_left(self) -> bool:
        """There is more to hear of it than silence, or there may be."""
        size, samples = self._frame_bytes, self._frame_bytes // 2
        if not self.closed:
            return True
        for start in range(self.heard * size, self.frames * size, _LOOK_FRAMES * size):
            piece = bytes(self.audio[start : start + _LOOK_FRAMES * size])
            if max(energies(piece, samples), default=0.0) > samples * SILENT**2:
                return True
        return False

    def let_go(self) -> None:
        """What was heard of it is known, and no more will be: the sound is not kept."""
        self._made = self.frames
        self.audio = bytearray()

    def heard_text(self) -> str:
        if not self.heard:
            return ""  # a phrase of which no sound was ever made was not heard, however complete it is
        if self.complete:
            return self.spoken.text
        whole = None if self.in_step and not self.closed else self.closed and not self.broken
        return self.spoken.heard(bytes(self.audio), self.heard * FRAME_SECONDS, whole=whole)


class GenerationRecord:
    """The segments of one generation. ``finished``: it has said all it will. ``started``: its first sound was heard."""

    __slots__ = ("finished", "number", "segments", "started")

    def __init__(self, number: int) -> None:
        self.number = number
        self.segments: list[Segment] = []
        self.finished = False
        self.started = False

    @property
    def over(self) -> bool:
        return self.finished and all(segment.over for segment in self.segments)

    @property
    def heard_frames(self) -> int:
        return sum(segment.heard for segment in self.segments)

    def cancel(self) -> None:
        for segment in self.segments:
            segment.cancelled = True

    @property
    def has_sound_left(self) -> bool:
        return not self.finished or any(segment.has_sound_left for segment in self.segments)

    def end(self) -> Heard:
        """It is over: what was heard of it, which is all where only silence is missing. Its sound is let go."""
        seconds = self.heard_frames * FRAME_SECONDS
        if seconds and not self.over and not self.has_sound_left:
            for segment in self.segments:
                segment.heard = segment.frames
        heard = replace(self.summary(), seconds=seconds)
        for segment in self.segments:
            segment.let_go()
        return heard

    def summary(self) -> Heard:
        steps: list[list[str]] = []
        for segment in self.segments:
            while len(steps) <= segment.step:
                steps.append([])
            text = segment.heard_text()
            if text:
                steps[segment.step].append(text)
        seconds = self.heard_frames * FRAME_SECONDS
        complete = self.over and all(segment.complete for segment in self.segments)
        return Heard(self.number, seconds, tuple(" ".join(step) for step in steps), complete)


@dataclass(slots=True)
class _Span:
    """A run of frames on the wire: ``count`` frames from ``wire`` on, of a segment from its frame ``first`` on."""

    wire: int
    count: int
    segment: Segment
    first: int


class UnderWay:
    """Which frames on the wire belong to which segment, as long as they may not have been heard."""

    def __init__(self) -> None:
        self._spans: deque[_Span] = deque()

    def sent(self, wire: int, segment: Segment, count: int) -> None:
        """The next ``count`` frames of ``segment`` go out from the frame ``wire`` on; called before ``segment.sent``
        counts them."""
        last = self._spans[-1] if self._spans else None
        if (
            last is not None
            and last.segment is segment
            and last.first + last.count == segment.sent
            and last.wire + last.count == wire
        ):
            last.count += count
        else:
            self._spans.append(_Span(wire, count, segment, segment.sent))

    def heard(self, position: int) -> None:
        """The ear has had every frame before ``position``: credit the segments."""
        spans = self._spans
        while spans and spans[0].wire < position:
            span = spans[0]
            played = min(span.count, position - span.wire)
            span.segment.heard = max(span.segment.heard, span.first + played)
            if played < span.count:
                return
            spans.popleft()

    def forget(self) -> None:
        """No more of it is to be heard."""
        self._spans.clear()

    def take_back(self) -> list[Segment]:
        """What was not heard never will be as it was sent: the segments it belongs to, rewound, in their order."""
        segments: list[Segment] = []
        for span in self._spans:
            if span.segment not in segments:
                span.segment.rewind()
                segments.append(span.segment)
        self._spans.clear()
        return segments
