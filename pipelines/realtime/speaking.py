"""What is said in a call with a realtime model: its answers, what it is told to say, and what is said in its place.

Answers play one after the other on the call's playout. What the model is to say as it stands, and does not say in time
or to its end, is said in the service's own voice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from media.playout import Playout, PlayoutCut, PlayoutEvent, PlayoutFinished
from pipelines.agent import AgentDefinition
from pipelines.events import EndReason, ModelNoted, PipelineHost
from pipelines.generation import Generation
from pipelines.heard import follow, timings
from pipelines.own_voice import OwnVoice
from pipelines.realtime.answers import MOST_UNHEARD_SECONDS, Answer, Before, Timing
from pipelines.realtime.ending import Ending
from pipelines.realtime.link import Link
from pipelines.realtime.model import Capabilities, ItemHeard
from pipelines.realtime.records import Records
from pipelines.realtime.stream import Utterances

SAY_SECONDS = 1.8
"""What the model is to say and does not begin by then is said in the service's own voice."""

_LATE = 64
"""Names of interrupted answers that are remembered."""


@dataclass(frozen=True, slots=True)
class _Saying:
    """What the model was told to say as it stands, and when."""

    text: str
    ends: EndReason | None
    asked: float
    protected: bool = False


class SpeakingListener(Protocol):
    """For whom it is said."""

    def on_begun(self) -> None:
        """Something is about to be said."""
        ...

    def on_sound(self, now: float) -> None:
        """There is something to be heard of an answer of the model's."""
        ...

    def on_silent(self, utterance: Answer) -> None:
        """A model whose sound never ends has fallen silent, and does not say why."""
        ...

    def on_over(self, answer: Answer) -> None:
        """Of an answer nothing more is heard."""
        ...


