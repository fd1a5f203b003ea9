"""Playout: the agent's audio on its way to the caller's ear, and the ledger of what was heard.

The far end is a buffer with habits of its own (Jambonz's media module; the sources are in ``docs/jambonz.md``):

* it starts to play once 160 ms have come, and moves on in lumps of 80 ms: a shorter tail stays where it is;
* clearing it empties what it would play next, not what waits for its lump to fill, and takes a moment to be done;
* it plays whatever it was sent: nobody but us bounds how much lies there.

So audio goes out in whole frames of 20 ms, a bounded *lead* ahead of the moment it is heard; every utterance ends in
silence that pushes its tail out; a clear is preceded by silence that fills the lump, and followed by silence of ours
until the far end says that it was done. Marks sent along tell where the far end is; in between, the clock does.

Pure: the time comes in as seconds of a monotonic clock, audio goes out by plain calls of a :class:`PlayoutSink`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from media.audio import FRAME_SECONDS, AudioFormat, Encoding
from media.words import Spoken, TimedWord

LEAD_FRAMES = 10
"""How far audio is sent ahead of the ear: 200 ms, the far end's first lump (160 ms) and two frames for the way."""

LUMP_FRAMES = 4
"""The far end moves audio to its playout in lumps of 80 ms ..."""

FIRST_LUMP_FRAMES = 8
"""... but the first of a socket's life takes 160 ms."""

MARK_FRAMES = 100
"""A mark where speech begins, where it ends, and every 2 s in between. Not more: the far end drops the 31st that is
under way, and one that is cleared with its audio can make it report later ones late, each under its elder's name."""

MAX_MARKS = 24

MARK_LATE = 0.3
"""A mark reported this much later than the clock expects it is such a one, and not believed."""

CLEAR_GUARD = 0.15
"""After a clear nothing is sent until the far end says that it was done, or for this long: it would be wiped too."""

START_GUESS = FRAME_SECONDS
"""Until a mark tells, playing is taken to begin this long after the lump that starts it was sent."""

MARK_GRACE = 0.4
"""The last mark of an utterance may come this much after the clock's estimate before the clock decides alone ..."""

MARK_GRACE_SUSPECT = 0.1
"""... and this much where marks were cleared earlier on this socket."""

MAX_BEHIND_FRAMES = 30
"""Should the far end fall behind our clock, no more than 600 ms pile up there."""


class PlayoutSink(Protocol):
    """Where audio goes: a leg. All calls are synchronous, and do nothing once the leg is closed."""

    def prepare(self, pcm: bytes) -> bytes:
        """Make audio safe for the wire (same length), once for each chunk rather than for each frame."""
        ...

    def send_audio(self, frame: bytes) -> None: ...

    def send_mark(self, name: str) -> None: ...

    def send_clear(self) -> None: ...


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


@dataclass(frozen=True, slots=True)
class PlayoutStarted:
    """The first sound of a generation reached the caller's ear."""

    generation: int
    at: float


@dataclass(frozen=True, slots=True)
class PlayoutFinished:
    """A generation was heard to its end."""

    heard: Heard
    at: float


@dataclass(frozen=True, slots=True)
class PlayoutCut:
    """A generation was cleared; ``heard`` is exact, as far as the far end tells."""

    heard: Heard
    at: float


@dataclass(frozen=True, slots=True)
class PlayoutUnderrun:
    """The ear got silence in the middle of a phrase: its sound came too late (``starved``), or we did (``stalled``)."""

    generation: int
    cause: str
    seconds: float


PlayoutEvent = PlayoutStarted | PlayoutFinished | PlayoutCut | PlayoutUnderrun

_NOTHING: tuple[PlayoutEvent, ...] = ()


