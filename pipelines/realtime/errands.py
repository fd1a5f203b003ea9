"""Functions that take their time, while a realtime model waits for what they return."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

from pipelines.events import EndReason, PipelineHost
from pipelines.history import Step
from pipelines.parts import ToolCall
from pipelines.realtime.answers import Answer
from pipelines.realtime.model import ToolOutput, ToolsAsked
from pipelines.tools import Toolbox
from pipelines.tools.round import OnLate, Round

UNDECIDED_SECONDS = 0.02
"""Between looks whether the caller interrupts: nothing acts meanwhile."""


@dataclass(frozen=True, slots=True, eq=False)
class Errand:
    """``answer`` is what the model was saying, if anything."""

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
    def on_returned(self, errand: Errand, *, ends: EndReason | None) -> None:
        """It is over, or was left: this is what its calls returned."""
        ...

    def on_forgotten(self, errand: Errand) -> None:
        """The session that asked is no more; what its calls return comes late."""
        ...


class Errands:
    """``is_undecided``: whether the caller may be interrupting."""

    def __init__(
        self,
        toolbox: Toolbox,
        host: PipelineHost,
        listener: ErrandListener,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        is_undecided: Callable[[], bool],
        on_late: OnLate,
    ) -> None:
        self.under_way: list[Errand] = []
        self._put_off: set[Errand] = set()
        self._toolbox = toolbox
        self._host = host
        self._listener = listener
        self._spawn = spawn
        self._is_undecided = is_undecided
        self._on_late = on_late

    def begin(self, asked: ToolsAsked, answer: Answer | None, now: float) -> None:
        step = Step(calls=list(asked.calls))
        round = Round(step, self._toolbox, tell=self._host.on_event, spawn=self._spawn, on_late=self._on_late)
        errand = Errand(asked, answer, step, round, now)
        self.under_way.append(errand)
        _ = self._spawn(self._run(errand))

    def leave(self, *, calls: Collection[str] | None = None, before: float = inf) -> None:
        """The caller interrupts, and began to at ``before``; or the model does not want these calls any more."""
        for errand in list(self.under_way):
            wanted = calls is None or any(call.id in calls for call in errand.asked.calls)
            if wanted and errand.began < before:
                self.under_way.remove(errand)
                errand.round.leave()
                self._listener.on_returned(errand, ends=None)

    def put_off(self, before: float) -> list[ToolCall]:
        """The calls of those that began before then, and still run: each once."""
        self._put_off.intersection_update(self.under_way)
        late = [errand for errand in self.under_way if errand.began < before and errand not in self._put_off]
        self._put_off.update(late)
        return [call for errand in late for call in errand.asked.calls]

    def forget(self) -> None:
        """The session is gone. What runs goes on: another session is told of it."""
        errands, self.under_way = self.under_way, []
        for errand in errands:
            errand.round.leave(keep=True)
            self._listener.on_forgotten(errand)

    async def _run(self, errand: Errand) -> None:
        ends = await errand.round.run(self._decided)
        if errand in self.under_way:
            self.under_way.remove(errand)
            self._listener.on_returned(errand, ends=ends)

    async def _decided(self) -> None:
        while self._is_undecided():  # noqa: ASYNC110 - seldom, and shortly
            await asyncio.sleep(UNDECIDED_SECONDS)
