"""The caller's line, and whose it is: pipelines and interludes have it one after the other, on one playout.

What the far end was sent, and how much of it was heard, goes on from one to the next. What the caller says while nobody
listens is kept for whoever is next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.recordings.call import CallRecording
from gateway.surroundings import Surroundings
from gateway.waiting import first_of
from media.playout import Playout
from pipelines.ears import VoiceDetector
from pipelines.history import Conversation
from pipelines.interlude import Interlude
from pipelines.pipeline import Pipeline

if TYPE_CHECKING:
    from gateway.session import CallSession

EARLY_FRAMES = 100
"""What the caller says before somebody listens: 2 s are kept."""

DRAIN_SECONDS = 0.6
"""What was cut off at the far end is silent sooner."""

CLOSE_SECONDS = 5.0


class Floor:
    """``call`` is the pipelines' host."""

    def __init__(self, call: CallSession, around: Surroundings) -> None:
        self.so_far: Conversation | None = None
        """What was said, once something was."""
        self.talked = False
        """With a pipeline: the call is set up."""
        self.quiet_since = 0.0
        """When the caller last heard something, as far as nobody has the floor."""
        self._call = call
        self._around = around
        self._clock = asyncio.get_running_loop().time
        self.playout: Playout | None = None
        self._detector: VoiceDetector | None = None
        self.speaker: Pipeline | None = None
        """Whose it is."""
        self._recording: CallRecording | None = None
        self._listens = False
        self._overhears: Callable[[bytes], None] = _unheeded
        self._early: deque[bytes] = deque(maxlen=EARLY_FRAMES)
        self._early_keys: deque[str] = deque(maxlen=EARLY_FRAMES)

    # What comes from the leg, and the clock

    def hear_early(self, frame: bytes) -> None:
        """Nobody listens yet."""
        self._early.append(frame)
        self._overhears(frame)

    def overhear(self, hear: Callable[[bytes], None] | None) -> None:
        """Somebody who is to know what is heard while nobody listens; None: not any more."""
        self._overhears = hear or _unheeded

    def dtmf(self, digit: str) -> None:
        if self._listens and self.speaker is not None:
            self.speaker.dtmf(digit)
        else:
            self._early_keys.append(digit)

    def mark(self, name: str, cleared: bool) -> None:
        if self.speaker is not None:
            self.speaker.mark(name, cleared)

    def tick(self, now: float) -> float:
        """The time until which nothing is due."""
        if self.speaker is None:
            return now
        try:
            return self.speaker.tick(now)
        except Exception as error:  # noqa: BLE001 - whatever it was, it ends this pipeline and no other
            self.speaker = None
            self.stop_listening()
            self._call.on_fault(error)
            self._call.end_call("failed")
            return now

    # Whose it is

    def take(self, speaker: Pipeline) -> None:
        """``speaker`` has it from here on. Raises :class:`ProviderError`."""
        leg = self._call.leg
        if leg is None:
            return
        if self.so_far is not None:
            speaker.take_over(self.so_far)
        if self.playout is None or self._detector is None:
            self._detector = self._around.factory.detector(leg.format)
            self.playout = Playout(leg, leg.format, echo=self._detector.echo)
            if self._recording is not None:
                self._recording.listen_to(self.playout)
            self._around.ticker.add(self._call)
        speaker.start(self.playout, self._detector)
        self.speaker = speaker
        self._call.wake()

    def listen(self) -> None:
        """Whoever has it hears the caller, and first what was said before."""
        speaker = self.speaker
        if speaker is None:
            return
        self._listens = True
        while self._early:
            speaker.hear(self._early.popleft())
        self._send_audio_to(speaker.hear)
        while self._early_keys:
            speaker.dtmf(self._early_keys.popleft())

    def stop_listening(self) -> None:
        self._listens = False
        self._send_audio_to(self.hear_early)

    def record(self, recording: CallRecording) -> None:
        """Both sides, from now on; called while nobody listens."""
        self._recording = recording
        if self.playout is not None:
            recording.listen_to(self.playout)
        self._send_audio_to(self.hear_early)

    def _send_audio_to(self, hear: Callable[[bytes], None]) -> None:
        recording = self._recording
        if recording is None:
            self._call.on_audio = hear
            return

        def hear_and_record(frame: bytes) -> None:
            recording.hear(frame)
            hear(frame)

        self._call.on_audio = hear_and_record

    def wait_no_longer(self, opening: Conversation | None) -> None:
        """Whoever was rung is there: ``opening``, if it is what the agent goes on from, is of now."""
        if opening is not None and self.so_far is opening:
            self.so_far = replace(opening, silent_since=self._clock())

    def begin_anew(self, so_far: Conversation, *, same_leg: bool = False) -> None:
        """The caller comes back on another leg, and nobody has heard what was said meanwhile; or on the same, where he
        was not let go after all."""
        if same_leg:
            self.so_far, self.quiet_since = so_far, so_far.silent_since
            return
        self.go_on_by_another_leg(so_far)
        self._early.clear()
        self._early_keys.clear()

    def go_on_by_another_leg(self, so_far: Conversation) -> None:
        """What the caller says on it is of now."""
        self.so_far, self.quiet_since = so_far, so_far.silent_since
        self.playout = None
        self._around.ticker.discard(self._call)

    def go_on_from(self, so_far: Conversation) -> None:
        """Whoever is next is told of what was said, and does not hear it himself."""
        self.so_far = so_far
        self._early.clear()

    async def fall_silent(self) -> None:
        """Let the far end tell what was heard, before somebody else speaks; unless it is gone."""
        deadline = self._clock() + DRAIN_SECONDS
        while (
            self._call.leg is not None and self.playout is not None and self.playout.active and self._clock() < deadline
        ):
            await first_of(self._call.over, seconds=0.02)
            if self._call.over.is_set():
                return

    async def leave(self, speaker: Pipeline) -> None:
        """It is nobody's, and what was heard is known."""
        spoke = self.speaker is speaker
        self.stop_listening()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await speaker.close()
        finally:
            self.speaker = None
            if spoke:
                before = len(self.so_far.entries) if self.so_far is not None else 0
                self.so_far = speaker.hand_over()
                self.quiet_since = self.so_far.silent_since
                self.talked |= not isinstance(speaker, Interlude) and len(self.so_far.entries) > before


def _unheeded(frame: bytes) -> None: ...
