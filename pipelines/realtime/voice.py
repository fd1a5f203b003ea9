"""When the caller speaks, by our own ears. Pure.

Models have ears of their own. Ours are for what theirs cannot do: silence the agent at once, wonder why no answer
comes, and tell turns where the agent's definition wants that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal

from media.audio import FRAME_SECONDS

PRE_ROLL_FRAMES = 15
"""Of sound before the caller is taken to speak: 300 ms."""

MOST_HELD_FRAMES = 500
"""Of what may be a turn or a cough: 10 s."""

_WINDOW, _FRAMES = 0b11111, 3
"""Speech begins with three frames of voice out of five."""


class CallerVoice:
    """``silence`` is how much of it ends what the caller says."""

    __slots__ = ("_frames", "_recent", "last_voice", "onset", "silence", "speaking")

    def __init__(self, silence: float) -> None:
        self.silence = silence
        self.speaking = False
        self.onset = 0.0
        self.last_voice = 0.0
        self._frames = 0  # of voice since the onset
        self._recent = 0

    @property
    def voiced(self) -> float:
        """Seconds of voice since the onset."""
        return self._frames * FRAME_SECONDS

    @property
    def stirs(self) -> bool:
        """He speaks, or there was voice a moment ago."""
        return self.speaking or self._recent > 0

    def hear(self, voice: bool, now: float) -> Literal["began", "ended"] | None:
        """20 ms of the caller, that end ``now``."""
        self._recent = recent = (self._recent << 1 | voice) & _WINDOW
        if voice and self.speaking:
            self._frames += 1
            self.last_voice = now
        elif voice and recent.bit_count() >= _FRAMES:
            self.speaking = True
            self.onset = now - recent.bit_length() * FRAME_SECONDS
            self._frames = recent.bit_count()
            self.last_voice = now
            return "began"
        return self.tick(now)

    def tick(self, now: float) -> Literal["ended"] | None:
        """Time passes: a caller whose line sends nothing is silent."""
        if not self.speaking or now - self.last_voice < self.silence:
            return None
        self.speaking = False
        self._recent = 0
        return "ended"

    def end(self) -> None:
        """What the caller was saying is over, whatever follows it."""
        self.speaking = False
        self._recent = 0


class TurnGate:
    """Lets through the caller's turns, with a little of what was before and the pause that ends them: what a model
    without detection of its own is to answer holds nothing else.

    What may be a turn is held until it is taken for one (:meth:`take`); what was none is let go.
    """

    __slots__ = ("_held", "_taken")

    def __init__(self) -> None:
        self._held: deque[bytes] = deque(maxlen=PRE_ROLL_FRAMES)
        self._taken = False

    def take(self) -> None:
        """What the caller is saying is a turn."""
        self._taken = True

    def release(self) -> Sequence[bytes]:
        """What the caller is saying is a turn, and over: what of it was not sent yet."""
        held, self._held, self._taken = self._held, deque(maxlen=PRE_ROLL_FRAMES), False
        return held

    def hear(self, frame: bytes, *, speaking: bool) -> Sequence[bytes]:
        """A frame of the caller, and whether he speaks or pauses in what he says: what is to be sent now."""
        held = self._held
        if not speaking:
            if self._taken or held.maxlen != PRE_ROLL_FRAMES:
                self._taken = False
                self._held = held = deque(held, PRE_ROLL_FRAMES)
            held.append(frame)
            return ()
        if self._taken:
            if not held:
                return (frame,)
            frames = (*held, frame)
            held.clear()
            return frames
        if held.maxlen == PRE_ROLL_FRAMES:
            self._held = held = deque(held, MOST_HELD_FRAMES)
        held.append(frame)
        return ()
