"""callHook: webhooks of ours at the start and the end of calls, beside the calls.

A call's are posted one after the other, each again and again for a while until it is taken. What became of each is
entered into the call's log, which may be after the call's end.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import structlog
from pydantic import ValidationError

from gateway import metrics
from gateway.outside import Attempt, Poster, attempt
from gateway.waiting import first_of
from pipelines.agent.options import CallHook
from store.calls import NewCall
from store.events import CallEvent
from store.listeners import ListenerForCall

log = structlog.get_logger(__name__)

PAUSES = (1.0, 5.0, 20.0, 60.0)
"""Seconds before each further attempt."""

MOST_WAITING = 2000
"""Webhooks of this process; past it further ones are not sent."""

CLOSE_SECONDS = 3.0
"""When the service stops: for one last attempt."""

STOPPED = Attempt(error="the service stopped")
"""Of an attempt that came to no end."""

Event = Literal["start", "end"]
Note = Callable[[str, Any], None]


def hook_of(listener: ListenerForCall) -> CallHook | None:
    """The agent's, unless the listener's metadata has one. What is none there counts as none at all."""
    own = listener.options.metadata.get("callHook")
    if own is None:
        return listener.agent.options.call_hook
    try:
        return CallHook.model_validate(own)
    except ValidationError:
        log.warning("the callHook in a listener's metadata is none", listener_id=listener.id)
        return None


def fingerprint(hash_key: str, record: NewCall) -> str:
    """By which whoever is posted to knows us: the reference's."""
    text = f"{hash_key}|{record.id}|{record.listener_id or ''}|{record.agent_id}"
    return hmac.new(hash_key.encode(), text.encode(), hashlib.sha256).hexdigest()


class CallHooks:
    """Of the calls of this process."""

    def __init__(self, poster: Poster) -> None:
        self._poster = poster
        self._waiting: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def of_call(self, listener: ListenerForCall, record: NewCall, note: Note) -> HooksOfCall | None:
        """None: nobody wants to be told. ``note`` enters into the call's log."""
        hook = hook_of(listener)
        return HooksOfCall(self, hook, record, note) if hook is not None else None

    def start(self, hook: CallHook, body: Mapping[str, Any], note: Note, after: Task) -> Task:
        """Deliver in the background, once ``after`` is over."""
        if len(self._waiting) >= MOST_WAITING:
            self._tell(body, note, attempts=0, error="too many webhooks wait to be sent")
            return after
        task = asyncio.create_task(self._deliver(hook, body, note, after))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return task

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Whatever waits for its next attempt has it now, and no other."""
        self._closing.set()
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=seconds)
        for task in tuple(self._waiting):
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    async def _deliver(self, hook: CallHook, body: Mapping[str, Any], note: Note, after: Task) -> None:
        attempts, made = 0, STOPPED
        try:
            if after is not None:
                await asyncio.wait((after,))
            for pause in (0.0, *PAUSES):
                await first_of(self._closing, seconds=pause)
                last = self._closing.is_set()
                attempts, made = attempts + 1, STOPPED
                made = await attempt(self._poster, hook.url, body)
                if not made.again or last:
                    break
        finally:
            self._tell(body, note, attempts=attempts, status=made.status, error=made.error)

    def _tell(
        self, body: Mapping[str, Any], note: Note, *, attempts: int, status: int | None = None, error: str | None = None
    ) -> None:
        event, call_id = body["event"], body["callId"]
        metrics.call_hooks.labels(event, "delivered" if error is None else "failed").inc()
        if error is not None:
            log.warning("a callHook was not delivered", call_id=call_id, hook=event, attempts=attempts, error=error)
        note("status", {"callHook": {"event": event, "attempts": attempts, "status": status, "error": error}})


Task = asyncio.Task[None] | None


class HooksOfCall:
    def __init__(self, hooks: CallHooks, hook: CallHook, record: NewCall, note: Note) -> None:
        self.wants_transcript = hook.include_transcript and "end" in hook.events
        self._hooks = hooks
        self._hook = hook
        self._record = record
        self._note = note
        self._last: Task = None

    def started(self, at: datetime) -> None:
        self._post("start", at, {})

    def ended(self, at: datetime, reason: str, seconds: float, transcript: Sequence[CallEvent] | None) -> None:
        more: dict[str, Any] = {"reason": reason, "durationSeconds": round(seconds, 3)}
        if self.wants_transcript:
            more["transcript"] = {
                "entries": [
                    {"type": one.type, "data": one.data, "isFinal": one.is_final, "createdAt": one.at.isoformat()}
                    for one in transcript or ()
                ]
            }
        self._post("end", at, more)

    def _post(self, event: Event, at: datetime, more: Mapping[str, Any]) -> None:
        if event not in self._hook.events:
            return
        record, key = self._record, self._hook.hash_key
        body = {
            "event": event,
            "callId": record.id,
            "agentId": record.agent_id,
            "listenerId": record.listener_id,
            "callerId": record.caller_id,
            "calledId": record.called_id,
            "timestamp": at.isoformat(),
            **more,
            **({"hash": fingerprint(key, record)} if key is not None else {}),
        }
        self._last = self._hooks.start(self._hook, body, self._note, self._last)
