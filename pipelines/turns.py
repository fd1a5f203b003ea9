"""Turn-taking: when the caller's turn has ended, and whether the caller breaks in on the agent.

A pure machine. It is fed voice activity (20 ms at a time), transcripts, opinions of a semantic detector, who has the
floor, and the time; it answers with events that say what to do. How long a pause ends a turn is
:mod:`pipelines.endpointing`'s business. Speech over the agent pauses the agent at once; then it is decided: enough of
it, or words, is an interruption; a cough or an "uh-huh" is not, and the agent goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from media.audio import FRAME_SECONDS
from pipelines.backchannels import is_backchannel
from pipelines.completeness import Expects, Judgement, judge
from pipelines.endpointing import Endpointing, Outlook, outlook
from pipelines.parts import Transcript
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

ONSET_WINDOW = 0b11111
ONSET_FRAMES = 3
"""Speech begins with 3 voiced frames of the last 5: a click is shorter, and the first syllable is longer."""

PAUSE_SECONDS = 0.2
"""After this much silence the recogniser is asked for what it has: the turn may have ended."""

COUGH_SECONDS = 0.16
"""Less voice than this is no word: it is dropped without asking the recogniser."""

COUGH_SILENCE = 0.3
"""Silence after so little voice, before it is taken to be over."""

TRANSCRIPT_SECONDS = 2.4
"""Silence without a transcript of what was said: the recogniser is deaf, and what there are of words must do."""

_EPSILON = 0.001


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """Seconds, and the defaults of the agent's ``turns`` option."""

    endpointing: Endpointing = field(default_factory=Endpointing)
    language: str = "en"
    longest: float = 60.0
    """A turn longer than this is cut: somebody who talks without end is answered all the same."""
    interruptions: bool = True
    by_words: bool = True
    """Short speech is judged by its words, too, not by its duration alone (mode ``adaptive``)."""
    min_duration: float = 0.4
    min_words: int = 0
    false_interruption_timeout: float = 0.55
    """The longest that the agent is silent for what may be no interruption."""
    resume: bool = True


_NOTHING: tuple[TurnEvent, ...] = ()


class _Caller(Enum):
    SILENT = "silent"
    SPEAKING = "speaking"
    TRAILING = "trailing"  # silent after speech; nothing is decided yet


