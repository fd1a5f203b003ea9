"""The functions that a realtime model asks for: it waits for what they return, and may hear the caller meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, Protocol

from pipelines.events import EndReason, PipelineHost
from pipelines.history import Step
from pipelines.parts import ProviderFault, ToolCall
from pipelines.realtime.answers import Answer
from pipelines.realtime.attention import Attention
from pipelines.realtime.ending import Ending
from pipelines.realtime.link import Link
from pipelines.realtime.model import Capabilities, Outgoing, RealtimeProtocol, ToolOutput, ToolsAsked
from pipelines.realtime.records import Records
from pipelines.realtime.speaking import Speaking
from pipelines.realtime.voice import CallerVoice
from pipelines.tools import Toolbox
from pipelines.tools.results import TOO_MANY_ROUNDS, Outcome
from pipelines.tools.round import Round

UNDECIDED_SECONDS = 0.02
"""Between looks whether the caller interrupts: nothing acts meanwhile."""

MOST_ROUNDS = 8
"""Of functions that a model calls without a word to the caller in between: one more is a loop."""


@dataclass(frozen=True, slots=True, eq=False)
class Errand:
    """One round of functions. ``answer`` is what the model was saying, if anything."""

    asked: ToolsAsked
    answer: Answer | None
    step: Step
    round: Round
    began: float

    @property
    def outputs(self) -> list[ToolOutput]:
        """Of every call, once it is over, or was left."""
        texts = zip(self.asked.calls, self.round.texts, strict=True)
        return [ToolOutput(self.asked.response, call, text) for call, text in texts]


class ErrandListener(Protocol):
    def fails(self, sentence: str, kind: ProviderFault = "timeout") -> bool:
        """The model does not do what it should. Whether that was once too often."""
        ...

    def note_fault(self, kind: str, message: str) -> None:
        """All are counted, and the first of each kind is in the log."""
        ...

    def hang_up(self, answer: Answer | None, now: float, ends: EndReason) -> None:
        """A function says that the agent's part of the call is over, once that answer was heard."""
        ...

    def learn(self, text: str) -> None:
        """A function has returned for which nobody waited any more."""
        ...


