"""Pause, then decide: the caller makes a sound while an answer plays."""

from __future__ import annotations

from pipelines.agent.options import Interruption
from pipelines.events import BargedIn, PipelineHost
from pipelines.realtime.answers import Answer
from pipelines.realtime.ending import Ending
from pipelines.realtime.speaking import Speaking
from pipelines.realtime.voice import CallerVoice

YIELD_SECONDS = 0.5
"""A model that is silent so soon after the caller's last word over it may have fallen silent because of him."""


class BargeIn:
    """Playout pauses at once, and goes on where it stopped unless the interruption is confirmed."""

    def __init__(
        self,
        options: Interruption,
        speaking: Speaking,
        caller: CallerVoice,
        ending: Ending,
        host: PipelineHost,
    ) -> None:
        self.paused_at: float | None = None
        self._options = options
        self._speaking = speaking
        self._caller = caller
        self._ending = ending
        self._host = host

    @property
    def is_possible(self) -> bool:
        return self._options.enabled and not self._ending.begun and not self._speaking.is_protected

    def is_undecided_for_long(self, now: float) -> bool:
        return self.paused_at is not None and now - self.paused_at >= self._options.false_interruption_timeout

    @property
    def is_long_enough(self) -> bool:
        """What the caller says."""
        return self._caller.voiced >= self._options.min_duration

    def pause(self, now: float) -> None:
        """Silence at once, where the agent speaks and may be interrupted; what follows decides what it was."""
        playout = self._speaking.playout
        if playout is None or self._speaking.utterances is not None:
            return
        if self.is_possible and playout.speaking(now) and playout.has_sound_left(now):
            self.paused_at = now
            playout.pause(now)
            self._host.wake()

    def go_on(self, now: float) -> None:
        """It was none."""
        if self.paused_at is None or self._speaking.playout is None:
            return
        self._host.on_event(BargedIn(False, self.paused_at - self._caller.onset))
        self.paused_at = None
        self._speaking.playout.resume(now)
        self._host.wake()

    def forget(self) -> None:
        """What was paused is not said any more, for another reason."""
        self.paused_at = None

    def confirm(self, now: float) -> bool:
        """Whether what is said is to be interrupted."""
        playout, caller = self._speaking.playout, self._caller
        if not self.is_possible:
            self.go_on(now)
            return False
        if self.paused_at is not None:
            self._host.on_event(BargedIn(True, self.paused_at - caller.onset))
            self.paused_at = None
        elif playout is not None and playout.speaking(now) and playout.has_sound_left(now):
            onset = caller.onset if caller.speaking else None  # the model may hear the caller first
            self._host.on_event(BargedIn(True, max(0.0, now - onset) if onset is not None else None))
        return True

    def judge(self, utterance: Answer) -> None:
        """A model that falls silent by itself has been interrupted, if the caller spoke over what it said."""
        caller, silent = self._caller, self._speaking.silent_from
        if self._ending.begun or not self.is_long_enough or utterance.began is None:
            return
        if utterance.began < caller.onset < silent < caller.last_voice + YIELD_SECONDS:
            utterance.talked_over = True
            self._host.on_event(BargedIn(True, silent - caller.onset))
