"""The cascade: the caller's audio to words, words to a model, its words to speech.

One object for each call, driven by plain calls: frames of the caller, marks of the far end, keys, and a tick every
20 ms. The one thing that runs beside is the generation under way, in a task of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, assert_never

from media.ledger import Heard
from media.playout import Playout
from pipelines.agent import AgentDefinition
from pipelines.breaker import Breakers
from pipelines.completeness import asks, digits_asked
from pipelines.digits import DigitCollector, keys_said
from pipelines.early import EarlyWords
from pipelines.ears import Ears, VoiceDetector
from pipelines.endpointing import Endpointing
from pipelines.events import (
    BargedIn,
    EndReason,
    Guessed,
    PartFailed,
    PipelineHost,
    UsageReported,
    WatchdogFired,
)
from pipelines.generation import Generation, Stage
from pipelines.generations import Generations
from pipelines.history import Conversation, History
from pipelines.idle import IdleClock, IdleFarewell, IdlePrompt
from pipelines.inbox import Inbox
from pipelines.messages import ENDING, NOBODY, CallMessage, NotNow, Say
from pipelines.parts import LanguageModel, ProviderError, SpeechToText, TextToSpeech
from pipelines.phrasebook import phrases
from pipelines.providers.smart_turn import SemanticDetector
from pipelines.standby import Standby
from pipelines.tools import Toolbox
from pipelines.tools.means import Means
from pipelines.tools.results import STOPPED
from pipelines.turn_events import (
    Interrupted,
    PauseAgent,
    ResumeAgent,
    SpeechDropped,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    TurnEnded,
    TurnEvent,
    TurnLikely,
    TurnUnlikely,
)
from pipelines.turns import TurnSettings
from pipelines.waiting import WaitingCaller

MAX_FAILURES = 3
"""Answers in a row that failed: after these the call ends, rather than apologise for ever."""


RECOGNISER_SECONDS = 10.0
MODEL_READY_SECONDS = VOICE_READY_SECONDS = 4.0
"""The longest that each may take to get ready, before the next one is tried."""

MAX_DEAF = 3
"""Turns in a row of which the recogniser heard nothing: after these the call ends."""

CHORES_SECONDS = 0.05
"""Between looks at the clocks of turns without frames, of keys, of silence and of the call's length: there are hundreds
of calls, and each is ticked 50 times a second."""

MAX_CALL_SECONDS = 3600.0
"""The longest call of an agent that sets no ``maxDuration``: a line that was forgotten costs money."""


@dataclass(frozen=True, slots=True)
class CascadeParts:
    stt: SpeechToText
    llm: LanguageModel
    tts: TextToSpeech
    semantic: SemanticDetector | None = None
    """Judges by the melody whether a turn is over, where one is installed."""
    more_stts: Sequence[SpeechToText] = ()
    more_llms: Sequence[LanguageModel] = ()
    more_ttss: Sequence[TextToSpeech] = ()
    """Who steps in, in this order, where the first one fails."""
    quick: LanguageModel | None = None
    """Finds the first words of answers."""
    breakers: Breakers | None = None
    """The process's."""


