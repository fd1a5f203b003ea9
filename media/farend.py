"""The far end of playout: what it has been sent, and how much of it the caller's ear has had.

It is a buffer with habits of its own (those of Jambonz's media module; ``docs/jambonz.md`` has them all). It starts
to play once 160 ms have come, and moves on in lumps of 80 ms: a shorter tail waits for more. It reports marks when it
plays past them, mostly; in between, and where a mark cannot be believed, the clock tells.

What it counts are samples: at 16 kHz it starts after 80 ms, and moves on by 40. That is, if the call's codec has that
rate, too. If it has not, what is sent is resampled, lumps are as long as at 8 kHz, and marks are reported at random: a
while too late, or too early. Where nobody knows which of the two it is, marks are believed once two of them agree, and
never again after one that cannot be right.

Pure. Positions are counted in frames of 20 ms since the socket opened ("the wire"), times are those of one monotonic
clock in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from media.audio import FRAME_SECONDS

LUMP_FRAMES = 4
"""Audio moves to the far end's playout in lumps of 80 ms at most ..."""

FIRST_LUMP_FRAMES = 8
"""... but the first of a socket's life takes up to 160 ms."""

LUMP_SAMPLES, FIRST_LUMP_SAMPLES = 640, 1280
"""What makes that, where the codec has the rate of the socket."""

START_GUESS = FRAME_SECONDS
"""Until the first mark tells, playing is taken to begin this long after the lump that starts it was sent. Afterwards
it is taken to be as it was: both ends keep to a grid."""

MAX_START = 0.1
"""A start later than this was held up, and is no guide to the next one."""

MAX_MARKS = 24
"""The far end drops the 31st mark that is under way."""

AGREED = 0.025
"""Two marks agree that differ by no more than this: a frame, and how unevenly messages travel."""

CLOCKS_DIFFER = 0.01
"""Of the time between two marks, by more than two clocks do. Behind a clear a mark can come 40 ms before its audio."""

MARK_LATE = 0.3
"""A mark reported this much later than the clock expects it is one that was held up, and not believed."""

MARK_GRACE = 0.4
"""How long after the clock's estimate it is worth to wait for a mark ..."""

MARK_GRACE_SUSPECT = 0.1
"""... and how long where marks cannot be trusted: once a mark was cleared with its audio, the far end may report later
ones late, each under its elder's name. From then on the clock alone tells, which the marks before have set."""


@dataclass(slots=True)
class _Mark:
    wire: int
    """The frame before which it stands."""
    expected: float
    """When the clock has it played."""


