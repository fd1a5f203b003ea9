"""A call with a realtime model: the model hears, thinks and speaks; what the caller heard is known here.

One object for each call, driven by plain calls as the cascade is. It knows the model by its capabilities alone. What is
said in the service's own voice (a moment's patience, an apology, a goodbye that the model cannot say) plays on the same
playout, and enters the same history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Literal, assert_never

from media.audio import FRAME_SECONDS
from media.playout import Playout
from pipelines.agent import AgentDefinition
from pipelines.backchannels import is_backchannel
from pipelines.digits import DigitCollector, keys_said
from pipelines.ears import VoiceDetector
from pipelines.events import (
    EndReason,
    ModelNoted,
    PartFailed,
    PipelineHost,
    UsageReported,
    UserSaid,
)
from pipelines.history import Conversation, History
from pipelines.idle import IdleClock, IdleFarewell, IdlePrompt
from pipelines.inbox import Inbox
from pipelines.messages import ENDING, NOBODY, CallMessage, NotNow, NotPossible, Say, Tell
from pipelines.own_voice import OwnVoice
from pipelines.parts import ProviderError, ProviderFault, TextToSpeech
from pipelines.phrasebook import phrases
from pipelines.realtime.answers import Answer
from pipelines.realtime.attention import Attention
from pipelines.realtime.barge_in import BargeIn
from pipelines.realtime.ending import Ending
from pipelines.realtime.errands import Errands
from pipelines.realtime.link import Link, Opener
from pipelines.realtime.model import (
    AudioCame,
    CallerSaid,
    CallerSilent,
    CallerSpeaks,
    ModelFault,
    NotUnderstood,
    OutputCleared,
    RateLimited,
    RealtimeEvent,
    RealtimeModel,
    ResponseBegan,
    ResponseEnded,
    Resumable,
    SessionEnding,
    SessionOver,
    SessionReady,
    Setup,
    ToolsAsked,
    ToolsWithdrawn,
    Used,
    WordsCame,
)
from pipelines.realtime.notes import Notes
from pipelines.realtime.parting import Parting
from pipelines.realtime.records import Records
from pipelines.realtime.setup import detection_of, setup_of, silence_of
from pipelines.realtime.speaking import Speaking
from pipelines.realtime.uplink import Uplink
from pipelines.realtime.voice import CallerVoice, TurnGate
from pipelines.standby import Standby
from pipelines.tools import Toolbox
from pipelines.tools.means import Means
from pipelines.tools.results import STOPPED

CHORES_SECONDS = 0.05
FILL_SECONDS = 0.1
SELDOM_SECONDS = 0.2
"""Between looks at the clocks: while something is waited for, where a line that stops has to be filled, and otherwise.
Each costs as much as 20 ms of sound."""

LATE_SECONDS = 0.06
"""Sound that is to be listened to together comes sooner, as a rule."""

PREPARE_SECONDS = 0.8
"""The longest that the phone rings for the model: a caller had rather hear that it takes a moment."""

SAID_SECONDS = 0.5
"""Nothing more is to come of what was said as it stands, or others wait behind it, and nothing did for so long."""

STALLED_SECONDS = 3.0
"""A model whose sound never ends has sent none for so long: it is gone, whatever its socket says."""

OWN_SILENCE, SILENCE = 0.75, 0.4
"""Seconds of it that end what the caller says, where we tell turns, and where we only watch."""

LEAST_TURN = 0.2
"""Seconds of voice that are a turn, where we tell turns."""

ANSWER_NOTES = "(That was all for now. Answer it.)"
"""Told to a model that knows texts which it was not to answer."""

MAX_FAILURES = 3
RELIEVED_AFTER = 2
"""Answers in a row that failed, where somebody else goes on with the call."""

MAX_CALL_SECONDS = 3600.0
_FRAMES = {"low": 1, "medium": 2, "high": 3}
"""Frames of the caller that go to the model at once."""


class Realtime:
    """``voice`` is the service's own; ``elsewhere`` are functions that the vendor runs; ``opener`` opens sessions, as
    :meth:`RealtimeConnection.open` does."""

    def __init__(
        self,
        agent: AgentDefinition,
        model: RealtimeModel,
        voice: TextToSpeech,
        host: PipelineHost,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        clock: Callable[[], float],
        metadata: Mapping[str, Any] | None = None,
        means: Means | None = None,
        elsewhere: Collection[str] = (),
        opener: Opener | None = None,
    ) -> None:
        options = agent.options
        self._agent = agent
        self._model = model
        self._can = model.capabilities
        self._voice = voice
        self._host = host
        self._spawn = spawn
        self._clock = clock
        self._so_far: Conversation | None = None
        self._greets = False  # the model does, by itself: it was set up before anything was said
        self.history = History(agent.prompt)
        self._toolbox = Toolbox(
            agent.functions,
            metadata or {},
            elsewhere,
            keys=agent.keys,
            means=means,
            tell=host.on_event,
            masks_keys=options.dtmf.mask,
        )
        self._detection = detection_of(agent, self._can)
        idle = options.idle
        self._idle = IdleClock(None if self._can.idles else idle.timeout, idle.prompts, idle.farewell)
        self._digits = DigitCollector(options.dtmf.timeout, options.dtmf.terminator)
        self._language = options.tts.language or "en"
        silence = silence_of(agent)
        if self._detection == "own":
            self._caller = CallerVoice(silence or OWN_SILENCE)
        else:  # the model may take longer to hold the turn to be over, and is not wondered at
            self._caller = CallerVoice(max(silence or 0.0, SILENCE) if self._can.pacing == "burst" else SILENCE)
        self._link = Link(model, self._setup, self, spawn=spawn, clock=clock, opener=opener)
        gate = TurnGate() if self._detection == "own" and not self._can.continuous else None
        self._uplink = Uplink(self._link, self._can, _FRAMES[options.latency], gate)
        self._noted: set[str] = set()  # kinds of faults that are in the log
        self._records = Records(self.history, host)
        self._ending = Ending(options.ending.max_wait)
        self._speaking = Speaking(
            agent, self._can, self, host, self._link, self._records, self._ending, spawn=spawn, clock=clock
        )
        self._interruption = BargeIn(options.turns.interruption, self._speaking, self._caller, self._ending, host)
        self._attention = Attention(
            self, host, self._caller, self._speaking, self._ending, self._link, options.fillers, self._language, clock
        )
        self._errands = Errands(
            self._toolbox,
            self._can,
            self,
            host,
            self._records,
            self._caller,
            self._speaking,
            self._attention,
            self._ending,
            self._link,
            spawn=spawn,
            clock=clock,
            is_undecided=lambda: self._interruption.paused_at is not None,
            own_turns=self._detection == "own",
        )
        self._inbox = Inbox(self, self._idle, host.on_event, later=self._note)
        self._committed = False  # the notes are to be answered
        self._notes = Notes(self._link, self._next_setup, lambda: self._agent, updates=self._can.updates)
        self._failures = 0
        self._answered_at: float | None = None
        self._chores_at = 0.0
        self._seldom = FILL_SECONDS if self._can.continuous else SELDOM_SECONDS
        self._longest = options.max_seconds or MAX_CALL_SECONDS
        self._parting = Parting(
            options,
            host,
            self._link,
            self._speaking,
            self._records,
            self._attention,
            self._interruption,
            self._errands,
            self._idle,
            self._ending,
            clock,
            idles=self._can.idles,
            longest=self._longest,
            language=self._language,
        )
        self._detector: VoiceDetector | None = None
        self.hear: Callable[[bytes], None] = _ignored
        self._unheard: list[bytes] = []

    # The call's life

    def take_over(self, so_far: Conversation) -> None:
        self._so_far = so_far
        self._inbox.refill([one for one in so_far.waiting if one.urgency != "later" or not self._can.notes])
        self._notes.refill([one.text for one in so_far.waiting if one.urgency == "later" and self._can.notes])
        self.history.go_on_from(so_far.known_to({function.name for function in self._agent.functions}))

    async def prepare(self) -> None:
        """A model that cannot be reached now is tried again while the caller hears that it takes a moment."""
        await asyncio.gather(self._prepare_model(), self._prepare_voice())

    async def _prepare_model(self) -> None:
        await self._toolbox.prepare()  # its session begins with what tools there are
        await self._link.prepare(PREPARE_SECONDS)

    async def _prepare_voice(self) -> None:
        try:
            await self._voice.prepare()
        except ProviderError as error:
            self._failed("tts", error)

    def start(self, playout: Playout, detector: VoiceDetector) -> None:
        now = self._clock()
        self._answered_at = self._host.answered_at or now
        self._speaking.sound_at = self._attention.heard_at = now
        self._detector = detector
        detector.closely = self._detection == "own"
        self._uplink.start(playout.format, now)
        own_voice = OwnVoice(
            Standby("tts", [self._voice]),
            playout,
            self._host,
            self.history,
            self._toolbox,
            clock=self._clock,
            language=self._language,
        )
        self._speaking.start(playout, own_voice)
        self.hear = self._hear
        opening = self._agent.options.opening
        if self._so_far is not None:
            self._attention.take_over(self._so_far)
        if self._link.fault is not None:
            self._give_up(self._link.fault)
        elif self._so_far is not None and not (self._greets and opening is not None):
            self._link.begin()
            self._go_on_from(self._so_far, now)
        elif opening is not None:
            self._speaking.will_say(opening.text, now)
            self._link.begin()
        else:
            self._link.begin()
            self._idle.quiet(now)

    def _go_on_from(self, so_far: Conversation, now: float) -> None:
        """Answer what the caller waits for; else say hello."""
        opening = self._agent.options.opening
        if so_far.owed:
            self._attention.heard_at = so_far.silent_since
            self._attention.patience.noticed = True
            self._attention.await_answer(so_far.silent_since, asked=now)
        else:
            hello = opening.text if opening is not None and not so_far.heard(opening.text) else None
            self._speaking.say(hello or phrases(self._language).interrupted, None, now)

    def hand_over(self) -> Conversation:
        for words in self._inbox.take_learned():
            self.history.user(words)
        entries = self.history.entries
        owed = self._attention.is_owed or bool(entries and entries[-1].role == "user")
        waiting = [*(Tell(text, "later") for text in self._notes.texts), *self._inbox.all]
        so_far = Conversation(entries, owed, self._attention.heard_at, waiting)
        return so_far.stopped(self._toolbox.running, STOPPED)

    async def close(self) -> None:
        self._ending.begun = True
        self._errands.leave()
        if self._speaking.playout is not None:
            self._speaking.on_playout(self._speaking.playout.close(self._clock()))
        self._records.flush()
        over = await self._link.close()
        if over is not None and not over.by_agent:
            self.note_fault("session over", f"the model's session ended: {over.reason}")

    def say_and_end(self, text: str | None, reason: EndReason) -> None:
        self._parting.say_and_end(text, reason)

    def learn(self, text: str) -> None:
        self._inbox.learn(text)
        self.on_quiet(self._clock())

    def _setup(self) -> Setup:
        self._notes.on_setup()
        return self._next_setup()

    def _next_setup(self) -> Setup:
        """Of a session that would begin now."""
        self._records.flush()
        self._greets = first = self._answered_at is None and self._so_far is None
        return setup_of(self._agent, self._can, self._toolbox.specs, self.history, first=first, spent=self._spent)

    # Messages of others (Addressee)

    def take(self, message: CallMessage) -> None:
        if self._speaking.playout is None:
            raise NotNow(NOBODY)
        if self.is_leaving:
            raise NotNow(ENDING)
        self._inbox.take(message, self._clock())

    @property
    def is_protected(self) -> bool:
        return self._speaking.is_protected

    @property
    def is_at_work(self) -> bool:
        return bool(self._speaking.answers or self._speaking.has_sayings or self._errands.under_way)

    @property
    def is_leaving(self) -> bool:
        return self._ending.begun or self._ending.leaving

    def fall_silent(self, now: float) -> None:
        self._idle.reset()
        self._interruption.forget()
        self._attention.stop()
        self._speaking.interrupt(now, by_us=True)
        self._errands.leave()

    def answer(self, texts: Sequence[str], now: float) -> None:
        self._ask(" ".join(texts), now)
        self._inbox.said(texts)

    def _ask(self, text: str, now: float) -> None:
        """The caller says so, otherwise than by voice."""
        self._on_words_of_caller(text)
        self._tell(text, now)

    def _tell(self, text: str, now: float) -> None:
        self._link.send(lambda protocol: protocol.tell(text))
        self._attention.patience.noticed = True
        self._attention.await_answer(now)

    def say(self, say: Say, now: float) -> None:
        self._speaking.say(say.text, None, now, protected=not say.interruptible)

    def _note(self, text: str) -> None:
        """Known from the next answer on."""
        if not self._can.notes:
            raise NotPossible(f"{self._model.name} takes no text without answering it: send it as soon, or now")
        self._notes.add(text)

    def on_waiting(self, now: float) -> None:
        self.on_quiet(now)

    def commit(self, now: float) -> bool:
        if self._caller.speaking and self._caller.voiced >= LEAST_TURN:
            if self._detection != "own":
                raise NotPossible("This model says itself when a turn is over; turns.detection vad leaves it to us")
            if self._speaking.answers:
                self._barge_in(now, by_us=True)
            self._caller.end()
            self._uplink.end_turn()
            self._answer_turn()
        elif self._notes.texts:
            self._committed = True
            self.on_quiet(now)
        else:
            return False
        return True

    async def ready_for(self, agent: AgentDefinition) -> None:
        await self._toolbox.ready_for(agent.functions, agent.keys)

    def become(self, agent: AgentDefinition, now: float) -> None:
        self._agent = agent
        self.history.prompt = agent.prompt
        self._toolbox.become(agent.functions, agent.keys)
        self._notes.tell()

    # The audio path

    def _hear(self, frame: bytes) -> None:
        """What goes to the model together is listened to together: that costs a third less than frame by frame."""
        self._unheard.append(frame)
        if len(self._unheard) >= self._uplink.together:
            self._listen(self._clock())

    def _listen(self, now: float) -> None:
        frames, self._unheard = self._unheard, []
        caller, interruption = self._caller, self._interruption
        voices = self._detector.hear_all(frames, now) if self._detector is not None else ()
        if caller.stirs or interruption.paused_at is not None or True in voices:
            ended = now - len(frames) * FRAME_SECONDS
            for voice in voices:
                ended += FRAME_SECONDS
                change = caller.hear(voice, ended)
                if change is not None or interruption.paused_at is not None:
                    self._on_voice(change, now)
        turn = caller.speaking and caller.voiced >= LEAST_TURN and interruption.paused_at is None
        self._uplink.hear(frames, caller, now, turn=turn)

    def mark(self, name: str, cleared: bool) -> None:
        if self._speaking.playout is not None:
            self._speaking.on_playout(self._speaking.playout.mark(name, cleared, self._clock()))
            self._host.wake()

    def dtmf(self, digit: str) -> None:
        now = self._clock()
        self._idle.wait(now)
        self._on_digits(self._digits.press(digit, now))

    def tick(self, now: float) -> float:
        playout = self._speaking.playout
        if playout is None:
            return 0.0
        if now >= playout.due:
            events = playout.tick(now)
            if events:
                self._speaking.on_playout(events)
        if now >= self._chores_at:
            self._do_chores(playout, now)
            self._chores_at = now + (CHORES_SECONDS if self._is_busy else self._seldom)
        return min(self._chores_at, playout.due)

    @property
    def _is_busy(self) -> bool:
        """Something is waited for."""
        return (
            self._attention.patience.waiting
            or self._speaking.has_sayings
            or self._interruption.paused_at is not None
            or self._ending.begun
        )

    def _do_chores(self, playout: Playout, now: float) -> None:
        speaking, attention = self._speaking, self._attention
        self._on_digits(self._digits.tick(now))
        if self._unheard and now - self._uplink.fed > LATE_SECONDS:  # the rest does not come
            self._listen(now)
        change = self._caller.tick(now)
        if change is not None or self._interruption.paused_at is not None:
            self._on_voice(change, now)
        self._uplink.fill(now)
        if speaking.say_in_time(now) and self._link.is_open and not self._ending.begun:
            self.fails("it says nothing, time and again")
        self._records.tick(now)
        self._notes.tell()
        if self._inbox.is_due or self._committed:
            self.on_quiet(now)
        attention.look(playout, now)
        self._errands.tick(now)
        if playout.held or self._host.caller_holds:
            self._idle.wait(now)
        attention.wait_for_functions(now, acting=bool(self._errands.under_way))
        self._link.watch(now, awaited=attention.awaits(now))
        speaking.tick(now)
        quiet = now - attention.heard_at >= SAID_SECONDS
        if quiet:
            speaking.let_others_pass()
        stuck = speaking.is_stuck()
        if stuck and quiet:
            for answer in [answer for answer in speaking.under_way if answer.is_said]:
                speaking.finish(answer)
            stuck = speaking.is_stuck()
        if self._ending.begun:
            if self._ending.is_due(now, stuck=stuck, heard_at=attention.heard_at):
                self._parting.end_at_last()
            return
        if speaking.utterances is not None and self._link.is_open and now - speaking.sound_at > STALLED_SECONDS:
            speaking.sound_at = now
            self._link.lose("its sound stopped")
        attention.tick(playout, now, stuck=stuck)
        self._link.tick(now, quiet=attention.is_quiet(now))
        self._mind_the_time(now)

    @property
    def _spent(self) -> float:
        """Seconds of the call, whoever had it."""
        began = self._answered_at if self._answered_at is not None else self._host.answered_at
        return self._clock() - began if began is not None else 0.0

    def _mind_the_time(self, now: float) -> None:
        """Nobody says anything, or the call takes too long."""
        prompt = self._idle.tick(now)
        match prompt:
            case IdlePrompt(text):
                self._speaking.say(text, None, now)
            case IdleFarewell(text):
                self.say_and_end(text, "idle")
            case None:
                pass
        if self._spent >= self._longest:
            self.say_and_end(self._agent.options.time_exceeded_message, "max_duration")

    # The caller, by our ears

    def _on_voice(self, change: str | None, now: float) -> None:
        interruption = self._interruption
        if change == "began":
            self._idle.stop()
            interruption.pause(now)
        elif change == "ended":
            self._on_silence(now)
        if interruption.paused_at is None:
            return
        if self._detection == "own" and self._caller.speaking and interruption.is_long_enough:
            self._barge_in(now, by_us=True)
        elif interruption.is_undecided_for_long(now):
            interruption.go_on(now)

    def _on_silence(self, now: float) -> None:
        if self._ending.begun:
            return
        plays = self._interruption.paused_at is not None and bool(self._speaking.answers)
        if self._detection == "own" and self._caller.voiced >= LEAST_TURN and not plays:
            self._uplink.flush()
            self._answer_turn()
        else:
            self._attention.on_silence(now)
        self.on_quiet(now)

    def _answer_turn(self) -> None:
        self._errands.unanswered = False
        self._attention.patience.noticed = True
        self._link.send(lambda protocol: protocol.answer())
        self._attention.await_answer_to_turn()

    def _barge_in(self, now: float, *, by_us: bool) -> None:
        playout = self._speaking.playout
        over_speech = playout is not None and (playout.paused or playout.speaking(now))
        if self._interruption.confirm(now):
            self._attention.patience.stop()
            self._speaking.interrupt(now, by_us=by_us)
            if over_speech:  # otherwise it is known by the words whether it was one
                self._errands.leave()

    def on_quiet(self, now: float) -> None:
        waits = self._attention.patience.waiting
        if self._speaking.answers or self._caller.speaking or self._ending.begun or waits:
            return
        free = self._link.is_open and not self._speaking.has_sayings
        if free and (say := self._inbox.take_say()) is not None:
            self.say(say, now)
        elif free and (self._inbox.is_due or self._committed):
            texts = self._inbox.take_texts()
            text = " ".join([*self._inbox.take_learned(), *texts])
            self._committed = False
            self._on_words(text)
            self._inbox.said(texts)
            self._tell(text or ANSWER_NOTES, now)
        else:
            self._idle.quiet(now)

    def fails(self, sentence: str, kind: ProviderFault = "timeout") -> bool:
        """The model does not do what it should. Whether that was once too often."""
        self._failures += 1
        self._attention.doubted = True
        if self._failures < (RELIEVED_AFTER if self._host.relief else MAX_FAILURES):
            return False
        self._give_up(ProviderError(self._model.name, kind, sentence))
        return True

    # What the model says (LinkListener)

    def on_model_event(self, event: RealtimeEvent) -> None:
        now = self._clock()
        match event:
            case AudioCame(response, item, data):
                self._speaking.on_audio(response, item, data, now)
            case WordsCame(response, item, text):
                self._speaking.on_words(response, item, text)
            case ResponseBegan(response):
                if self._speaking.utterances is None:
                    self._speaking.answer_of(response, now)
            case ResponseEnded():
                self._on_response_ended(event, now)
            case CallerSpeaks():
                self._attention.patience.noticed = True
                self._idle.stop()
                if self._detection != "own":
                    self._barge_in(now, by_us=False)
            case CallerSilent():
                if self._detection != "own" and not self._ending.begun:
                    if self._caller.voiced:
                        self._attention.await_answer_to_turn()
                    else:
                        self._attention.await_answer(now)
            case OutputCleared():
                self._barge_in(now, by_us=False)
            case CallerSaid(_, text, final):
                self._attention.on_sign_of_hearing(text)
                if final and text.strip():
                    self._idle.reset()
                    self._on_words_of_caller(text.strip())
                    self._host.on_event(UserSaid(text.strip()))
            case ToolsAsked():
                self._errands.begin(event, now)
            case ToolsWithdrawn(ids):
                self._errands.leave(calls=ids)
            case Used(units):
                self._host.on_event(UsageReported("llm", self._model.name, units))
            case RateLimited(left):
                if left and min(left.values()) < 0.05:
                    self._host.on_event(ModelNoted("rate_limited"))
            case ModelFault(kind, message, fatal):
                if fatal:
                    self._give_up(ProviderError(self._model.name, kind, message))
                else:
                    self.note_fault(kind, message)
            case NotUnderstood(what):
                first = "not understood" not in self._noted
                self._noted.add("not understood")
                self._host.on_event(ModelNoted("not_understood", what if first else ""))
            case SessionOver(reason, by_agent):
                if by_agent:
                    self._parting.on_session_over(self._spent)
                else:
                    self._link.lose(f"the session is over: {reason}")
            case SessionReady() | Resumable() | SessionEnding():
                pass  # the link's
            case _:
                assert_never(event)

    def note_fault(self, kind: str, message: str) -> None:
        """All are counted, and the first of each kind is in the log."""
        first = kind not in self._noted
        self._noted.add(kind)
        self._host.on_event(ModelNoted("fault", message if first else ""))

    def _on_words_of_caller(self, text: str) -> None:
        if not is_backchannel(text, self._language):
            self._errands.leave(before=self._caller.onset)
        self._on_words(text)

    def _on_words(self, text: str) -> None:
        """To be answered."""
        self._records.flush()
        text = f"{self._inbox.said(self._notes.take())} {text}".strip()
        self.history.user(text)
        self._errands.rounds = 0
        self._attention.on_words(text)

    def on_link_restored(self, *, renewed: bool) -> None:
        """The call goes on in another session, which knows the conversation as the caller heard it."""
        now = self._speaking.sound_at = self._clock()
        self._notes.on_session()
        self._errands.forget()
        self._host.on_event(ModelNoted("renewed" if renewed else "reconnected"))
        self._attention.on_restored(now, renewed=renewed)

    def on_link_lost(self, reason: str) -> None:
        """What had come of an answer is said to its end; another session is on its way."""
        self._host.on_event(PartFailed("llm", self._model.name, "connect", f"{self._model.name}: {reason}"))
        now = self._clock()
        self._errands.forget()
        self._attention.on_lost(now)
        self._interruption.go_on(now)  # nobody is left to say that it was an interruption

    def on_link_given_up(self, error: ProviderError) -> None:
        self._give_up(error)

    def on_link_fault(self, error: Exception) -> None:
        """A fault of ours: it ends this call, with its trace in the log, and no other."""
        _ = self._spawn(_raise(error))

    # What is said (SpeakingListener)

    def on_begun(self) -> None:
        self._idle.stop()

    def on_sound(self, now: float) -> None:
        """There is something to be heard of an answer."""
        self._failures = 0
        self._errands.rounds = 0
        self._attention.on_sound(now)

    def _on_response_ended(self, event: ResponseEnded, now: float) -> None:
        answer = next((a for a in self._speaking.answers.values() if a.response == event.response), None)
        if event.status == "failed" and not self._speaking.is_late(event.response):
            self._failed("llm", ProviderError(self._model.name, "server", f"an answer failed: {event.detail}"))
            if self.fails("its answers fail", "server"):
                pass
            elif self._host.relief:
                self._link.lose("an answer failed")  # another session is told what to answer
            elif answer is None or not (answer.has_sound or answer.is_unsaid):
                self._attention.patience.stop()
                self._speaking.say_ourselves(phrases(self._language).went_wrong)
        if answer is not None:
            if answer.is_unsaid:
                self._speaking.say_unsaid(answer)
                return
            if event.status == "cancelled" and answer.protected and not answer.cut and answer.has_sound:
                self._speaking.say_the_rest(answer)
            elif event.status == "cancelled":
                answer.take_back_words()
            self._speaking.finish(answer)
        elif self._speaking.was_set_aside(event.response):
            self._attention.stop()  # it was all there was of it

    def on_silent(self, utterance: Answer) -> None:
        self._interruption.judge(utterance)

    def on_over(self, answer: Answer) -> None:
        if answer.ends is not None:
            self._host.end_call(answer.ends)
        elif not self._speaking.answers:
            self._parting.leave_if_over()
            self.on_quiet(self._clock())

    # The end

    def hang_up(self, answer: Answer | None, now: float, ends: EndReason) -> None:
        self._parting.hang_up(answer, now, ends)

    def _give_up(self, error: ProviderError) -> None:
        """There is no model any more."""
        self._failed("llm", error)
        self._parting.give_up()

    def _failed(self, part: Literal["llm", "tts"], error: ProviderError) -> None:
        self._host.on_event(PartFailed(part, error.provider, error.kind, str(error)))

    # Keys and silence

    def _on_digits(self, digits: str | None) -> None:
        if digits is None or self._ending.begun:
            return
        now = self._clock()
        self.fall_silent(now)
        self._host.on_event(keys_said(digits, masked=self._agent.options.dtmf.mask))
        self._ask(digits, now)


async def _raise(error: Exception) -> None:
    raise error


def _ignored(frame: bytes) -> None:
    """Before anybody listens."""
