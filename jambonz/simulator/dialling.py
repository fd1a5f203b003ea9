"""The dial verb: somebody else is rung, and, once there is an answer, hears the caller and is heard."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from jambonz.simulator.call import CallSession
from jambonz.simulator.call_info import CallInfo
from jambonz.simulator.caller import Caller
from jambonz.simulator.ear import Ear
from jambonz.simulator.line import Line
from jambonz.simulator.outcomes import DialOutcome
from jambonz.simulator.report import Dialled, DialProgress
from jambonz.simulator.specs import Properties
from media.audio import FRAME_SECONDS

TRYING_SECONDS = 0.1
"""From the INVITE of a ``dial`` to the first sign of ringing."""

RING_SECONDS = 60.0
"""How long it rings, where ``timeout`` does not say."""

MUSIC_PEAK = 3000


class Callee:
    """Who answered: a telephone at the other end of the caller's line."""

    def __init__(self, outcome: DialOutcome, line: Line, *, keep_audio: bool) -> None:
        self.ear = Ear(line.format.rate, keep_audio=keep_audio)
        self.gone = asyncio.Event()
        self._person = Caller(outcome.steps, patience=outcome.talk_seconds, format=line.format)
        self._silence = line.format.silence(20)

    def frame(self, now: float, packet: bytes | None) -> bytes:
        """20 ms: what the caller says comes in, what the callee says goes back."""
        self.ear.hear(now, packet or self._silence, 0)
        return self._person.frame(now, self.ear, self) or self._silence

    # For the person

    def press(self, digit: str, duration_ms: int) -> None:
        """Nobody hears of the callee's keys."""

    def hang_up(self) -> None:
        self.gone.set()


class Music:
    """What an answered caller hears while it rings: a tone that is no speech, and once, for a file is not looped."""

    def __init__(self, line: Line, seconds: float) -> None:
        times = np.arange(line.format.frame_samples) / line.format.rate
        self._tone = (MUSIC_PEAK * np.sin(2 * np.pi * 500 * times)).astype("<i2").tobytes()
        self._silence = line.format.silence(20)
        self._frames = round(seconds / FRAME_SECONDS)

    def frame(self, now: float, packet: bytes | None) -> bytes:
        self._frames -= 1
        return self._tone if self._frames >= 0 else self._silence


async def dial(call: CallSession, properties: Properties) -> None:
    """Ring the first target until somebody answers, ``timeout`` has passed or the caller is gone; nobody is left
    ringing. Then it is as if both had one line, until either hangs up or ``timeLimit`` has passed. Meanwhile the caller
    hears ``dialMusic``, or nothing at all."""
    outcome = call.next_dial()
    leg, dialled = _leg(call, properties)
    call.report.dials.append(dialled)
    if not properties.get("answerOnBridge"):
        await call.ensure_media()

    def tell(call_status: str, sip_status: int) -> None:
        leg.set_status(call_status, sip_status)
        call.send_status(leg)
        call.emit(DialProgress(call.now, dialled, call_status))

    tell("trying", 100)
    music = properties.get("dialMusic")
    if call.answered and music:
        call.note(f"dialMusic: {music}")
        call.line.bridge(Music(call.line, call.settings.outcomes.music_seconds))
    await call.idle(TRYING_SECONDS)
    tell("ringing", 180)
    timeout = float(properties.get("timeout") or RING_SECONDS)
    stopped = await call.idle(min(outcome.ring_seconds, timeout))
    call.line.bridge(None)
    if stopped or timeout < outcome.ring_seconds:
        ending = "no-answer", 487  # it is cancelled
    elif outcome.call_status == "completed":
        await call.ensure_media()
        dialled.answered = call.now
        tell("in-progress", 200)
        await _talk(call, properties, outcome, dialled.answered, leg)
        ending = "completed", 200
    else:
        ending = outcome.call_status, outcome.sip_status
    dialled.ended = call.now
    dialled.call_status, dialled.sip_status = ending
    tell(*ending)
    results: dict[str, Any] = {
        "dialCallStatus": leg.call_status,
        "dialSipStatus": leg.sip_status,
        "dialCallSid": leg.call_sid,
        "dialSbcCallid": leg.sbc_callid,
    }
    await call.try_action(properties.get("actionHook"), results, properties.get("id"))


async def _talk(call: CallSession, properties: Properties, outcome: DialOutcome, since: float, leg: CallInfo) -> None:
    callee = Callee(outcome, call.line, keep_audio=call.settings.keep_audio)
    call.report.dials[-1].ear = callee.ear
    call.line.bridge(callee)
    try:
        await call.until(callee.gone, properties.get("timeLimit"))
    finally:
        call.line.bridge(None)
        leg.duration = int(call.now - since)


def _leg(call: CallSession, properties: Properties) -> tuple[CallInfo, Dialled]:
    target = properties["target"][0] if properties["target"] else {}
    party = str(target.get("number") or target.get("sipUri") or target.get("name") or "")
    caller_id = str(properties.get("callerId") or call.info.from_)
    leg = CallInfo(
        from_=caller_id,
        to=party,
        direction="outbound",
        account_sid=call.info.account_sid,
        application_sid=call.info.application_sid,
        trace_id=call.info.trace_id,
        parent_call_sid=call.info.call_sid,
        customer_data=properties.get("tag"),
    )
    return leg, Dialled(leg.call_sid, party, caller_id, dict(properties.get("headers") or {}), call.now)