class Cascade:
    """``spawn`` runs a coroutine in the call's task group; ``clock`` is the monotonic time of the event loop."""

    def __init__(
        self,
        agent: AgentDefinition,
        parts: CascadeParts,
        host: PipelineHost,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        clock: Callable[[], float],
        metadata: Mapping[str, Any] | None = None,
        means: Means | None = None,
    ) -> None:
        self._agent = agent
        self._so_far: Conversation | None = None
        self._parts = parts
        self._models = Standby("llm", [parts.llm, *parts.more_llms], breakers=parts.breakers, clock=clock)
        self._voices = Standby("tts", [parts.tts, *parts.more_ttss], breakers=parts.breakers, clock=clock)
        self._recognisers = Standby("stt", [parts.stt, *parts.more_stts], breakers=parts.breakers, clock=clock)
        self._host = host
        self._spawn = spawn
        self._clock = clock
        options = agent.options
        self.history = History(agent.prompt)
        self._toolbox = Toolbox(
            agent.functions,
            metadata or {},
            keys=agent.keys,
            means=means,
            tell=host.on_event,
            masks_keys=options.dtmf.mask,
        )
        self._idle = IdleClock(options.idle.timeout, options.idle.prompts, options.idle.farewell)
        self._digits = DigitCollector(options.dtmf.timeout, options.dtmf.terminator)
        self._generations = Generations(self, host, self.history, spawn)
        self._waiting_turn: TurnEnded | None = None
        self._decided = asyncio.Event()
        self._decided.set()
        self._paused_since: float | None = None
        self._language = options.tts.language or "en"
        self._guess: Generation | None = None  # prepared while it is not certain that the turn is over
        self._talked_over = False  # the latest cut was for the caller's voice
        self._unheard = ""  # what that kept the agent from saying
        self._answered_at = 0.0
        self._chores_at = 0.0
        self._longest = options.max_seconds or MAX_CALL_SECONDS
        self._waiting = WaitingCaller(options.fillers, self._language)
        self._deaf = 0
        self._ending = False
        self._end_by: float | None = None
        self._failures = 0
        self._owed = False  # an answer failed, and it is somebody else's
        self._inbox = Inbox(self, self._idle, host.on_event)
        self._becoming: AgentDefinition | None = None  # from the next generation on
        self._playout: Playout | None = None
        self._stage: Stage | None = None
        self._ears: Ears | None = None
        self.hear: Callable[[bytes], None] = _unheard
        """Takes 20 ms of the caller; once it has started, those are the ears'."""

    # The call's life

    def take_over(self, so_far: Conversation) -> None:
        self._so_far = so_far
        self._inbox.refill(so_far.waiting)
        self.history.go_on_from(so_far.known_to({function.name for function in self._agent.functions}))

    async def prepare(self) -> None:
        """Connect and load what the first turn would wait for: while the phone rings.

        Returns once the greeting can be spoken; the recogniser may take until it was heard.
        """
        _ = self._spawn(self._prepare_to_hear())  # the call's task group waits for it
        await asyncio.gather(
            self._ready("llm", self._models, MODEL_READY_SECONDS),
            self._ready("tts", self._voices, VOICE_READY_SECONDS),
            self._toolbox.prepare(),
        )

    async def _ready(self, part: Literal["stt", "llm", "tts"], standby: Standby[Any], seconds: float) -> None:
        """The first of them that gets ready is the one. Raises the last one's :class:`ProviderError`."""
        alone = part == "llm" and self._host.agent_first
        for left in reversed(range(1 if alone else standby.count)):
            name = standby.current.name
            try:
                try:
                    async with asyncio.timeout(seconds):
                        await standby.current.prepare()
                except TimeoutError:
                    raise ProviderError(name, "timeout", f"it was not ready within {seconds:g} s") from None
            except ProviderError as error:
                if not standby.failed(error) or not left:
                    raise
                self._host.on_event(PartFailed(part, error.provider, error.kind, str(error)))
            else:
                return

    async def _prepare_to_hear(self) -> None:
        try:
            await self._ready("stt", self._recognisers, RECOGNISER_SECONDS)
        except ProviderError as error:
            self._on_stt_error(error)
            self.say_and_end(phrases(self._language).cannot_hear, "failed")

    def start(self, playout: Playout, detector: VoiceDetector) -> None:
        """The caller can hear us: listen, and greet, or go on."""
        options = self._agent.options
        now = self._clock()
        self._answered_at = self._host.answered_at or now
        self._playout = playout
        playout.bursts = True
        early = None
        if options.pre_response is not None:
            early = EarlyWords(options.pre_response, self._parts.quick, self.history, self._host.on_event)
        self._stage = Stage(
            models=self._models,
            voices=self._voices,
            history=self.history,
            toolbox=self._toolbox,
            playout=playout,
            format=playout.format,
            host=self._host,
            clock=self._clock,
            decided=self._wait_until_decided,
            on_hang_up=self._close_ears,
            on_protected=self._protect,
            language=self._language,
            farewell=options.ending.farewell,
            notices=options.turns.interruption.notices,
            on_first_sound=self._play_now,
            early=early,
            spawn=self._spawn,
            on_late=self.learn,
        )
        self._generations.start(self._stage)
        self._ears = Ears(
            self._recognisers,
            self._parts.semantic,
            turn_settings(self._agent),
            language=options.stt.language or "en-GB",
            hints=options.stt.hints,
            format=playout.format,
            detector=detector,
            on_turn=self._on_turn,
            on_error=self._on_stt_error,
            on_usage=self._on_stt_usage,
            spawn=self._spawn,
            clock=self._clock,
        )
        self.hear = self._ears.hear
        greeting, so_far = options.opening, self._so_far
        if so_far is not None and so_far.owed:
            self._begin(Generation(self._generations.next(), begun=so_far.begun))
            self._waiting.begin(so_far.silent_since)
        elif greeting is not None and (so_far is None or not so_far.heard(greeting.text)):
            self._begin(Generation(self._generations.next(), greeting.text, protected=not greeting.interruptible))
        elif so_far is not None:
            self._begin(Generation(self._generations.next(), phrases(self._language).interrupted))
        else:
            self._idle.quiet(now)

    def hand_over(self) -> Conversation:
        if self._waiting_turn is not None:
            self.history.user(self._waiting_turn.text)
        for words in self._inbox.take_learned():
            self.history.user(words)
        entries = self.history.entries
        owed = self._owed or bool(entries and entries[-1].role == "user")
        so_far = Conversation(entries, owed, self._waiting.since, self._inbox.all)
        return so_far.stopped(self._toolbox.running, STOPPED)

    async def close(self) -> None:
        """The leg is gone. What was heard until now enters the record; nothing goes on."""
        self._ending = True
        self._generations.leave_tools()
        if self._playout is not None:
            self._generations.on_playout(self._playout.close(self._clock()))
        if self._ears is not None:
            await self._ears.close()

    def say_and_end(self, text: str | None, reason: EndReason) -> None:
        """Interrupt whatever is said, say this to its end, and hang up."""
        if self._ending:
            return
        now = self._clock()
        self._close_ears()
        self._generations.interrupt(now)
        if reason == "failed" and self._host.relief:
            text = None
        if text and self._stage is not None:
            self._begin(Generation(self._generations.next(), text, protected=True, ends=reason))
        else:
            self._host.end_call(reason)

    # Messages of others (Addressee)

    def take(self, message: CallMessage) -> None:
        if self._ears is None:
            raise NotNow(NOBODY)
        if self.is_leaving:
            raise NotNow(ENDING)
        self._inbox.take(message, self._clock())

    @property
    def is_protected(self) -> bool:
        return self._generations.is_protected

    @property
    def is_at_work(self) -> bool:
        return any(generation is not self._guess for generation in self._generations.live.values())

    @property
    def is_leaving(self) -> bool:
        return self._ending

    def fall_silent(self, now: float) -> None:
        self._idle.reset()
        self._drop_guess(now)
        self._paused_since = None
        self._decided.set()
        self._talked_over, self._unheard = False, ""
        self._generations.interrupt(now)

    def answer(self, texts: Sequence[str], now: float) -> None:
        self._take_turn(TurnEnded(self._inbox.said(texts), now, now, now), now)

    def say(self, say: Say, now: float) -> None:
        self._begin(Generation(self._generations.next(), say.text, protected=not say.interruptible))

    def on_waiting(self, now: float) -> None:
        self._drop_guess(now)  # it did not know of this
        self._quiet_if_over(now)

    def commit(self, now: float) -> bool:
        return self._ears is not None and self._ears.commit()

    async def ready_for(self, agent: AgentDefinition) -> None:
        await self._toolbox.ready_for(agent.functions, agent.keys)

    def become(self, agent: AgentDefinition, now: float) -> None:
        self._becoming = agent
        self._drop_guess(now)

    def _become(self) -> None:
        """Another one, where nothing is under way that began as this one."""
        agent = self._becoming
        if agent is not None and self._generations.are_made:
            self._agent, self._becoming = agent, None
            self.history.prompt = agent.prompt
            self._toolbox.become(agent.functions, agent.keys)

    def learn(self, text: str) -> None:
        self._inbox.learn(text)
        self._quiet_if_over(self._clock())

    # The audio path

    def mark(self, name: str, cleared: bool) -> None:
        if self._playout is not None:
            self._generations.on_playout(self._playout.mark(name, cleared, self._clock()))
            self._host.wake()

    def dtmf(self, digit: str) -> None:
        now = self._clock()
        self._idle.wait(now)
        self._on_digits(self._digits.press(digit, now))

    def tick(self, now: float) -> float:
        """Every 20 ms. Returns the time until which it can be left out, unless :meth:`PipelineHost.wake` is called."""
        playout, ears = self._playout, self._ears
        if playout is None or ears is None:
            return 0.0
        if now >= playout.due:
            events = playout.tick(now)
            if events:
                self._generations.on_playout(events)
        if now >= self._chores_at:
            self._chores_at = now + CHORES_SECONDS
            ears.tick(now)
            self._do_chores(now)
        return min(self._chores_at, playout.due)

    def _play_now(self) -> None:
        """The caller waits: the first sound of an answer goes out at once, and not at the next tick."""
        if self._playout is not None:
            self._generations.on_playout(self._playout.tick(self._clock()))

    def _do_chores(self, now: float) -> None:
        """What is not heard if it is a little late."""
        self._on_digits(self._digits.tick(now))
        if self._ending:
            if self._end_by is not None and now >= self._end_by:
                self._end_by = None
                self._host.end_call(self._generations.ends or "agent")
            return
        self._mind_silence(now)
        if self._host.caller_holds or (self._playout is not None and self._playout.held):
            self._idle.wait(now)
        prompt = self._idle.tick(now)
        if prompt is not None:
            self._on_idle(prompt)
        if now - self._answered_at >= self._longest:
            self.say_and_end(self._agent.options.time_exceeded_message, "max_duration")

    # A caller who waits for an answer

    def _mind_silence(self, now: float) -> None:
        """Nobody waits in silence: first a voice that is stuck is given up, then the caller is asked for a moment."""
        playout, ears = self._playout, self._ears
        if playout is None or ears is None:
            return
        due = self._generations.awaited
        if (
            due is None
            or due.delivery is None
            or playout.speaking(now)
            or ears.caller_speaking
            or playout.paused
            or playout.held
        ):
            if due is not None:
                self._waiting.heard(now)
            return
        if self._waiting.impatient(now):
            due.delivery.hurry()
        text = self._waiting.words(now, acting=due.acting)
        if text is not None and due.delivery.console(text):
            self._waiting.consoled(now)
            if not due.acting:
                self._host.on_event(WatchdogFired("audio"))

    # Turns

    def _on_turn(self, event: TurnEvent, now: float) -> None:
        playout = self._playout
        if playout is None:
            return
        self._host.wake()
        match event:
            case SpeechStarted():
                self._idle.stop()
            case SpeechPaused():
                pass
            case SpeechResumed() | TurnUnlikely():
                self._drop_guess(now)
            case SpeechDropped(deaf):
                self._drop_guess(now)
                self._on_nothing(now, deaf=deaf)
            case PauseAgent(since):
                self._decided.clear()
                self._paused_since = now - since
                playout.pause(now)
            case ResumeAgent():
                self._settle(confirmed=False)
                playout.resume(now)
            case Interrupted():
                self._settle(confirmed=True)
                self._talked_over = True
                self._generations.interrupt(now)
            case TurnLikely(text):
                self._prepare_answer(text, now)
            case TurnEnded():
                self._idle.reset()
                self._talked_over, self._unheard, self._deaf = False, "", 0
                self._take_turn(self._with_texts(event), now)
            case _:
                assert_never(event)

    def _on_stt_error(self, error: ProviderError) -> None:
        self._host.on_event(PartFailed("stt", error.provider, error.kind, str(error)))

    def _on_stt_usage(self, provider: str, units: Mapping[str, float]) -> None:
        self._host.on_event(UsageReported("stt", provider, units))

    def _on_nothing(self, now: float, *, deaf: bool) -> None:
        """What was taken for speech is not a turn. Whoever fell silent for it goes on."""
        unheard, self._unheard, self._talked_over = self._unheard, "", False
        if deaf:
            self._host.on_event(WatchdogFired("transcript"))
            self._deaf += 1
            if self._deaf >= MAX_DEAF:
                self.say_and_end(phrases(self._language).cannot_hear, "failed")
                return
            if self._ears is not None:
                self._ears.renew()
            if not self._generations.live and not self._ending:
                self._begin(Generation(self._generations.next(), phrases(self._language).not_understood))
        elif unheard and not self._generations.live and not self._ending:
            self._begin(Generation(self._generations.next(), unheard))
        self._quiet_if_over(now)

    # Guesses: an answer is prepared while it is not certain that the turn is over

    def _prepare_answer(self, text: str, now: float) -> None:
        wanted = self._agent.options.turns.preemptive_generation and not self._inbox.has_texts
        if self._generations.live or self._ending or self._playout is None or not wanted:
            return
        self._decided.clear()
        self._playout.pause(now)  # nothing plays; nothing will before it is certain
        self._guess = Generation(self._generations.next(), guess=text)
        self._begin(self._guess)

    def _drop_guess(self, now: float) -> None:
        """Nothing of it was heard, nothing acted, nothing is remembered."""
        if self._guess is None:
            return
        self._guess = None
        self._host.on_event(Guessed(right=False))
        self._decided.set()
        self._generations.interrupt(now)

    def _confirm_guess(self, turn: TurnEnded, now: float) -> None:
        guess, self._guess = self._guess, None
        if guess is None or self._playout is None:
            return
        self._host.on_event(Guessed(right=True))
        self.history.user(turn.text)
        guess.guess, guess.turn = None, turn
        self._waiting.begin(turn.speech_ended)
        self._floor(protected=turn.cut)
        for text in guess.withheld:
            self._host.on_saying(text)
        if guess.failed:
            self._give_up_after(guess)
        self._decided.set()
        self._playout.resume(now)
        self._play_now()

    def _settle(self, *, confirmed: bool) -> None:
        if self._paused_since is not None:
            self._host.on_event(BargedIn(confirmed, self._paused_since))
            self._paused_since = None
        self._decided.set()

    async def _wait_until_decided(self) -> None:
        await self._decided.wait()

    def _with_texts(self, turn: TurnEnded) -> TurnEnded:
        """The caller has said so, and what waited to be told goes before it."""
        return replace(turn, text=self._inbox.said([*self._inbox.take_texts(), turn.text]))

    def _take_turn(self, turn: TurnEnded, now: float) -> None:
        """Answer, once everything said before is in the record."""
        if self._guess is not None and self._guess.guess == turn.text:
            self._confirm_guess(turn, now)
            return
        self._drop_guess(now)
        if self._generations.live:
            waiting = self._waiting_turn
            self._waiting_turn = turn if waiting is None else replace(turn, text=f"{waiting.text} {turn.text}")
            return
        self._waiting_turn = None
        self._waiting.begin(turn.speech_ended)
        self._tell_waiting()
        self.history.user(turn.text)
        self._begin(Generation(self._generations.next(), turn=turn, protected=turn.cut))

    def _on_digits(self, digits: str | None) -> None:
        if digits is None or self._ending:
            return
        now = self._clock()
        self._idle.reset()
        if not self.is_protected:
            self._drop_guess(now)
            self._settle(confirmed=True)
            self._talked_over, self._unheard = False, ""
            self._generations.interrupt(now)
        self._host.on_event(keys_said(digits, masked=self._agent.options.dtmf.mask))
        self._take_turn(TurnEnded(digits, now, now, now), now)

    # Generations (GenerationsListener)

    def _begin(self, generation: Generation) -> None:
        if self._stage is None:
            return
        self._become()
        self._generations.begin(generation)
        if generation.turn is None:
            self._waiting.begin(self._clock())
        self._idle.stop()
        if generation.ends is not None:
            self._close_ears()
        elif generation.guess is None:
            self._floor(protected=generation.protected)

    def on_made(self, generation: Generation) -> None:
        self._failures = self._failures + 1 if generation.failed else 0
        if generation.failed and generation.guess is None:
            self._give_up_after(generation)
        if generation.ends is not None and self._playout is not None:
            self._end_by = self._clock() + self._playout.unheard_seconds + self._agent.options.ending.max_wait

    def _give_up_after(self, failed: Generation) -> None:
        """Unless the next answer may be better: where nobody else goes on with the call it is tried again."""
        if failed.ends is None and (self._host.relief or self._failures >= MAX_FAILURES):
            self._owed = failed.text is None
            failed.ends = "failed"
            self._close_ears()

    def _floor(self, *, protected: bool) -> None:
        """The agent has it."""
        if self._ears is not None:
            self._ears.floor(agent=True, protected=protected)

    def _protect(self, generation: Generation) -> None:
        """It says something that has to be heard: from here on it cannot be interrupted."""
        generation.protected = True
        if generation.guess is None:
            self._floor(protected=True)

    def _close_ears(self) -> None:
        """The call is ending: that does not change any more, whatever the caller says."""
        self._ending = True
        if self._ears is not None:
            self._ears.shut()
        self._idle.stop()
        if self._paused_since is not None:
            self._settle(confirmed=False)
            if self._playout is not None:
                self._playout.resume(self._clock())

    def on_over(self, generation: Generation, heard: Heard) -> None:
        if heard.text and self._ears is not None:
            language = self._language
            self._ears.expect(asks(heard.text, language), digits_asked(heard.text, language))
        if not heard.complete and self._talked_over:
            self._unheard = " ".join(generation.said.split()[len(heard.text.split()) :])
        if generation.ends is not None:
            self._host.end_call(generation.ends)
        elif not self._generations.live and not self._ending:
            if self._ears is not None:
                self._ears.floor(agent=False)
            if self._waiting_turn is not None:
                self._take_turn(self._waiting_turn, self._clock())
            else:
                self._quiet_if_over(self._clock())

    # Silence

    def _quiet_if_over(self, now: float) -> None:
        speaking = self._ears is not None and self._ears.caller_speaking
        if self._generations.live or speaking or self._ending:
            return
        if (say := self._inbox.take_say()) is not None:
            self.say(say, now)
        elif self._inbox.is_due:
            self._tell_waiting()
            self._begin(Generation(self._generations.next()))
        else:
            self._idle.quiet(now)

    def _tell_waiting(self) -> None:
        """Each is told once: with what the caller says next, or when nobody says anything."""
        for words in (*self._inbox.take_learned(), self._inbox.said(self._inbox.take_texts())):
            if words:
                self.history.user(words)

    def _on_idle(self, prompt: IdlePrompt | IdleFarewell) -> None:
        match prompt:
            case IdlePrompt(text):
                self._begin(Generation(self._generations.next(), text))
            case IdleFarewell(text):
                self.say_and_end(text, "idle")


def _unheard(frame: bytes) -> None:
    """Before anybody listens."""


def turn_settings(agent: AgentDefinition) -> TurnSettings:
    """The agent's ``turns`` option as the turn machine takes it."""
    endpointing, interruption = agent.options.turns.endpointing, agent.options.turns.interruption
    return TurnSettings(
        endpointing=Endpointing(endpointing.min_delay, endpointing.max_delay),
        language=agent.options.stt.language or "en",
        longest=agent.options.turns.user_turn_limit,
        interruptions=interruption.enabled,
        by_words=interruption.mode == "adaptive",
        min_duration=interruption.min_duration,
        min_words=interruption.min_words,
        false_interruption_timeout=interruption.false_interruption_timeout,
        resume=interruption.resume,
    )
