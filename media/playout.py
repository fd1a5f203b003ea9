"""Playout: the agent's audio on its way to the caller's ear.

Audio goes out in whole frames of 20 ms, a bounded *lead* ahead of the moment it is heard, so that a stall of ours is
not a hole and an interruption has little to take back. Every utterance ends in silence that pushes its tail out at the
far end; a clear is preceded by silence that fills the far end's lump, and nothing is sent after it until it was done
(:mod:`media.farend` says why). What is to be said is in :mod:`media.agenda`; what was heard of it is accounted for in
:mod:`media.ledger`.

Pure: the time comes in as seconds of a monotonic clock, audio goes out by plain calls of a :class:`PlayoutSink`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

from media.agenda import Agenda
from media.audio import FRAME_SECONDS, AudioFormat, Encoding
from media.echo import EchoGate
from media.farend import FIRST_LUMP_FRAMES, LUMP_FRAMES, FarEnd
from media.ledger import GenerationRecord, Heard, Segment, UnderWay
from media.levels import energies

LEAD_FRAMES = 10
"""How far audio is sent ahead of the ear: 200 ms, the far end's first lump (160 ms) and two frames for the way."""

TOGETHER = 4
"""Frames that go out at once, and by which the lead varies: the writing costs as much for four as for one."""

MARK_FRAMES = 100
"""A mark where speech begins, where it ends, and every 2 s in between."""

CLEAR_GUARD = 0.25
"""After a clear nothing is sent until the far end says that it was done, or for this long: it would be wiped too."""

LEAST_LEFT = 3
"""Frames at the far end with which it can wait for the next sound: its way there, and a tick."""

PATIENCE = 0.06
"""How long it may, before it begins to play."""

SETTLE_SECONDS = 0.06
"""How long after it was heard by the clock a recording is told: a mark may still tell better when it was."""

MAX_BEHIND_FRAMES = 30
"""Should the far end fall behind our clock, no more than 600 ms pile up there."""


class PlayoutSink(Protocol):
    """Where audio goes: a leg. All calls are synchronous, and do nothing once the leg is closed."""

    exact_marks: bool
    """Whether the far end is known to report marks when it gets to them: if the call's codec has the leg's rate."""

    def prepare(self, pcm: bytes) -> bytes:
        """Make audio safe for the wire (same length), once for each chunk rather than for each frame."""
        ...

    def send_audio(self, pcm: bytes) -> None:
        """One frame, or some that follow each other."""
        ...

    def send_mark(self, name: str) -> None: ...

    def send_clear(self) -> None: ...


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
    cause: Literal["starved", "stalled"]
    seconds: float


PlayoutEvent = PlayoutStarted | PlayoutFinished | PlayoutCut | PlayoutUnderrun

_NOTHING: tuple[PlayoutEvent, ...] = ()


class _State(Enum):
    PLAYING = "playing"
    CLEARING = "clearing"  # the far end was told to drop what it has; until it did, nothing is sent
    PAUSED = "paused"


# A member of an enumeration takes twelve times as long to be found by its class.
_PLAYING, _CLEARING, _PAUSED = _State.PLAYING, _State.CLEARING, _State.PAUSED


