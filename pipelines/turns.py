"""Turn-taking: when the caller's turn has ended, and whether the caller breaks in on the agent.

A pure machine. It is fed voice activity (20 ms at a time), transcripts, who has the floor, and the time; it answers
with events that say what to do. Speech over the agent pauses the agent at once; then it is decided: enough of it, or
words, is an interruption; a cough or an "uh-huh" is not, and the agent goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from media.audio import FRAME_SECONDS
from pipelines.parts import Transcript

ONSET_WINDOW = 0b11111
ONSET_FRAMES = 3
"""Speech begins with 3 voiced frames of the last 5: a click is shorter, and the first syllable is longer."""

PAUSE_SECONDS = 0.2
"""After this much silence the recogniser is asked for what it has: the turn may have ended."""

COUGH_SECONDS = 0.16
"""Less voice than this is no word: it is dropped without asking the recogniser."""

COUGH_SILENCE = 0.3
"""Silence after so little voice, before it is taken to be over."""

BACKCHANNELS = frozenset(
    {"uh huh", "uhhuh", "uh-huh", "mm", "mmm", "mhm", "mm hmm", "mm-hmm", "hm", "hmm", "ah", "oh", "yeah", "yep"}
    | {"ok", "okay", "right", "sure", "i see", "got it"}
)
"""What listeners say without wanting the floor."""


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """Seconds, and the defaults of the agent's ``turns`` option."""

    min_delay: float = 0.5
    max_delay: float = 3.0
    interruptions: bool = True
    by_words: bool = True
    """Short speech is judged by its words, too, not by its duration alone (mode ``adaptive``)."""
    min_duration: float = 0.4
    min_words: int = 0
    false_interruption_timeout: float = 1.0
    resume: bool = True


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller speaks: tell the recogniser. ``at`` is when it began, as far as can be told."""

    at: float


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """The caller paused: a transcript is wanted now."""


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The caller goes on after a pause: tell the recogniser."""


@dataclass(frozen=True, slots=True)
class SpeechDropped:
    """It was nothing: a noise, a cough, a backchannel. ``deaf`` if there was speech enough, and no transcript came."""

    deaf: bool = False


@dataclass(frozen=True, slots=True)
class PauseAgent:
    """Somebody speaks over the agent: silence, until it is decided."""

    since: float


