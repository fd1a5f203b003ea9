"""Calls that an application has Jambonz place (``POST /Accounts/{sid}/Calls``): somebody is rung, and what becomes of
it. From the answer on it is a call as others; before that nobody hears anything of anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jambonz.simulator.amd import AnsweringMachineDetector, Heard
from jambonz.simulator.call import CallSession, VerbRunner
from jambonz.simulator.call_info import SIP_REASONS, CallInfo
from jambonz.simulator.caller import Caller, Step
from jambonz.simulator.pacing import Pacer
from jambonz.simulator.report import Answered, CallEvent, CallReport
from jambonz.simulator.requestor import HookFailed
from jambonz.simulator.settings import Settings
from jambonz.simulator.specs import Refused, parse_verbs
from jambonz.simulator.transport import Transport
from media.audio import PCM_8K, AudioFormat

RING_SECONDS = 60.0
"""How long it rings, where createCall's ``timeout`` does not say."""

SETUP_SECONDS = 0.1
"""From the INVITE to the first sign of ringing."""

BUSY_STATUSES = frozenset({486, 603})
"""What a feature server calls busy: one that was declined is not told apart, but for its SIP status."""


@dataclass(frozen=True, slots=True)
class Callee:
    """Who is rung. ``sip_status`` of 200 answers after ``ring_seconds`` and does ``steps``; any other is the final
    answer by then. None never answers. ``early_media`` is sound before that (183): an announcement, a ring-back tone.
    ``heard`` is what Jambonz's recogniser makes of them, and ``beep_at`` when its tone detector hears one: both from
    the answer on. ``hears`` off: the account has no recogniser of that vendor, and detection does not begin.
    """

    steps: tuple[Step, ...] = ()
    sip_status: int | None = 200
    ring_seconds: float = 2.0
    early_media: bool = False
    patience: float = 60.0
    heard: tuple[Heard, ...] = ()
    beep_at: float | None = None
    hears: bool = True
    format: AudioFormat = PCM_8K


@dataclass(frozen=True, slots=True)
class Wanted:
    """A body of createCall, as the feature server takes it from the API server."""

    body: Mapping[str, Any] = field(repr=False)

    @property
    def party(self) -> str:
        to = self.body["to"]
        return str(to.get("number") or to.get("name") or to.get("sipUri"))

    @property
    def timeout(self) -> float:
        return float(self.body.get("timeout") or RING_SECONDS)

    def settings(self, ours: Settings) -> Settings:
        """Hooks are the call's own. A relative one of a verb is on the call hook's host."""
        hook = self.body["call_hook"]
        status = self.body.get("call_status_hook") or ""
        auth = (hook["username"], hook["password"]) if hook.get("username") and hook.get("password") else None
        url = str(hook["url"])
        base = "http" + url.removeprefix("ws") if url.startswith("ws") else url
        return replace(ours, base_url=base, call_hook=hook, status_hook=status, hook_auth=auth)


