"""What is to be said on a playout: generations in their order, their phrases in theirs, and what of it is called off.

Pure, and without the time: how it goes out is :mod:`media.playout`'s, what was heard of it is the ledger's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from media.audio import FRAME_SECONDS, AudioFormat
from media.ledger import GenerationRecord, Heard, Segment


class Agenda:
    """``generations`` are those that are not over. ``prepare`` makes sound safe for the wire."""

    __slots__ = ("_cleared_through", "_doomed", "_format", "_prepare", "_queue", "generations", "latest")

    def __init__(self, format: AudioFormat, prepare: Callable[[bytes], bytes]) -> None:
        self.generations: deque[GenerationRecord] = deque()
        self.latest = 0
        """The generation that was begun last."""
        self._format = format
        self._prepare = prepare
        self._queue: deque[Segment] = deque()  # with frames still to send, or still to come
        self._doomed: list[GenerationRecord] = []  # cleared, and not yet reported
        self._cleared_through = -1

    def begin(self, generation: int) -> None:
        self.latest = generation
        self.generations.append(GenerationRecord(generation))

    def segment(self, generation: int, text: str, step: int) -> Segment:
        """Raises ValueError for a generation that was not begun, or is over."""
        segment = Segment(generation, text, step, self._format, self._prepare)
        if generation <= self._cleared_through:
            segment.cancelled = True
            return segment
        self._record(generation).segments.append(segment)
        self._queue.insert(sum(queued.generation <= generation for queued in self._queue), segment)
        return segment

    def finish(self, generation: int) -> None:
        """As :meth:`segment`."""
        if generation > self._cleared_through:
            self._record(generation).finished = True

    def _record(self, number: int) -> GenerationRecord:
        for record in self.generations:
            if record.number == number:
                return record
        raise ValueError(f"generation {number} was not begun, or is over")

    # What comes next

    def sendable(self) -> Segment | None:
        """The phrase whose next frame is to be sent now; None as long as none is there."""
        while self._queue:
            segment = self._queue[0]
            if segment.sent < segment.frames:
                return segment if segment.generation == self._whose_turn() else None
            if not segment.closed:
                return None
            self._queue.popleft()
        return None

    def _whose_turn(self) -> int:
        """The first generation that has not said all it will."""
        for record in self.generations:
            if not record.finished or any(segment.sent < segment.frames for segment in record.segments):
                return record.number
        return self.generations[-1].number

    @property
    def next(self) -> Segment | None:
        """The phrase of which something is to be sent, or to come, before anything of others."""
        return self._queue[0] if self._queue else None

    @property
    def is_all_sent(self) -> bool:
        """Nothing waits to be sent, and nothing more is to come."""
        return not self._queue and self.generations[-1].finished

    def put_back(self, segments: Sequence[Segment]) -> None:
        """What of these was sent was not heard, and is to be sent again, if it is wanted."""
        for segment in reversed(segments):
            if not segment.cancelled and segment not in self._queue and segment.sent < segment.frames:
                self._queue.appendleft(segment)

    # What is left

    @property
    def waits(self) -> bool:
        """Something is to be sent, or is being made."""
        return any(not segment.closed or segment.sent < segment.frames for segment in self._queue)

    @property
    def has_sound_left(self) -> bool:
        """There is more than silence to be heard of it, or may be."""
        return any(record.has_sound_left for record in self.generations)

    @property
    def unheard_seconds(self) -> float:
        frames = 0
        for record in self.generations:
            for segment in record.segments:
                frames += segment.frames - segment.heard
        return frames * FRAME_SECONDS

    # What is called off

    @property
    def is_doomed(self) -> bool:
        """Some of it was called off, and it is not known yet what was heard of that."""
        return bool(self._doomed)

    def doom(self, through: int | None = None) -> None:
        """All of it, and whatever comes of generations up to ``through``; by default of those that there are."""
        if through is None:
            through = max((record.number for record in self.generations), default=-1)
        self._cleared_through = max(self._cleared_through, through)
        for record in self.generations:
            record.cancel()
        self._doomed += self.generations
        self.generations.clear()
        self._queue.clear()

    def take_doomed(self) -> list[Heard]:
        """What was heard of it: now it is known."""
        doomed, self._doomed = self._doomed, []
        return [record.end() for record in doomed]