@dataclass(frozen=True, slots=True)
class ResumeAgent:
    """It was no interruption: the agent goes on where the caller last heard it."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """It is one: the agent's generation is over."""

    since: float


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The caller has said ``text``, and the agent is to answer. Times: when the speech ended, when its transcript came,
    when it was decided."""

    text: str
    speech_ended: float
    transcribed: float
    decided: float


TurnEvent = (
    SpeechStarted | SpeechPaused | SpeechResumed | SpeechDropped | PauseAgent | ResumeAgent | Interrupted | TurnEnded
)

_NOTHING: tuple[TurnEvent, ...] = ()


class _Caller(Enum):
    SILENT = "silent"
    SPEAKING = "speaking"
    TRAILING = "trailing"  # silent after speech; nothing is decided yet


class TurnMachine:
    """One call's turns. Every method takes the time in seconds, and returns what follows."""

    def __init__(self, settings: TurnSettings | None = None) -> None:
        self.settings = settings or TurnSettings()
        self._caller = _Caller.SILENT
        self._window = 0
        self._onset = 0.0
        self._last_voice = 0.0
        self._voiced = 0.0
        self._skipped = 0.0  # pauses, as far as recognisers may leave them out
        self._transcripts: dict[int, Transcript] = {}  # by segment
        self._done = -1  # the latest segment that belongs to a turn that is over
        self._transcribed: float | None = None  # when a transcript of all that was said came
        self._floor = False  # the agent has it: it speaks, or is about to
        self._protected = False
        self._pausing = False  # the agent is paused, and it is not decided whether it was interrupted
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

    def floor(self, agent: bool, *, protected: bool = False) -> None:
        """The agent takes the floor (it speaks or is about to), or gives it back. ``protected``: it cannot be
        interrupted."""
        self._floor = agent
        self._protected = protected
        if not agent:
            self._pausing = False

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
        if self._caller is _Caller.SILENT or self._closed:
            return _NOTHING
        if transcript.segment <= self._done:
            return _NOTHING
        self._transcripts[transcript.segment] = transcript
        if self._caller is _Caller.TRAILING and self._whole():
            self._transcribed = now
        self._decide(now)
        return self._take()

    def _voice(self, now: float) -> None:
        if self._caller is _Caller.SILENT:
            self._onset = now - self._window.bit_length() * FRAME_SECONDS
            self._voiced = self._window.bit_count() * FRAME_SECONDS
            self._skipped = 0.0
            self._caller = _Caller.SPEAKING
            self._events.append(SpeechStarted(self._onset))
            if self._floor and self.settings.interruptions and not self._protected:
                self._pausing = True
                self._events.append(PauseAgent(self._onset))
        elif self._caller is _Caller.SPEAKING:
            self._voiced += FRAME_SECONDS
        elif self._window & 0b11 == 0b11:
            if self._voiced >= COUGH_SECONDS:
                self._events.append(SpeechResumed())
            self._voiced += 2 * FRAME_SECONDS
            self._skipped += max(0.0, now - self._last_voice - 2 * PAUSE_SECONDS)
            self._caller = _Caller.SPEAKING
            self._transcribed = None
        else:
            return  # one frame alone, after speech, is a click
        self._last_voice = now

    def _decide(self, now: float) -> None:
        silence = now - self._last_voice
        if self._caller is _Caller.SPEAKING:
            if silence >= PAUSE_SECONDS - 0.001:
                self._caller = _Caller.TRAILING
                if self._voiced >= COUGH_SECONDS:
                    self._events.append(SpeechPaused())
            elif self._pausing and self._voiced >= self.settings.min_duration and not self.settings.min_words:
                self._interrupt()
            return
        if self._pausing and self._confirmed_by_words():
            self._interrupt()
        if self._pausing:
            self._maybe_false(silence)
        else:
            self._maybe_ended(silence, now)

    def _maybe_false(self, silence: float) -> None:
        settings = self.settings
        cough = self._voiced < COUGH_SECONDS and silence >= COUGH_SILENCE
        words = self._transcribed is not None  # and they did not confirm
        if cough or words or silence >= settings.false_interruption_timeout:
            self._pausing = False
            if settings.resume:
                self._events.append(ResumeAgent())
                self._drop(deaf=False)
            else:
                self._interrupt()

    def _maybe_ended(self, silence: float, now: float) -> None:
        if self._voiced < COUGH_SECONDS:
            if silence >= COUGH_SILENCE:
                self._drop(deaf=False)
            return
        text = self._text()
        if self._transcribed is not None and not text:
            self._drop(deaf=False)
        elif silence >= self.settings.min_delay - 0.001 and text and self._transcribed is not None:
            self._end(text, self._transcribed, now)
        elif silence >= self.settings.max_delay:
            if text:
                self._end(text, now, now)
            else:
                self._drop(deaf=True)

    def _confirmed_by_words(self) -> bool:
        settings = self.settings
        if self._transcribed is None or self._voiced < COUGH_SECONDS:
            return False
        if not (settings.by_words or settings.min_words):
            return False
        text = self._text()
        words = text.split()
        plain = " ".join(word.strip(".,!?").lower() for word in words)
        return len(words) >= max(1, settings.min_words) and plain not in BACKCHANNELS

    def _interrupt(self) -> None:
        self._pausing = False
        self._floor = False
        self._events.append(Interrupted(self._onset))

    def _end(self, text: str, transcribed: float, now: float) -> None:
        self._events.append(TurnEnded(text, self._last_voice, transcribed, now))
        self._reset()

    def _drop(self, *, deaf: bool) -> None:
        self._events.append(SpeechDropped(deaf))
        self._reset()

    def _reset(self) -> None:
        self._caller = _Caller.SILENT
        self._window = 0
        self._done = max(self._transcripts, default=self._done)
        self._transcripts.clear()
        self._transcribed = None

    def _text(self) -> str:
        texts = (transcript.text.strip() for _, transcript in sorted(self._transcripts.items()))
        return " ".join(text for text in texts if text)

    def _whole(self) -> bool:
        """Whether the transcripts cover all that was said; those that do not tell what they cover are believed."""
        covered = [transcript.audio_seconds for transcript in self._transcripts.values()]
        return 0.0 in covered or sum(covered) >= self._last_voice - self._onset - self._skipped - 0.1

    def _take(self) -> Sequence[TurnEvent]:
        if not self._events:
            return _NOTHING
        events, self._events = self._events, []
        return events
