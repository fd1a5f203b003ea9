"""The calls of one step of the model: run beside each other, or one after the other, for as long as they are wanted.

A round belongs to an answer. Where that is interrupted the round is left: what has not begun is not done, and what runs
is stopped, unless its function says that it goes on. Each call that began has one result in the step at once, and what
it returns later is told once, to ``on_late``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from pipelines.events import EndReason, PipelineEvent, ToolCalled, ToolReturned
from pipelines.history import Step
from pipelines.parts import Message, ToolCall
from pipelines.tools.results import NOT_DONE, STILL_RUNNING, UNKNOWN_OUTCOME, Outcome
from pipelines.tools.toolbox import Toolbox

OnLate = Callable[[str], None]
"""Takes how a model is told of a result whose call has another one already."""


class Round:
    """``step`` has the calls, and gets their results, in their order."""

    def __init__(
        self,
        step: Step,
        toolbox: Toolbox,
        *,
        tell: Callable[[PipelineEvent], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        on_late: OnLate,
    ) -> None:
        self._step = step
        self._toolbox = toolbox
        self._tell = tell
        self._spawn = spawn
        self._on_late = on_late
        self._results: list[str | None] = [None] * len(step.calls)
        self._running: dict[int, asyncio.Task[None]] = {}
        self._ends: EndReason | None = None
        self.left = False

    async def run(self, decided: Callable[[], Awaitable[None]]) -> EndReason | None:
        """``decided`` is waited for before each call. Why the agent's part of the call ends now, if it does. Cancelled,
        it leaves."""
        try:
            for at, call in self._in_order():
                if self._toolbox.is_sequential(call.name):
                    await self._wait()
                await decided()
                if self.left or self._ends is not None:
                    break
                if self._toolbox.is_instant(call.name):
                    self._do(at, call)
                else:
                    self._tell(ToolCalled(call.name, self._toolbox.shown(call).arguments))
                    self._running[at] = self._spawn(self._run(at, call))
            await self._wait()
        finally:
            self.leave()
        return self._ends

    def run_at_once(self) -> EndReason | None:
        """The same of functions that are all instant, where nothing is undecided."""
        for at, call in self._in_order():
            if self._ends is None:
                self._do(at, call)
        self.left = True
        return self._ends

    def _in_order(self) -> Sequence[tuple[int, ToolCall]]:
        """What ends the call comes last: whatever else is called with it is done."""
        return sorted(enumerate(self._step.calls), key=lambda one: self._toolbox.is_parting(one[1].name))

    def leave(self, *, keep: bool = False) -> None:
        """Nobody waits for it any more. ``keep``: what runs goes on, whatever it is."""
        if self.left:
            return
        self.left = True
        for at, task in self._running.items():
            if keep or self._toolbox.goes_on(self._step.calls[at].name):
                self._set(at, STILL_RUNNING)
            else:
                task.cancel()
                self._returned(at, Outcome(error=UNKNOWN_OUTCOME).text(redact=False))

    @property
    def texts(self) -> list[str]:
        """What is said of each call, once it was left: of those that had not begun, too."""
        return [text if text is not None else NOT_DONE for text in self._results]

    async def _wait(self) -> None:
        """One that was stopped before it began is done, and has not taken itself out."""
        while running := [task for task in self._running.values() if not task.done()]:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)

    def _do(self, at: int, call: ToolCall) -> None:
        self._tell(ToolCalled(call.name, self._toolbox.shown(call).arguments))
        result = self._toolbox.call(call)
        self._returned(at, result.text)
        self._ends = result.ends

    async def _run(self, at: int, call: ToolCall) -> None:
        try:
            result = await self._toolbox.run(call)
        finally:
            del self._running[at]
        if self.left:
            self._tell_result(call, result.text)
            self._on_late(f"[The tool {call.name} has returned: {result.text}]")
        else:
            self._ends = self._ends or result.ends
            self._returned(at, result.text)

    def _returned(self, at: int, text: str) -> None:
        call = self._step.calls[at]
        self._tell_result(call, text)
        self._set(at, text)

    def _tell_result(self, call: ToolCall, text: str) -> None:
        shown = self._toolbox.shown_result(call, text)
        self._tell(ToolReturned(call.name, self._toolbox.shown(call).arguments, shown))

    def _set(self, at: int, text: str) -> None:
        self._results[at] = text
        self._step.results[:] = [
            Message("tool", text, tool_call_id=call.id, name=call.name)
            for call, text in zip(self._step.calls, self._results, strict=True)
            if text is not None
        ]
