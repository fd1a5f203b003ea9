"""What each verb does to a call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from jambonz.simulator.call import CallSession
from jambonz.simulator.call_info import SIP_REASONS
from jambonz.simulator.conference import conference
from jambonz.simulator.dialling import dial
from jambonz.simulator.listening import SETUP_SECONDS, Listening
from jambonz.simulator.report import SocketClosed, SocketFailed, SocketOpened
from jambonz.simulator.requestor import HookFailed
from jambonz.simulator.specs import Properties
from jambonz.simulator.transport import SocketRefused

CHARACTERS_PER_SECOND = 15.0
"""The pace of a text-to-speech voice."""

BEEP_SECONDS = 0.5
NOTIFY_SECONDS = 15.0
"""How long ``sip:refer`` waits for news of the referred call."""

REFER_SECONDS = 32.0
"""How long it is sent again where nobody answers."""

BYE_AFTER_REFER_SECONDS = 0.1
NEWS_AFTER_BYE_SECONDS = 0.5
"""Of a far end that hangs up before it tells why."""


async def run_verb(call: CallSession, name: str, properties: Properties) -> None:
    """Run one verb to its end, or until it is killed."""
    runner = _RUNNERS.get(name)
    if runner is not None:
        await runner(call, properties)
    elif name in _HOLDING:
        call.note(f"{name} is not simulated: the caller is held until hanging up or being redirected")
        await call.ensure_media()
        await call.idle()
    else:
        call.note(f"{name} is not simulated: it does nothing")


async def _answer(call: CallSession, _: Properties) -> None:
    await call.ensure_media()


async def _listen(call: CallSession, properties: Properties) -> None:
    await call.ensure_media(early=properties.get("earlyMedia") is True)
    if properties.get("playBeep"):
        await call.idle(BEEP_SECONDS)
    await call.idle(SETUP_SECONDS)
    listening = Listening(
        properties,
        call.info,
        call.line,
        base_url=call.requestor.base_url,
        app_auth=call.requestor.auth,
        unevenness=call.settings.unevenness,
        seed=call.seed,
        note=call.note,
        on_closed=lambda code, by: call.emit(SocketClosed(call.now, code, by)),
    )
    try:
        await listening.open(call.transport)
    except SocketRefused as error:
        call.emit(SocketFailed(call.now, listening.url, str(error)))
    else:
        call.emit(SocketOpened(call.now, listening.url))
        try:
            await call.until(listening.done, properties.get("maxLength"))
        finally:
            listening.close()
    await call.try_action(properties.get("actionHook"), listening.results(), properties.get("id"))


async def _say(call: CallSession, properties: Properties) -> None:
    text = properties.get("text") or ""
    text = " ".join(map(str, text)) if isinstance(text, list) else str(text)
    await call.ensure_media(early=properties.get("earlyMedia") is True)
    call.note(f"say: {text}")
    await call.idle(_times(properties) * max(len(text) / CHARACTERS_PER_SECOND, 0.5))


async def _play(call: CallSession, properties: Properties) -> None:
    await call.ensure_media(early=properties.get("earlyMedia") is True)
    call.note(f"play: {properties['url']}")
    started = call.now
    await call.idle(_times(properties) * call.settings.outcomes.play_seconds)
    milliseconds = int(1000 * (call.now - started))
    results = {
        "reason": "playCompleted",
        "playbackSeconds": milliseconds // 1000,
        "playbackMilliseconds": milliseconds,
        "playbackLastOffsetPos": str(milliseconds * 8),
    }
    await call.action(properties.get("actionHook"), results, properties.get("id"))


def _times(properties: Properties) -> float:
    loop = properties.get("loop", 1)
    return 3600.0 if loop == "forever" else float(loop)


async def _gather(call: CallSession, properties: Properties) -> None:
    """Keys only: the caller's speech is not recognised."""
    await call.ensure_media()
    if "say" in properties:
        await _say(call, properties["say"])
    if "play" in properties:
        await _play(call, {key: value for key, value in properties["play"].items() if key != "actionHook"})
    digits = ""
    wanted = properties.get("numDigits") or properties.get("maxDigits") or 32
    finished = asyncio.Event()

    def on_key(digit: str, _ms: int) -> None:
        nonlocal digits
        if digit != properties.get("finishOnKey"):
            digits += digit
        if digit == properties.get("finishOnKey") or len(digits) >= wanted:
            finished.set()

    call.line.on_key = on_key
    try:
        await call.until(finished, properties.get("timeout", 5))
    finally:
        call.line.on_key = lambda _digit, _ms: None
    results = {"reason": "dtmfDetected", "digits": digits} if digits else {"reason": "timeout"}
    await call.action(properties.get("actionHook"), results, properties.get("id"))


