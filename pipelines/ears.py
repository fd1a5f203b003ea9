"""The caller's side of a cascade: 20 ms of sound in, what it means for the conversation out.

Voice activity, the recogniser's stream, the semantic detector and the turn machine belong together: what the machine
says of a pause, the others have to hear before anybody acts on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from media.audio import AudioFormat
from media.convert import Converter
from media.echo import EchoGate
from media.recent import RecentAudio
from pipelines.completeness import Expects
from pipelines.parts import ProviderError, SpeechToText, SttStream, Transcript
from pipelines.providers.smart_turn import Question, SemanticDetector
from pipelines.turn_events import SpeechDropped, SpeechPaused, SpeechResumed, SpeechStarted, TurnEnded, TurnEvent
from pipelines.turns import TurnMachine, TurnSettings

PRE_ROLL_SECONDS = 0.2
PAUSE_LEFT_OUT = 0.16
"""The semantic detector hears a turn from a little before its onset to 0.1 or 0.2 s into the pause: with more of the
pause it takes too much for complete."""


class VoiceDetector(Protocol):
    """Voice activity of one caller. ``echo`` wants to be told what the caller hears of the agent."""

    @property
    def echo(self) -> EchoGate | None: ...

    def hear(self, frame: bytes, now: float) -> bool:
        """Whether the 20 ms that end ``now`` are the caller's speech."""
        ...


class Ears:
    """``on_turn`` is told of every turn event, ``on_error`` of the recogniser's failures, ``on_usage`` (with the
    recogniser's name) of what it used.

    ``spawn`` runs a coroutine in the call's task group; ``clock`` is the monotonic time of the event loop.
    """

    def __init__(
        self,
        stt: SpeechToText,
        semantic: SemanticDetector | None,
        settings: TurnSettings,
        *,
        language: str,
        hints: Sequence[str],
        format: AudioFormat,
        detector: VoiceDetector,
        on_turn: Callable[[TurnEvent, float], None],
        on_error: Callable[[ProviderError], None],
        on_usage: Callable[[str, Mapping[str, float]], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        clock: Callable[[], float],
    ) -> None:
        self._stt = stt
        self._language = language
        self._hints = hints
        self._semantic = semantic
        self._detector = detector
        self._on_turn = on_turn
        self._on_error = on_error
        self._on_usage = on_usage
        self._spawn = spawn
        self._clock = clock
        self._turns = TurnMachine(settings)
        self._to_stt = Converter(format, stt.format) if format != stt.format else None
        self._recent = RecentAudio(format) if semantic is not None else None
        self._question: Question | None = None
        self._onset = 0.0
        self._stream: SttStream = self._open()

    # The audio path

    def hear(self, frame: bytes) -> None:
        """20 ms of the caller."""
        now = self._clock()
        voice = self._detector.hear(frame, now)
        if self._recent is not None:
            self._recent.push(frame)
        self._stream.push(frame if self._to_stt is None else self._to_stt.process(frame))
        events = self._turns.hear(voice, now)
        if events:
            self._tell(events, now)

    def tick(self, now: float) -> None:
        """Time passes, with frames or without."""
        if self._turns.caller_speaking:
            self._tell(self._turns.tick(now), now)

    # The conversation

    @property
    def caller_speaking(self) -> bool:
        return self._turns.caller_speaking

    def floor(self, agent: bool, *, protected: bool = False) -> None:
        self._turns.floor(agent, protected=protected)

    def expect(self, kind: Expects | None, digits: int | None) -> None:
        self._turns.expect(kind, digits)

    def shut(self) -> None:
        """The call is ending: nothing the caller says changes that."""
        self._turns.close()
        self._withdraw_question()

    def renew(self) -> None:
        """The recogniser gave no word of what was said: another stream may."""
        old = self._stream
        try:
            self._stream = self._open()
        except ProviderError as error:
            self._on_error(error)
        else:
            self._turns.renew()
            _ = self._spawn(old.close())

    async def close(self) -> None:
        self.shut()
        await self._stream.close()

    # TranscriptListener

    def on_transcript(self, transcript: Transcript) -> None:
        now = self._clock()
        self._tell(self._turns.transcript(transcript, now), now)

    def on_stt_error(self, error: ProviderError) -> None:
        self._on_error(error)

    def on_stt_usage(self, units: Mapping[str, float]) -> None:
        self._on_usage(self._stt.name, units)

    def _open(self) -> SttStream:
        return self._stt.open(self, language=self._language, hints=self._hints)

    def _tell(self, events: Sequence[TurnEvent], now: float) -> None:
        for event in events:
            match event:
                case SpeechStarted(at):
                    self._onset = at
                    self._stream.speech_started()
                case SpeechPaused():
                    self._stream.speech_paused()
                    self._ask(now)
                case SpeechResumed():
                    self._withdraw_question()
                    self._stream.speech_started()
                case SpeechDropped() | TurnEnded():
                    self._withdraw_question()
                    self._stream.end_segment()
                case _:
                    pass
            self._on_turn(event, now)

    # The semantic detector

    def _ask(self, now: float) -> None:
        if self._semantic is not None and self._recent is not None:
            turn = self._recent.last(now - self._onset + PRE_ROLL_SECONDS, less=PAUSE_LEFT_OUT)
            self._question = self._semantic.ask(turn, self._on_answer)

    def _on_answer(self, probability: float) -> None:
        self._question = None
        now = self._clock()
        self._tell(self._turns.semantic(probability, now), now)

    def _withdraw_question(self) -> None:
        if self._question is not None:
            self._question.cancel()
            self._question = None