class Errands:
    """``is_undecided``: whether the caller may be interrupting. ``own_turns``: the model answers when we tell it to.
    ``rounds`` of functions since anything was said. ``unanswered``: the model knows what some returned, and was not
    told to answer yet."""

    def __init__(
        self,
        toolbox: Toolbox,
        can: Capabilities,
        listener: ErrandListener,
        host: PipelineHost,
        records: Records,
        caller: CallerVoice,
        speaking: Speaking,
        attention: Attention,
        ending: Ending,
        link: Link,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        clock: Callable[[], float],
        is_undecided: Callable[[], bool],
        own_turns: bool,
    ) -> None:
        self.under_way: list[Errand] = []
        self.rounds = 0
        self.unanswered = False
        self._put_off: set[Errand] = set()
        self._asked: set[tuple[str, str]] = set()  # of this session: the answer, and the call's id
        self._toolbox = toolbox
        self._can = can
        self._listener = listener
        self._host = host
        self._records = records
        self._caller = caller
        self._speaking = speaking
        self._attention = attention
        self._ending = ending
        self._link = link
        self._spawn = spawn
        self._clock = clock
        self._is_undecided = is_undecided
        self._own_turns = own_turns

    def begin(self, asked: ToolsAsked, now: float) -> None:
        """What the model asks for, unless it was interrupted."""
        speaking = self._speaking
        if speaking.is_late(asked.response) or self._ending.begun:
            return  # an interrupted answer does not act
        calls = {(asked.response, call.id) for call in asked.calls}
        if calls <= self._asked:
            return  # told again, it is not done again
        self._asked |= calls
        self.rounds += 1
        if self.rounds > MOST_ROUNDS:
            self._refuse(asked, now)
            return
        if speaking.utterances is None:
            answer = speaking.answer_of(asked.response, now)
            if answer is None:
                return
        else:
            answer = next(iter(speaking.under_way), None)  # it goes on speaking, or is silent, whatever it asks for
        step = Step(calls=list(asked.calls))
        tell, spawn = self._host.on_event, self._spawn
        round = Round(step, self._toolbox, tell=tell, spawn=spawn, on_late=self._listener.learn)
        errand = Errand(asked, answer, step, round, now)
        if all(self._toolbox.is_instant(call.name) for call in asked.calls) and not self._is_undecided():
            self._on_returned(errand, ends=round.run_at_once())
        else:
            self.under_way.append(errand)
            _ = self._spawn(self._run(errand))
        self._await_results(answer, now)

    def _refuse(self, asked: ToolsAsked, now: float) -> None:
        """It does nothing but call functions: it is told to speak, and given up where it does not."""
        sentence = f"it asked for functions {self.rounds} times in a row"
        self._listener.note_fault("functions", sentence)
        if not self._listener.fails(sentence, "server"):
            told = Outcome(error=TOO_MANY_ROUNDS).text(redact=False)
            self._tell([ToolOutput(asked.response, call, told) for call in asked.calls])
            self._await_results(None, now)

    def leave(self, *, calls: Collection[str] | None = None, before: float = inf) -> None:
        """The caller interrupts, and began to at ``before``; or the model does not want these calls any more."""
        for errand in list(self.under_way):
            wanted = calls is None or any(call.id in calls for call in errand.asked.calls)
            if wanted and errand.began < before:
                self.under_way.remove(errand)
                errand.round.leave()
                self._on_returned(errand, ends=None)

    def forget(self) -> None:
        """The session is gone. What runs goes on: another session is told of it."""
        errands, self.under_way = self.under_way, []
        self._asked.clear()
        self.unanswered = False
        for errand in errands:
            errand.round.leave(keep=True)
            self._enter(errand.step, errand.answer)

    def tick(self, now: float) -> None:
        """What returned while the caller spoke, and said nothing that is answered, is answered now. Functions that take
        a while are put off, each once, where the model would hear nothing meanwhile."""
        if self.unanswered and not self._ending.begun and self._may_answer:
            self._have_answered()
            self._attention.await_answer(now)
        if self._can.frozen_seconds is None or not self.under_way:
            return
        before = now - self._can.frozen_seconds
        self._put_off.intersection_update(self.under_way)
        late = [errand for errand in self.under_way if errand.began < before and errand not in self._put_off]
        self._put_off.update(late)
        for errand in late:
            for call in errand.asked.calls:
                self._link.send(partial(_placeholder, call))

    async def _run(self, errand: Errand) -> None:
        ends = await errand.round.run(self._decided)
        if errand in self.under_way:
            self.under_way.remove(errand)
            self._on_returned(errand, ends=ends)

    async def _decided(self) -> None:
        while self._is_undecided():  # noqa: ASYNC110 - seldom, and shortly
            await asyncio.sleep(UNDECIDED_SECONDS)

    def _on_returned(self, errand: Errand, *, ends: EndReason | None) -> None:
        """It is over, or was left."""
        now, answer = self._clock(), self._enter(errand.step, errand.answer)
        if ends is not None and not self._ending.begun:
            self._listener.hang_up(answer, now, ends)
        if not self._ending.begun:
            self._tell(errand.outputs)
            self._attention.patience.noticed = True
            if not self._caller.speaking:
                self._attention.await_answer(now)

    def _enter(self, step: Step, answer: Answer | None) -> Answer | None:
        """It enters the history, after what was said with it: that, if it is not over."""
        if answer is not None and answer in self._speaking.answers.values():
            answer.after.append(step)
            return answer
        self._records.acted(step)
        return None

    def _tell(self, outputs: Sequence[ToolOutput]) -> None:
        """The caller is not talked over: the answer to what he says is one to this, too."""
        self._link.send(lambda protocol: protocol.results(outputs))
        self.unanswered = self._own_turns
        if self.unanswered and self._may_answer:
            self._have_answered()

    @property
    def _may_answer(self) -> bool:
        return not self._caller.speaking and not self._is_undecided()

    def _have_answered(self) -> None:
        self.unanswered = False
        self._link.send(lambda protocol: protocol.answer())

    def _await_results(self, answer: Answer | None, now: float) -> None:
        self._attention.acted = True
        if self._ending.begun:
            return
        self._attention.patience.noticed = True
        self._attention.await_answer(now)
        if answer is not None and answer.timing is not None and not answer.has_sound:
            self._speaking.turn = answer.timing  # the caller has waited since then


def _placeholder(call: ToolCall, protocol: RealtimeProtocol) -> Sequence[Outgoing]:
    return protocol.placeholder(call)
