"""The caller's side of a cascade: 20 ms of sound in, what it means for the conversation out.

Voice activity, the recogniser's stream, the semantic detector and the turn machine belong together: what the machine
says of a pause, the others have to hear before anybody acts on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from media.audio import FRAME_SECONDS, AudioFormat
from media.convert import Converter
from media.echo import EchoGate
from media.recent import RecentAudio
from pipelines.completeness import Expects
from pipelines.parts import ProviderError, SpeechToText, SttStream, Transcript
from pipelines.providers.smart_turn import Question, SemanticDetector
from pipelines.standby import Standby
from pipelines.turn_events import SpeechDropped, SpeechPaused, SpeechResumed, SpeechStarted, TurnEnded, TurnEvent
from pipelines.turns import TurnMachine, TurnSettings

REPLAY_SECONDS = 10.0
"""The most that another recogniser is told of what one did not hear."""

DEAF_SECONDS = 1.2
"""From a pause to the conclusion that there will be no transcript, where another recogniser could hear it."""

PRE_ROLL_SECONDS = 0.2
PAUSE_LEFT_OUT = 0.16
"""The semantic detector hears a turn from a little before its onset to 0.1 or 0.2 s into the pause: with more of the
pause it takes too much for complete."""


class VoiceDetector(Protocol):
    """Voice activity of one caller. ``echo`` wants to be told what the caller hears of the agent. ``closely``: turns
    are told by this."""

    closely: bool

    @property
    def echo(self) -> EchoGate | None: ...

    def hear(self, frame: bytes, now: float) -> bool:
        """Whether the 20 ms that end ``now`` are the caller's speech."""
        ...

    def hear_all(self, frames: Sequence[bytes], now: float) -> Sequence[bool]:
        """The same for some frames, the last of which ends ``now``."""
        ...


class _Hearing:
    """What one stream of a recogniser tells, as long as it is the one that is listened to (TranscriptListener)."""

    def __init__(self, ears: Ears, provider: str) -> None:
        self._ears = ears
        self._provider = provider
        self._latest: ProviderError | None = None
        self.active = True
        self.over = False

    def on_transcript(self, transcript: Transcript) -> None:
        if self.active:
            self._ears.on_transcript(transcript)

    def on_stt_error(self, error: ProviderError) -> None:
        self._latest = error
        if self.active:
            self._ears.on_error(error)

    def on_stt_over(self) -> None:
        if self.active and not self.over:
            self._ears.on_over(self._latest or ProviderError(self._provider, "unavailable", "the stream gave up"))

    def on_stt_usage(self, units: Mapping[str, float]) -> None:
        self._ears.on_usage(self._provider, units)


class Ears:
    """``on_turn`` is told of every turn event, ``on_error`` of the recogniser's failures, ``on_usage`` (with the
    recogniser's name) of what it used.

    ``spawn`` runs a coroutine in the call's task group; ``clock`` is the monotonic time of the event loop.
    """

    def __init__(
        self,
        recognisers: Standby[SpeechToText],
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
        self._recognisers = recognisers
        self._language = language
        self._hints = hints
        self._semantic = semantic
        self._detector = detector
        detector.closely = True
        self._on_turn = on_turn
        self._on_error = on_error
        self._on_usage = on_usage
        self._spawn = spawn
        self._clock = clock
        self._turns = TurnMachine(settings)
        self._format = format
        self._to_stt: Converter | None = None
        self._again = recognisers.count > 1
        self._recent = RecentAudio(format, REPLAY_SECONDS) if semantic is not None or self._again else None
        self._question: Question | None = None
        self._onset = 0.0
        self._asked_at: float | None = None  # for a transcript, and none came since
        self._replaced = 0  # recognisers that were, since one heard anything
        self._hearing, self._stream = self._open()

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
        deaf = self._asked_at is not None and self._again and now - self._asked_at >= DEAF_SECONDS
        if deaf and self._replaced < self._recognisers.count:
            name = self._recognisers.current.name
            self._replace(ProviderError(name, "timeout", f"no transcript came within {DEAF_SECONDS:g} s"))
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

    def commit(self) -> bool:
        """The caller's turn is over. Whether he was saying anything."""
        now = self._clock()
        events = self._turns.commit(now)
        if events:
            self._tell(events, now)
        return events is not None

    def shut(self) -> None:
        """The call is ending: nothing the caller says changes that."""
        self._turns.close()
        self._withdraw_question()

    def renew(self) -> None:
        """The recogniser gave no word of what was said: another stream may."""
        self._connect()

    async def close(self) -> None:
        self.shut()
        await self._stream.close()

    # The recogniser

    def on_transcript(self, transcript: Transcript) -> None:
        now = self._clock()
        self._asked_at = None
        if transcript.text:
            self._replaced = 0
            self._recognisers.worked()
        self._tell(self._turns.transcript(transcript, now), now)

    def on_error(self, error: ProviderError) -> None:
        self._on_error(error)

    def on_usage(self, provider: str, units: Mapping[str, float]) -> None:
        self._on_usage(provider, units)

    def on_over(self, error: ProviderError) -> None:
        """The stream gave up. Another recogniser takes over at once; the same one when there is something to hear."""
        if self._replaced < self._recognisers.count and self._again:
            self._replace(error, told=True)
        else:
            self._hearing.over = True

    def _replace(self, error: ProviderError, *, told: bool = False) -> None:
        """Another recogniser is to hear what this one did not."""
        if not told:
            self._on_error(error)
        self._replaced += 1
        self._recognisers.failed(error)
        self._connect()

    def _connect(self) -> None:
        """Another stream, which is told what the caller is saying from its beginning, as far as it was kept."""
        old, now = self._stream, self._clock()
        paused = self._asked_at is not None
        self._hearing.active = False
        try:
            self._hearing, self._stream = self._open()
        except ProviderError as error:
            self._hearing.active = True
            self._on_error(error)
            return
        _ = self._spawn(old.close())
        self._turns.renew()
        self._asked_at = None
        if not self._turns.caller_speaking:
            return
        said, size = b"", self._format.frame_bytes
        if self._recent is not None:
            said = self._recent.last(now - self._onset + PRE_ROLL_SECONDS).data
        frames = [said[at : at + size] for at in range(0, len(said), size)]
        before = round(PRE_ROLL_SECONDS / FRAME_SECONDS)
        for frame in frames[:before]:
            self._push(frame)
        self._stream.speech_started()
        for frame in frames[before:]:
            self._push(frame)
        if paused:
            self._stream.speech_paused()
            self._asked_at = now

    def _push(self, frame: bytes) -> None:
        self._stream.push(frame if self._to_stt is None else self._to_stt.process(frame))

    def _open(self) -> tuple[_Hearing, SttStream]:
        stt = self._recognisers.current
        hearing = _Hearing(self, stt.name)
        stream = stt.open(hearing, language=self._language, hints=self._hints)
        self._to_stt = Converter(self._format, stt.format) if self._format != stt.format else None
        return hearing, stream

    def _tell(self, events: Sequence[TurnEvent], now: float) -> None:
        for event in events:
            match event:
                case SpeechStarted(at):
                    self._onset = at
                    self._replaced = 0
                    if self._hearing.over:
                        self._connect()
                    else:
                        self._stream.speech_started()
                case SpeechPaused():
                    self._asked_at = now
                    self._stream.speech_paused()
                    self._ask(now)
                case SpeechResumed():
                    self._asked_at = None
                    self._withdraw_question()
                    self._stream.speech_started()
                case SpeechDropped() | TurnEnded():
                    self._asked_at = None
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