class TurnMachine:
    """One call's turns. Every method takes the time in seconds, and returns what follows.

    ``judge`` tells what a text so far is like; the one of :mod:`pipelines.completeness`, unless a test has another.
    """

    def __init__(
        self, settings: TurnSettings | None = None, judge: Callable[[str, Expects, int | None], Judgement] | None = None
    ) -> None:
        self.settings = settings or TurnSettings()
        self._judge = judge or partial(_judge, language=self.settings.language)
        self._caller = _Caller.SILENT
        self._window = 0
        self._onset = 0.0
        self._last_voice = 0.0
        self._voiced = 0.0
        self._skipped = 0.0  # pauses, as far as recognisers may leave them out
        self._transcripts: dict[int, Transcript] = {}  # by segment
        self._done = -1  # the latest segment that belongs to a turn that is over
        self._transcribed: float | None = None  # when a transcript of all that was said came
        self._semantic: float | None = None  # what the detector thinks of this pause
        self._outlook: Outlook = "uncertain"
        self._likely: str | None = None  # the latest text that was told to be likely all
        self._prepared = False  # it was, and nothing has made that void
        self._expects: Expects = "free"
        self._digits: int | None = None
        self._question = False  # the agent's last words asked something
        self._cutting = False  # the turn is too long, and a transcript of it was asked for
        self._committed = False  # somebody else says that the turn is over
        self._floor = False  # the agent has it: it speaks, or is about to
        self._protected = False
        self._pausing = False  # the agent is paused, and it is not decided whether it was interrupted
        self._paused_at = 0.0
        self._unheard_out = False  # it was interrupted before all that the caller said was known
        self._doubtful = False  # it goes on over speech that was not confirmed, and may be yet
        self._closed = False
        self._events: list[TurnEvent] = []

    @property
    def caller_speaking(self) -> bool:
        """Whether the caller has begun something that is not decided yet."""
        return self._caller is not _Caller.SILENT

    @property
    def undecided(self) -> bool:
        """Whether the agent is paused for what may be an interruption."""
        return self._pausing

    def close(self) -> None:
        """The call is ending: nothing the caller says changes that any more."""
        self._closed = True
        self._reset()
        self._pausing = False

    def renew(self) -> None:
        """Another stream of the recogniser: its segments may be numbered from 0 again."""
        self._transcripts.clear()
        self._done = -1

    def floor(self, agent: bool, *, protected: bool = False) -> None:
        """The agent takes the floor (it speaks or is about to), or gives it back. ``protected``: it cannot be
        interrupted."""
        self._floor = agent
        self._protected = protected
        if not agent:
            self._pausing = False

    def expect(self, kind: Expects | None, digits: int | None = None) -> None:
        """What the agent's last words ask for, and how many digits; None: they asked nothing."""
        self._question = kind is not None
        self._expects = kind or "free"
        self._digits = digits

    # What happens

    def hear(self, voice: bool, now: float) -> Sequence[TurnEvent]:
        """20 ms of the caller, that end at ``now``."""
        self._window = (self._window << 1 | voice) & ONSET_WINDOW
        if self._caller is _Caller.SILENT and not (voice and self._window.bit_count() >= ONSET_FRAMES):
            return _NOTHING
        if self._closed:
            return _NOTHING
        if voice:
            self._voice(now)
        self._decide(now)
        return self._take()

    def tick(self, now: float) -> Sequence[TurnEvent]:
        """Time passes: callers who send no frames while they are silent end their turns, too."""
        if self._caller is _Caller.SILENT or self._closed:
            return _NOTHING
        self._decide(now)
        return self._take()

    def transcript(self, transcript: Transcript, now: float) -> Sequence[TurnEvent]:
        """The recogniser's words. One for sound that ended before the latest speech counts, but not as all of it."""
        if self._caller is _Caller.SILENT or self._closed or transcript.segment <= self._done:
            return _NOTHING
        before = self._transcripts.get(transcript.segment)
        self._transcripts[transcript.segment] = transcript
        if before is not None and before.likely and not (transcript.likely or transcript.over):
            self._transcribed = None  # the recogniser hears the caller go on
            self._withdraw()
        elif self._caller is _Caller.TRAILING and self._whole():
            self._transcribed = now
            self._look()
        self._decide(now)
        return self._take()

    def semantic(self, probability: float, now: float) -> Sequence[TurnEvent]:
        """A semantic detector's opinion of the pause under way: how likely the turn is over."""
        if self._caller is not _Caller.TRAILING or self._closed:
            return _NOTHING
        self._semantic = probability
        self._look()
        self._decide(now)
        return self._take()

    def commit(self, now: float) -> Sequence[TurnEvent] | None:
        """Somebody else says that the turn is over: as soon as there is a transcript of it. What the caller says from
        here on is another one. None where he is saying nothing."""
        if self._caller is _Caller.SILENT or self._closed or self._voiced < COUGH_SECONDS:
            return None
        if self._pausing or (self._doubtful and self._floor):
            self._interrupt()
        self._committed = True
        if self._caller is _Caller.SPEAKING:
            self._last_voice = now
            self._trail(now)
        self._decide(now)
        return self._take()

    # The caller's voice

    def _voice(self, now: float) -> None:
        if self._caller is _Caller.SILENT:
            self._begin(now)
        elif self._caller is _Caller.SPEAKING:
            self._voiced += FRAME_SECONDS
        elif self._window & 0b11 == 0b11 and not self._committed:
            self._go_on(now)
        else:
            return  # one frame alone, after speech, is a click
        self._last_voice = now

    def _begin(self, now: float) -> None:
        self._onset = now - self._window.bit_length() * FRAME_SECONDS
        self._voiced = self._window.bit_count() * FRAME_SECONDS
        self._skipped = 0.0
        self._caller = _Caller.SPEAKING
        self._events.append(SpeechStarted(self._onset))
        if self._floor and self.settings.interruptions and not self._protected:
            self._pausing = True
            self._paused_at = now
            self._events.append(PauseAgent(self._onset))

    def _go_on(self, now: float) -> None:
        if self._voiced >= COUGH_SECONDS:
            self._events.append(SpeechResumed())
        self._voiced += 2 * FRAME_SECONDS
        self._skipped += max(0.0, now - self._last_voice - 2 * PAUSE_SECONDS)
        self._caller = _Caller.SPEAKING
        self._transcribed = self._semantic = self._likely = None
        self._cutting = self._prepared = False

    # Decisions

    def _decide(self, now: float) -> None:
        silence = now - self._last_voice
        if self._caller is _Caller.SPEAKING:
            self._decide_speaking(silence, now)
        elif self._pausing:
            self._decide_interruption(silence, now)
        if self._caller is _Caller.TRAILING and not self._pausing:
            self._decide_end(silence, now)

    def _decide_speaking(self, silence: float, now: float) -> None:
        if silence >= PAUSE_SECONDS - _EPSILON:
            self._trail(now)
        elif self._pausing:
            if self._long_enough(now):
                self._interrupt()
                self._unheard_out = True
            elif self._hesitated(now):
                self._give_benefit_of_the_doubt()
        elif now - self._onset >= self.settings.longest:
            self._caller = _Caller.TRAILING  # whatever comes now is for the next turn
            self._last_voice = now
            self._cutting = True
            self._events.append(SpeechPaused())

    def _trail(self, now: float) -> None:
        self._caller = _Caller.TRAILING
        if self._voiced >= COUGH_SECONDS:
            self._events.append(SpeechPaused())
        if self._transcripts and self._covered() >= self._spoken():
            self._transcribed = now  # a recogniser that streams may know it all by now
            self._look()

    def _decide_interruption(self, silence: float, now: float) -> None:
        """Speech over the agent has stopped before it lasted long enough to be one by itself."""
        if self._confirmed_by_words():
            self._interrupt()
        elif (self._voiced < COUGH_SECONDS and silence >= COUGH_SILENCE) or self._transcribed is not None:
            self._give_benefit_of_the_doubt()
            if self._doubtful:
                self._drop(deaf=False)
        elif self._hesitated(now):
            self._give_benefit_of_the_doubt()

    def _hesitated(self, now: float) -> bool:
        return now - self._paused_at >= self.settings.false_interruption_timeout - _EPSILON

    def _give_benefit_of_the_doubt(self) -> None:
        """The agent goes on; words that are still to come may yet interrupt it."""
        if not self.settings.resume:
            self._interrupt()
            return
        self._pausing = False
        self._doubtful = True
        self._events.append(ResumeAgent())

    def _decide_end(self, silence: float, now: float) -> None:
        if self._voiced < COUGH_SECONDS:
            if silence >= COUGH_SILENCE:
                self._drop(deaf=False)
            return
        text = self._text()
        if self._doubtful and self._floor and self._transcribed is not None:
            if not self._confirmed_by_words():
                self._drop(deaf=False)
                return
            self._interrupt()
        if self._transcribed is not None and (not text or (self._unheard_out and self._is_backchannel(text))):
            self._drop(deaf=False)
        elif self._transcribed is not None and (
            self._cutting or self._committed or silence >= self.settings.endpointing.delay(self._outlook) - _EPSILON
        ):
            self._end(text, self._transcribed, now)
        elif silence >= TRANSCRIPT_SECONDS:
            if text:
                self._end(text, now, now)
            else:
                self._drop(deaf=not self._doubtful)
        elif self._transcribed is not None:
            self._suppose(text)

    def _suppose(self, text: str) -> None:
        """An answer may be prepared: once for a text, and again where the recogniser says again that it is all."""
        if self._likely != text:
            self._withdraw()
        by_recogniser = self._transcripts[max(self._transcripts)].likely
        by_outlook = self._outlook in ("likely", "over") and self._likely != text
        if self._floor or self._prepared or not (by_recogniser or by_outlook):
            return
        self._likely = text
        self._prepared = True
        self._events.append(TurnLikely(text))

    def _withdraw(self) -> None:
        if self._prepared:
            self._prepared = False
            self._events.append(TurnUnlikely())

    def _look(self) -> None:
        """How likely is it that the turn is over, by all that is known of this pause?"""
        text = self._text()
        over = any(transcript.over for transcript in self._transcripts.values())
        judgement = self._judge(text, self._expects, self._digits) if text else None
        self._outlook = outlook(judgement, self._semantic, over=over)

    def _long_enough(self, now: float) -> bool:
        """So much voice is an interruption: where its words decide, too, once they are known, or did not come in time.
        An "uh-huh" is none, however long it is."""
        settings = self.settings
        if settings.min_words or self._voiced < settings.min_duration:
            return False
        if not settings.by_words:
            return True
        text = self._text()
        if not text:
            return self._hesitated(now)
        return not self._is_backchannel(text)

    def _confirmed_by_words(self) -> bool:
        settings = self.settings
        if self._transcribed is None or self._voiced < COUGH_SECONDS:
            return False
        if not (settings.by_words or settings.min_words):
            return False
        text = self._text()
        if len(text.split()) < max(1, settings.min_words):
            return False
        return not self._is_backchannel(text)

    def _interrupt(self) -> None:
        self._pausing = self._doubtful = False
        self._floor = False
        self._events.append(Interrupted(self._onset))

    def _end(self, text: str, transcribed: float, now: float) -> None:
        self._events.append(TurnEnded(text, self._last_voice, transcribed, now, cut=self._cutting))
        self._reset()

    def _drop(self, *, deaf: bool) -> None:
        self._events.append(SpeechDropped(deaf))
        self._reset()

    def _reset(self) -> None:
        self._caller = _Caller.SILENT
        self._window = 0
        self._done = max(self._transcripts, default=self._done)
        self._transcripts.clear()
        self._transcribed = self._semantic = self._likely = None
        self._outlook = "uncertain"
        self._cutting = self._committed = self._doubtful = self._unheard_out = self._prepared = False

    # Words

    def _is_backchannel(self, text: str) -> bool:
        return is_backchannel(text, self.settings.language, question=self._question)

    def _text(self) -> str:
        texts = (transcript.text.strip() for _, transcript in sorted(self._transcripts.items()))
        return " ".join(text for text in texts if text)

    def _whole(self) -> bool:
        """Whether the transcripts cover all that was said; those that do not tell what they cover are believed."""
        untold = any(transcript.audio_seconds == 0.0 for transcript in self._transcripts.values())
        return untold or self._covered() >= self._spoken()

    def _covered(self) -> float:
        return sum(transcript.audio_seconds for transcript in self._transcripts.values())

    def _spoken(self) -> float:
        """Seconds that a transcript of it all covers at least."""
        return self._last_voice - self._onset - self._skipped - 0.1

    def _take(self) -> Sequence[TurnEvent]:
        if not self._events:
            return _NOTHING
        events, self._events = self._events, []
        return events


def _judge(text: str, expects: Expects, digits: int | None, *, language: str) -> Judgement:
    return judge(text, expects=expects, digits=digits, language=language)
