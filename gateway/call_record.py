"""The record of one call: its row, its log, and whoever is told of it, from the first line to the last."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from gateway import lines, metrics
from gateway.call_hooks import HooksOfCall
from gateway.call_log import CallLog
from gateway.surroundings import Surroundings
from pipelines.events import EndReason
from pipelines.usage import as_json
from store.calls import NewCall
from store.listeners import ListenerForCall

log = structlog.get_logger(__name__)

FAILED = frozenset({"failed", "no_media", "media_lost"})


class CallRecord:
    """Either it begins, and ends; or there never is a call, and it says why."""

    def __init__(self, row: NewCall, listener: ListenerForCall, around: Surroundings) -> None:
        self.row = row
        bound = log.bind(call_id=row.id, **({"call_sid": row.platform_call_id} if row.platform_call_id else {}))
        self.log = CallLog(row.id, listener.id, around.recorder, around.progress, bound)
        self._listener = listener
        self._around = around
        self._hooks: HooksOfCall | None = None
        self._clock = asyncio.get_running_loop().time
        self._began = 0.0

    def placed(self, platform_call_id: str) -> None:
        """It is known by this where its sound is."""
        self.row = replace(self.row, platform_call_id=platform_call_id)
        self.log.bound = self.log.bound.bind(call_sid=platform_call_id)

    def begin(self, **details: Any) -> None:
        """Now. ``details`` are for the service's log."""
        around, listener, note = self._around, self._listener, self.log.note
        started, self._began = datetime.now(UTC), self._clock()
        around.recorder.start_call(self.row, started)
        if listener.options.stream_log:
            lines.keep(self.row.id)
        self._hooks = around.hooks.of_call(listener, self.row, note) if around.hooks is not None else None
        if self._hooks is not None and self._hooks.wants_transcript:
            self.log.transcript = self.log.transcript or []
        self.log.callback = around.callback_of(listener, note)
        self._note_call()
        if self._hooks is not None:
            self._hooks.started(started)
        self.log.bound.info("call", **details, agent=self.row.agent_id)
        metrics.calls_active.inc()
        metrics.calls_started.inc()

    def end(self, reason: EndReason, status: str | None = None) -> None:
        """It is over. ``status`` where ``reason`` does not say it."""
        seconds, used, recorder = self._clock() - self._began, self.log.usage.sums, self._around.recorder
        metrics.calls_active.dec()
        metrics.calls_ended.labels(reason).inc()
        metrics.call_seconds.observe(seconds)
        self.log.note("hangup", {"reason": reason, "usage": as_json(used)})
        self.log.close()
        status = status or ("failed" if reason in FAILED else "ended normally")
        ended = datetime.now(UTC)
        recorder.end_call(self.row.id, status, reason, ended, round(seconds * 1000), used)
        if self._hooks is not None:
            self._hooks.ended(ended, reason, seconds, self.log.transcript)
        self.log.bound.info("call over", reason=reason, seconds=round(seconds, 1))
        if (logged := lines.take(self.row.id)) is not None:
            recorder.keep_lines(self.row.id, logged)

    def never(self, status: str, reason: str, sentence: str, **news: Mapping[str, Any]) -> None:
        """There is no call; whoever watches hears of it, and the ``news`` by their types."""
        at = datetime.now(UTC)
        self._around.recorder.start_call(self.row, at)
        self._note_call()
        self.log.note("error", sentence)
        for type, data in news.items():
            self.log.note(type, data)
        self.log.note("hangup", {"reason": reason, "usage": []})
        self._around.recorder.end_call(self.row.id, status, reason, at, 0)

    def _note_call(self) -> None:
        row = self.row
        self.log.note("call", {"callId": row.id, "callerId": row.caller_id, "calledId": row.called_id})
