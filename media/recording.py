"""A recording: both sides of a call on one time line, the caller left and the agent, as heard, right.

What the caller says is put where it came, and what the agent says where the playout's ledger has it heard. Where
nothing came, and while the recording is paused, there is silence, so that a moment of the call is the same moment of
the recording. Nothing is given out before it is final: for :data:`HOLD_SECONDS` news may still move it.

Pure: times are seconds of one monotonic clock, sound is PCM of 16 bit. What is kept is what was not taken yet.
"""

from __future__ import annotations

from collections import deque

import numpy as np

HOLD_SECONDS = 0.3
"""How long sound is kept before it is final. A clear is reported within 0.25 s, and its report says what was heard."""

GAP_SECONDS = 0.06
"""The caller's sound is this late: something is missing, and not only late."""

SLACK_SECONDS = 0.02
"""How far ahead of the clock the caller's sound may get, by a telephone's clock that is faster than ours."""

STEP_SECONDS = 0.01
"""The agent's sound is moved where its time is off by more than this: by less it was only measured again."""


class _Track:
    """One side: runs of sound that follow each other, each from a sample of the time line on."""

    def __init__(self) -> None:
        self.runs: deque[tuple[int, bytearray]] = deque()
        self.end = 0
        """The sample behind the last one."""

    def append(self, pcm: bytes) -> None:
        if not self.runs:
            self.begin(self.end)
        self.runs[-1][1].extend(pcm)
        self.end += len(pcm) // 2

    def begin(self, start: int) -> None:
        """What comes next is from there on, and not before the end of what there is."""
        self.end = max(self.end, start)
        self.runs.append((self.end, bytearray()))

    def pull(self, samples: int, floor: int) -> int:
        """Move the last run to an earlier place, by so many samples if there is room. How many it was."""
        if not self.runs:
            return 0
        start, audio = self.runs.pop()
        before = self.runs[-1][0] + len(self.runs[-1][1]) // 2 if self.runs else 0
        moved = max(0, min(samples, start - max(before, floor)))
        self.runs.append((start - moved, audio))
        self.end -= moved
        return moved

    def take(self, start: int, into: np.ndarray[tuple[int], np.dtype[np.int16]]) -> None:
        """The sound from ``start`` on, as much as ``into`` holds; it is not kept."""
        stop = start + len(into)
        while self.runs and self.runs[0][0] < stop:
            first, audio = self.runs.popleft()
            sound = np.frombuffer(bytes(audio), "<i2")
            part = sound[max(0, start - first) : stop - first]
            at = max(first, start) - start
            into[at : at + len(part)] = part
            if first + len(sound) > stop:
                self.runs.appendleft((stop, audio[2 * (stop - first) :]))
                break
        self.end = max(self.end, stop)


class TwoSides:
    """A recording at ``rate`` samples a second that begins at ``began``."""

    def __init__(self, rate: int, began: float) -> None:
        self.rate = rate
        self.began = began
        self._gap, self._slack = round(GAP_SECONDS * rate), round(SLACK_SECONDS * rate)
        self._step = round(STEP_SECONDS * rate)
        self._caller, self._agent = _Track(), _Track()
        self._taken = 0
        self._fresh = True
        self._mutes: deque[tuple[int, int | None]] = deque()

    @property
    def seconds(self) -> float:
        """How much of it was given out."""
        return self._taken / self.rate

    @property
    def kept_bytes(self) -> int:
        return sum(len(audio) for track in (self._caller, self._agent) for _, audio in track.runs)

    def hear(self, pcm: bytes, now: float) -> None:
        """Of the caller: it ends now, or did a little ago, if it was held up on its way."""
        track, samples = self._caller, len(pcm) // 2
        arrived = self._sample(now)
        late = arrived - track.end - samples
        if self._fresh or late > self._gap:
            self._fresh = False
            track.begin(max(arrived - samples, self._taken))
        elif late < 0:
            late += track.pull(-late, self._taken)  # nothing is heard before it was said: the run began earlier
        ahead = track.end + samples - arrived
        if ahead > self._slack:
            pcm = pcm[: 2 * max(0, samples - ahead + self._slack)]
        track.append(pcm)

    def played(self, pcm: bytes, at: float) -> None:
        """Of the agent: the ear began to have it at ``at``. In the order in which it was heard."""
        track, start = self._agent, self._sample(at)
        off = start - track.end
        if off > self._step:
            track.begin(start)
        if off < -self._step or start < self._taken:
            pcm = pcm[2 * max(0, track.end - start) :]
        track.append(pcm)

    def pause(self, now: float) -> None:
        """Nothing from here on is given out, but silence."""
        if not self.paused:
            self._mutes.append((max(0, self._sample(now)), None))

    def resume(self, now: float) -> None:
        if self.paused:
            start, _ = self._mutes.pop()
            self._mutes.append((start, self._sample(now)))

    @property
    def paused(self) -> bool:
        return bool(self._mutes) and self._mutes[-1][1] is None

    def take(self, now: float) -> bytes:
        """What became final since: samples of caller and agent in turn."""
        return self._until(self._sample(now - HOLD_SECONDS))

    def end(self, now: float) -> bytes:
        """The rest, up to now."""
        return self._until(self._sample(now))

    def _until(self, stop: int) -> bytes:
        start = self._taken
        if stop <= start:
            return b""
        both = np.zeros((2, stop - start), np.int16)
        self._caller.take(start, both[0])
        self._agent.take(start, both[1])
        for since, until in self._mutes:
            both[:, max(0, since - start) : max(0, until - start) if until is not None else None] = 0
        while self._mutes and (over := self._mutes[0][1]) is not None and over <= stop:
            self._mutes.popleft()
        self._taken = stop
        return both.T.astype("<i2").tobytes()

    def _sample(self, at: float) -> int:
        return round((at - self.began) * self.rate)
