"""What the caller has said, and whether the model answers it: nobody waits in silence, or for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from media.playout import Playout
from pipelines.agent.options import Fillers
from pipelines.events import PipelineHost, WatchdogFired
from pipelines.history import Conversation
from pipelines.parts import ProviderFault
from pipelines.phrasebook import phrases
from pipelines.realtime.answers import Timing
from pipelines.realtime.ending import Ending
from pipelines.realtime.link import Link
from pipelines.realtime.patience import Patience
from pipelines.realtime.pulse import DOUBT_SECONDS
from pipelines.realtime.speaking import Speaking
from pipelines.realtime.voice import CallerVoice
from pipelines.waiting import ESCALATE_AFTER

UNANSWERED_SECONDS = 6.0
"""Voice of the caller that is older needs no answer any more."""

LONG_PAUSE = 1.4
"""With pauses up to here there is a second for an answer before the caller is told that it takes a moment."""

LEAST_WORD = 0.1
"""Seconds of voice that may be a word, for all that we know, where the model may be gone."""

LEAST_VOICE = 0.8
"""Seconds of voice without a word from the model about it: it may be deaf."""

GO_ON = "(The line was interrupted. Go on from where you were.)"
"""Told to a new session that knows what tools returned, and has not said anything of it."""


class AttentionListener(Protocol):
    def fails(self, sentence: str, kind: ProviderFault = "timeout") -> bool:
        """The model does not do what it should. Whether that was once too often."""
        ...

    def on_quiet(self, now: float) -> None:
        """Nobody may be speaking any more."""
        ...


class Attention:
    """``heard_at``: when anybody was last heard. ``acted``: tools ran since the caller last said something."""

    def __init__(
        self,
        listener: AttentionListener,
        host: PipelineHost,
        caller: CallerVoice,
        speaking: Speaking,
        ending: Ending,
        link: Link,
        fillers: Fillers,
        language: str,
        clock: Callable[[], float],
    ) -> None:
        self.patience = Patience()
        self.acted = False
        self.heard_at = 0.0
        self.doubted = False
        """The model has failed since it was last heard."""
        self._listener = listener
        self._host = host
        self._caller = caller
        self._speaking = speaking
        self._ending = ending
        self._link = link
        self._words = phrases(language)
        self._clock = clock
        self._fillers = fillers
        self._acting = False
        self._asked: str | None = None  # the latest that the caller said
        self._unanswered: str | None = None  # the same, as long as no sound answers it
        self._untold: str | None = None  # what a session has to be told as soon as there is one
        self._lost_at = -1.0  # the session before the present one

    def take_over(self, so_far: Conversation) -> None:
        """Others had the call."""
        if so_far.owed:
            self._unanswered = self._untold = so_far.question or GO_ON

    @property
    def is_owed(self) -> bool:
        """The caller has asked for something."""
        return self._unanswered is not None

    # What the caller says

    def on_silence(self, now: float) -> None:
        """Of the caller, who may have said something."""
        if self.patience.noticed:
            self.await_answer_to_turn()
        elif self._caller.voiced >= LEAST_WORD and not self._speaking.has_more_to_say(now):
            self._on_unnoticed(now)

    def _on_unnoticed(self, now: float) -> None:
        """The caller said something, maybe, and of it the model has said nothing yet."""
        caller = self._caller
        if caller.onset < self._lost_at:  # at least its beginning went to a session that was no more
            self.patience.noticed = True
            self.await_answer_to_turn()
            if self._link.is_open:
                self._speaking.say(self._words.not_understood, None, now)
        elif caller.voiced >= LEAST_VOICE:
            self.await_answer_to_turn()
        else:
            self.patience.suspect(caller.last_voice)

    def on_sign_of_hearing(self, text: str) -> None:
        """The model knows words of the caller, who waits for an answer, then, if nothing was said since."""
        caller = self._caller
        if self._ending.begun or not text.strip() or caller.speaking or caller.last_voice <= self._speaking.sound_at:
            return
        if not self.patience.waiting and caller.voiced and not self._speaking.answers:
            self.await_answer_to_turn()
        self.patience.noticed = self.patience.noticed or self.patience.waiting

    def on_words(self, text: str) -> None:
        """The caller has said so."""
        self._asked, self.acted = text, False
        if not any(answer.has_sound and not answer.cut for answer in self._speaking.answers.values()):
            self._unanswered = text

    # What is waited for

    def await_answer_to_turn(self) -> None:
        """To what the caller has just said. Where the agent allows for long pauses, so does he who waits."""
        said = self._caller.last_voice
        self.patience.begin(said + max(0.0, self._caller.silence - LONG_PAUSE))
        self._speaking.turn = Timing(said, self._clock())

    def await_answer(self, since: float, *, asked: float | None = None) -> None:
        self.patience.begin(since, asked=asked)
        self._speaking.turn = Timing(since, self._clock())

    def on_sound(self, now: float) -> None:
        """There is something to be heard of an answer."""
        self.patience.answered()
        self._unanswered = None
        self.doubted = False
        if self._speaking.utterances is not None:
            self.heard_at = now  # nothing of it waits

    def stop(self) -> None:
        """There is nothing more to be waited for."""
        self.patience.stop()
        self._unanswered = None

    def is_quiet(self, now: float) -> bool:
        """Nobody speaks, or thinks about what to say: another session can take over."""
        speaking, voice = self._speaking, self._caller.last_voice
        answered = voice <= speaking.sound_at or now - voice > UNANSWERED_SECONDS
        return answered and not speaking.answers and not self._caller.speaking and not speaking.has_sayings

    def awaits(self, now: float) -> bool:
        """Something of the model is waited for, or will be as soon as the caller has said what he says."""
        speaking, voice = self._speaking, self._caller.last_voice
        to_answer = self._caller.speaking or (voice > speaking.sound_at and now - voice < UNANSWERED_SECONDS)
        return to_answer or self.patience.waiting or speaking.has_sayings or bool(speaking.under_way)

    def look(self, playout: Playout, now: float) -> None:
        """Who is heard."""
        if playout.speaking(now) and (self._speaking.utterances is None or self._speaking.speaks_itself):
            self.heard_at = now
        if playout.held:  # keys are pressed, for the caller to hear
            self.heard_at = now
        self.heard_at = max(self.heard_at, self._caller.last_voice)

    def wait_for_functions(self, now: float, *, acting: bool) -> None:
        """While functions run nothing is to be expected of the model; the caller waits all the same."""
        self._acting = acting
        if acting and not self._caller.speaking and not self._ending.begun:
            self.patience.begin(now, asked=now)

    def tick(self, playout: Playout, now: float, *, stuck: bool) -> None:
        """The caller waits: say so, again and again, and give the session up where nothing comes."""
        if self._untold is not None and self._link.is_open:
            text, self._untold = self._untold, None
            self._link.send(lambda protocol: protocol.tell(text))
        wanted = self.patience.tick(
            now,
            heard=self.heard_at,
            sounding=self._who_sounds(playout, now),
            stuck=stuck,
            open=self._link.is_open,
            doubt=self._in_doubt(now),
        )
        match wanted:
            case "lost":
                self._on_no_answer(now)
            case "console":
                self._console(stuck=stuck)
            case None:
                pass

    def _who_sounds(self, playout: Playout, now: float) -> Literal["caller", "model", "we"] | None:
        if self._caller.speaking:
            return "caller"
        if not playout.speaking(now):
            return None
        return "model" if any(answer.response is not None for answer in self._speaking.answers.values()) else "we"

    def _in_doubt(self, now: float) -> bool:
        """The model may be gone."""
        stopped = self._speaking.utterances is not None and now - self._speaking.sound_at > DOUBT_SECONDS
        return stopped or self.doubted or self._link.in_doubt(now)

    def _on_no_answer(self, now: float) -> None:
        if self.patience.noticed:
            if not self._listener.fails("it answered nothing, time and again"):
                self._link.lose("no answer came")
        elif self.patience.consoled:
            self._link.lose("it hears nothing")
        else:
            self.patience.stop()
            self._listener.on_quiet(now)  # what we took for the caller's voice may have been none

    def _console(self, *, stuck: bool) -> None:
        patience, words = self.patience, self._words
        own = self._fillers.phrases
        if patience.consoled > ESCALATE_AFTER and self._fillers.escalation:
            own = self._fillers.escalation
        if self._acting:
            ours = words.one_moment if patience.consoled == 1 else words.still_here
            self._speaking.say_ourselves(own[(patience.consoled - 1) % len(own)] if own else ours)
            return
        self._host.on_event(WatchdogFired("audio" if patience.noticed or stuck else "transcript"))
        if not self._set_aside():
            self._speaking.say_ourselves(words.one_moment if patience.consoled == 1 else words.still_here)

    def _set_aside(self) -> bool:
        """The answer under way says nothing more: something else may be said, and it goes on after that, if it does.
        Whether that was the rest of what the model had to say as it stands."""
        said = False
        for answer in self._speaking.under_way:
            said = self._speaking.set_aside(answer) or said
            if answer.saying is None and answer.has_sound:
                self._unanswered, self.patience.noticed = self._asked, True
                self.await_answer(self.heard_at, asked=self.heard_at)
            elif answer.timing is not None:
                self._speaking.turn = answer.timing
            self._speaking.finish(answer)
        return said

    # One session after the other

    def on_restored(self, now: float, *, renewed: bool) -> None:
        """There is another session, which knows the conversation as the caller heard it."""
        if renewed:
            self._lost_at = now
            self.patience.noticed = self.patience.waiting or self.patience.suspects(now)
            self.break_off()
        self._speaking.names_begin_anew()
        if self._ending.begun:
            return
        unanswered, self._untold = self._unanswered, None
        if unanswered is not None:
            # Told again, what the caller asked for would be done again: where tools have acted, the model goes on.
            text = GO_ON if self.acted else unanswered
            self.patience.noticed = True
            self._link.send(lambda protocol: protocol.tell(text))
            self.await_answer(now)
        elif self.patience.noticed:
            self._speaking.say(self._words.not_understood, None, now)

    def on_lost(self, now: float) -> None:
        """What had come of an answer is said to its end; another session is on its way."""
        self._lost_at = now
        broken = self.break_off()
        self._speaking.say_all_ourselves()
        waits = broken or self.is_owed or self.patience.waiting or self.patience.suspects(now)
        self.patience.noticed = waits  # what the lost session has noticed, the next one has not
        if waits and not self._ending.begun:
            self.await_answer(self.heard_at, asked=now)

    def break_off(self) -> bool:
        """No more comes of the answers under way. Whether the caller waits for one of them."""
        waits = bool(self._speaking.break_off())
        if waits:
            self._unanswered = self._asked  # as much of it as came is not an answer
        return waits
