"""A call with a realtime model: the model hears, thinks and speaks; what the caller heard is known here.

One object for each call, driven by plain calls as the cascade is. It knows the model by its capabilities alone. What is
said in the service's own voice (a moment's patience, an apology, a goodbye that the model cannot say) plays on the same
playout, and enters the same history.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Literal, assert_never

from media.playout import (
    Playout,
    PlayoutCut,
    PlayoutEvent,
    PlayoutFinished,
    PlayoutStarted,
    PlayoutUnderrun,
)
from pipelines.agent import AgentDefinition
from pipelines.digits import DigitCollector
from pipelines.ears import VoiceDetector
from pipelines.events import (
    BargedIn,
    EndReason,
    ModelNoted,
    PartFailed,
    PipelineHost,
    ToolCalled,
    ToolReturned,
    TurnTimings,
    Underran,
    UsageReported,
    UserSaid,
    WatchdogFired,
)
from pipelines.generation import Generation
from pipelines.history import Conversation, History, Step
from pipelines.idle import IdleClock, IdleFarewell, IdlePrompt
from pipelines.own_voice import OwnVoice
from pipelines.parts import Message, ProviderError, ProviderFault, TextToSpeech
from pipelines.phrasebook import phrases
from pipelines.realtime.answers import MOST_UNHEARD_SECONDS, Answer, Before, Timing
from pipelines.realtime.link import Link, Opener
from pipelines.realtime.model import (
    AudioCame,
    CallerSaid,
    CallerSilent,
    CallerSpeaks,
    ItemHeard,
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
    ToolOutput,
    ToolsAsked,
    ToolsWithdrawn,
    Used,
    WordsCame,
)
from pipelines.realtime.patience import Patience
from pipelines.realtime.pulse import DOUBT_SECONDS
from pipelines.realtime.records import Records
from pipelines.realtime.setup import detection_of, setup_of, silence_of
from pipelines.realtime.stream import Utterances
from pipelines.realtime.uplink import Uplink
from pipelines.realtime.voice import CallerVoice, TurnGate
from pipelines.standby import Standby
from pipelines.tools import Toolbox
from pipelines.tools.means import Means

CHORES_SECONDS = 0.05
SELDOM_SECONDS = 0.1
"""Between looks at the clocks: while something is waited for, and otherwise. It is a twentieth of what a call costs."""

PREPARE_SECONDS = 0.8
"""The longest that the phone rings for the model: a caller had rather hear that it takes a moment."""

SAY_SECONDS = 1.8
"""What the model is to say and does not begin by then is said in the service's own voice."""

UNANSWERED_SECONDS = 6.0
"""Voice of the caller that is older needs no answer any more."""

SAID_SECONDS = 0.5
"""Nothing more is to come of what was said as it stands, and nothing did for so long."""

STALLED_SECONDS = 3.0
"""A model whose sound never ends has sent none for so long: it is gone, whatever its socket says."""

GOODBYE_SECONDS = 2.0
"""So long after it hung up a model may begin to say goodbye ..."""

LONGEST_GOODBYE = 20.0
"""... and so long it may take."""

CLOCKS_SECONDS = 5.0
"""By so much the model's idea of how long the call has lasted may be ahead of ours."""

OWN_SILENCE, SILENCE = 0.75, 0.4
"""Seconds of it that end what the caller says, where we tell turns, and where we only watch."""

LONG_PAUSE = 1.4
"""With pauses up to here there is a second for an answer before the caller is told that it takes a moment."""

LEAST_TURN = 0.2
"""Seconds of voice that are a turn, where we tell turns."""

LEAST_WORD = 0.1
"""Seconds of voice that may be a word, for all that we know, where the model may be gone."""

LEAST_VOICE = 0.8
"""Seconds of voice without a word from the model about it: it may be deaf."""

GO_ON = "(The line was interrupted. Go on from where you were.)"
"""Told to a new session that knows what tools returned, and has not said anything of it."""

MAX_FAILURES = 3
RELIEVED_AFTER = 2
"""Answers in a row that failed, where somebody else goes on with the call."""

