"""When the caller speaks, by our own ears. Pure.

Models have ears of their own. Ours are for what theirs cannot do: silence the agent at once, wonder why no answer
comes, and tell turns where the agent's definition wants that.
"""

from __future__ import annotations

from typing import Literal

from media.audio import FRAME_SECONDS

_WINDOW, _FRAMES = 0b11111, 3
"""Speech begins with three frames of voice out of five."""


class CallerVoice:
    """``silence`` is how much of it ends what the caller says."""

    __slots__ = ("_recent", "last_voice", "onset", "silence", "speaking", "voiced")

    def __init__(self, silence: float) -> None:
        self.silence = silence
        self.speaking = False
        self.onset = 0.0
        self.last_voice = 0.0
        self.voiced = 0.0
        """Seconds of voice since the onset."""
        self._recent = 0

    def hear(self, voice: bool, now: float) -> Literal["began", "ended"] | None:
        """20 ms of the caller, that end ``now``."""
        self._recent = recent = (self._recent << 1 | voice) & _WINDOW
        if voice and self.speaking:
            self.voiced += FRAME_SECONDS
            self.last_voice = now
        elif voice and recent.bit_count() >= _FRAMES:
            self.speaking = True
            self.onset = now - recent.bit_length() * FRAME_SECONDS
            self.voiced = recent.bit_count() * FRAME_SECONDS
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
