"""One caller's recognition by Google: by one stream after another, for a stream lasts five minutes at the most. Pure.

Google transcribes as it listens, and decides by itself when a result is final. Whoever will not wait for that closes
the stream for sending: it answers with all the words that it has, and ends. So it is asked for words that did not come
by themselves after a pause, and so a stream is replaced before its time is up. The next one hears the sound from where
the last one was final. One that is lost is replaced likewise, by one that hears again up to 5 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from media.audio import MULAW_8K
from pipelines.parts import Transcript
from pipelines.providers.google_limits import LIMITS, Limits, Verdict
from pipelines.providers.google_wire import Answer, Result
from pipelines.providers.kept_sound import KeptSound
from pipelines.providers.segment import Segment
from pipelines.providers.wire import Consumed

KEPT_SECONDS = 5.0
"""Sound that waits for a stream, or may be heard again by another."""

HEARD_SECONDS = 0.25
"""A transcript that ends so long before the caller's pause was noticed holds all that was said."""

LATE_SECONDS = 0.15
"""An interim result may lack a word, or the end of one, that was said so shortly before its end."""

_RATE = MULAW_8K.bytes_per_second
_EPSILON = 0.001  # timers and sums of times are not exact
_STABLE = 0.7  # of an interim result that will hardly change


class _State(Enum):
    NONE = "none"
    OPEN = "open"
    ENDING = "ending"


HearingEvent = Transcript | Consumed