class FarEnd:
    """Told of all frames and marks that are sent, and of every mark that is reported. A frame has ``frame_samples``.
    ``exact``: the call's codec is known to have the socket's rate."""

    def __init__(self, frame_samples: int = 160, *, exact: bool = True) -> None:
        self.wire = 0
        """Frames sent."""
        self.playable = 0
        """Frames of them that are out of the far end's prebuffer."""
        self._lump = -(-LUMP_SAMPLES // frame_samples)
        self._threshold = -(-FIRST_LUMP_SAMPLES // frame_samples)  # frames that it takes to move the prebuffer on
        self._exact = exact
        self._agreed = exact
        self._told: float | None = None  # by the latest mark: how late it all began to play
        self.early_marks = 0
        """Marks that came before their audio can have played: not believed."""
        self._anchor_wire = 0  # this frame ...
        self._anchor_time = 0.0  # ... begins to play at this time ...
        self._caution = 0.0  # or so much earlier, where no mark says so
        self._earliest = 0.0  # ... and cannot have begun before this one
        self._start = START_GUESS
        self._proven = 0  # marks say that it got this far
        self._marks: dict[str, _Mark] = {}
        self._mark_count = 0
        self._suspect = False  # marks were cleared with their audio
        self._clear_mark = ""
        self._clear_bound = 0

    @property
    def filler(self) -> int:
        """Frames of silence that move on whatever waits for its lump to fill, whichever codec the call has."""
        return LUMP_FRAMES if self.wire >= FIRST_LUMP_FRAMES else FIRST_LUMP_FRAMES

    def position(self, now: float) -> int:
        """The first frame that the ear has not had whole."""
        played = int((now - self._anchor_time) / FRAME_SECONDS + 0.5) if now > self._anchor_time else 0
        return min(self.playable, max(self._proven, self._anchor_wire + played))

    def began(self, wire: int) -> float:
        """When the ear most likely began to have a frame, of those that play without a break up to :meth:`reached`."""
        return self._anchor_time - self._caution + (wire - self._anchor_wire) * FRAME_SECONDS

    def reached(self, now: float, *, cleared: bool = False) -> int:
        """As :meth:`position`, or :meth:`cleared`, but where it most likely is, and not where it is for certain."""
        most = min(self.playable, self._clear_bound) if cleared else self.playable
        return max(self._proven, min(self.position(now + self._caution), most))

    def sent(self, frames: int, now: float) -> None:
        """So many more."""
        self.wire += frames
        waiting = self.wire - self.playable
        if waiting < self._threshold:
            return
        if self.position(now) >= self.playable:  # it was idle: this lump starts it
            self._anchor_wire = self.playable
            # With no marks to put it right, rather a frame too late: what is taken for unheard is said again.
            self._caution = 0.0 if self._agreed and not self._suspect else FRAME_SECONDS
            self._anchor_time = now + self._start + self._caution
            self._earliest = now
        self.playable += waiting - (waiting - self._threshold) % self._lump
        self._threshold = self._lump

    # Marks

    def mark(self, now: float) -> str | None:
        """A name for a mark to send in front of the next frame; None where too many are under way."""
        if len(self._marks) >= MAX_MARKS:
            self._marks = {name: mark for name, mark in self._marks.items() if now < mark.expected + MARK_GRACE}
            if len(self._marks) >= MAX_MARKS:
                return None
        self._mark_count += 1
        name = f"m{self._mark_count}"
        ahead = max(0, self.wire - self.position(now))
        self._marks[name] = _Mark(self.wire, now + self._start + ahead * FRAME_SECONDS)
        return name

    def reported(self, name: str, cleared: bool, now: float) -> bool:
        """The far end reports a mark: played, or cleared with its audio. False if it is none of ours."""
        mark = self._marks.pop(name, None)
        if mark is None:
            return False
        if self._suspect:
            return True
        if cleared:
            self._clear_bound = min(self._clear_bound, mark.wire)
            self._suspect = name != self._clear_mark
        elif self.too_early(mark, now):
            self.early_marks += 1
            if not self._exact:
                self._distrust()
        elif mark.wire >= self._anchor_wire and now < mark.expected + MARK_LATE:
            anchor = now - (mark.wire - self._anchor_wire) * FRAME_SECONDS
            delay = anchor - self._earliest
            if self._exact or self._agrees(delay):
                self._believe(mark, anchor, delay)
        return True

    def _agrees(self, delay: float) -> bool:
        """Whether a mark, by which it all began to play with that delay, is one of several that say the same."""
        before, self._told = self._told, delay
        self._agreed = self._agreed or (before is not None and abs(delay - before) <= AGREED)
        return self._agreed and delay <= MAX_START

    def _distrust(self) -> None:
        """Whatever marks have told was not so."""
        self._suspect = True
        self._start = START_GUESS
        self._caution = FRAME_SECONDS
        self._anchor_time = self._earliest + START_GUESS + self._caution

    def _believe(self, mark: _Mark, anchor: float, delay: float) -> None:
        self._proven = max(self._proven, mark.wire)
        self._anchor_time = anchor
        self._caution = 0.0
        if 0 <= delay <= MAX_START:
            self._start = delay

    def too_early(self, mark: _Mark, now: float) -> bool:
        """Whether the audio in front of a mark cannot have been played by now."""
        frames = mark.wire - self._anchor_wire
        return now < self._earliest + (frames - min(1.0, frames * CLOCKS_DIFFER)) * FRAME_SECONDS

    def waits_for_mark(self, through: int, now: float) -> bool:
        """Whether a mark up to the frame ``through`` is under way that is still worth to wait for."""
        grace = MARK_GRACE_SUSPECT if self._suspect else MARK_GRACE
        return any(mark.wire <= through and now < mark.expected + grace for mark in self._marks.values())

    # Clearing

    def clearing(self, now: float) -> str:
        """All that has been sent is about to be cleared, but for filling up the lump. Returns the name of the mark to
        send last: its report says that it was done, and when."""
        self._clear_bound = self.wire
        self._mark_count += 1
        self._clear_mark = f"c{self._mark_count}"
        self._marks[self._clear_mark] = _Mark(self.wire, now)
        return self._clear_mark

    def is_clear_mark(self, name: str) -> bool:
        return name == self._clear_mark

    def cleared(self, at: float) -> int:
        """It was done at ``at``: how far the ear got. From then on the far end is :meth:`empty`, but, maybe, for a
        little of our silence that waits for its lump to fill."""
        return max(self._proven, min(self.position(at), self._clear_bound))

    def empty(self) -> None:
        """Nothing that was sent is still to be heard."""
        self._marks.clear()
        self._anchor_wire = self._proven = self.playable
