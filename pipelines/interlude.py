"""What a caller hears while nobody has the call: who should have it is being made ready, or has failed.

A pipeline with a voice, and without ears. What was heard of it is part of the conversation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from media.playout import Playout, PlayoutCut, PlayoutEvent, PlayoutFinished
from pipelines.agent import AgentDefinition
from pipelines.ears import VoiceDetector
from pipelines.events import EndReason, PipelineHost
from pipelines.generation import Generation
from pipelines.heard import enter, follow
from pipelines.history import Conversation, History
from pipelines.messages import NOBODY, CallMessage, NotNow
from pipelines.own_voice import OwnVoice
from pipelines.parts import TextToSpeech
from pipelines.phrasebook import phrases
from pipelines.spoken import spoken
from pipelines.standby import Standby
from pipelines.tools import Toolbox

FIRST_SOUND_SECONDS = 0.8
"""The longest that one voice may take to begin, where there is another one."""

LONGEST_SECONDS = 10.0
"""Of one text, from its first sound to its last."""

TICK_SECONDS = 0.05


class Interlude:
    """``voices`` in order of preference."""

    def __init__(
        self,
        voices: Sequence[TextToSpeech],
        host: PipelineHost,
        *,
        clock: Callable[[], float],
        language: str,
    ) -> None:
        self.words = phrases(language)
        self._language = language
        self._voices = Standby("tts", voices, clock=clock)
        self._host = host
        self._clock = clock
        self._so_far = Conversation()
        self._history = History("")
        self._silent_since = 0.0
        self._live: dict[int, tuple[Generation, asyncio.Event]] = {}
        self._complete: set[int] = set()
        self._playout: Playout | None = None
        self._voice: OwnVoice | None = None
        self.hear: Callable[[bytes], None] = _unheard

    def take_over(self, so_far: Conversation) -> None:
        self._so_far, self._silent_since = so_far, so_far.silent_since
        self._history.go_on_from(so_far.entries)

    async def prepare(self) -> None:
        """Its voices are those of others, who have prepared them."""

    async def ready_for(self, agent: AgentDefinition) -> None:
        """It becomes none."""

    def start(self, playout: Playout, detector: VoiceDetector) -> None:
        playout.bursts = True
        self._playout = playout
        self._voice = OwnVoice(
            self._voices,
            playout,
            self._host,
            self._history,
            Toolbox((), {}),
            clock=self._clock,
            language=self._language,
        )

    async def say(self, text: str, *, longest: float = LONGEST_SECONDS) -> bool:
        """Returns once it was heard, as far as there is a voice that can say it: in bounded time. Whether it was heard
        to its end. ``longest`` is from its first sound to its last."""
        playout, voice = self._playout, self._voice
        if playout is None or voice is None:
            return False
        generation, heard = Generation(playout.latest + 1, text, protected=True), asyncio.Event()
        self._live[generation.number] = generation, heard
        playout.begin(generation.number)
        self._host.wake()
        speaking = asyncio.ensure_future(voice.say(generation))
        try:
            for _ in range(self._voices.count):
                await asyncio.wait([speaking], timeout=FIRST_SOUND_SECONDS)
                if speaking.done() or generation.first_audio is not None:
                    break
                if generation.delivery is not None:
                    generation.delivery.hurry()
            await asyncio.wait([speaking], timeout=longest)
        finally:
            speaking.cancel()
            await asyncio.wait([speaking])
        if not speaking.cancelled():
            speaking.result()
        with suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await heard.wait()
        return generation.number in self._complete

    def break_off(self) -> None:
        """Nothing more of what is being said is heard."""
        if self._playout is not None:
            self._on_playout(self._playout.clear(self._clock(), self._playout.latest))
            self._host.wake()

    def say_and_end(self, text: str | None, reason: EndReason) -> None:
        self._host.end_call(reason)

    is_leaving = True
    """From its beginning: others have the call."""

    def take(self, message: CallMessage) -> None:
        raise NotNow(NOBODY)

    def learn(self, text: str) -> None:
        """Whoever has the call next is told by others."""

    def mark(self, name: str, cleared: bool) -> None:
        if self._playout is not None:
            self._on_playout(self._playout.mark(name, cleared, self._clock()))
            self._host.wake()

    def dtmf(self, digit: str) -> None:
        """Nobody is there to act on it."""

    def tick(self, now: float) -> float:
        playout = self._playout
        if playout is None or not playout.active:
            return now + TICK_SECONDS
        self._on_playout(playout.tick(now))
        return playout.due

    def _on_playout(self, events: Sequence[PlayoutEvent]) -> None:
        follow(events, self, self._host)

    def on_first_sound(self, number: int, at: float) -> None:
        """Nobody has asked for it."""

    def on_heard(self, event: PlayoutFinished | PlayoutCut) -> None:
        heard = event.heard
        generation, done = self._live.pop(heard.generation)
        enter(generation.steps, heard, self._history, self._host)
        if heard.complete and heard.text.split() == spoken(generation.text or "").split():
            self._complete.add(heard.generation)  # what a voice did not say was not heard, either
        if heard.text:
            self._silent_since = event.at
        done.set()

    async def close(self) -> None:
        if self._playout is not None:
            self._on_playout(self._playout.close(self._clock()))

    def hand_over(self) -> Conversation:
        return replace(self._so_far, entries=self._history.entries, silent_since=self._silent_since)


def _unheard(frame: bytes) -> None:
    """Whoever has the call next hears it."""