class Speaking:
    """``turn`` is the one that the next answer is for. ``sound_at``: when the latest sound of the model came.
    ``silent_from``: when the ear has had all of an utterance, of a model whose sound never ends."""

    def __init__(
        self,
        agent: AgentDefinition,
        can: Capabilities,
        listener: SpeakingListener,
        host: PipelineHost,
        link: Link,
        records: Records,
        ending: Ending,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        clock: Callable[[], float],
    ) -> None:
        self.answers: dict[int, Answer] = {}
        """Those of which something is still to be heard, or to come, by their numbers."""
        self.turn: Timing | None = None
        self.sound_at = self.silent_from = 0.0
        self.utterances = Utterances(can.output) if can.pacing == "realtime" else None
        self.playout: Playout | None = None
        self._agent = agent
        self._can = can
        self._listener = listener
        self._host = host
        self._link = link
        self._records = records
        self._ending = ending
        self._spawn = spawn
        self._clock = clock
        self._own_voice: OwnVoice | None = None
        self._number = 0
        self._first_number = 1
        self._late: deque[str] = deque(maxlen=_LATE)  # responses that were interrupted
        self._continued: dict[str, Mapping[str, Before]] = {}  # and those set aside, with what came of their parts
        self._sayings: deque[_Saying] = deque()  # asked of the model, and not begun

    def start(self, playout: Playout, own_voice: OwnVoice) -> None:
        self.playout, self._own_voice = playout, own_voice
        self._number = playout.latest
        self._first_number = self._number + 1
        playout.bursts = self.utterances is None

    # What there is

    @property
    def under_way(self) -> list[Answer]:
        """Answers of the model to which it may add."""
        return [answer for answer in self.answers.values() if answer.is_under_way]

    @property
    def has_sayings(self) -> bool:
        """The model was told to say something, and has not begun."""
        return bool(self._sayings)

    @property
    def unheard_seconds(self) -> float:
        return self.playout.unheard_seconds if self.playout is not None else 0.0

    @property
    def speaks_itself(self) -> bool:
        """Something is said in the service's own voice."""
        return any(answer.response is None for answer in self.answers.values())

    @property
    def pauses(self) -> bool:
        """The model says nothing, and of its sound that never ends it is not known whether that was all."""
        return self.utterances is not None and bool(self.under_way) and not self.utterances.sounding

    @property
    def is_protected(self) -> bool:
        """Something is said that has to be heard."""
        return any(answer.protected for answer in self.answers.values())

    def has_more_to_say(self, now: float) -> bool:
        """Of what was made, something is yet to be heard."""
        playout = self.playout
        return playout is not None and not self.pauses and (playout.speaking(now) or playout.unheard_seconds > 0)

    def is_stuck(self) -> bool:
        """All that came of an answer was heard, and it is not over."""
        return not self.unheard_seconds and any(answer.has_sound for answer in self.under_way)

    def is_late(self, response: str) -> bool:
        """Of an answer that was interrupted: nothing of it is wanted."""
        return response in self._late

    # What comes of the model

    def answer_of(self, response: str, now: float) -> Answer | None:
        """The answer of that name, begun if it is new; None for one that was interrupted."""
        for answer in self.answers.values():
            if answer.response == response:
                return answer
        if response in self._late or self.playout is None:
            return None
        if self._ending.is_closed and not self._sayings:
            self._late.append(response)  # the call is ending with something else
            return None
        answer = Answer(self._next(), response, began=now, before=self._continued.pop(response, {}))
        if self._sayings:
            saying = self._sayings.popleft()
            answer.saying, answer.ends, answer.asked = saying.text, saying.ends, saying.asked
            answer.protected = saying.protected or answer.ends is not None or self._is_opening
        answer.timing, self.turn = self.turn, None
        self._begin(answer)
        return answer

    def on_audio(self, response: str, item: str, data: bytes, now: float) -> None:
        if self.utterances is not None:
            self._on_stream(self.utterances, data, now)
            return
        answer, playout = self.answer_of(response, now), self.playout
        if answer is None or playout is None or not answer.is_under_way:
            self._host.on_event(ModelNoted("late_audio"))
            return
        if playout.unheard_seconds > MOST_UNHEARD_SECONDS:
            self._host.on_event(ModelNoted("too_much_audio"))
            return
        self._listener.on_sound(now)
        self.sound_at = now
        if answer.first_audio is None:
            answer.first_audio = now
        answer.item(item, playout, self._can.output).write(data, self._can.output)

    def _on_stream(self, utterances: Utterances, data: bytes, now: float) -> None:
        """Sound that goes on for ever: utterances are what is between its silences."""
        if self.playout is None:
            return
        self.sound_at = now
        for sound in utterances.push(data):
            if sound is None:
                self._end_utterance()
                continue
            name = f"utterance {utterances.count}"
            found = self.answer_of(name, now)
            if found is not None and found.is_under_way:
                if utterances.sounding:
                    self._listener.on_sound(now)
                    if self._ending.hung_up:  # this is the goodbye
                        self._ending.goodbye_begins(now)
                        found.protected, found.ends = True, self._ending.why
                found.item(name, self.playout, self._can.output).write(sound, self._can.output)
                if utterances.sounding:
                    self.silent_from = now + self.playout.unheard_seconds
                if utterances.words:
                    found.items[name].add_words(utterances.take_words())

    def tick(self, now: float) -> None:
        """A stream that stopped in a silence may have ended an utterance."""
        if self.utterances is not None and self.utterances.stopped(now - self.sound_at):
            self._end_utterance()

    def _end_utterance(self) -> None:
        for answer in self.under_way:
            self._listener.on_silent(answer)
            self.finish(answer)

    def on_words(self, response: str, item: str, text: str) -> None:
        if self.utterances is not None:
            self.utterances.words += text
            return
        over = self._records.of(response)
        if over is not None:
            self._records.late_words(over, item, text)
            return
        answer, playout = self.answer_of(response, self._clock()), self.playout
        if answer is None or playout is None or answer.broken_off:
            return
        if answer.is_under_way or item in answer.items:  # of what is over, no part is begun
            answer.item(item, playout, self._can.output).add_words(text)

    def finish(self, answer: Answer) -> None:
        """There is no more of it."""
        answer.done = True
        answer.finish()
        if self.playout is not None:
            self.playout.finish(answer.number)
            self._host.wake()
        if answer.ends is not None and self.playout is not None:
            self._ending.wait_until_heard(self._clock(), self.playout.unheard_seconds)
        if answer.text:
            self._host.on_saying(answer.text)

    def was_set_aside(self, response: str) -> bool:
        """Once: whether the answer that is over now is one that went on as another."""
        return self._continued.pop(response, None) is not None

    # What is to be said as it stands

    def will_say(self, text: str, now: float) -> None:
        """The model says it of itself, as it was set up to."""
        self._sayings.append(_Saying(text, None, now))

    def say(self, text: str, ends: EndReason | None, now: float, *, protected: bool = False) -> None:
        """By the model, in the voice that the caller knows; by the service where the model cannot."""
        if not (self._can.speaks and self._link.is_open):
            self.say_ourselves(text, ends, protected=protected)
            return
        self._sayings.append(_Saying(text, ends, now, protected))
        self._listener.on_begun()
        self._link.send(lambda protocol: protocol.say(text))

    def say_in_time(self, now: float) -> bool:
        """What the model was told to say, and does not: it has not begun, or of what it began no sound comes. Whether
        there was such a thing; it is said in its place."""
        late = [a for a in self.answers.values() if a.is_unsaid and now - a.asked >= SAY_SECONDS]
        if not late and not (self._sayings and now - self._sayings[0].asked >= SAY_SECONDS):
            return False
        self._link.send(lambda protocol: protocol.interrupt())
        for answer in late:
            self.say_unsaid(answer)
        self.say_all_ourselves()
        return True

    def say_unsaid(self, answer: Answer) -> None:
        """In the model's place. Nothing of it is heard any more, should it come after all."""
        if answer.response:
            self._late.append(answer.response)
        saying, ends = answer.saying or "", answer.ends
        answer.response, answer.saying, answer.ends = "", None, None
        self.finish(answer)
        self.say_ourselves(saying, ends, protected=answer.protected)

    def say_the_rest(self, answer: Answer) -> bool:
        """The model broke off in what it was to say as it stands. Whether there was a rest."""
        rest, ends, answer.ends = answer.break_off(), answer.ends, None
        if rest:
            self.say_ourselves(rest, ends, protected=True)
        else:
            answer.ends = ends
        return bool(rest)

    def say_all_ourselves(self) -> None:
        """All that the model has not begun to say."""
        while self._sayings:
            saying = self._sayings.popleft()
            self.say_ourselves(saying.text, saying.ends, protected=saying.protected)

    def say_ourselves(self, text: str, ends: EndReason | None = None, *, protected: bool = False) -> None:
        """In the service's own voice."""
        if self._own_voice is None:
            return
        generation = Generation(self._next(), text, protected=protected or ends is not None, ends=ends)
        answer = Answer(generation.number, None, protected=generation.protected, ends=ends, done=True)
        answer.steps = generation.steps
        self._begin(answer)
        _ = self._spawn(self._deliver(self._own_voice, generation, answer))

    async def _deliver(self, own_voice: OwnVoice, generation: Generation, answer: Answer) -> None:
        await own_voice.say(generation)
        if answer.ends is not None:
            self._ending.wait_until_heard(self._clock(), self.unheard_seconds)

    # What comes in between

    def set_aside(self, answer: Answer) -> bool:
        """The model says nothing more of it: something else may be said, and it goes on after that, if it does. Whether
        there was a rest of what it was to say as it stands."""
        response, answer.response = answer.response or "", ""
        if answer.saying is None:
            self._continued[response] = answer.break_in_two()
            return False
        self._late.append(response)
        return self.say_the_rest(answer)

    def let_others_pass(self) -> None:
        """The answer whose turn it is was begun, and nothing more comes of it, while of others there is something to be
        heard: it goes on after those, if it does."""
        first = next(iter(self.answers.values()), None)
        if first is not None and first.is_under_way and first.is_heard and self.unheard_seconds:
            self.set_aside(first)
            self.finish(first)

    def break_off(self) -> list[Answer]:
        """No more comes of the answers under way. Those of them that were not to be said as they stand."""
        broken = self.under_way
        to_answer = [answer for answer in broken if answer.saying is None]
        for answer in broken:
            if answer.is_unsaid:
                self.say_unsaid(answer)
                continue
            if answer.saying is not None:
                self.say_the_rest(answer)
            else:
                answer.break_in_two()
            self.finish(answer)
        return to_answer

    def interrupt(self, now: float, *, by_us: bool) -> None:
        """Nothing of the answers so far plays or acts any more."""
        if by_us:
            self._link.send(lambda protocol: protocol.interrupt())
        self._sayings.clear()
        self._late.extend(self._continued)
        self._continued.clear()
        for answer in self.under_way:
            answer.take_back_words()
        for answer in self.answers.values():
            answer.cut = True
            if answer.response is not None:
                self._late.append(answer.response)
        if self.playout is not None and self.answers:
            self.on_playout(self.playout.clear(now, self._number))
            self._host.wake()

    def names_begin_anew(self) -> None:
        """There is another session."""
        self._late.clear()
        self._continued.clear()
        self._records.forget()
        for answer in self.answers.values():
            answer.response = answer.response and ""

    # What was heard (HeardListener)

    def on_playout(self, events: Sequence[PlayoutEvent]) -> None:
        follow(events, self, self._host)

    def on_first_sound(self, number: int, at: float) -> None:
        answer = self.answers.get(number)
        if answer is not None and answer.timing is not None:
            self._host.on_event(timings(answer.timing, answer.began, answer.first_audio, at))

    def on_heard(self, event: PlayoutFinished | PlayoutCut) -> None:
        heard = event.heard
        answer = self.answers.pop(heard.generation)
        if answer.cut and self._can.truncates and answer.response:
            self._tell_heard(answer.heard(heard))
        theirs = answer.response is not None and self.utterances is None
        late = theirs and isinstance(event, PlayoutFinished)
        self._records.over(answer, heard, self._clock(), words_may_come=late)
        self._listener.on_over(answer)

    def _tell_heard(self, parts: Sequence[ItemHeard]) -> None:
        if parts:
            self._link.send(lambda protocol: protocol.heard(parts))

    # How an answer begins

    def _begin(self, answer: Answer) -> None:
        if self.playout is None:
            return
        self.answers[answer.number] = answer
        self._listener.on_begun()
        self.playout.begin(answer.number)
        self._host.wake()

    @property
    def _is_opening(self) -> bool:
        opening = self._agent.options.opening
        return self._number <= self._first_number and opening is not None and not opening.interruptible

    def _next(self) -> int:
        self._number += 1
        return self._number
