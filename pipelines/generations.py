"""The generations of a cascade: how one begins, is broken off, and what is heard of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from media.ledger import Heard
from media.playout import PlayoutCut, PlayoutEvent, PlayoutFinished
from pipelines.events import EndReason, PipelineHost
from pipelines.generation import Delivery, Generation, Stage
from pipelines.heard import enter, follow, timings
from pipelines.history import History


class GenerationsListener(Protocol):
    def on_made(self, generation: Generation) -> None:
        """All of it was made, or it failed."""
        ...

    def on_over(self, generation: Generation, heard: Heard) -> None:
        """Nothing more of it is heard."""
        ...


class Generations:
    """``live``: those of which something is yet to be made or heard, by their numbers."""

    def __init__(
        self,
        listener: GenerationsListener,
        host: PipelineHost,
        history: History,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self.live: dict[int, Generation] = {}
        self._listener = listener
        self._host = host
        self._history = history
        self._spawn = spawn
        self._stage: Stage | None = None
        self._number = 0

    def start(self, stage: Stage) -> None:
        self._stage, self._number = stage, stage.playout.latest

    def next(self) -> int:
        self._number += 1
        return self._number

    @property
    def is_protected(self) -> bool:
        """Something is said that has to be heard."""
        return any(generation.protected for generation in self.live.values())

    @property
    def are_made(self) -> bool:
        """None is being made."""
        return all(one.task is not None and one.task.done() for one in self.live.values())

    @property
    def awaited(self) -> Generation | None:
        """The one that is being made for a caller who waits for it."""
        return next((g for g in self.live.values() if g.guess is None and g.task and not g.task.done()), None)

    @property
    def ends(self) -> EndReason | None:
        """Why the call ends once they were heard, if it does."""
        return next((generation.ends for generation in self.live.values() if generation.ends is not None), None)

    def begin(self, generation: Generation) -> None:
        stage = self._stage
        if stage is None:
            return
        self.live[generation.number] = generation
        stage.playout.begin(generation.number)
        self._host.wake()
        generation.task = self._spawn(self._make(generation, stage))

    async def _make(self, generation: Generation, stage: Stage) -> None:
        await Delivery(generation, stage).run()
        self._listener.on_made(generation)

    def leave_tools(self) -> None:
        """Nobody waits for them any more."""
        for generation in self.live.values():
            if generation.round is not None:
                generation.round.leave()

    def interrupt(self, now: float) -> None:
        """Nothing of those so far plays or acts any more."""
        self.leave_tools()
        for generation in self.live.values():
            if generation.task is not None:
                generation.task.cancel()
        if self._stage is not None and self.live:
            self.on_playout(self._stage.playout.clear(now, self._number))
            self._host.wake()

    # What is heard (HeardListener)

    def on_playout(self, events: Sequence[PlayoutEvent]) -> None:
        follow(events, self, self._host)

    def on_first_sound(self, number: int, at: float) -> None:
        generation = self.live.get(number)
        if generation is not None and generation.turn is not None:
            self._host.on_event(timings(generation.turn, generation.first_token, generation.first_audio, at))

    def on_heard(self, event: PlayoutFinished | PlayoutCut) -> None:
        generation = self.live.pop(event.heard.generation)
        enter(generation.steps, event.heard, self._history, self._host)
        self._listener.on_over(generation, event.heard)