class Segment:
    """One phrase of a generation: its text and its sound, which may still be coming.

    ``step`` tells apart what a generation said before and after its tools.
    """

    __slots__ = ("_frame_bytes", "_prepare", "audio", "cancelled", "closed", "generation", "heard", "sent", "spoken",
                 "step")  # fmt: skip

    def __init__(self, generation: int, text: str, step: int, format: AudioFormat, sink: PlayoutSink) -> None:
        self.generation = generation
        self.step = step
        self.spoken = Spoken(text, format)
        self.audio = bytearray()
        self.sent = 0  # frames given to the sink
        self.heard = 0  # frames known to have been played
        self.closed = False
        self.cancelled = False
        self._frame_bytes = format.frame_bytes
        self._prepare = sink.prepare

    @property
    def frames(self) -> int:
        """Whole frames of sound so far; a closed segment has no others."""
        return len(self.audio) // self._frame_bytes

    def write(self, pcm: bytes) -> bool:
        """Add sound (whole samples). False once the generation was cancelled: nothing of it is kept."""
        if self.cancelled or self.closed:
            return False
        self.audio += self._prepare(pcm)
        return True

    def add_word(self, word: TimedWord) -> None:
        """Tell where a word sounds, for providers that know."""
        self.spoken.timings.append(word)

    def close(self) -> None:
        """No more sound: the last frame is filled up with silence."""
        if not self.closed:
            self.closed = True
            rest = len(self.audio) % self._frame_bytes
            if rest:
                self.audio += bytes(self._frame_bytes - rest)

    def frame(self, index: int) -> bytes:
        start = index * self._frame_bytes
        return bytes(self.audio[start : start + self._frame_bytes])

    def heard_text(self) -> str:
        whole = self.closed and self.heard >= self.frames
        return self.spoken.text if whole else self.spoken.heard(bytes(self.audio), self.heard * FRAME_SECONDS)


@dataclass(slots=True)
class _Span:
    """A run of frames on the wire: ``count`` frames from ``wire`` on, of a segment from its frame ``first`` on."""

    wire: int
    count: int
    segment: Segment | None
    first: int


@dataclass(slots=True)
class _Mark:
    wire: int
    """The frame before which it stands."""
    expected: float
    """When the clock has it played."""


class _Generation:
    __slots__ = ("finished", "number", "segments", "started")

    def __init__(self, number: int) -> None:
        self.number = number
        self.segments: list[Segment] = []
        self.finished = False
        self.started = False


class _State(Enum):
    PLAYING = "playing"
    CLEARING = "clearing"  # the far end was told to drop what it has; until it did, nothing is sent
    PAUSED = "paused"


