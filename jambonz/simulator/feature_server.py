"""A simulated Jambonz: places inbound calls at a service as a feature server does, and rings whom the service wants
rung.

In real time::

    async with AiohttpTransport() as transport:
        jambonz = SimulatedJambonz(base_url="http://127.0.0.1:8080", webhook_secret=secret, transport=transport)
        caller = Caller([AwaitAgentSilence(), Speak(clip), AwaitAgentSilence(), HangUp()])
        report = await jambonz.place_call(to="+442079460000", from_="+447700900123", caller=caller)

On virtual time, with a :class:`~jambonz.simulator.memory.MemoryTransport` instead, the same. Any number of calls may
run at once on one simulator; one set of timers paces them all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from jambonz.simulator.call import CallSession
from jambonz.simulator.call_info import CallInfo
from jambonz.simulator.caller import Caller
from jambonz.simulator.commanding import Incompatible, update
from jambonz.simulator.outcomes import Outcomes
from jambonz.simulator.outgoing import Callee, OutgoingCall, Wanted, info_of
from jambonz.simulator.pacing import Pacer
from jambonz.simulator.report import CallEvent, CallReport
from jambonz.simulator.running import run_verb
from jambonz.simulator.settings import Settings
from jambonz.simulator.transport import Transport
from media.audio import PCM_8K


def _ignore(_: CallEvent) -> None:
    """Nobody asked for the events."""


class SimulatedJambonz:
    """``call_hook`` and ``status_hook`` are URLs, relative to ``base_url`` or not, or objects with a ``url``;
    ``hook_auth`` is the user and password of the call hook. A call hook of ``ws://…`` or ``wss://…`` is a WebSocket
    application: everything goes by one socket then. ``status_delays`` maps call states to the seconds by which
    their status hook is late. ``keep_audio`` off saves memory under load: reports have levels, and no sound.
    """

    def __init__(
        self,
        *,
        base_url: str,
        transport: Transport,
        webhook_secret: str | None = None,
        call_hook: Any = "/jambonz/call",
        status_hook: Any = "/jambonz/status",
        hook_auth: tuple[str, str] | None = None,
        env_vars: Mapping[str, Any] | None = None,
        outcomes: Outcomes | None = None,
        status_delays: Mapping[str, float] | None = None,
        keep_audio: bool = True,
        unevenness: float = 0.02,
        seed: int = 0,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.calls: dict[str, CallSession] = {}
        """The calls under way, by call sid."""
        self.callees: dict[str, Callee] = {}
        """Who is at the other end of numbers, as createCall has them. At all others somebody answers, and listens."""
        self.created: list[OutgoingCall] = []
        """The calls that were placed for the application, each with its report."""
        self._ringing: set[asyncio.Task[CallReport]] = set()
        self._settings = Settings(
            base_url=base_url,
            call_hook=call_hook,
            status_hook=status_hook,
            webhook_secret=webhook_secret,
            hook_auth=hook_auth,
            env_vars=env_vars or {},
            outcomes=outcomes or Outcomes(),
            status_delays=status_delays or {},
            keep_audio=keep_audio,
            unevenness=unevenness,
            wall_clock=wall_clock,
        )
        self._transport = transport
        self._pacer = Pacer()
        self._seed = seed

    async def place_call(
        self,
        *,
        to: str,
        from_: str,
        caller: Caller,
        sip_headers: Mapping[str, str] | None = None,
        caller_name: str = "",
        offers_wideband: bool | None = None,
        abandon_after: float = 60.0,
        call_hook: Any = None,
        on_event: Callable[[CallEvent], None] = _ignore,
    ) -> CallReport:
        """Ring, and stay until the call is over and its last hook answered. A caller who is not answered gives up
        after ``abandon_after`` seconds. The INVITE offers G.722 where the caller's telephone has it, unless
        ``offers_wideband`` says otherwise. ``call_hook`` is that of another application. Cancelling it cuts the call
        off as a crash of the feature server would."""
        self._seed += 1
        wideband = caller.format.rate > PCM_8K.rate if offers_wideband is None else offers_wideband
        info = CallInfo(
            from_=from_, to=to, sip_headers=dict(sip_headers or {}), caller_name=caller_name, wideband=wideband
        )
        settings = self._settings if call_hook is None else replace(self._settings, call_hook=call_hook)
        call = CallSession(
            settings,
            self._transport,
            self._pacer,
            info,
            caller,
            abandon_after=abandon_after,
            on_event=on_event,
            seed=self._seed,
        )
        self.calls[info.call_sid] = call
        try:
            return await call.run(run_verb)
        finally:
            del self.calls[info.call_sid]

    def create_call(
        self,
        body: Mapping[str, Any],
        *,
        call_sid: str,
        account_sid: str,
        on_event: Callable[[CallEvent], None] = _ignore,
    ) -> OutgoingCall:
        """What the API server gives on of ``POST /Accounts/{sid}/Calls``: rings, beside whoever asks."""
        self._seed += 1
        wanted = Wanted(body)
        info = info_of(body, call_sid=call_sid, account_sid=account_sid)
        callee = self.callees.get(wanted.party, Callee())
        call = OutgoingCall(
            self._settings, self._transport, self._pacer, info, wanted, callee, on_event=on_event, seed=self._seed
        )
        self.calls[call_sid] = call
        self.created.append(call)
        task = asyncio.get_running_loop().create_task(call.run(run_verb))
        self._ringing.add(task)

        def over(done: asyncio.Task[CallReport]) -> None:
            self._ringing.discard(done)
            del self.calls[call_sid]

        task.add_done_callback(over)
        return call

    async def placed(self) -> list[CallReport]:
        """The reports of the calls that were placed, once all of them are over. Raises what went wrong in one."""
        await asyncio.gather(*self._ringing)
        return [call.report for call in self.created]

    def update_call(self, call_sid: str, body: Mapping[str, Any]) -> None:
        """What the API server gives on of ``PUT /Accounts/{sid}/Calls/{sid}``: live call control. Raises
        :class:`~jambonz.simulator.commanding.Incompatible`."""
        call = self.calls.get(call_sid)
        if call is None or call.gone.is_set():
            raise Incompatible(f"call session is gone for call_sid {call_sid}")
        update(call, body)
