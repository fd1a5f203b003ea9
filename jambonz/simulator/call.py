"""One call through the feature server: its hooks, its states, its verbs one after the other, its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from jambonz.simulator.application import REJECTED
from jambonz.simulator.call_info import SIP_REASONS, CallInfo, snake_case_keys
from jambonz.simulator.caller import Caller
from jambonz.simulator.commanding import run_command
from jambonz.simulator.line import Line
from jambonz.simulator.outcomes import DialOutcome, ReferOutcome
from jambonz.simulator.pacing import Pacer
from jambonz.simulator.report import (
    AgentSpeech,
    Answered,
    CallEvent,
    CallReport,
    Ended,
    EndedBy,
    HookSent,
    Note,
    StepStarted,
    VerbStarted,
)
from jambonz.simulator.requestor import HookFailed, HookKind
from jambonz.simulator.settings import Settings, requestors
from jambonz.simulator.specs import Properties, Refused, Verb, parse_verbs
from jambonz.simulator.transport import Transport

WEBHOOK_ERROR_STATUS = 480
NO_ANSWER_STATUS = 603

ANSWER_SECONDS = 0.02
"""From the verb that needs sound to the 200 (or 183): the media server is asked first."""

HOLD_SECONDS = 1.0
"""How often a call that is held for a command looks whether its application is still there."""

LAST_HOOKS_SECONDS = 60.0
"""How long the end of a call waits for its last hooks, each of which has its own, shorter limit."""


class CallSession:
    """Runs one call, which came in. :meth:`run` returns when all is over, the last hooks included."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        pacer: Pacer,
        info: CallInfo,
        caller: Caller,
        *,
        abandon_after: float,
        on_event: Callable[[CallEvent], None],
        seed: int = 0,
    ) -> None:
        self.settings = settings
        self.transport = transport
        self.info = info
        self.seed = seed
        self.gone = asyncio.Event()
        """The caller is not there any more, or never will be: BYE, CANCEL or a final answer."""
        self.killed = asyncio.Event()
        """The running verb is to end. Each verb has its own."""
        self.line = Line(
            caller,
            keep_audio=settings.keep_audio,
            on_speech=lambda at, speaking: self.emit(AgentSpeech(at, speaking)),
            on_hang_up=self.hang_up,
            on_failure=self._on_line_failure,
        )
        self._loop = asyncio.get_running_loop()
        self.report = CallReport(info.call_sid, self._loop.time(), self.line.ear, steps=caller.records)
        self.requestor, self.socket = requestors(
            settings,
            transport,
            info.call_sid,
            self.report,
            on_command=lambda command, data, **how: run_command(self, command, data, **how),
            on_note=self.note,
        )
        self.running = ""
        """The verb that runs."""
        self._pacer = pacer
        self._abandon_after = abandon_after
        self._on_event = on_event
        self._verbs: deque[Verb] = deque()
        self._background: set[asyncio.Task[None]] = set()
        self._media = False
        self._notifies = False
        self._failure: Exception | None = None
        self._dials = deque(settings.outcomes.dials)
        self._refers = deque(settings.outcomes.refers)
        caller.on_step = lambda record: self.emit(StepStarted(self.now, record))

    @property
    def now(self) -> float:
        return self._loop.time()

    @property
    def answered(self) -> bool:
        return self.report.answered is not None

    # The course of the call

    async def run(self, run_verb: VerbRunner) -> CallReport:
        ringing_ends = self._loop.call_later(self._abandon_after, self._cancel)
        try:
            if await self._fetch_application() and not self.gone.is_set():
                self.send_status()
                await self._run_verbs(run_verb)
                self._finish()
            await self.last_hooks()
        finally:
            ringing_ends.cancel()
            self.leave()
        return self.result()

    async def last_hooks(self) -> None:
        if self._background:
            await asyncio.wait(self._background, timeout=LAST_HOOKS_SECONDS)

    def leave(self) -> None:
        """Nothing of the call goes on."""
        if self.socket is not None:
            self.socket.close()
        self._pacer.remove(self.line)
        for task in self._background:
            task.cancel()
        self.report.said = bytes(self.line.said)

    def result(self) -> CallReport:
        if self._failure is not None:
            raise self._failure
        return self.report

    async def _fetch_application(self) -> bool:
        """The call hook. Whatever is wrong with its answer is a 480, and then no status hook is ever sent."""
        payload = snake_case_keys(self.info.session_payload(dict(self.settings.env_vars)))
        reason = "no application provided"
        try:
            self._verbs.extend(parse_verbs(await self.post("session:new", self.settings.call_hook, payload)))
        except (HookFailed, Refused) as error:
            reason = str(error)
        if not self._verbs and not self.gone.is_set():
            self.end("refused", WEBHOOK_ERROR_STATUS, reason)
            if self.socket is not None:
                self.socket.close(REJECTED)
        return bool(self._verbs)

    async def _run_verbs(self, run_verb: VerbRunner) -> None:
        try:
            while (self._verbs or await self._await_commands()) and not self.gone.is_set():
                name, properties = self._verbs.popleft()
                self.killed = asyncio.Event()
                self.running = name
                self.emit(VerbStarted(self.now, name, properties))
                self.notify("starting", name, properties)
                await run_verb(self, name, properties)
                self.notify("finished", name, properties)
                self.running = ""
        except (HookFailed, Refused) as error:
            self.note(f"a verb that does not expect its hook to fail ends the call: {error}")

    async def _await_commands(self) -> bool:
        """The verbs are used up. With an application socket an answered call is then held, in silence, until a
        command comes; without one, or once that was closed with 1000, it is over. True if there are verbs again."""
        while self.socket is not None and self.answered and not self.gone.is_set() and not self._verbs:
            if self.socket.graceful:
                return False
            if self.socket.lost.is_set():
                self.complete("jambonz")
                return False
            self.killed = asyncio.Event()
            await self.idle(HOLD_SECONDS)
        return bool(self._verbs)

    def _finish(self) -> None:
        """The verbs are used up."""
        if self.gone.is_set():
            return
        if self.answered:
            self.complete("jambonz")
        else:
            self.end("refused", NO_ANSWER_STATUS, SIP_REASONS[NO_ANSWER_STATUS])

    def hang_up(self) -> None:
        """The caller sends BYE."""
        if not self.gone.is_set():
            self.complete("caller")

    def _cancel(self) -> None:
        """The caller gives up before there is an answer."""
        if not self.answered and not self.gone.is_set():
            self.info.set_status("no-answer", 487)
            self.send_status()
            self.end("cancelled", 487, SIP_REASONS[487])

    # What verbs need

    async def ensure_media(self, *, early: bool = False) -> None:
        """Answer the call, unless it is answered; with ``early``, only give it sound (183)."""
        if self.answered or await self.idle(ANSWER_SECONDS):
            return
        if early:
            self.info.set_status("early-media", 183)
        else:
            self.info.set_status("in-progress", 200)
            self.report.answered = self.now
            self.emit(Answered(self.now))
        self.send_status()
        self.hear()

    def hear(self) -> None:
        """From now on there is sound."""
        if not self._media:
            self._media = True
            self._pacer.add(self.line)

    async def idle(self, seconds: float | None = None) -> bool:
        """Let time pass; True if the verb was killed meanwhile."""
        try:
            await asyncio.wait_for(self.killed.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def until(self, event: asyncio.Event, seconds: float | None = None) -> None:
        """Let time pass until ``event``, or until the verb was killed."""
        waits = [asyncio.ensure_future(waited.wait()) for waited in (event, self.killed)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def action(self, hook: Any, results: dict[str, Any] | None = None, verb_id: Any = None) -> None:
        """Post an action hook, if there is one; a non-empty array in the answer replaces the application.

        Raises :class:`HookFailed` and :class:`Refused`. After the caller has gone, the answer means nothing.
        """
        if not hook:
            return
        extra = {**(results or {}), **({"verbId": verb_id} if verb_id else {})}
        answer = await self.post("verb:hook", hook, self.info.hook_payload(extra))
        if isinstance(answer, list) and answer and not self.gone.is_set():
            self.replace(parse_verbs(answer))

    async def try_action(self, hook: Any, results: dict[str, Any], verb_id: Any = None) -> None:
        """An action hook whose failure is only logged: the next verb runs."""
        try:
            await self.action(hook, results, verb_id)
        except (HookFailed, Refused) as error:
            self.note(f"an action hook failed, and the next verb runs: {error}")

    async def redirect(self, call_hook: Any) -> None:
        """Live call control: other verbs instead of all that is left, from a hook.

        The verb that runs is killed, and its own action hook, should it have one, still fires. It is also killed by an
        answer that is no array: then the next verb runs. A hook that fails changes nothing. A call by a socket that is
        redirected to a webhook has webhooks from then on, and its socket is closed.
        """
        url = call_hook.get("url", "") if isinstance(call_hook, Mapping) else str(call_hook)
        if self.socket is not None and url.startswith(("http://", "https://")):
            self.socket.close()
            self.requestor, self.socket = self.socket.http, None
        try:
            answer = await self.post("session:redirect", call_hook, self.info.hook_payload())
            verbs = parse_verbs(answer) if isinstance(answer, list) else None
        except (HookFailed, Refused) as error:
            self.note(f"a redirect failed, and changes nothing: {error}")
            return
        if self.gone.is_set():
            return
        if verbs is not None:
            self.replace(verbs)
        else:
            self.killed.set()

    def replace(self, verbs: list[Verb]) -> None:
        self._verbs = deque(verbs)
        self.killed.set()

    def append(self, verbs: list[Verb]) -> None:
        """After those there are."""
        self._verbs.extend(verbs)
        if not self.running:
            self.killed.set()

    def configure(self, properties: Properties) -> None:
        self._notifies = properties.get("notifyEvents", self._notifies) is True

    def notify(self, event: str, name: str, properties: Properties) -> None:
        """``verb:status``, where the application asked for it."""
        if self.socket is not None and self._notifies and not self.gone.is_set():
            self.socket.notify("verb:status", {"event": event, "id": properties.get("id", ""), "name": name})

    def complete(self, by: EndedBy) -> None:
        """An answered call ends."""
        self.info.duration = int(self.now - (self.report.answered or self.now))
        self.info.call_termination_by = by
        self.info.set_status("completed", 200)
        self.send_status()
        self.end(by, 200, "")

    def end_by_status(self, status: str) -> None:
        """By a command: ``completed`` is for a call that was answered, ``no-answer`` for one that was not. The other
        does nothing."""
        if status == "completed" and self.answered:
            self.complete("jambonz")
        elif status == "no-answer" and not self.answered:
            self.decline(503, SIP_REASONS[503])

    def decline(self, sip_status: int, reason: str) -> None:
        self.info.set_status("failed", sip_status, reason)
        self.send_status()
        self.end("refused", sip_status, reason)

    def end(self, by: EndedBy, sip_status: int, reason: str) -> None:
        self.report.ended = self.now
        self.report.ended_by = by
        self.report.sip_status = sip_status
        self.report.reason = reason
        self._verbs.clear()
        self._pacer.remove(self.line)
        self.gone.set()
        self.killed.set()
        self.emit(Ended(self.now, by, sip_status, reason))

    def next_dial(self) -> DialOutcome:
        return self._dials.popleft() if len(self._dials) > 1 else self._dials[0]

    def next_refer(self) -> ReferOutcome:
        return self._refers.popleft() if len(self._refers) > 1 else self._refers[0]

    # Hooks and events

    async def post(self, kind: HookKind, hook: Any, payload: dict[str, Any]) -> Any:
        before = len(self.report.hooks)
        try:
            return await self.requestor.request(kind, hook, payload)
        finally:
            self._emit_hooks(before, payload)

    def _emit_hooks(self, before: int, payload: dict[str, Any]) -> None:
        for record in self.report.hooks[before:]:
            if record.payload is payload:
                self.emit(HookSent(self.now, record))

    def send_status(self, info: CallInfo | None = None) -> None:
        """The state as it is now, posted in the background: hooks overtake each other, and failures mean nothing."""
        payload = (info or self.info).hook_payload()
        self.spawn(self._send_status(payload, self.settings.status_delays.get(str(payload["call_status"]), 0.0)))

    async def _send_status(self, payload: dict[str, Any], delay: float) -> None:
        await asyncio.sleep(delay)
        try:
            await self.post_status(payload)
        except HookFailed as error:
            self.note(f"a status hook failed: {error}")

    async def post_status(self, payload: dict[str, Any]) -> None:
        await self.post("call:status", self.settings.status_hook, payload)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def note(self, text: str) -> None:
        self.emit(Note(self.now, text))

    def emit(self, event: CallEvent) -> None:
        self.report.events.append(event)
        self._on_event(event)

    def _on_line_failure(self, error: Exception) -> None:
        """The simulation itself has failed: the call ends, and :meth:`run` raises it."""
        self._failure = error
        self.hang_up()


VerbRunner = Callable[[CallSession, str, Properties], Coroutine[Any, Any, None]]