async def _pause(call: CallSession, properties: Properties) -> None:
    await call.idle(float(properties["length"]))


async def _tag(call: CallSession, properties: Properties) -> None:
    call.info.customer_data = properties["data"]


async def _config(call: CallSession, properties: Properties) -> None:
    call.configure(properties)


async def _redirect(call: CallSession, properties: Properties) -> None:
    await call.action(properties["actionHook"])


async def _sip_refer(call: CallSession, properties: Properties) -> None:
    if not call.answered:
        call.note("sip:refer needs an answered call, and does nothing")
        return
    outcome = call.next_refer()
    call.report.refers.append((str(properties["referTo"]), outcome))
    if outcome.status is None:
        await call.idle(REFER_SECONDS)
        call.note("sip:refer was not answered, and the next verb runs: of that no hook tells")
        return
    results: dict[str, Any] = {"referStatus": outcome.status}
    if outcome.status == 202:
        await _refer_event(call, properties, 100)
        if outcome.final is None:
            await call.idle(NOTIFY_SECONDS)
        elif not await call.idle(outcome.seconds):
            if outcome.early and outcome.final == 200:
                call.hang_up()
                await asyncio.sleep(NEWS_AFTER_BYE_SECONDS)
            await _refer_event(call, properties, outcome.final)
            results["finalReferredCallStatus"] = outcome.final
            if outcome.final == 200:
                asyncio.get_running_loop().call_later(BYE_AFTER_REFER_SECONDS, call.hang_up)
    await call.try_action(properties.get("actionHook"), results, properties.get("id"))
    if results.get("finalReferredCallStatus") == 200:
        await call.gone.wait()


async def _refer_event(call: CallSession, properties: Properties, status: int) -> None:
    """The event hook says nothing but the status, not even whose."""
    if properties.get("eventHook"):
        try:
            payload = {"event": "transfer-status", "call_status": status}
            await call.post("verb:hook", properties["eventHook"], payload)
        except HookFailed as error:
            call.note(f"an event hook failed: {error}")


async def _sip_decline(call: CallSession, properties: Properties) -> None:
    if call.answered:
        call.note("sip:decline comes too late for an answered call, and does nothing")
        return
    status = int(properties["status"])
    call.decline(status, properties.get("reason") or SIP_REASONS.get(status, "Declined"))


async def _sip_request(call: CallSession, properties: Properties) -> None:
    status = call.settings.outcomes.sip_request_status
    results = {"result": "success", "sipStatus": status}
    await call.try_action(properties.get("actionHook"), results, properties.get("id"))


async def _hangup(call: CallSession, _: Properties) -> None:
    if call.answered:
        call.complete("jambonz")
    else:
        call.note("hangup needs an answered call, and does nothing")


async def _dtmf(call: CallSession, properties: Properties) -> None:
    digits = properties["dtmf"]
    call.note(f"dtmf: {digits}")
    await call.idle(len(digits) * float(properties.get("duration", 500)) / 1000)


_RUNNERS: dict[str, Callable[[CallSession, Properties], Awaitable[None]]] = {
    "answer": _answer,
    "conference": conference,
    "config": _config,
    "dial": dial,
    "dtmf": _dtmf,
    "gather": _gather,
    "hangup": _hangup,
    "listen": _listen,
    "pause": _pause,
    "play": _play,
    "redirect": _redirect,
    "say": _say,
    "sip:decline": _sip_decline,
    "sip:refer": _sip_refer,
    "sip:request": _sip_request,
    "tag": _tag,
}

_HOLDING = frozenset({"enqueue", "dequeue", "llm", "transcribe"})