MAX_CALL_SECONDS = 3600.0
_FRAMES = {"low": 1, "medium": 2, "high": 3}
"""Frames of the caller that go to the model at once."""
_LATE = 64


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
        self.history = History(agent.prompt)
        self._toolbox = Toolbox(
            agent.functions, metadata or {}, elsewhere, keys=agent.keys, means=means, tell=host.on_event
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
        self._answers: dict[int, Answer] = {}
        self._number = 0
        self._first_number = 1
        self._late: deque[str] = deque(maxlen=_LATE)  # responses that were interrupted
        self._continued: dict[str, Mapping[str, Before]] = {}  # and those set aside, with what came of their parts
        self._records = Records(self.history, host)
        self._noted: set[str] = set()  # kinds of faults that are in the log
        self._sayings: deque[tuple[str, EndReason | None, float]] = deque()  # asked of the model, and not begun
        self._utterances = Utterances(self._can.output) if self._can.pacing == "realtime" else None
        self._patience = Patience()
        self._untold: str | None = None  # what a session has to be told as soon as there is one
        self._acted = False  # tools ran since then
        self._asked: str | None = None  # the latest that the caller said
        self._unanswered: str | None = None  # what the caller said, as long as no sound answers it
        self._turn: Timing | None = None
        self._paused_at: float | None = None
        self._failures = 0
        self._ending = False
        self._leaving = False  # there is no model any more, and somebody else goes on
        self._goodbye = False  # the model hung up, and may say goodbye yet ...
        self._farewell_wanted = False  # ... or has not said anything
        self._end_by: float | None = None
        self._sound_at = 0.0  # the latest of the model's
        self._heard_at = 0.0  # when anybody was last heard
        self._lost_at = -1.0  # the session before the present one
        self._started_at = self._chores_at = 0.0
        self._longest = options.max_seconds or MAX_CALL_SECONDS
        self._playout: Playout | None = None
        self._detector: VoiceDetector | None = None
        self._own_voice: OwnVoice | None = None
        self.hear: Callable[[bytes], None] = _unheard

    # The call's life

    def take_over(self, so_far: Conversation) -> None:
        self._so_far = so_far
        self.history.go_on_from(so_far.known_to({function.name for function in self._agent.functions}))

    async def prepare(self) -> None:
        """A model that cannot be reached now is tried again while the caller hears that it takes a moment."""
        await asyncio.gather(self._link.prepare(PREPARE_SECONDS), self._prepare_voice())

    async def _prepare_voice(self) -> None:
        try:
            await self._voice.prepare()
        except ProviderError as error:
            self._failed("tts", error)

    def start(self, playout: Playout, detector: VoiceDetector) -> None:
        now = self._clock()
        self._started_at = self._sound_at = self._heard_at = now
        self._detector = detector
        self._playout, self._number = playout, playout.latest
        self._first_number = self._number + 1
        playout.bursts = self._utterances is None
        self._uplink.start(playout.format, now)
        self._own_voice = OwnVoice(
            Standby("tts", [self._voice]),
            self._playout,
            self._host,
            self.history,
            self._toolbox,
            clock=self._clock,
            language=self._language,
        )
        self.hear = self._hear
        opening = self._agent.options.opening
        if self._so_far is not None and self._so_far.owed:
            self._unanswered = self._untold = self._so_far.question or GO_ON
        if self._link.fault is not None:
            self._give_up(self._link.fault)
        elif self._so_far is not None:
            self._link.begin()
            self._go_on_from(self._so_far, now)
        elif opening is not None:
            self._sayings.append((opening.text, None, now))
            self._link.begin()
        else:
            self._link.begin()
            self._idle.quiet(now)

    def _go_on_from(self, so_far: Conversation, now: float) -> None:
        """Answer what the caller waits for; else say hello."""
        opening = self._agent.options.opening
        if so_far.owed:
            self._heard_at = so_far.silent_since
            self._patience.noticed = True
            self._await_answer(so_far.silent_since, asked=now)
        else:
            hello = opening.text if opening is not None and not so_far.heard(opening.text) else None
            self._say(hello or phrases(self._language).interrupted, None, now)

    def _tell_untold(self) -> None:
        if self._untold is not None and self._link.is_open:
            text, self._untold = self._untold, None
            self._link.send(lambda protocol: protocol.tell(text))

    def hand_over(self) -> Conversation:
        entries = self.history.entries
        owed = self._unanswered is not None or bool(entries and entries[-1].role == "user")
        return Conversation(entries, owed, self._heard_at)

    async def close(self) -> None:
        self._ending = True
        if self._playout is not None:
            self._on_playout(self._playout.close(self._clock()))
        self._records.flush()
        over = await self._link.close()
        if over is not None and not over.by_agent:
            self._note_fault("session over", f"the model's session ended: {over.reason}")

    def say_and_end(self, text: str | None, reason: EndReason) -> None:
        if self._ending:
            return
        now = self._clock()
        self._shut()
        self._interrupt(now, by_us=True)
        if text:
            self._say(text, reason, now)
        else:
            self._host.end_call(reason)

    def _setup(self) -> Any:
        self._records.flush()
        first = self._started_at == 0.0 and self._so_far is None
        return setup_of(self._agent, self._can, self._toolbox.specs, self.history, first=first)

    # The audio path

    def _hear(self, frame: bytes) -> None:
        now = self._clock()
        detector, caller = self._detector, self._caller
        change = caller.hear(detector.hear(frame, now), now) if detector is not None else None
        if change is not None or self._paused_at is not None:
            self._on_voice(change, now)
        turn = caller.speaking and caller.voiced >= LEAST_TURN and self._paused_at is None
        self._uplink.hear(frame, caller, now, turn=turn)

    def mark(self, name: str, cleared: bool) -> None:
        if self._playout is not None:
            self._on_playout(self._playout.mark(name, cleared, self._clock()))
            self._host.wake()

    def dtmf(self, digit: str) -> None:
        self._on_digits(self._digits.press(digit, self._clock()))

    def tick(self, now: float) -> float:
        playout = self._playout
        if playout is None:
            return 0.0
        if playout.active:
            events = playout.tick(now)
            if events:
                self._on_playout(events)
        if now >= self._chores_at:
            self._do_chores(playout, now)
            waits = self._patience.waiting or self._sayings or self._paused_at is not None or self._ending
            self._chores_at = now + (CHORES_SECONDS if waits else SELDOM_SECONDS)
        return min(self._chores_at, playout.due) if playout.active else self._chores_at

    def _do_chores(self, playout: Playout, now: float) -> None:
        self._on_digits(self._digits.tick(now))
        change = self._caller.tick(now)
        if change is not None or self._paused_at is not None:
            self._on_voice(change, now)
        self._uplink.fill(now)
        self._say_in_time(now)
        self._records.tick(now)
        if playout.speaking(now) and (self._utterances is None or self._speaks_itself):
            self._heard_at = now
        self._heard_at = max(self._heard_at, self._caller.last_voice)
        self._link.watch(now, awaited=self._awaits(now))
        if self._utterances is not None and self._utterances.stopped(now - self._sound_at):
            self._end_utterance()
        stuck = self._is_stuck(playout)
        if stuck and now - self._heard_at >= SAID_SECONDS:
            for answer in [answer for answer in self._under_way if answer.is_said]:
                self._finish(answer)
            stuck = self._is_stuck(playout)
        if self._ending:
            if (self._end_by is not None and now >= self._end_by) or (
                stuck and now - self._heard_at >= GOODBYE_SECONDS
            ):
                self._end_by = None
                self._end_at_last()
            return
        if self._utterances is not None and self._link.is_open and now - self._sound_at > STALLED_SECONDS:
            self._sound_at = now
            self._link.lose("its sound stopped")
        self._tell_untold()
        self._wonder(playout, now, stuck=stuck)
        self._link.tick(now, quiet=self._is_quiet(now))
        prompt = self._idle.tick(now)
        match prompt:
            case IdlePrompt(text):
                self._say(text, None, now)
            case IdleFarewell(text):
                self.say_and_end(text, "idle")
            case None:
                pass
        if now - self._started_at >= self._longest:
            self.say_and_end(self._agent.options.time_exceeded_message, "max_duration")

    def _is_quiet(self, now: float) -> bool:
        """Nobody speaks, or thinks about what to say: another session can take over."""
        voice = self._caller.last_voice
        answered = voice <= self._sound_at or now - voice > UNANSWERED_SECONDS
        return answered and not self._answers and not self._caller.speaking and not self._sayings

    def _awaits(self, now: float) -> bool:
        """Something of the model is waited for, or will be as soon as the caller has said what he says."""
        voice = self._caller.last_voice
        to_answer = self._caller.speaking or (voice > self._sound_at and now - voice < UNANSWERED_SECONDS)
        return to_answer or self._patience.waiting or bool(self._sayings) or self._is_answering

    def _has_more_to_say(self, now: float) -> bool:
        """Of what was made, something is yet to be heard."""
        playout = self._playout
        return playout is not None and not self._pauses and (playout.speaking(now) or playout.unheard_seconds > 0)

    @property
    def _speaks_itself(self) -> bool:
        """Something is said in the service's own voice."""
        return any(answer.response is None for answer in self._answers.values())

    @property
    def _pauses(self) -> bool:
        """The model says nothing, and of its sound that never ends it is not known whether that was all."""
        return self._utterances is not None and self._is_answering and not self._utterances.sounding

    @property
    def _is_answering(self) -> bool:
        """An answer of the model is under way."""
        return bool(self._under_way)

    @property
    def _under_way(self) -> list[Answer]:
        return [answer for answer in self._answers.values() if answer.is_under_way]

    def _is_stuck(self, playout: Playout) -> bool:
        """All that came of an answer was heard, and it is not over."""
        return not playout.unheard_seconds and any(answer.has_sound for answer in self._under_way)

    # The caller, by our ears

    def _on_voice(self, change: str | None, now: float) -> None:
        caller, interruption = self._caller, self._agent.options.turns.interruption
        if change == "began":
            self._idle.stop()
            self._pause(now)
        elif change == "ended":
            self._on_silence(now)
        if self._paused_at is None:
            return
        long_enough = caller.voiced >= interruption.min_duration
        if self._detection == "own" and caller.speaking and long_enough:
            self._barge_in(now, by_us=True)
        elif now - self._paused_at >= interruption.false_interruption_timeout:
            self._go_on(now)

    def _pause(self, now: float) -> None:
        """Silence at once, where the agent speaks and may be interrupted; what follows decides what it was."""
        playout = self._playout
        if playout is None or self._utterances is not None or not self._interruptible or not playout.speaking(now):
            return
        self._paused_at = now
        playout.pause(now)
        self._host.wake()

    def _go_on(self, now: float) -> None:
        if self._paused_at is None or self._playout is None:
            return
        self._host.on_event(BargedIn(False, self._paused_at - self._caller.onset))
        self._paused_at = None
        self._playout.resume(now)
        self._host.wake()

    def _on_silence(self, now: float) -> None:
        caller = self._caller
        if self._ending:
            return
        if self._detection == "own" and caller.voiced >= LEAST_TURN and (self._paused_at is None or not self._answers):
            self._patience.noticed = True
            self._uplink.flush()
            self._link.send(lambda protocol: protocol.answer())
            self._await_answer_to_turn()
        elif self._patience.noticed:
            self._await_answer_to_turn()
        elif caller.voiced >= LEAST_WORD and not self._has_more_to_say(now):
            self._on_unnoticed(now)
        self._quiet_if_over(now)

    def _on_unnoticed(self, now: float) -> None:
        """The caller said something, maybe, and of it the model has said nothing yet."""
        caller = self._caller
        if caller.onset < self._lost_at:  # at least its beginning went to a session that was no more
            self._patience.noticed = True
            self._await_answer_to_turn()
            if self._link.is_open:
                self._say(phrases(self._language).not_understood, None, now)
        elif caller.voiced >= LEAST_VOICE:
            self._await_answer_to_turn()
        else:
            self._patience.suspect(caller.last_voice)

    def _await_answer_to_turn(self) -> None:
        """To what the caller has just said. Where the agent allows for long pauses, so does he who waits."""
        said = self._caller.last_voice
        self._patience.begin(said + max(0.0, self._caller.silence - LONG_PAUSE))
        self._turn = Timing(said, self._clock())

    def _await_answer(self, since: float, *, asked: float | None = None) -> None:
        self._patience.begin(since, asked=asked)
        self._turn = Timing(since, self._clock())

    def _wonder(self, playout: Playout, now: float, *, stuck: bool) -> None:
        """The caller waits: say so, again and again, and give the session up where nothing comes."""
        patience = self._patience
        wanted = patience.tick(
            now,
            heard=self._heard_at,
            sounding=self._who_sounds(playout, now),
            stuck=stuck,
            open=self._link.is_open,
            doubt=self._in_doubt(now),
        )
        match wanted:
            case "lost":
                self._on_no_answer()
            case "console":
                self._host.on_event(WatchdogFired("audio" if patience.noticed or stuck else "transcript"))
                if self._set_aside():
                    return
                words = phrases(self._language)
                self._say_ourselves(words.one_moment if patience.consoled == 1 else words.still_here)
            case None:
                pass

    def _who_sounds(self, playout: Playout, now: float) -> Literal["caller", "model", "we"] | None:
        if self._caller.speaking:
            return "caller"
        if not playout.speaking(now):
            return None
        return "model" if any(answer.response is not None for answer in self._answers.values()) else "we"

    def _set_aside(self) -> bool:
        """The answer under way says nothing more: something else may be said, and it goes on after that, if it does.
        Whether that was the rest of what the model had to say as it stands."""
        said = False
        for answer in self._under_way:
            response, answer.response = answer.response or "", ""
            if answer.saying is not None:
                self._late.append(response)
                said = self._say_the_rest(answer) or said
            else:
                self._continued[response] = answer.break_in_two()
            if answer.saying is None and answer.has_sound:
                self._unanswered, self._patience.noticed = self._asked, True
                self._await_answer(self._heard_at, asked=self._heard_at)
            elif answer.timing is not None:
                self._turn = answer.timing
            self._finish(answer)
        return said

    def _in_doubt(self, now: float) -> bool:
        """The model may be gone."""
        stopped = self._utterances is not None and now - self._sound_at > DOUBT_SECONDS
        return stopped or self._failures > 0 or self._link.in_doubt(now)

    def _on_no_answer(self) -> None:
        if self._patience.noticed:
            if not self._fails("it answered nothing, time and again"):
                self._link.lose("no answer came")
        elif self._patience.consoled:
            self._link.lose("it hears nothing")
        else:
            self._patience.stop()
            self._quiet_if_over(self._clock())  # what we took for the caller's voice may have been none

    def _fails(self, sentence: str, kind: ProviderFault = "timeout") -> bool:
        """The model does not do what it should. Whether that was once too often."""
        self._failures += 1
        if self._failures < (RELIEVED_AFTER if self._host.relief else MAX_FAILURES):
            return False
        self._give_up(ProviderError(self._model.name, kind, sentence))
        return True

    # What the model says (LinkListener)

    def on_model_event(self, event: RealtimeEvent) -> None:
        now = self._clock()
        match event:
            case AudioCame(response, item, data):
                self._on_audio(response, item, data, now)
            case WordsCame(response, item, text):
                self._on_words(response, item, text)
            case ResponseBegan(response):
                if self._utterances is None:
                    self._answer_of(response, now)
            case ResponseEnded():
                self._on_response_ended(event, now)
            case CallerSpeaks():
                self._patience.noticed = True
                self._idle.stop()
                if self._detection != "own":
                    self._barge_in(now, by_us=False)
            case CallerSilent():
                if self._detection != "own" and not self._ending:
                    if self._caller.voiced:
                        self._await_answer_to_turn()
                    else:
                        self._await_answer(now)
            case OutputCleared():
                self._barge_in(now, by_us=False)
            case CallerSaid(_, text, final):
                self._on_sign_of_hearing(text, now)
                if final and text.strip():
                    self._idle.reset()
                    self._on_words_of_caller(text.strip())
                    self._host.on_event(UserSaid(text.strip()))
            case ToolsAsked():
                self._use_tools(event, now)
            case ToolsWithdrawn():
                pass  # they have acted: what acts at once cannot be taken back
            case Used(units):
                self._host.on_event(UsageReported("llm", self._model.name, units))
            case RateLimited(left):
                if left and min(left.values()) < 0.05:
                    self._host.on_event(ModelNoted("rate_limited"))
            case ModelFault(kind, message, fatal):
                if fatal:
                    self._give_up(ProviderError(self._model.name, kind, message))
                else:
                    self._note_fault(kind, message)
            case NotUnderstood(what):
                first = "not understood" not in self._noted
                self._noted.add("not understood")
                self._host.on_event(ModelNoted("not_understood", what if first else ""))
            case SessionOver(reason, by_agent):
                self._on_session_over(reason, by_agent=by_agent)
            case SessionReady() | Resumable() | SessionEnding():
                pass  # the link's
            case _:
                assert_never(event)

    def _note_fault(self, kind: str, message: str) -> None:
        """All are counted, and the first of each kind is in the log."""
        first = kind not in self._noted
        self._noted.add(kind)
        self._host.on_event(ModelNoted("fault", message if first else ""))

    def _on_sign_of_hearing(self, text: str, now: float) -> None:
        """The model knows words of the caller, who waits for an answer, then, if nothing was said since."""
        caller = self._caller
        if self._ending or not text.strip() or caller.speaking or caller.last_voice <= self._sound_at:
            return
        if not self._patience.waiting and caller.voiced and not self._answers:
            self._await_answer_to_turn()
        self._patience.noticed = self._patience.noticed or self._patience.waiting

    def _on_words_of_caller(self, text: str) -> None:
        self._records.flush()
        self.history.user(text)
        self._asked, self._acted = text, False
        if not any(answer.has_sound and not answer.cut for answer in self._answers.values()):
            self._unanswered = text

    def on_link_restored(self, *, renewed: bool) -> None:
        """The call goes on in another session, which knows the conversation as the caller heard it."""
        now = self._sound_at = self._clock()
        self._host.on_event(ModelNoted("renewed" if renewed else "reconnected"))
        if renewed:
            self._lost_at = now
            self._patience.noticed = self._patience.waiting or self._patience.suspects(now)
            self._break_off()
        self._late.clear()  # the names of answers begin anew
        self._continued.clear()
        self._records.forget()
        for answer in self._answers.values():
            answer.response = answer.response and ""
        if self._ending:
            return
        unanswered, self._untold = self._unanswered, None
        if unanswered is not None:
            # Told again, what the caller asked for would be done again: where tools have acted, the model goes on.
            text = GO_ON if self._acted else unanswered
            self._patience.noticed = True
            self._link.send(lambda protocol: protocol.tell(text))
            self._await_answer(now)
        elif self._patience.noticed:
            self._say(phrases(self._language).not_understood, None, now)

    def on_link_lost(self, reason: str) -> None:
        """What had come of an answer is said to its end; another session is on its way."""
        self._host.on_event(PartFailed("llm", self._model.name, "connect", f"{self._model.name}: {reason}"))
        now, patience = self._clock(), self._patience
        self._lost_at = now
        broken = self._break_off()
        self._sayings_to_ourselves()
        if self._paused_at is not None:
            self._go_on(now)  # nobody is left to say that it was an interruption
        waits = broken or self._unanswered is not None or patience.waiting or patience.suspects(now)
        patience.noticed = waits  # what the lost session has noticed, the next one has not
        if waits and not self._ending:
            self._await_answer(self._heard_at, asked=now)

    def _break_off(self) -> bool:
        """No more comes of the answers under way. Whether the caller waits for one of them."""
        broken = self._under_way
        to_answer = [answer for answer in broken if answer.saying is None]
        for answer in broken:
            if answer.is_unsaid:
                self._say_unsaid(answer)
                continue
            if answer.saying is not None:
                self._say_the_rest(answer)
            else:
                answer.break_in_two()
            self._finish(answer)
        if to_answer:
            self._unanswered = self._asked  # as much of it as came is not an answer
        return bool(to_answer)

    def on_link_given_up(self, error: ProviderError) -> None:
        self._give_up(error)

    def on_link_fault(self, error: Exception) -> None:
        """A fault of ours: it ends this call, with its trace in the log, and no other."""
        _ = self._spawn(_raise(error))

    # Answers

    def _answer_of(self, response: str, now: float) -> Answer | None:
        """The answer of that name, begun if it is new; None for one that was interrupted."""
        for answer in self._answers.values():
            if answer.response == response:
                return answer
        if response in self._late or self._playout is None:
            return None
        if self._ending and not self._sayings and not self._goodbye:
            self._late.append(response)  # the call is ending with something else
            return None
        answer = Answer(self._next(), response, began=now, before=self._continued.pop(response, {}))
        if self._sayings:
            answer.saying, answer.ends, answer.asked = self._sayings.popleft()
            answer.protected = answer.ends is not None or self._is_opening
        answer.timing, self._turn = self._turn, None
        self._begin(answer)
        return answer

    def _begin(self, answer: Answer) -> None:
        if self._playout is None:
            return
        self._answers[answer.number] = answer
        self._idle.stop()
        self._playout.begin(answer.number)
        self._host.wake()

    def _on_audio(self, response: str, item: str, data: bytes, now: float) -> None:
        if self._utterances is not None:
            self._on_stream(data, now)
            return
        answer, playout = self._answer_of(response, now), self._playout
        if answer is None or playout is None:
            self._host.on_event(ModelNoted("late_audio"))
            return
        if playout.unheard_seconds > MOST_UNHEARD_SECONDS:
            self._host.on_event(ModelNoted("too_much_audio"))
            return
        self._on_sound(now)
        self._sound_at = now
        if answer.first_audio is None:
            answer.first_audio = now
        answer.item(item, playout, self._can.output).write(data, self._can.output)

    def _on_sound(self, now: float) -> None:
        """There is something to be heard of an answer."""
        self._patience.answered()
        self._failures = 0
        self._unanswered = None
        if self._utterances is not None:
            self._heard_at = now  # nothing of it waits

    def _on_stream(self, data: bytes, now: float) -> None:
        """Sound that goes on for ever: utterances are what is between its silences."""
        utterances, playout = self._utterances, self._playout
        if utterances is None or playout is None:
            return
        self._sound_at = now
        for sound in utterances.push(data):
            if sound is None:
                self._end_utterance()
                continue
            name = f"utterance {utterances.count}"
            found = self._answer_of(name, now)
            if found is not None:
                if utterances.sounding:
                    self._on_sound(now)
                    if self._goodbye:
                        self._end_with(found, now)
                found.item(name, playout, self._can.output).write(sound, self._can.output)
                if utterances.words:
                    found.items[name].add_words(utterances.take_words())

    def _end_utterance(self) -> None:
        for answer in self._under_way:
            self._finish(answer)

    def _on_words(self, response: str, item: str, text: str) -> None:
        if self._utterances is not None:
            self._utterances.words += text
            return
        over = self._records.of(response)
        if over is not None:
            self._records.late_words(over, item, text)
            return
        answer, playout = self._answer_of(response, self._clock()), self._playout
        if answer is not None and playout is not None and not answer.broken_off:
            answer.item(item, playout, self._can.output).add_words(text)

    def _on_response_ended(self, event: ResponseEnded, now: float) -> None:
        answer = next((a for a in self._answers.values() if a.response == event.response), None)
        if event.status == "failed" and event.response not in self._late:
            self._failed("llm", ProviderError(self._model.name, "server", f"an answer failed: {event.detail}"))
            if self._fails("its answers fail", "server"):
                pass
            elif self._host.relief:
                self._link.lose("an answer failed")  # another session is told what to answer
            elif answer is None or not (answer.has_sound or answer.is_unsaid):
                self._patience.stop()
                self._say_ourselves(phrases(self._language).went_wrong)
        if answer is not None:
            if answer.is_unsaid:
                self._say_unsaid(answer)
                return
            if event.status == "cancelled" and answer.protected and not answer.cut and answer.has_sound:
                self._say_the_rest(answer)
            self._finish(answer)
        elif self._continued.pop(event.response, None) is not None:
            self._patience.stop()  # it was all there was of it
            self._unanswered = None

    def _say_the_rest(self, answer: Answer) -> bool:
        """The model broke off in what it was to say as it stands. Whether there was a rest."""
        rest, ends, answer.ends = answer.break_off(), answer.ends, None
        if rest:
            self._say_ourselves(rest, ends, protected=True)
        else:
            answer.ends = ends
        return bool(rest)

    def _finish(self, answer: Answer) -> None:
        answer.done = True
        answer.finish()
        if self._playout is not None:
            self._playout.finish(answer.number)
            self._host.wake()
        if answer.ends is not None and self._playout is not None:
            self._end_by = self._clock() + self._playout.unheard_seconds + self._agent.options.ending.max_wait
        if answer.text:
            self._host.on_saying(answer.text)

    @property
    def _is_opening(self) -> bool:
        opening = self._agent.options.opening
        return self._number <= self._first_number and opening is not None and not opening.interruptible

    @property
    def _interruptible(self) -> bool:
        if self._ending or not self._agent.options.turns.interruption.enabled:
            return False
        return not any(answer.protected for answer in self._answers.values())

    def _barge_in(self, now: float, *, by_us: bool) -> None:
        if not self._interruptible:
            self._go_on(now)
            return
        if self._paused_at is not None:
            self._host.on_event(BargedIn(True, self._paused_at - self._caller.onset))
            self._paused_at = None
        elif self._playout is not None and self._playout.speaking(now):
            onset = self._caller.onset if self._caller.speaking else None  # the model may hear the caller first
            self._host.on_event(BargedIn(True, max(0.0, now - onset) if onset is not None else None))
        self._patience.stop()
        self._interrupt(now, by_us=by_us)

    def _interrupt(self, now: float, *, by_us: bool) -> None:
        """Nothing of the answers so far plays or acts any more."""
        if by_us:
            self._link.send(lambda protocol: protocol.interrupt())
        self._sayings.clear()
        self._late.extend(self._continued)
        self._continued.clear()
        for answer in self._answers.values():
            answer.cut = True
            if answer.response is not None:
                self._late.append(answer.response)
        if self._playout is not None and self._answers:
            self._on_playout(self._playout.clear(now, self._number))
            self._host.wake()

    def _on_playout(self, events: Sequence[PlayoutEvent]) -> None:
        for event in events:
            match event:
                case PlayoutStarted(number, at):
                    self._on_first_sound(self._answers.get(number), at)
                case PlayoutUnderrun(_, cause, seconds):
                    self._host.on_event(Underran(cause, seconds))
                case PlayoutFinished(heard) | PlayoutCut(heard):
                    answer = self._answers.pop(heard.generation)
                    if answer.cut and self._can.truncates and answer.response:
                        self._tell_heard(answer.heard(heard))
                    theirs = answer.response is not None and self._utterances is None
                    late = theirs and isinstance(event, PlayoutFinished)
                    self._records.over(answer, heard, self._clock(), words_may_come=late)
                    self._on_over(answer)
                case _:
                    assert_never(event)

    def _tell_heard(self, parts: Sequence[ItemHeard]) -> None:
        if parts:
            self._link.send(lambda protocol: protocol.heard(parts))

    def _on_first_sound(self, answer: Answer | None, at: float) -> None:
        if answer is None or answer.timing is None:
            return
        since = answer.timing.speech_ended
        began = answer.began - since if answer.began is not None else None
        audio = answer.first_audio - since if answer.first_audio is not None else None
        decided = answer.timing.decided - since
        self._host.on_event(TurnTimings(decided, decided, began, audio, max(at - since, 0.0)))

    def _on_over(self, answer: Answer) -> None:
        if answer.ends is not None:
            self._host.end_call(answer.ends)
        elif not self._answers:
            self._leave_if_over()
            self._quiet_if_over(self._clock())

    # Tools

    def _use_tools(self, asked: ToolsAsked, now: float) -> None:
        if asked.response in self._late or self._ending:
            return  # an interrupted answer does not act
        if self._utterances is None:
            answer = self._answer_of(asked.response, now)
            if answer is None:
                return
        else:
            answer = self._utterance()  # it goes on speaking, or is silent, whatever it asks for
        step, outputs = Step(), []
        for call in asked.calls:
            self._host.on_event(ToolCalled(call.name, call.arguments))
            result = self._toolbox.call(call)
            step.calls.append(call)
            step.results.append(Message("tool", result.text, tool_call_id=call.id, name=call.name))
            self._host.on_event(ToolReturned(call.name, call.arguments, result.text))
            outputs.append(ToolOutput(asked.response, call, result.text))
            if result.hang_up:
                self._hang_up(answer, now)
        if answer is not None:
            answer.after.append(step)
        else:
            self.history.agent([step], ())
        self._acted = True
        if not self._ending:
            self._link.send(lambda protocol: protocol.results(outputs))
            self._patience.noticed = True
            self._await_answer(now)
            if answer is not None and answer.timing is not None and not answer.has_sound:
                self._turn = answer.timing  # the caller has waited since then

    def _utterance(self) -> Answer | None:
        """What a model whose sound never ends is saying."""
        return next(iter(self._under_way), None)

    def _end_with(self, utterance: Answer, now: float) -> None:
        """This is the goodbye."""
        self._goodbye, self._end_by = False, now + LONGEST_GOODBYE
        utterance.protected, utterance.ends = True, "agent"

    def _hang_up(self, answer: Answer | None, now: float) -> None:
        """Once this was heard; a word of goodbye where the model found none."""
        self._shut()
        if answer is None or self._utterances is not None:
            self._farewell_wanted = answer is None
            self._goodbye, self._end_by = True, now + GOODBYE_SECONDS
            return
        unheard = self._playout.unheard_seconds if self._playout is not None else 0.0
        self._end_by = now + unheard + self._agent.options.ending.max_wait
        answer.protected = True
        farewell = self._agent.options.ending.farewell
        if farewell and not answer.has_sound:
            self._say(farewell, "agent", now)
        else:
            answer.ends = "agent"

    def _on_session_over(self, reason: str, *, by_agent: bool) -> None:
        if not by_agent:
            self._link.lose(f"the session is over: {reason}")
            return
        if self._ending:
            return
        last = max(self._answers.values(), key=lambda answer: answer.number, default=None)
        why = self._why_over(last)
        self._shut()
        self._link.expect_the_end()
        if last is None:
            self._host.end_call(why)
        else:
            last.ends = why
            self._finish(last)

    def _why_over(self, last: Answer | None) -> EndReason:
        """The model ended the session by itself: because of its own clocks, or as it saw fit."""
        if self._clock() - self._started_at >= self._longest - CLOCKS_SECONDS:
            return "max_duration"
        said = last.text if last is not None else self._records.last_said
        idle = self._agent.options.idle
        return "idle" if self._can.idles and idle.timeout is not None and _same(said, idle.farewell) else "agent"

    # What is to be said as it stands

    def _say(self, text: str, ends: EndReason | None, now: float) -> None:
        """By the model, in the voice that the caller knows; by the service where the model cannot."""
        if not (self._can.speaks and self._link.is_open):
            self._say_ourselves(text, ends)
            return
        self._sayings.append((text, ends, now))
        self._idle.stop()
        self._link.send(lambda protocol: protocol.say(text))

    def _say_in_time(self, now: float) -> None:
        """What the model was told to say, and does not: it has not begun, or of what it began no sound comes."""
        late = [a for a in self._answers.values() if a.is_unsaid and now - a.asked >= SAY_SECONDS]
        if late or (self._sayings and now - self._sayings[0][2] >= SAY_SECONDS):
            self._link.send(lambda protocol: protocol.interrupt())
            for answer in late:
                self._say_unsaid(answer)
            self._sayings_to_ourselves()
            if self._link.is_open and not self._ending:
                self._fails("it says nothing, time and again")

    def _say_unsaid(self, answer: Answer) -> None:
        """Nothing of it is heard any more, should it come after all."""
        if answer.response:
            self._late.append(answer.response)
        saying, ends = answer.saying or "", answer.ends
        answer.response, answer.saying, answer.ends = "", None, None
        self._finish(answer)
        self._say_ourselves(saying, ends, protected=answer.protected)

    def _sayings_to_ourselves(self) -> None:
        while self._sayings:
            text, ends, _ = self._sayings.popleft()
            self._say_ourselves(text, ends)

    def _say_ourselves(self, text: str, ends: EndReason | None = None, *, protected: bool = False) -> None:
        if self._own_voice is None:
            return
        generation = Generation(self._next(), text, protected=protected or ends is not None, ends=ends)
        answer = Answer(generation.number, None, protected=generation.protected, ends=ends, done=True)
        answer.steps = generation.steps
        self._begin(answer)
        _ = self._spawn(self._deliver(generation, answer))

    async def _deliver(self, generation: Generation, answer: Answer) -> None:
        if self._own_voice is None or self._playout is None:
            return
        await self._own_voice.say(generation)
        if answer.ends is not None:
            unheard = self._playout.unheard_seconds
            self._end_by = self._clock() + unheard + self._agent.options.ending.max_wait

    def _give_up(self, error: ProviderError) -> None:
        """There is no model any more: say so, and end the call."""
        self._failed("llm", error)
        if self._ending:
            self._sayings_to_ourselves()
            return
        self._link.expect_the_end()
        if self._host.relief:
            self._break_off()
            self._sayings_to_ourselves()
            self._leaving = True
            self._leave_if_over()
            return
        self._shut()
        self._interrupt(self._clock(), by_us=False)
        self._say_ourselves(phrases(self._language).cannot_go_on, "failed")

    def _leave_if_over(self) -> None:
        """Somebody else goes on with the call, once what there was to say was heard."""
        if self._leaving and not self._answers and not self._ending:
            self._shut()
            self._host.end_call("failed")

    def _failed(self, part: Any, error: ProviderError) -> None:
        self._host.on_event(PartFailed(part, error.provider, error.kind, str(error)))

    def _shut(self) -> None:
        """The call is ending: nothing the caller says changes that."""
        self._ending = True
        self._patience.stop()
        self._idle.stop()
        if self._paused_at is not None:
            self._go_on(self._clock())

    def _end_at_last(self) -> None:
        """What was waited for did not come."""
        farewell = self._agent.options.ending.farewell
        if self._goodbye and self._farewell_wanted and farewell:
            self._goodbye = False
            self._say_ourselves(farewell, "agent")
        else:
            self._host.end_call(self._end_reason())

    def _end_reason(self) -> EndReason:
        return next((a.ends for a in self._answers.values() if a.ends is not None), "agent")

    def _next(self) -> int:
        self._number += 1
        return self._number

    # Keys and silence

    def _on_digits(self, digits: str | None) -> None:
        if digits is None or self._ending:
            return
        now = self._clock()
        self._idle.reset()
        self._interrupt(now, by_us=True)
        self._host.on_event(UserSaid("*" * len(digits) if self._agent.options.dtmf.mask else digits))
        self._on_words_of_caller(digits)
        self._link.send(lambda protocol: protocol.tell(digits))
        self._patience.noticed = True
        self._await_answer(now)

    def _quiet_if_over(self, now: float) -> None:
        if not self._answers and not self._caller.speaking and not self._ending and not self._patience.waiting:
            self._idle.quiet(now)


def _same(said: str, text: str) -> bool:
    return " ".join(said.split()).casefold() == " ".join(text.split()).casefold()


async def _raise(error: Exception) -> None:
    raise error


def _unheard(frame: bytes) -> None:
    """Before anybody listens."""