class Playout:
    """One leg's playout. PCM of 16 bit; ``tick`` it every 20 ms while :attr:`active`."""

    def __init__(self, sink: PlayoutSink, format: AudioFormat, *, lead_frames: int = LEAD_FRAMES) -> None:
        if format.encoding is not Encoding.PCM16:
            raise ValueError(f"playout works on 16-bit PCM, not on {format}")
        if lead_frames < FIRST_LUMP_FRAMES:
            raise ValueError(
                f"a lead of {lead_frames} frames never starts the far end; use at least {FIRST_LUMP_FRAMES}"
            )
        self.format = format
        self._sink = sink
        self._lead = lead_frames
        self._silence = format.silence(20)
        self._state = _State.PLAYING
        self._generations: deque[_Generation] = deque()
        self._queue: deque[Segment] = deque()  # segments with frames still to send, or still to come

        # The wire, in frames since the socket opened.
        self._wire = 0
        self._spans: deque[_Span] = deque()
        self._last_speech = 0  # the wire position after the last frame that was not silence of ours

        # The far end, as the clock and the marks have it.
        self._lump = FIRST_LUMP_FRAMES
        self._playable = 0  # frames out of the far end's prebuffer
        self._anchor_wire = 0  # this frame ...
        self._anchor_time = 0.0  # ... begins to play at this time
        self._earliest = 0.0  # and cannot have begun before this one
        self._proven = 0  # marks say that it got this far
        self._pace_wire = 0  # pacing: this frame went out ...
        self._pace_time = 0.0  # ... a lead before this time
        self._starved_since: float | None = None

        self._marks: dict[str, _Mark] = {}
        self._mark_count = 0
        self._since_mark = MARK_FRAMES
        self._clear_mark = ""
        self._suspect = False
        self._clear_deadline = 0.0
        self._clear_bound = 0
        self._doomed: list[_Generation] = []  # cleared, and not yet reported
        self._cleared_through = -1
        self._resume_wanted = False
        self._events: list[PlayoutEvent] = []
        self.early_marks = 0
        """Marks that came before their audio can have played: not believed."""

    # What the pipeline says

    def begin(self, generation: int) -> None:
        """A generation will speak, after those begun before it. Generations count up.

        Each one begun is reported exactly once: by a :class:`PlayoutFinished`, or by a :class:`PlayoutCut`.
        """
        self._generations.append(_Generation(generation))

    def segment(self, generation: int, text: str, step: int = 0) -> Segment:
        """Queue a phrase of the latest generation; sound is written to the segment as it is made.

        A phrase of a generation that was cleared is a cancelled segment, which takes nothing.
        """
        segment = Segment(generation, text, step, self.format, self._sink)
        if generation <= self._cleared_through:
            segment.cancelled = True
            return segment
        self._generation(generation).segments.append(segment)
        self._queue.append(segment)
        return segment

    def _generation(self, number: int) -> _Generation:
        for generation in self._generations:
            if generation.number == number:
                return generation
        raise ValueError(f"generation {number} was not begun, or is over")

    def finish(self, generation: int) -> None:
        """The generation has said all it will."""
        if generation > self._cleared_through:
            self._generation(generation).finished = True

    def pause(self, now: float) -> None:
        """Silence at the ear, now; what was not heard is kept, and :meth:`resume` goes on with it."""
        self._resume_wanted = False
        if self._state is _State.PLAYING:
            if self._position(now) >= self._last_speech:
                self._settle(self._wire)  # nothing is under way
                self._state = _State.PAUSED
            else:
                self._send_clear(now)

    def resume(self, now: float) -> None:
        """Go on from where the caller last heard the agent."""
        if self._state is _State.PAUSED:
            self._state = _State.PLAYING
            self._restart(now)
        elif self._state is _State.CLEARING and not self._doomed:
            self._resume_wanted = True

    def clear(self, now: float, through: int) -> Sequence[PlayoutEvent]:
        """Drop everything: no generation up to ``through`` plays any more, and what comes of it is refused.

        Each generation that was playing or waiting reports a :class:`PlayoutCut`, once the far end is silent.
        """
        self._cleared_through = max(self._cleared_through, through)
        for generation in self._generations:
            for segment in generation.segments:
                segment.cancelled = True
        self._doomed += self._generations
        self._generations.clear()
        self._queue.clear()
        self._resume_wanted = False
        self._starved_since = None
        if self._state is _State.PLAYING:
            self.pause(now)
        if self._state is _State.PAUSED:
            self._cut(now)
        return self._take()

    def close(self, now: float) -> Sequence[PlayoutEvent]:
        """The leg is gone: what was not heard by now will not be."""
        if self._state is _State.PLAYING:
            self._account(self._position(now))
        self._doomed += self._generations
        self._cleared_through = max([self._cleared_through, *(doomed.number for doomed in self._doomed)])
        self._generations.clear()
        self._queue.clear()
        self._cut(now)
        return self._take()

    # What the leg says

    def mark(self, name: str, cleared: bool, now: float) -> Sequence[PlayoutEvent]:
        """The far end reports a mark: played, or cleared with the audio it stood before."""
        mark = self._marks.pop(name, None)
        if mark is None:
            return _NOTHING
        if cleared:
            self._clear_bound = min(self._clear_bound, mark.wire)
            self._suspect |= name != self._clear_mark
        elif self._state is not _State.PAUSED:
            if self._too_early(mark, now):
                self.early_marks += 1
            elif mark.wire >= self._anchor_wire and now < mark.expected + MARK_LATE:
                self._proven = max(self._proven, mark.wire)
                self._anchor_time = now - (mark.wire - self._anchor_wire) * FRAME_SECONDS
        if name == self._clear_mark and self._state is _State.CLEARING:
            self._cleared(now)
        elif self._state is _State.PLAYING:
            self._progress(now)
        return self._take()

    def _too_early(self, mark: _Mark, now: float) -> bool:
        """Whether the audio in front of a mark cannot have been played by now."""
        return now < self._earliest + (mark.wire - self._anchor_wire - 1) * FRAME_SECONDS

    def tick(self, now: float) -> Sequence[PlayoutEvent]:
        """Send what is due by ``now``, after a late tick all of it, and account for what was heard."""
        if self._state is _State.CLEARING:
            if now >= self._clear_deadline:
                self._cleared(self._clear_deadline - CLEAR_GUARD)  # no word: rather a little twice than lost
        elif self._state is _State.PLAYING and self._generations:
            self._send_due(now)
            self._progress(now)
        return self._take()

    # What others ask

    @property
    def active(self) -> bool:
        """Whether ticks are wanted."""
        return bool(self._generations) or self._state is _State.CLEARING

    @property
    def paused(self) -> bool:
        return self._state is not _State.PLAYING

    def speaking(self, now: float) -> bool:
        """Whether the caller hears the agent now, or will as soon as the sound has travelled."""
        return self._state is _State.PLAYING and self._position(now) < self._last_speech

    @property
    def unheard_seconds(self) -> float:
        """How much of what was made so far is still to be heard."""
        segments = (segment for generation in self._generations for segment in generation.segments)
        return sum(segment.frames - segment.heard for segment in segments) * FRAME_SECONDS

    def heard(self, now: float) -> Heard | None:
        """What was heard so far of the generation that plays; None if none does."""
        if not self._generations:
            return None
        if self._state is _State.PLAYING:
            self._account(self._position(now))
        return self._summary(self._generations[0])

    # Sending

    def _send_due(self, now: float) -> None:
        clock = (now - self._pace_time) / FRAME_SECONDS + self._pace_wire
        if clock > self._wire:
            self._ran_dry(now)
            clock = float(self._wire)
        due = int(clock) + self._lead - self._wire
        behind = self._wire - self._position(now)
        if behind > MAX_BEHIND_FRAMES:
            return
        sent = 0
        while sent < due and self._queue:
            segment = self._queue[0]
            if segment.sent < segment.frames:
                if self._starved_since is not None:
                    self._events.append(PlayoutUnderrun(segment.generation, "starved", now - self._starved_since))
                    self._starved_since = None
                self._send_frame(segment, now)
                sent += 1
            elif segment.closed:
                self._queue.popleft()
            else:
                break
        if not self._queue and self._generations[-1].finished:
            self._push_tail(now)
        elif sent == 0 and due >= self._lead - LUMP_FRAMES:
            # Nothing to send and little left at the far end: what waits there for its lump must not wait for us.
            self._push_tail(now)

    def _ran_dry(self, now: float) -> None:
        """By the clock the far end has played all it was sent: pacing starts anew, and it may be an underrun."""
        if self._starved_since is None and self._queue and self._queue[0].sent > 0:
            late = now - self._pace_time - (self._last_speech - self._pace_wire) * FRAME_SECONDS
            segment = self._queue[0]
            if segment.sent < segment.frames:
                self._events.append(PlayoutUnderrun(segment.generation, "stalled", late))
            elif not segment.closed:
                self._starved_since = now - late
        self._restart(now)

    def _restart(self, now: float) -> None:
        self._since_mark = MARK_FRAMES
        self._pace_wire = self._wire
        self._pace_time = now

    def _send_frame(self, segment: Segment, now: float) -> None:
        if self._since_mark >= MARK_FRAMES:
            self._send_mark(now)
        self._since_mark += 1
        spans = self._spans
        last = spans[-1] if spans else None
        if last is not None and last.segment is segment and last.first + last.count == segment.sent:
            last.count += 1
        else:
            spans.append(_Span(self._wire, 1, segment, segment.sent))
        frame = segment.frame(segment.sent)
        segment.sent += 1
        self._to_wire(frame, now)
        self._last_speech = self._wire

    def _send_silence(self, frames: int, now: float) -> None:
        self._spans.append(_Span(self._wire, frames, None, 0))
        for _ in range(frames):
            self._to_wire(self._silence, now)

    def _to_wire(self, frame: bytes, now: float) -> None:
        self._sink.send_audio(frame)
        self._wire += 1
        if self._wire - self._playable >= self._lump:
            if self._position(now) >= self._playable:  # the far end was idle, this lump starts it
                self._anchor_wire = self._playable
                self._anchor_time = now + START_GUESS
                self._earliest = now
            self._playable = self._wire
            self._lump = LUMP_FRAMES

    def _push_tail(self, now: float) -> None:
        """Silence after the last speech, so that the far end's lump fills and the tail is played."""
        if self._wire == self._last_speech and self._wire > 0:
            self._send_mark(now)  # in front of the silence: when it has played, the speech has
            self._send_silence(LUMP_FRAMES, now)
            while self._playable < self._last_speech:
                self._send_silence(1, now)

    def _send_mark(self, now: float) -> None:
        if len(self._marks) >= MAX_MARKS:
            self._marks = {n: m for n, m in self._marks.items() if now < m.expected + MARK_GRACE}
            if len(self._marks) >= MAX_MARKS:
                return
        self._mark_count += 1
        name = f"m{self._mark_count}"
        ahead = max(0, self._wire - self._position(now))
        self._marks[name] = _Mark(self._wire, now + START_GUESS + ahead * FRAME_SECONDS)
        self._since_mark = 0
        self._sink.send_mark(name)

    # Clearing

    def _send_clear(self, now: float) -> None:
        self._clear_bound = self._wire
        self._mark_count += 1
        self._clear_mark = f"c{self._mark_count}"
        self._marks[self._clear_mark] = _Mark(self._wire, now)
        self._fill_lump(now)
        self._sink.send_mark(self._clear_mark)  # behind all audio: it is reported at once, and leaves no trace
        self._sink.send_clear()
        self._clear_deadline = now + CLEAR_GUARD
        self._state = _State.CLEARING

    def _fill_lump(self, now: float) -> None:
        """Clearing leaves alone what waits for its lump to fill: fill it, and nothing of the utterance is left."""
        self._send_silence(self._lump, now)

    def _cleared(self, now: float) -> None:
        """The far end is silent: what it had played by then was heard, the rest was not."""
        self._settle(max(self._proven, min(self._position(now), self._clear_bound)))
        self._state = _State.PAUSED
        if self._doomed:
            self._cut(now)
        elif self._resume_wanted:
            self._resume_wanted = False
            self.resume(now)

    def _settle(self, position: int) -> None:
        """Take back from the wire what lies behind ``position``: it will be sent again, if it is wanted."""
        self._account(position)
        rewound: list[Segment] = []
        for span in self._spans:
            if span.segment is not None and not span.segment.cancelled:
                span.segment.sent = min(span.segment.sent, span.segment.heard)
                if span.segment not in rewound:
                    rewound.append(span.segment)
        for segment in reversed(rewound):
            if segment not in self._queue and segment.sent < segment.frames:
                self._queue.appendleft(segment)
        self._spans.clear()
        self._marks.clear()
        # The far end has nothing left but, maybe, a little of our silence that waits for its lump to fill.
        self._last_speech = self._anchor_wire = self._proven = self._playable
        self._starved_since = None

    def _cut(self, now: float) -> None:
        for generation in self._doomed:
            self._events.append(PlayoutCut(self._summary(generation), now))
        self._doomed.clear()
        self._state = _State.PLAYING
        self._restart(now)

    # The ledger

    def _position(self, now: float) -> int:
        """The first wire frame that the ear has not heard whole."""
        played = int((now - self._anchor_time) / FRAME_SECONDS + 0.5) if now > self._anchor_time else 0
        return min(self._playable, max(self._proven, self._anchor_wire + played))

    def _account(self, position: int) -> None:
        spans = self._spans
        while spans and spans[0].wire < position:
            span = spans[0]
            played = min(span.count, position - span.wire)
            if span.segment is not None:
                span.segment.heard = max(span.segment.heard, span.first + played)
            if played < span.count:
                return
            spans.popleft()

    def _progress(self, now: float) -> None:
        """Credit what was heard, and say what began and what ended."""
        position = self._position(now)
        self._account(position)
        while self._generations:
            generation = self._generations[0]
            if not generation.started and any(segment.heard for segment in generation.segments):
                generation.started = True
                heard = sum(segment.heard for segment in generation.segments)
                self._events.append(PlayoutStarted(generation.number, now - heard * FRAME_SECONDS))
            if not self._over(generation, position, now):
                return
            self._events.append(PlayoutFinished(self._summary(generation), now))
            self._generations.popleft()

    def _over(self, generation: _Generation, position: int, now: float) -> bool:
        if not generation.finished:
            return False
        if any(not segment.closed or segment.heard < segment.frames for segment in generation.segments):
            return False
        if len(self._generations) > 1 or not generation.segments:
            return True
        # The last word is spoken by the clock; the mark behind it knows better, if it comes in time.
        waiting = [mark for mark in self._marks.values() if mark.wire <= self._last_speech]
        grace = MARK_GRACE_SUSPECT if self._suspect else MARK_GRACE
        return not waiting or now >= max(mark.expected for mark in waiting) + grace

    def _summary(self, generation: _Generation) -> Heard:
        steps: list[list[str]] = []
        for segment in generation.segments:
            while len(steps) <= segment.step:
                steps.append([])
            text = segment.heard_text()
            if text:
                steps[segment.step].append(text)
        complete = generation.finished and all(s.closed and s.heard >= s.frames for s in generation.segments)
        seconds = sum(segment.heard for segment in generation.segments) * FRAME_SECONDS
        return Heard(generation.number, seconds, tuple(" ".join(step) for step in steps), complete)

    def _take(self) -> Sequence[PlayoutEvent]:
        if not self._events:
            return _NOTHING
        events, self._events = self._events, []
        return events
