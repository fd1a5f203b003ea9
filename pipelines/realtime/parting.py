"""How a call with a realtime model ends: who says goodbye, when nothing changes that any more, and why it was over."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.agent import AgentOptions
from pipelines.events import EndReason, PipelineHost
from pipelines.idle import IdleClock
from pipelines.phrasebook import phrases
from pipelines.realtime.answers import Answer
from pipelines.realtime.attention import Attention
from pipelines.realtime.barge_in import BargeIn
from pipelines.realtime.ending import Ending
from pipelines.realtime.errands import Errands
from pipelines.realtime.link import Link
from pipelines.realtime.records import Records
from pipelines.realtime.speaking import Speaking

CLOCKS_SECONDS = 5.0
"""By so much the model's idea of how long the call has lasted may be ahead of ours."""


class Parting:
    """``idles``: the model asks a silent caller by itself whether he is there. ``longest``: seconds of a call."""

    def __init__(
        self,
        options: AgentOptions,
        host: PipelineHost,
        link: Link,
        speaking: Speaking,
        records: Records,
        attention: Attention,
        interruption: BargeIn,
        errands: Errands,
        idle: IdleClock,
        ending: Ending,
        clock: Callable[[], float],
        *,
        idles: bool,
        longest: float,
        language: str,
    ) -> None:
        self._options = options
        self._host = host
        self._link = link
        self._speaking = speaking
        self._records = records
        self._attention = attention
        self._interruption = interruption
        self._errands = errands
        self._idle = idle
        self._ending = ending
        self._clock = clock
        self._idles = idles
        self._longest = longest
        self._words = phrases(language)

    def say_and_end(self, text: str | None, reason: EndReason) -> None:
        """Interrupt whatever is said, say this to its end, and hang up."""
        if self._ending.begun:
            return
        now = self._clock()
        self._shut(now)
        self._speaking.interrupt(now, by_us=True)
        if text:
            self._speaking.say(text, reason, now)
        else:
            self._host.end_call(reason)

    def hang_up(self, answer: Answer | None, now: float, ends: EndReason) -> None:
        """Once this was heard; a word of parting where the model found none."""
        self._shut(now)
        self._ending.why = ends
        if answer is None or self._speaking.utterances is not None:
            self._ending.wait_for_goodbye(now, wordless=answer is None)
            return
        self._ending.wait_until_heard(now, self._speaking.unheard_seconds)
        answer.protected = True
        farewell = self._farewell
        if farewell and not answer.has_sound:
            self._speaking.say(farewell, ends, now)
        else:
            answer.ends = ends

    def on_session_over(self, seconds: float) -> None:
        """The model ended the session by itself, after so many of the call."""
        if self._ending.begun:
            return
        last = max(self._speaking.answers.values(), key=lambda answer: answer.number, default=None)
        why = self._why_over(last, seconds)
        self._shut(self._clock())
        self._link.expect_the_end()
        if last is None:
            self._host.end_call(why)
        else:
            last.ends = why
            self._speaking.finish(last)

    def _why_over(self, last: Answer | None, seconds: float) -> EndReason:
        """Because of its own clocks, or as it saw fit."""
        if seconds >= self._longest - CLOCKS_SECONDS:
            return "max_duration"
        said = last.text if last is not None else self._records.last_said
        idle = self._options.idle
        return "idle" if self._idles and idle.timeout is not None and _same(said, idle.farewell) else "agent"

    def give_up(self) -> None:
        """There is no model any more: say so, and end the call."""
        if self._ending.begun:
            self._speaking.say_all_ourselves()
            return
        self._link.expect_the_end()
        if self._host.relief:
            self._attention.break_off()
            self._speaking.say_all_ourselves()
            self._ending.leaving = True
            self.leave_if_over()
            return
        now = self._clock()
        self._shut(now)
        self._speaking.interrupt(now, by_us=False)
        self._speaking.say_ourselves(self._words.cannot_go_on, "failed")

    def leave_if_over(self) -> None:
        """Somebody else goes on with the call, once what there was to say was heard."""
        if self._ending.leaving and not self._speaking.answers and not self._ending.begun:
            self._shut(self._clock())
            self._host.end_call("failed")

    def end_at_last(self) -> None:
        """What was waited for did not come."""
        farewell = self._farewell
        if farewell and self._ending.take_farewell():
            self._speaking.say_ourselves(farewell, self._ending.why)
        else:
            ends = (answer.ends for answer in self._speaking.answers.values() if answer.ends is not None)
            self._host.end_call(next(ends, self._ending.why))

    def _shut(self, now: float) -> None:
        """Nothing that the caller says changes it."""
        self._ending.begun = True
        self._errands.leave()
        self._attention.patience.stop()
        self._idle.stop()
        if self._interruption.paused_at is not None:
            self._interruption.go_on(now)

    @property
    def _farewell(self) -> str | None:
        if self._ending.why == "transferred":
            return self._words.connecting
        return self._options.ending.farewell


def _same(said: str, text: str) -> bool:
    return " ".join(said.split()).casefold() == " ".join(text.split()).casefold()
