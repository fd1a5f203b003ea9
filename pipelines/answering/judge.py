"""Judges who has answered, by what is heard of them, and when it is our turn. Pure: what is heard and the time come in;
:attr:`Judge.finding` and :attr:`Judge.ready` are what to go by.

People say a few words and wait. Machines go on, say what only machines say, and beep. What is heard counts whoever has
heard it: our ears, or Jambonz's own detection, and the first to be sure decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipelines.answering.phrases import count, kind_of, promises_tone

Who = Literal["person", "machine", "screener", "nobody", "unknown"]

SILENCE_SECONDS = 4.0
"""Nobody says anything: then it is for the agent to speak."""

PAUSE_SECONDS = 0.8
"""Of silence, that ends what somebody says."""

WORDS_SECONDS = 1.2
"""More of it, for the words to be there."""

SHORT_SECONDS = 2.6
"""Without words: who speaks no longer than this is a person ..."""

LONG_SECONDS, LONG_WITH_WORDS_SECONDS = 4.5, 9.0
"""... and who goes on for longer than this is a machine, or than that where there ought to be words to count."""

OVER_SECONDS, NO_TONE_SECONDS = 2.0, 5.0
"""Of silence, that end a machine's greeting, and one that has promised a tone, or is not understood yet."""

TURN_SECONDS = 0.7
"""Of silence, after which a screener is answered."""

DECIDE_SECONDS = 15.0
"""Until then it is known who it is, or it does not matter any more."""

MOST_REPLIES = 2
"""To somebody who asks who is calling, again and again."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``text`` is what was said, as far as it was understood."""

    who: Who
    because: str
    text: str = ""


class Judge:
    """``now`` is the answer. A greeting of ``words`` is a machine's; after ``max_wait`` seconds nobody is waited for
    any more. ``hears``: there is a recogniser, whose words are worth a wait."""

    def __init__(self, now: float, *, words: int, max_wait: float, hears: bool) -> None:
        self.finding: Finding | None = None
        self.ready = False
        """It is our turn."""
        self.hears = hears
        self.stretch = 0
        """Counts what was said and is of no account any more: what is understood from now on is new."""
        self._words = words
        self._began = self._since = now
        self._until = now + max_wait
        self._onset: float | None = None  # of what is being said
        self._last_voice = now
        self._text = ""
        self._tone = False  # the words promise one
        self._beeped = self._silent = False
        self._replies = 0

    @property
    def text(self) -> str:
        """What was said since our last word, as far as it was understood."""
        return self._text or (self.finding.text if self.finding is not None else "")

    # What is heard

    def hear(self, voice: bool, now: float) -> None:
        """20 ms."""
        if voice:
            if self._onset is None:
                self._onset = now
            self._last_voice = now
        self.tick(now)

    def understand(self, text: str, now: float) -> None:
        """All of what is being said, as far as it is known."""
        if not text.strip():
            return
        self._take(text)
        self._onset = self._onset if self._onset is not None else now
        self._classify(text, "its words", now)

    def beep(self, now: float) -> None:
        """One has ended."""
        self._beeped, self._last_voice = True, now
        if self.finding is None:
            self._find("machine", "a beep")
        if self.finding is not None and self.finding.who == "machine":
            self.ready = True

    def told(self, kind: str, reason: str, text: str, now: float) -> None:
        """Jambonz's own detection: ``kind`` is an event of its, ``text`` the greeting or the hint."""
        match kind:
            case "amd_machine_stopped_speaking":
                if self._is_machine and (self._beeped or not self._tone):
                    self.ready = True
            case "amd_tone_detected":
                self.beep(now)
            case "amd_human_detected" if self.finding is None:
                if not self._classify(text, f"Jambonz: {reason}", now):
                    self._find("person", f"Jambonz: {reason}", text)
            case "amd_machine_detected":
                if not self._classify(text, f"Jambonz: {reason}", now) and self.finding is None:
                    self._find("machine", f"Jambonz: {reason}", text)
            case "amd_no_speech_detected" if self.finding is None and not self._replies and self._onset is None:
                self._find("unknown", "silence")
            case _:
                pass

    # What we do

    def replied(self, now: float) -> None:
        """A screener was answered: whoever comes now is somebody else, or he again."""
        self._replies += 1
        self.finding, self.ready = None, False
        self._begin_anew(now)

    # What follows

    def tick(self, now: float) -> None:
        quiet = now - self._last_voice
        if self.finding is None:
            self._decide(quiet, now)
        if self.finding is None or self.ready:
            return
        match self.finding.who:
            case "machine":
                # Words that are late may correct what the length has told.
                late = self.hears and not self.text
                waits = NO_TONE_SECONDS if late or self._tone else OVER_SECONDS
                self.ready = self._beeped or quiet >= waits
            case "screener":
                self.ready = quiet >= TURN_SECONDS
            case _:
                self.ready = True
        if not self.ready and now >= self._until:
            self._find("nobody", "it took too long", self.finding.text)

    def _decide(self, quiet: float, now: float) -> None:
        if now >= self._until:
            self._find("nobody", "it took too long", self._text)
        elif self._onset is None:
            if not self._replies and now - self._since >= SILENCE_SECONDS:
                self._find("unknown", "silence")
        elif now - self._onset - quiet >= (LONG_WITH_WORDS_SECONDS if self.hears else LONG_SECONDS):
            self._find("machine", "long greeting", self._text)
        elif quiet >= PAUSE_SECONDS and (self._text or not self.hears or quiet >= PAUSE_SECONDS + WORDS_SECONDS):
            self._on_pause(now)
        elif not self._replies and now - self._began >= DECIDE_SECONDS:
            self._find("unknown", "it could not be told", self._text)

    def _on_pause(self, now: float) -> None:
        """Somebody has said something, and waits, perhaps."""
        spoke = self._last_voice - (self._onset or 0.0)
        if self._replies and kind_of(self._text) == "hold":
            self._begin_anew(now)
        elif self._text or spoke <= SHORT_SECONDS:
            self._find("person", "short greeting", self._text)
        else:
            self._find("machine", "long greeting")

    def _classify(self, text: str, because: str, now: float) -> bool:
        """By what only machines say, which also corrects what was thought before; else by its length."""
        if self.finding is not None and not (self._is_machine and not self.ready):
            return False
        if not self._text:
            self._take(text)
        match kind_of(text):
            case "unavailable":
                self._find("nobody", because, text)
            case "screening" if self._replies >= MOST_REPLIES:
                self._find("nobody", "it asks again and again", text)
            case "screening":
                self._find("screener", because, text)
            case "voicemail":
                self._find("machine", because, text)
            case "hold" if self._replies:
                return True
            case _:
                if self.finding is not None or count(text) < self._words:
                    return False
                self._find("machine", "long greeting", text)
        return True

    @property
    def _is_machine(self) -> bool:
        return self.finding is not None and self.finding.who == "machine"

    def _begin_anew(self, now: float) -> None:
        self.stretch += 1
        self._since = self._last_voice = now
        self._onset = None
        self._take("")

    def _take(self, text: str) -> None:
        self._text, self._tone = text, promises_tone(text)

    def _find(self, who: Who, because: str, text: str = "") -> None:
        self.finding = Finding(who, because, text or self._text)
        self.ready = who in ("person", "nobody", "unknown") or (who == "machine" and self._beeped)
