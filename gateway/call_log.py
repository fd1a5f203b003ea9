"""What happened in one call: for its record, for who watches, and for the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, assert_never

import structlog

from gateway import metrics
from gateway.callbacks import Callback
from gateway.kept_back import OF_CONVERSATION, KeptBack
from gateway.progress import Live, Progress, describe
from gateway.recorder import Recorder
from pipelines.events import (
    AgentSaid,
    BargedIn,
    Guessed,
    ModelNoted,
    PartFailed,
    PipelineEvent,
    RestCalled,
    ToolCalled,
    ToolRan,
    ToolReturned,
    TurnTimings,
    Underran,
    UsageReported,
    UserSaid,
    WatchdogFired,
)
from pipelines.json_text import plain
from pipelines.usage import Tally
from store.calls import CallEvent
from store.trouble import SAID_SECONDS

MOST_SAID = 5000
"""Entries of a transcript that is kept in memory: hours of conversation."""


class CallLog:
    """The log of one call."""

    def __init__(
        self,
        call_id: str,
        listener_id: str,
        recorder: Recorder,
        progress: Progress,
        bound: structlog.stdlib.BoundLogger,
    ) -> None:
        self.bound = bound
        """The service's own, bound to the call."""
        self.usage = Tally()
        self.transcript: list[CallEvent] | None = None
        """What was said, where somebody wants it in the end: a list to begin with."""
        self.callback: Callback | None = None
        """Who is posted all of it."""
        self._call_id = call_id
        self._listener_id = listener_id
        self._recorder = recorder
        self._progress = progress
        self._seq = 0
        self._held: list[tuple[str, Any]] | None = None
        self._kept = KeptBack()
        self._failed: dict[tuple[str, ...], float] = {}
        """What failed, and when the service's log had it."""

    def note(self, type: str, data: Any) -> None:
        """Enter into the call's log, and tell who watches."""
        if self._held is not None:
            self._held.append((type, data))
            return
        if self._kept and type in OF_CONVERSATION:
            data = self._kept.out_of(data)
        event = CallEvent(self._seq, type, data, self._progress.stamp())
        self._seq += 1
        if self.transcript is not None and type in ("user", "agent") and len(self.transcript) < MOST_SAID:
            self.transcript.append(event)
        self._recorder.record(self._call_id, event, self._listener_id)
        told = describe(self._call_id, event)
        self._progress.publish(self._listener_id, Live(told, event.at))
        if self.callback is not None:
            self.callback.tell(told)

    @property
    def conversation(self) -> str:
        """What was said so far, where it is kept."""
        who = {"user": "Caller", "agent": "Agent"}
        return "\n".join(f"{who[said.type]}: {said.data}" for said in self.transcript or ())

    def close(self) -> None:
        """The call is over: what is noted from now on is not posted."""
        if self.callback is not None:
            self.callback.end()

    @contextmanager
    def because_of(self, type: str, data: Any) -> Iterator[None]:
        """What happens inside, which does not wait, comes after this in the log. Where it raises, this is not noted."""
        self._held, happened = [], False
        try:
            yield
            happened = True
        finally:
            held, self._held = self._held, None
            for one in [(type, data), *held] if happened else held:
                self.note(*one)

    def on_saying(self, text: str) -> None:
        """It is not in the log: no number, no cursor, and it is not sent again."""
        at = self._progress.stamp().isoformat()
        text = self._kept.out_of(text) if self._kept else text
        event = {"agent": text, "isFinal": False, "callId": self._call_id, "timestamp": at}
        self._progress.pass_on(self._listener_id, event)

    def on_event(self, event: PipelineEvent) -> None:
        match event:
            case UserSaid(text, hides):
                if hides is not None:
                    self._kept.keep_back(hides)
                self.note("user", text)
            case AgentSaid(text, generation, interrupted, seconds):
                self.note("agent", text)
                if interrupted:
                    heard = {"generation": generation, "seconds": round(seconds, 2)}
                    self.note("status", {"interrupted": heard})
            case TurnTimings():
                parts = {part: seconds for part, seconds in asdict(event).items() if seconds is not None}
                for part, seconds in parts.items():
                    metrics.turn_seconds.labels(part).observe(seconds)
                self.note("status", {"latency": {part: round(seconds, 3) for part, seconds in parts.items()}})
            case BargedIn(confirmed, silent_after):
                metrics.barge_ins.labels("confirmed" if confirmed else "resumed").inc()
                if silent_after is not None:
                    metrics.barge_in_seconds.observe(silent_after)
                after = round(silent_after, 3) if silent_after is not None else None
                self.note("status", {"bargeIn": {"confirmed": confirmed, "pausedAfter": after}})
            case Guessed(right):
                metrics.guesses.labels("right" if right else "wrong").inc()
            case ToolCalled(name, arguments):
                metrics.tool_calls.inc()
                self.note("function_calls", [{"name": name, "arguments": plain(arguments)}])
            case ToolReturned(name, arguments, result):
                self.note("function_results", [{"name": name, "input": plain(arguments), "result": result}])
            case ToolRan(name, kind, digest, outcome, seconds):
                metrics.tool_seconds.labels(kind, outcome).observe(seconds)
                ran = {"kind": kind, "arguments": digest, "outcome": outcome, "seconds": round(seconds, 3)}
                self.bound.info("a function was run", function=name, **ran)
                self.note("status", {"function": {"name": name, **ran}})
            case RestCalled(request):
                self.note("rest_callout", plain(request))
            case Underran(cause, seconds):
                metrics.underruns.labels(cause).inc()
                metrics.underrun_seconds.inc(seconds)
                self.note("status", {"underrun": {"cause": cause, "seconds": round(seconds, 3)}})
            case PartFailed(part, provider, kind, message):
                metrics.provider_errors.labels(part, provider, kind).inc()
                if self._is_news((part, provider, kind)):
                    self.bound.warning("a provider failed", part=part, provider=provider, kind=kind, error=message)
                self.note("error", message)
            case WatchdogFired(what):
                metrics.watchdogs.labels(what).inc()
                self.bound.warning("watchdog", missing=what)
                self.note("status", {"missing": what})
            case ModelNoted(what, detail):
                metrics.model_notes.labels(what).inc()
                if what == "reconnected":  # its loss was a line, too
                    detail = detail or "another session took over"
                if detail:
                    self.bound.info("of the model", what=what, detail=detail)
            case UsageReported(part, provider):
                for unit, amount in self.usage.add(event).items():
                    metrics.usage.labels(part, provider, unit).inc(amount)
            case _:
                assert_never(event)

    def _is_news(self, failed: tuple[str, ...]) -> bool:
        """A provider that is away fails some times a second, in each call. The call's own log has all of it."""
        now = asyncio.get_running_loop().time()
        is_news = now - self._failed.get(failed, -SAID_SECONDS) >= SAID_SECONDS
        if is_news:
            self._failed[failed] = now
        return is_news
