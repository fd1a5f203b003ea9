"""One call: from the webhook that announced it to the last line of its record.

A session owns one task group. When the call ends, for whatever reason, one ``finally`` ends the pipeline, writes the
record and gives back the place that the call took.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, assert_never

import structlog

from gateway import metrics
from gateway.progress import Progress
from gateway.recorder import Recorder
from gateway.ticker import Ticker
from jambonz.hooks import CallHook, CallProgress, StatusHook
from jambonz.listen import Started
from media.audio import PCM_8K, AudioFormat, Encoding
from media.playout import PlayoutSink
from pipelines.agent import AgentDefinition
from pipelines.ears import VoiceDetector
from pipelines.events import (
    AgentSaid,
    BargedIn,
    EndReason,
    Guessed,
    ModelNoted,
    PartFailed,
    PipelineEvent,
    ToolCalled,
    ToolReturned,
    TurnTimings,
    Underran,
    UsageReported,
    UserSaid,
    WatchdogFired,
)
from pipelines.parts import ProviderError
from pipelines.pipeline import Pipeline
from pipelines.usage import Tally, as_json
from store.calls import CallEvent, NewCall
from store.listeners import ListenerForCall

log = structlog.get_logger(__name__)

MEDIA_SECONDS = 20.0
"""From the webhook's answer to the media socket: past it the caller is gone, or cannot reach us."""

PREPARE_SECONDS = 10.0
"""The longest that providers may take to get ready."""

EARLY_FRAMES = 100
"""What the caller says before the providers are ready: 2 s are kept."""

CLOSE_SECONDS = 5.0

FAULT = "The call failed by a fault of this service."


def leg_format(agent: AgentDefinition, hook: CallHook) -> AudioFormat:
    """Of the caller's sound, and ours. A line of more than 8 kHz is worth it only where the call carries that: one
    whose INVITE offers no such codec is resampled by Jambonz, and its marks are no longer exact."""
    rate = agent.options.audio.sample_rate
    return AudioFormat(Encoding.PCM16, PCM_8K.rate if hook.offers_wideband is False else rate)


class Leg(PlayoutSink, Protocol):
    """The caller's media connection."""

    format: AudioFormat

    def disconnect(self) -> None: ...

    def close(self, code: int = 1000, reason: str = "") -> None: ...