class Playout:
    """One leg's playout. PCM of 16 bit; ``tick`` it every 20 ms while :attr:`active`."""

    def __init__(
        self,
        sink: PlayoutSink,
        format: AudioFormat,
        *,
        echo: EchoGate | None = None,
        lead_frames: int = LEAD_FRAMES,
        bursts: bool = True,
    ) -> None:
        if format.encoding is not Encoding.PCM16:
            raise ValueError(f"playout works on 16-bit PCM, not on {format}")
        if lead_frames < FIRST_LUMP_FRAMES:
            least = FIRST_LUMP_FRAMES
            raise ValueError(f"a lead of {lead_frames} frames never starts the far end; use at least {least}")
        self.format = format
        self._sink = sink
        self._echo = echo  # wants to know what goes to the ear, and when
        self._lead = lead_frames
        self.bursts = bursts
        """Sound is made faster than it is spoken. Otherwise none is ahead of what was sent, and the silence that pushes
        out the first of an utterance makes room for the rest to come unevenly."""
        self.ear: Callable[[bytes, float], None] | None = None
        """Told of whole frames that were heard, in their order, and when the ear began to have them: a recording."""
        self._on_its_way: deque[tuple[int, bytes]] = deque()  # where on the wire they are, for it
        self._silence = format.silence(20)
        self._state = _PLAYING
        self._far_end = FarEnd(format.frame_samples, exact=sink.exact_marks)
        self._under_way = UnderWay()
        self._agenda = Agenda(format, sink.prepare)
        self._last_speech = 0  # the wire after the last frame that was not silence of ours
        self._pace_wire = 0  # this frame went out ...
        self._pace_time = 0.0  # ... a lead before this time
        self._next_due = 0.0
        self._sent_at = 0.0  # the latest sound
        self._starved_since: float | None = None
        self._since_mark = MARK_FRAMES
        self._clear_deadline = 0.0
        self._resume_wanted = False
        self.held = False
        """Nothing is begun to be said; see :meth:`hold`."""
        self._events: list[PlayoutEvent] = []

    # What the pipeline says

    def begin(self, generation: int) -> None:
        """A generation will speak, after those begun before it. Generations count up.

        Each one begun is reported exactly once: by a :class:`PlayoutFinished`, or by a :class:`PlayoutCut`.
        """
        self._agenda.begin(generation)

    def segment(self, generation: int, text: str, step: int = 0) -> Segment:
        """Queue a phrase; sound is written to the segment as it is made.

        Generations are heard one after the other: what comes of an earlier one is heard before what there is of later
        ones. A phrase of a generation that was cleared is a cancelled segment, which takes nothing.
        """
        return self._agenda.segment(generation, text, step)

    def finish(self, generation: int) -> None:
        """The generation has said all it will."""
        self._agenda.finish(generation)

    def pause(self, now: float) -> None:
        """Silence at the ear, now; what was not heard is kept, and :meth:`resume` goes on with it."""
        self._resume_wanted = False
        if self._state is not _PLAYING:
            return
        if self.speaking(now):
            self._send_clear(now)
        else:
            self._credit(self._far_end.wire, self._far_end.wire)
            self._far_end.empty()
            self._settle()

    def resume(self, now: float) -> None:
        """Go on from where the caller last heard the agent."""
        if self._state is _PAUSED:
            self._state = _PLAYING
            self._restart(now)
        elif self._state is _CLEARING and not self._agenda.is_doomed:
            self._resume_wanted = True

    def hold(self) -> None:
        """From a silence on: what is to be said waits until :meth:`release`, for something else is to be heard."""
        self.held = True

    def release(self, now: float) -> None:
        self.held = False
        self._restart(now)

    def clear(self, now: float, through: int) -> Sequence[PlayoutEvent]:
        """Drop everything: no generation up to ``through`` plays any more, and what comes of it is refused.

        Each generation that was playing or waiting reports a :class:`PlayoutCut`, once the far end is silent.
        """
        self._agenda.doom(through)
        self._starved_since = None
        self._resume_wanted = False
        if self._state is _PLAYING:
            self.pause(now)
        if self._state is _PAUSED:
            self._cut(now)
        return self._take()

    def close(self, now: float) -> Sequence[PlayoutEvent]:
        """The leg is gone, or somebody else speaks from here on: what was not heard by now will not be."""
        if self._state is _PLAYING:
            self.account(now)
        self._agenda.doom()
        self._starved_since = None
        self._cut(now)
        self._under_way.forget()
        self._on_its_way.clear()
        return self._take()

    # What the leg says

    def mark(self, name: str, cleared: bool, now: float) -> Sequence[PlayoutEvent]:
        """The far end reports a mark: played, or cleared with the audio it stood before."""
        if self._far_end.reported(name, cleared, now):
            if self._state is _CLEARING and self._far_end.is_clear_mark(name):
                self._cleared(now, now)
            elif self._state is _PLAYING:
                self._progress(now)
        return self._take()

    def tick(self, now: float) -> Sequence[PlayoutEvent]:
        """Send what is due by ``now``, after a late tick all of it, and account for what was heard."""
        if self._state is _CLEARING:
            if now >= self._clear_deadline:
                self._cleared(self._clear_deadline - CLEAR_GUARD, now)  # no word: rather a little twice than lost
        elif self._state is _PLAYING and self._agenda.generations and now >= self._next_due:
            if not self.held:
                self._send_due(now)
            self._progress(now)
        return self._take()

    # What others ask

    @property
    def latest(self) -> int:
        """The generation that was begun last."""
        return self._agenda.latest

    @property
    def active(self) -> bool:
        """Whether ticks are wanted."""
        return bool(self._agenda.generations) or self._state is _CLEARING

    @property
    def due(self) -> float:
        """The time before which a tick changes nothing, unless something else is called in between."""
        if self._state is _PLAYING:
            return self._next_due if self._agenda.generations else math.inf
        return 0.0 if self._state is _CLEARING or self._agenda.generations else math.inf

    @property
    def paused(self) -> bool:
        return self._state is not _PLAYING

    def speaking(self, now: float) -> bool:
        """Whether the caller hears the agent now, or will as soon as the sound has travelled."""
        return self._state is _PLAYING and self._far_end.position(now) < self._last_speech

    def idle(self, now: float) -> bool:
        """Whether nothing is heard, nothing waits to be, and no phrase is being made."""
        return not (self._agenda.waits or self.speaking(now) or self.unheard_seconds)

    def has_sound_left(self, now: float) -> bool:
        """Whether there is more than silence to be heard of what is said, or may be. Looks at the sound."""
        if self._state is _PLAYING:
            self._under_way.heard(self._far_end.position(now))
        return self._agenda.has_sound_left

    @property
    def unheard_seconds(self) -> float:
        """How much of what was made so far is still to be heard."""
        return self._agenda.unheard_seconds

    @property
    def early_marks(self) -> int:
        """Marks that the far end reported before their audio can have played."""
        return self._far_end.early_marks

    def heard(self, now: float) -> Heard | None:
        """What was heard so far of the generation that plays; None if none does."""
        generations = self._agenda.generations
        if not generations:
            return None
        if self._state is _PLAYING:
            self.account(now)
        return generations[0].summary()

    # Sending

    def _send_due(self, now: float) -> None:
        wire = self._far_end.wire
        clock = (now - self._pace_time) / FRAME_SECONDS + self._pace_wire
        if clock > wire:
            self._ran_dry(now)
            clock = float(wire)
        if wire - self._far_end.position(now) > MAX_BEHIND_FRAMES:
            return
        due = int(clock) + self._lead - wire
        due += -due % TOGETHER
        sent, agenda = 0, self._agenda
        while sent < due and (segment := agenda.sendable()) is not None:
            sent += self._send_frames(segment, min(segment.frames - segment.sent, due - sent), now)
        if sent and agenda.next is not None:  # there may be more, and until it is due there is nothing to be done
            frames = self._far_end.wire - self._lead + 1 - self._pace_wire
            self._next_due = self._pace_time + (frames - 0.5) * FRAME_SECONDS
        if agenda.is_all_sent or (sent == 0 and due >= self._lead - LUMP_FRAMES and self._is_stuck(now)):
            self._push_tail(now)

    def _is_stuck(self, now: float) -> bool:
        """No more comes to be sent, and the far end will play no more of what it has: before a hole is made in a word,
        its next sound is waited for as long as that can be."""
        left = self._far_end.playable - self._far_end.position(now)
        return not self.bursts or (left <= LEAST_LEFT if left else now - self._sent_at >= PATIENCE)

    def _ran_dry(self, now: float) -> None:
        """By the clock the far end has played all it was sent: pacing starts anew, and it may be an underrun."""
        sent_since = self._last_speech > self._pace_wire  # else it just begins, or goes on after a pause
        began = self._far_end.playable > self._pace_wire  # else its first lump is not full, and there was no sound yet
        segment = self._agenda.next
        if self._starved_since is None and sent_since and began and segment is not None and segment.sent > 0:
            late = now - self._pace_time - (self._last_speech - self._pace_wire) * FRAME_SECONDS
            if segment.sent < segment.frames:
                if self._is_silent(now):
                    self._events.append(PlayoutUnderrun(segment.generation, "stalled", late))
            elif not segment.closed:
                self._starved_since = now - late
        self._restart(now)

    def _is_silent(self, now: float) -> bool:
        """The ear has had all of the speech that it could have had: what the far end had before comes first."""
        return self._far_end.position(now) >= min(self._last_speech, self._far_end.playable)

    def _restart(self, now: float) -> None:
        self._since_mark = MARK_FRAMES
        self._pace_wire = self._far_end.wire
        self._pace_time = now
        self._next_due = 0.0

    def _send_frames(self, segment: Segment, count: int, now: float) -> int:
        """Send the next frames of a segment, no more than ``count``; returns how many."""
        if self._starved_since is not None:
            if self._is_silent(now):
                self._events.append(PlayoutUnderrun(segment.generation, "starved", now - self._starved_since))
            self._starved_since = None
        if self._since_mark >= MARK_FRAMES:
            self._send_mark(now)
        count = min(count, max(1, MARK_FRAMES - self._since_mark))  # a mark that could not be sent is tried again
        self._since_mark += count
        wire = self._far_end.wire
        self._under_way.sent(wire, segment, count)
        pcm = segment.next_frames(count)
        if self._echo is not None:
            at = now + (wire - self._far_end.position(now)) * FRAME_SECONDS
            for loudness in energies(pcm, self.format.frame_samples):
                self._echo.played(loudness, at)
                at += FRAME_SECONDS
        if self.ear is not None:
            self._last_account(now)
            self._on_its_way.append((wire, pcm))
        self._sink.send_audio(pcm)
        self._sent_at = now
        self._far_end.sent(count, now)
        self._last_speech = self._far_end.wire
        return count

    def _send_silence(self, frames: int, now: float) -> None:
        if self._on_its_way:
            self._last_account(now)
        self._sink.send_audio(self._silence * frames)
        self._far_end.sent(frames, now)

    def _last_account(self, now: float) -> None:
        """If the far end has played all it has: what is sent next begins anew, at another time."""
        if self._far_end.position(now) >= self._far_end.playable:
            self.account(now, settled=False)

    def _send_mark(self, now: float) -> None:
        name = self._far_end.mark(now)
        if name is not None:
            self._since_mark = 0
            self._sink.send_mark(name)

    def _push_tail(self, now: float) -> None:
        """Silence after the last speech, so that the far end's lump fills and the tail is played."""
        if self._far_end.wire == self._last_speech > 0:
            self._send_mark(now)  # in front of the silence: when it has played, the speech has
            self._send_silence(LUMP_FRAMES, now)
            while self._far_end.playable < self._last_speech or self._far_end.wire < FIRST_LUMP_FRAMES:
                self._send_silence(1, now)

    # Clearing

    def _send_clear(self, now: float) -> None:
        mark = self._far_end.clearing(now)
        self._fill_lump(now)
        self._sink.send_mark(mark)  # behind all audio: it is reported at once, and leaves no trace
        self._sink.send_clear()
        self._clear_deadline = now + CLEAR_GUARD
        self._state = _CLEARING
        if self._echo is not None:
            self._echo.silenced(now + FRAME_SECONDS)

    def _fill_lump(self, now: float) -> None:
        """Clearing leaves alone what waits for its lump to fill: fill it, and nothing of the utterance is left."""
        self._send_silence(self._far_end.filler, now)

    def _cleared(self, at: float, now: float) -> None:
        """The far end fell silent at ``at``: what it had played by then was heard, the rest was not."""
        self._credit(self._far_end.cleared(at), self._far_end.reached(at, cleared=True))
        self._far_end.empty()
        self._settle()
        if self._agenda.is_doomed:
            self._cut(now)
        elif self._resume_wanted:
            self._resume_wanted = False
            self.resume(now)

    def _settle(self) -> None:
        """Nothing is under way: what was not heard will be sent again, if it is wanted."""
        self._on_its_way.clear()
        self._agenda.put_back(self._under_way.take_back())
        self._last_speech = self._far_end.playable
        self._starved_since = None
        self._state = _PAUSED

    def _cut(self, now: float) -> None:
        self._events += [PlayoutCut(heard, now) for heard in self._agenda.take_doomed()]
        self._state = _PLAYING
        self._restart(now)

    # What was heard

    def account(self, now: float, *, settled: bool = True) -> None:
        """Credit what was heard by now, for whoever wants to know at once. Not while paused: it was done then.
        :attr:`ear` is told of what is ``settled``, or all."""
        if self._state is _PLAYING:
            late = SETTLE_SECONDS if settled else 0.0
            self._credit(self._far_end.position(now), self._far_end.reached(now - late) if self._on_its_way else 0)

    def _credit(self, position: int, reached: int) -> None:
        """The ear has had every frame before ``position`` for certain, and before ``reached`` most likely."""
        self._under_way.heard(position)
        waiting, size = self._on_its_way, self.format.frame_bytes
        while waiting and waiting[0][0] < reached:
            wire, pcm = waiting.popleft()
            heard = pcm[: (reached - wire) * size]
            if self.ear is not None:
                self.ear(heard, self._far_end.began(wire))
            if len(heard) < len(pcm):
                waiting.appendleft((reached, pcm[len(heard) :]))

    def _progress(self, now: float) -> None:
        """Credit what was heard, and say what began and what ended."""
        self.account(now)
        generations = self._agenda.generations
        while generations:
            record = generations[0]
            if not record.started and record.heard_frames:
                record.started = True
                self._events.append(PlayoutStarted(record.number, now - record.heard_frames * FRAME_SECONDS))
            if not self._is_over(record, now):
                return
            self._events.append(PlayoutFinished(record.end(), now))
            generations.popleft()

    def _is_over(self, record: GenerationRecord, now: float) -> bool:
        if not record.over:
            return False
        if len(self._agenda.generations) > 1 or not record.segments:
            return True
        # By the clock the last word was heard; the mark behind it knows better, if it comes in time.
        return not self._far_end.waits_for_mark(self._last_speech, now)

    def _take(self) -> Sequence[PlayoutEvent]:
        if not self._events:
            return _NOTHING
        events, self._events = self._events, []
        return events