class GoogleHearing:
    """``first`` is the number of its first segment. Methods that take the time take it in seconds; ``sound`` is mu-law
    at 8 kHz. Positions are seconds of the caller's sound, whatever stream hears them."""

    def __init__(self, first: int = 0, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._segment = Segment(first)
        self.sound = KeptSound(_RATE, KEPT_SECONDS)
        self._settled = 0.0  # sound up to here is transcribed for good
        self._heard = 0.0  # sound up to here was transcribed, for good or not
        self._paused_at = self._news_at = 0.0  # by the clock: the pause; the latest word, or what it was waited from
        self._ask_at: float | None = None
        # The stream.
        self._state = _State.NONE
        self._origin = 0.0
        self._opened = 0.0
        self._supposed: list[tuple[str, float, float]] = []  # text, end, stability
        self._stale = False  # it has words of a segment that is over
        self._billed: float | None = None
        self._idle_at = self._idle_from = 0.0
        # Its end.
        self._cut = 0.0  # it hears up to here
        self._answer_by = 0.0
        self._in_speech = False
        self._held: tuple[Result, float] | None = None  # the latest final result, since it was told to end

    # The caller

    def speech_started(self, now: float) -> None:
        begins = self._segment.onset is None
        self._segment.speech_started(self.sound.position)
        self._ask_at = None
        self._news_at = now if begins else max(self._news_at, now - self._limits.wordless / 2)

    def speech_paused(self, now: float) -> None:
        self._segment.paused = self.sound.position
        self._paused_at = now
        self._ask_at = None if self._knows_all() else now + self._limits.ask

    def end_segment(self) -> None:
        """A stream that has more to say of the segment mixes it with what comes next, unless it is final before."""
        segment = self._segment
        said = self.sound.position if segment.paused is None else segment.paused
        unheard = segment.onset is not None and self._heard < said - HEARD_SECONDS
        pending = unheard or bool(self._supposed) or self._state is _State.ENDING
        segment.end(self.sound.position)
        self._ask_at = None
        self._supposed.clear()
        self._stale = pending and self._state is not _State.NONE

    # The stream

    def begin(self, now: float) -> None:
        """Another stream: what it hears begins with what is not settled, if that is kept and of this segment."""
        self._state = _State.OPEN
        self._origin = self.sound.begin(max(self._settled, self._segment.begins))
        self._news_at = now
        self._opened = now - (self.sound.position - self._origin)  # what it hears again counts as its time
        self._billed = None
        self._stale = False
        self._held = None
        self._idle_at, self._idle_from = now + self._limits.idle, self.sound.position
        self._supposed.clear()
        self._segment.suppose("")

    @property
    def ending(self) -> bool:
        """The stream hears no more than it was told."""
        return self._state is _State.ENDING

    @property
    def answered(self) -> bool:
        """The stream was told to end, and said all words that it had supposed."""
        return self._state is _State.ENDING and not self._supposed

    def look(self, now: float) -> Verdict:
        """To be asked after everything that happens, and when :meth:`due` says."""
        now += _EPSILON
        if self._state is _State.NONE:
            return Verdict.GO_ON
        if self._stale and self._segment.onset is not None:
            return Verdict.REPLACE
        if self._state is _State.ENDING:
            return Verdict.GO_ON if now < self._answer_by else Verdict.GIVE_UP
        silent = False
        if now >= self._idle_at:
            position = self.sound.position
            silent = position == self._idle_from
            self._idle_at, self._idle_from = now + self._limits.idle, position
            if self.sound.unsent > self._limits.stuck * _RATE:
                return Verdict.GIVE_UP
        limits, age = self._limits, now - self._opened
        asked = self._ask_at is not None and now >= self._ask_at
        asked = asked or (self._speaking and now >= self._news_at + limits.wordless)
        if silent or asked or age >= limits.latest or (age >= limits.recycle and self._quiet(now)):
            self.finish(now)
            return Verdict.FINISH
        return Verdict.GO_ON

    def due(self, now: float) -> float | None:
        """When :meth:`look` may have something else to say, if nothing happens before."""
        match self._state:
            case _State.NONE:
                return None
            case _State.ENDING:
                return self._answer_by
            case _State.OPEN:
                limits, opened = self._limits, self._opened
                times = [self._idle_at, opened + limits.latest, opened + limits.recycle]
                times.append(self._news_at + limits.wordless)
                if self._segment.paused is not None:
                    times.append(self._paused_at + limits.overlap)
                if self._ask_at is not None:
                    times.append(self._ask_at)
                return min(time for time in times if time > now + _EPSILON)

    def finish(self, now: float) -> None:
        """The stream hears no more than there is, and has to say what it knows."""
        self._state = _State.ENDING
        self._cut = self.sound.end()
        self._answer_by = now + self._limits.answer
        self._in_speech = self._speaking

    # What it says

    def receive(self, answer: Answer, now: float) -> Sequence[HearingEvent]:
        if answer.billed is not None:
            self._billed = answer.billed
        results = [result for result in answer.results if result.text or result.end]
        if not results:
            return ()
        self._supposed.clear()
        self._news_at = now
        end = self._settled
        for result in results:
            if result.end:
                end = max(end, min(self._origin + result.end, self.sound.position))
            if result.final:
                self._finally(result, end)
            elif result.text and not self._stale:
                self._supposed.append((result.text, end, result.stability))
        self._segment.suppose(" ".join(text for text, _, _ in self._supposed))
        end -= LATE_SECONDS if self._supposed else 0.0
        self._heard = max(self._heard, end)
        if self._knows_all():
            self._ask_at = None
        if self._stale or end <= self._segment.begins:
            return ()
        if self._in_speech and self._state is _State.ENDING and (self._supposed or self._held is not None):
            return ()  # its last word may be half a word
        return self._transcript(end, now)

    def finished(self, now: float) -> Sequence[HearingEvent]:
        """The stream ended well, so far as it goes: see :attr:`answered`."""
        if not self.answered:
            return self.broken()
        heard = self._cut if self._held is None else self._settle_but_last(*self._held)
        self._settled = max(self._settled, heard - (0.0 if self._in_speech else self._limits.overlap))
        stale, used = self._stale, self._end(self._billed)
        self._heard = max(self._heard, heard)
        if self._knows_all():
            self._ask_at = None
        if stale or heard <= self._segment.begins:
            return used
        return (*used, *self._transcript(heard, now))

    def broken(self) -> Sequence[HearingEvent]:
        """The stream is lost, or was broken off. What was only supposed is heard again; if that is too long ago, it is
        believed."""
        if self._state is _State.NONE:
            return ()
        if self._held is not None:
            self._settle_but_last(*self._held)
        if max(self._settled, self._segment.begins) < self.sound.position - KEPT_SECONDS:
            stable = [piece for piece in self._supposed if piece[2] >= _STABLE] or self._supposed
            for text, end, _ in stable:
                self._segment.settle(text, end)
                self._settled = max(self._settled, end)
        return self._end(None)

    # Within

    def _finally(self, result: Result, end: float) -> None:
        if self._stale:
            if result.words:
                self._settle(result, end)
            self._settled = max(self._settled, end)
            self._stale = self._state is _State.ENDING
            return
        if self._held is not None:  # it was not the last one
            self._settle(*self._held)
            self._held = None
        if self._state is _State.ENDING and self._may_be_cut(result):
            self._held = (result, end)
        else:
            self._settle(result, end)

    def _may_be_cut(self, result: Result) -> bool:
        """Whether the last word of a result may be half a word, because the stream heard no more of it."""
        if not result.words:
            return False
        _, begins, ends = result.words[-1]
        if self._in_speech:
            return self._origin + ends > self._cut - self._limits.half_word
        return self._origin + begins >= self._cut - self._limits.overlap

    def _settle(self, result: Result, end: float) -> None:
        again = self._limits.overlap if self._state is _State.ENDING and not self._in_speech else 0.0
        spoken = self._origin + result.words[-1][2] if result.words else 0.0
        latest = self._cut - again if self._state is _State.ENDING else end
        self._settled = max(self._settled, min(end, latest), min(spoken, end))
        if end > self._segment.begins:
            self._segment.settle(self._segment.mine(result.text, result.words, self._origin), end)

    def _settle_but_last(self, result: Result, end: float) -> float:
        """The last word is left to the next stream, which hears it whole. Returns up to where the sound was heard."""
        *others, (_, begins, _) = result.words
        heard = self._origin + max(begins, others[-1][2] if others else 0.0)
        if others:
            text = " ".join(word for word, _, _ in others)
            self._settle(Result(text, True, result.end, 0.0, tuple(others)), min(end, heard))
        return heard if self._in_speech else self._cut

    def _end(self, billed: float | None) -> Sequence[HearingEvent]:
        self._state = _State.NONE
        self.sound.over()
        self._stale = False
        self._held = None
        self._supposed.clear()
        self._segment.suppose("")
        seconds = self.sound.streamed if billed is None else billed
        return (Consumed({"audio_seconds": seconds}),) if seconds else ()

    def _transcript(self, end: float, now: float) -> Sequence[HearingEvent]:
        segment = self._segment
        if segment.onset is None and not segment.text:
            return ()
        took = 0.0 if segment.paused is None else now - self._paused_at
        return (segment.transcript(end, took=took),)

    def _knows_all(self) -> bool:
        """Of what the caller said before the pause."""
        paused = self._segment.paused
        return paused is None or self._heard >= paused - HEARD_SECONDS

    @property
    def _speaking(self) -> bool:
        return self._segment.onset is not None and self._segment.paused is None

    def _quiet(self, now: float) -> bool:
        segment = self._segment
        if segment.onset is None:
            return not self._supposed
        return segment.paused is not None and now - self._paused_at >= self._limits.overlap