class PipelineFactory(Protocol):
    """Makes the pipeline of a call, and its caller's voice detector. Raises :class:`ProviderError` in words."""

    def pipeline(
        self,
        listener: ListenerForCall,
        session: CallSession,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> Pipeline: ...

    def detector(self, format: AudioFormat) -> VoiceDetector: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a session needs of the service."""

    factory: PipelineFactory
    recorder: Recorder
    progress: Progress
    ticker: Ticker


class CallSession:
    """Implements what the leg tells (LegListener) and what the pipeline tells (PipelineHost)."""

    def __init__(self, hook: CallHook, listener: ListenerForCall, around: Surroundings) -> None:
        metadata = listener.options.metadata
        self.record = NewCall(
            owner=listener.owner,
            agent_id=listener.agent_id,
            listener_id=listener.id,
            model_name=listener.agent.model_name,
            platform="jambonz",
            caller_id=hook.from_,
            called_id=hook.to,
            platform_call_id=hook.call_sid,
            metadata=metadata,
        )
        self.id = self.record.id
        self.call_sid = hook.call_sid
        self.token = secrets.token_urlsafe(24)
        self.listener = listener
        self.format = leg_format(listener.agent, hook)
        self.exact_marks = self.format == PCM_8K and hook.offers_wideband is not True
        """Not if the call's codec may have another rate than the leg."""
        self.progress = CallProgress(hook.call_sid)
        self.reason: EndReason | None = None
        self.due = 0.0
        self._around = around
        self._clock = asyncio.get_running_loop().time
        self._seq = 0
        self._usage = Tally()
        self._began = self._clock()
        self._leg: Leg | None = None
        self._pipeline: Pipeline | None = None
        self._ready = False
        self._early: deque[bytes] = deque(maxlen=EARLY_FRAMES)
        self.on_audio: Callable[[bytes], None] = self._early.append
        """Of LegListener; once there is a pipeline to hear it, that's."""
        self._early_keys: deque[str] = deque(maxlen=EARLY_FRAMES)
        self._over = asyncio.Event()
        self._attached = asyncio.Event()
        self._log = log.bind(call_id=self.id, call_sid=self.call_sid)

    # The call's life

    async def run(self) -> None:
        """The whole call. Returns when nothing of it is left."""
        started = datetime.now(UTC)
        self._around.recorder.start_call(self.record, started)
        record = self.record
        self._note("call", {"callId": self.id, "callerId": record.caller_id, "calledId": record.called_id})
        self._log.info("call", caller=_masked(record.caller_id), called=record.called_id, agent=record.agent_id)
        metrics.calls_active.inc()
        metrics.calls_started.inc()
        try:
            await self._live()
        except Exception:  # noqa: BLE001 - whatever it was, it ends this call and no other
            self._log.exception("the call failed")
            self.reason = "failed"
            self._note("error", FAULT)
        finally:
            reason: EndReason = self.reason or "shutdown"
            self._around.ticker.discard(self)
            if self._leg is not None:
                self._leg.close()
                self._leg = None
            self._pipeline = None
            seconds = self._clock() - self._began
            metrics.calls_active.dec()
            metrics.calls_ended.labels(reason).inc()
            metrics.call_seconds.observe(seconds)
            used = self._usage.sums
            self._note("hangup", {"reason": reason, "usage": as_json(used)})
            status = "failed" if reason in ("failed", "no_media", "media_lost") else "ended normally"
            self._around.recorder.end_call(self.id, status, reason, datetime.now(UTC), round(seconds * 1000), used)
            self._log.info("call over", reason=reason, seconds=round(seconds, 1))

    async def _live(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:

            def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
                task = group.create_task(work)
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                return task

            try:
                await self._get_ready(spawn)
                await self._over.wait()
            finally:
                if self._pipeline is not None:
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await self._pipeline.close()
                for task in tasks:
                    task.cancel()

    async def _get_ready(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        """Prepare the providers while the phone rings, then wait for the caller's audio."""
        try:
            pipeline = self._around.factory.pipeline(self.listener, self, spawn)
            async with asyncio.timeout(PREPARE_SECONDS):
                await pipeline.prepare()
        except (ProviderError, TimeoutError) as error:
            self._cannot_begin(str(error) or f"the providers were not ready within {PREPARE_SECONDS:g} s")
            return
        self._pipeline = pipeline
        try:
            async with asyncio.timeout(MEDIA_SECONDS):
                await self._attached.wait()
        except TimeoutError:
            self._log.warning("no media socket came", seconds=MEDIA_SECONDS)
            self.end_call("no_media")
            return
        if self._leg is not None and not self._over.is_set():
            try:
                pipeline.start(self._leg, self._leg.format, self._around.factory.detector(self._leg.format))
            except ProviderError as error:
                self._cannot_begin(str(error))
                return
            self._ready = True
            self._around.ticker.add(self)
            while self._early:
                pipeline.hear(self._early.popleft())
            self.on_audio = pipeline.hear
            while self._early_keys:
                pipeline.dtmf(self._early_keys.popleft())

    def _cannot_begin(self, sentence: str) -> None:
        self._log.error("the agent cannot be set up", error=sentence)
        self._note("error", sentence)
        self.end_call("failed")

    def tick(self, now: float) -> None:
        if self._pipeline is None or not self._ready:
            return
        try:
            self.due = self._pipeline.tick(now)
        except Exception:  # noqa: BLE001 - whatever it was, it ends this call and no other
            self._ready = False
            self._around.ticker.discard(self)
            self._log.exception("the call failed")
            self._note("error", FAULT)
            self.end_call("failed")

    def attach(self, leg: Leg) -> None:
        """The media socket that carries this call. There is one: its token was used up."""
        self._leg = leg

    def detach(self) -> None:
        """That socket was refused before it opened."""
        self._leg = None

    def on_status(self, hook: StatusHook) -> None:
        """What the network says of the call: in any order, and more than once."""
        self.progress.update(hook)
        if self.progress.ended and self._leg is None:
            self._finish("caller")

    def shut_down(self) -> None:
        """The service stops, and its patience is over."""
        self.end_call("shutdown")

    def _finish(self, reason: EndReason) -> None:
        if self.reason is None:
            self.reason = reason
        self._attached.set()
        self._over.set()

    # LegListener

    def on_started(self, started: Started) -> None:
        if started.call_sid != self.call_sid:
            self._log.warning("the media socket is for another call", other=started.call_sid)
            if self._leg is not None:
                self._leg.close(1008, "this token is for another call")
            return
        self._note("answer", {"callId": self.id})
        self._attached.set()
        if self.reason is not None and self._leg is not None:
            self._leg.disconnect()  # the call was ended while the socket opened

    def on_dtmf(self, digit: str, milliseconds: int | None) -> None:
        if self._ready and self._pipeline is not None:
            self._pipeline.dtmf(digit)
        else:
            self._early_keys.append(digit)

    def on_mark(self, name: str, cleared: bool) -> None:
        if self._ready and self._pipeline is not None:
            self._pipeline.mark(name, cleared)

    def on_closed(self, code: int, reason: str) -> None:
        self._leg = None
        if self.reason is None and code != 1000:
            self._log.warning("the media socket was lost", code=code, why=reason)
        self._finish("caller" if code == 1000 else "media_lost")

    # PipelineHost

    def wake(self) -> None:
        self.due = 0.0

    def end_call(self, reason: EndReason) -> None:
        """End the listen verb: Jambonz then asks what is next, and is told to hang up."""
        if self.reason is None:
            self.reason = reason
        if self._leg is not None:
            self._leg.disconnect()
        else:
            self._finish(reason)

    def on_saying(self, text: str) -> None:
        self._publish("agent", text, is_final=False)

    def on_event(self, event: PipelineEvent) -> None:
        match event:
            case UserSaid(text):
                self._note("user", text)
            case AgentSaid(text, generation, interrupted, seconds):
                self._note("agent", text)
                if interrupted:
                    heard = {"generation": generation, "seconds": round(seconds, 2)}
                    self._note("status", {"interrupted": heard})
            case TurnTimings():
                parts = {part: seconds for part, seconds in asdict(event).items() if seconds is not None}
                for part, seconds in parts.items():
                    metrics.turn_seconds.labels(part).observe(seconds)
                self._note("status", {"latency": {part: round(seconds, 3) for part, seconds in parts.items()}})
            case BargedIn(confirmed, silent_after):
                metrics.barge_ins.labels("confirmed" if confirmed else "resumed").inc()
                if silent_after is not None:
                    metrics.barge_in_seconds.observe(silent_after)
                after = round(silent_after, 3) if silent_after is not None else None
                self._note("status", {"bargeIn": {"confirmed": confirmed, "pausedAfter": after}})
            case Guessed(right):
                metrics.guesses.labels("right" if right else "wrong").inc()
            case ToolCalled(name, arguments):
                metrics.tool_calls.inc()
                self._note("function_calls", [{"name": name, "arguments": dict(arguments)}])
            case ToolReturned(name, arguments, result):
                self._note("function_results", [{"name": name, "input": dict(arguments), "result": result}])
            case Underran(cause, seconds):
                metrics.underruns.labels(cause).inc()
                metrics.underrun_seconds.inc(seconds)
                self._note("status", {"underrun": {"cause": cause, "seconds": round(seconds, 3)}})
            case PartFailed(part, provider, kind, message):
                metrics.provider_errors.labels(part, provider, kind).inc()
                self._log.warning("a provider failed", part=part, provider=provider, kind=kind, error=message)
                self._note("error", message)
            case WatchdogFired(what):
                metrics.watchdogs.labels(what).inc()
                self._log.warning("watchdog", missing=what)
                self._note("status", {"missing": what})
            case ModelNoted(what, detail):
                metrics.model_notes.labels(what).inc()
                if what == "reconnected":  # its loss was a line, too
                    detail = detail or "another session took over"
                if detail:
                    self._log.info("of the model", what=what, detail=detail)
            case UsageReported(part, provider):
                for unit, amount in self._usage.add(event).items():
                    metrics.usage.labels(part, provider, unit).inc(amount)
            case _:
                assert_never(event)

    # The record

    def _note(self, type: str, data: Any) -> None:
        """Enter into the call's log, and tell who watches."""
        self._around.recorder.record(self.id, CallEvent(self._seq, type, data, datetime.now(UTC)))
        self._seq += 1
        self._publish(type, data, is_final=True)

    def _publish(self, type: str, data: Any, *, is_final: bool) -> None:
        at = datetime.now(UTC).isoformat()
        event = {type: data, "isFinal": is_final, "callId": self.id, "timestamp": at}
        self._around.progress.publish(self.listener.id, event)


def _masked(number: str | None) -> str | None:
    """A caller's number as logs may have it: enough to recognise, not enough to call."""
    return None if number is None else f"{number[:3]}***{number[-3:]}" if len(number) > 7 else "***"
