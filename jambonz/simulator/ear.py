"""The caller's ear: what was played to the caller, one frame of 20 ms after the other, each with its time."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np

from media.audio import FRAME_SECONDS

AUDIBLE_PEAK = 200
"""The peak above which a frame counts as sound: -44 dBFS, above comfort noise and below quiet speech."""

UTTERANCE_END_SECONDS = 0.08
"""Digital silence played before the buffer ran dry that makes it the end of an utterance rather than an underrun:
the padding that gets a tail out of the prebuffer."""


def peak_of(pcm: bytes) -> int:
    """The largest sample of some PCM16, up or down."""
    samples = np.frombuffer(pcm, "<i2")
    return max(int(samples.max()), -int(samples.min()))


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in seconds on the clock of the ticks."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


class Ear:
    """Records frames of PCM16 at ``rate`` and answers questions about them.

    With ``keep_audio`` off only levels are kept, 12 bytes a frame: for load tests.
    """

    def __init__(self, rate: int = 8000, *, keep_audio: bool = True, audible_peak: int = AUDIBLE_PEAK) -> None:
        self.rate = rate
        self.frame_samples = rate // 50
        self.last_audible: float | None = None
        """When the last audible frame so far ended."""
        self._silence = bytes(2 * self.frame_samples)
        self._keep_audio = keep_audio
        self._audible_peak = audible_peak
        self._audio = bytearray()
        self._times = array("d")
        self._peaks = array("H")
        self._taken = array("H")
        self._cuts = array("d")

    def hear(self, now: float, frame: bytes, taken: int) -> None:
        """``frame`` starts to play at ``now``; ``taken`` of its samples came out of the playout buffer."""
        if self._keep_audio:
            self._audio += frame
        peak = 0 if frame == self._silence else peak_of(frame)
        self._times.append(now)
        self._peaks.append(peak)
        self._taken.append(taken)
        if peak > self._audible_peak:
            self.last_audible = now + FRAME_SECONDS

    def cut(self, now: float) -> None:
        """The playout buffer was emptied on purpose at ``now``."""
        self._cuts.append(now)

    @property
    def started(self) -> float | None:
        """When the first frame was played."""
        return self._times[0] if self._times else None

    @property
    def seconds(self) -> float:
        return len(self._times) * FRAME_SECONDS

    def heard_audio(self) -> bytes:
        """Everything that was played, silence included."""
        return bytes(self._audio)

    def speaking_at(self, t: float) -> bool:
        """Whether the frame that plays at ``t`` is audible."""
        index = bisect_right(self._times, t + 1e-9) - 1
        return index >= 0 and t < self._times[index] + FRAME_SECONDS and self._audible(index)

    def sound_onset_after(self, t: float) -> float | None:
        """The start of the first audible frame at or after ``t``."""
        for index in range(bisect_left(self._times, t - 1e-9), len(self._times)):
            if self._audible(index):
                return self._times[index]
        return None

    def silence_onset_after(self, t: float, min_gap: float = 0.2) -> float | None:
        """When the sound that plays at or after ``t`` stops, for at least ``min_gap`` or until the end of the record.

        ``t`` itself if nothing is playing then. None if the sound goes on to the end.
        """
        onset = t
        for index in range(bisect_right(self._times, t - FRAME_SECONDS + 1e-9), len(self._times)):
            if self._audible(index):
                onset = self._times[index] + FRAME_SECONDS
            elif self._times[index] + FRAME_SECONDS - onset >= min_gap - 1e-9:
                return onset
        if self._times and onset < self._times[-1] + FRAME_SECONDS - 1e-9:
            return onset
        return None

    def utterances(self, min_gap: float = 0.3) -> list[Span]:
        """The stretches of sound; pauses shorter than ``min_gap`` belong to them."""
        spans: list[Span] = []
        for index, at in enumerate(self._times):
            if not self._audible(index):
                continue
            end = at + FRAME_SECONDS
            if spans and at - spans[-1].end < min_gap - 1e-9:
                spans[-1] = Span(spans[-1].start, end)
            else:
                spans.append(Span(at, end))
        return spans

    def underruns(self, within: float = 0.4) -> list[Span]:
        """Holes in utterances: the playout buffer ran dry, and more of the utterance came less than ``within`` later.

        No underrun is a hole that was asked for (``cut``), nor one after the silence that ends an utterance.
        """
        holes: list[Span] = []
        dry_since: float | None = None
        silent_samples = 0
        for index, at in enumerate(self._times):
            taken = self._taken[index]
            if taken and dry_since is not None:
                if at - dry_since < within and not self._was_cut(dry_since - FRAME_SECONDS, at):
                    holes.append(Span(dry_since, at))
                dry_since = None
                silent_samples = 0
            silent_samples = silent_samples + taken if self._peaks[index] == 0 else 0
            ended = silent_samples >= UTTERANCE_END_SECONDS * self.rate
            fed = taken or (index and self._taken[index - 1])
            if dry_since is None and fed and taken < self.frame_samples and not ended:
                dry_since = at + taken / self.rate
        return holes

    def _audible(self, index: int) -> bool:
        return self._peaks[index] > self._audible_peak

    def _was_cut(self, start: float, end: float) -> bool:
        index = bisect_left(self._cuts, start - 1e-9)
        return index < len(self._cuts) and self._cuts[index] <= end + 1e-9