class OutgoingCall(CallSession):
    """The answer, and whatever hangs up before it, ends :meth:`run`'s ringing."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        pacer: Pacer,
        info: CallInfo,
        wanted: Wanted,
        callee: Callee,
        *,
        on_event: Callable[[CallEvent], None],
        seed: int = 0,
    ) -> None:
        caller = Caller(callee.steps, patience=callee.patience, format=callee.format)
        super().__init__(
            wanted.settings(settings),
            transport,
            pacer,
            info,
            caller,
            abandon_after=RING_SECONDS,
            on_event=on_event,
            seed=seed,
        )
        self.wanted = wanted
        self.callee = callee

    async def run(self, run_verb: VerbRunner) -> CallReport:
        self.send_status()
        try:
            if await self._ring():
                await self._connect(run_verb)
            await self.last_hooks()
        finally:
            self.leave()
        return self.result()

    def cancel(self) -> None:
        """CANCEL: whoever is rung stops ringing. Not once there is an answer."""
        if not self.answered and not self.gone.is_set():
            self._fail(487)

    def end_by_status(self, status: str) -> None:
        if status == "no-answer":
            self.cancel()
        else:
            super().end_by_status(status)

    async def _ring(self) -> bool:
        """Whether there was an answer."""
        callee, timeout = self.callee, self.wanted.timeout
        await self.idle(min(SETUP_SECONDS, callee.ring_seconds))
        if not self.gone.is_set() and callee.ring_seconds > 0:
            self.info.set_status("early-media" if callee.early_media else "ringing", 183 if callee.early_media else 180)
            self.send_status()
            await self.idle(max(min(callee.ring_seconds, timeout) - SETUP_SECONDS, 0.0))
        if self.gone.is_set():
            return False
        if callee.sip_status is None or callee.ring_seconds > timeout:
            await self.idle(timeout - min(callee.ring_seconds, timeout))
            self.cancel()
        elif callee.sip_status != 200:
            self._fail(callee.sip_status)
        return not self.gone.is_set()

    def _fail(self, sip_status: int) -> None:
        status = "busy" if sip_status in BUSY_STATUSES else "no-answer" if sip_status == 487 else "failed"
        self.info.set_status(status, sip_status)
        self.send_status()
        self.end("cancelled" if sip_status == 487 else "refused", sip_status, SIP_REASONS.get(sip_status, ""))

    async def _connect(self, run_verb: VerbRunner) -> None:
        self.info.set_status("in-progress", 200)
        self.report.answered = self.now
        self.emit(Answered(self.now))
        self.send_status()
        self.hear()
        limit = self.wanted.body.get("timeLimit")
        timer = self._loop.call_later(float(limit), self._time_is_up) if limit else None
        detecting = self._detect()
        try:
            if await self._fetch():
                await self._run_verbs(run_verb)
            if not self.gone.is_set():
                self.complete("jambonz")
        finally:
            if timer is not None:
                timer.cancel()
            if detecting is not None:
                detecting.cancel()

    def _time_is_up(self) -> None:
        if not self.gone.is_set():
            self.complete("jambonz")

    async def _fetch(self) -> bool:
        """The call hook, once there is an answer. One that fails ends the call; an answer that is no array leaves
        whoever answered in silence, until they hang up."""
        defaults = {"vendor": "google", "language": "en-US"}
        payload = self.info.hook_payload() | {
            "defaults": {"synthesizer": {**defaults, "voice": "en-US-Standard-C"}, "recognizer": defaults},
            "env_vars": dict(self.settings.env_vars),
        }
        try:
            answer = await self.post("session:new", self.settings.call_hook, payload)
            if isinstance(answer, list):
                self._verbs.extend(parse_verbs(answer))
                return True
        except (HookFailed, Refused) as error:
            self.note(f"the call hook failed, and the call ends: {error}")
            return False
        self.note("the call hook was answered without verbs: the callee is left in silence")
        await self.gone.wait()
        return False

    async def post_status(self, payload: dict[str, Any]) -> None:
        """By the application's socket, unless the status hook is another address."""
        hook, calls = self.settings.status_hook, self.settings.call_hook
        url = hook.get("url") if isinstance(hook, Mapping) else hook
        if not url and self.socket is None:
            return
        if self.socket is not None and url and url != calls.get("url"):
            await self.socket.http.request("call:status", hook, payload)
        else:
            await super().post_status(payload)

    # Who answers?

    def _detect(self) -> asyncio.Task[None] | None:
        options = self.wanted.body.get("amd")
        if not options:
            return None
        if not self.callee.hears:
            self.note("answering-machine detection does not begin: no speech credentials found for the vendor")
            return None
        return asyncio.create_task(self._run_detection(options))

    async def _run_detection(self, options: Mapping[str, Any]) -> None:
        answered = self.now
        detector = AnsweringMachineDetector(options, answered)
        coming: list[tuple[float, Heard | None]] = [(answered + one.at, one) for one in self.callee.heard]
        if self.callee.beep_at is not None:
            coming.append((answered + self.callee.beep_at, None))
        coming.sort(key=lambda one: one[0])
        while not detector.over and not self.gone.is_set():
            at = min(detector.due, coming[0][0] if coming else detector.due)
            await asyncio.sleep(max(at - self.now, 0.0))
            if self.gone.is_set():
                return
            if coming and coming[0][0] <= self.now + 1e-9:
                _, heard = coming.pop(0)
                told = detector.beep(self.now) if heard is None else detector.hear(heard.text, heard.final, self.now)
            else:
                told = detector.tick(self.now)
            self._tell(options.get("actionHook"), told)

    def _tell(self, hook: Any, told: Sequence[dict[str, Any]]) -> None:
        """Hooks are not waited for: they may overtake each other. Verbs in an answer replace the application."""
        for one in told:
            self.spawn(self.try_action(hook, one))


def info_of(body: Mapping[str, Any], *, call_sid: str, account_sid: str) -> CallInfo:
    """The leg that createCall makes."""
    return CallInfo(
        from_=str(body["from"]),
        to=Wanted(body).party,
        direction="outbound",
        call_sid=call_sid,
        account_sid=account_sid,
        application_sid=str(body.get("application_sid") or ""),
        customer_data=body.get("tag"),
    )
