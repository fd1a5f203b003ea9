"""A call's events as lines to read: what was said on both sides, interruptions, tools. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from jambonz.simulator.report import (
    AgentSpeech,
    Answered,
    CallEvent,
    DialProgress,
    Ended,
    Note,
    SocketClosed,
    SocketFailed,
    SocketOpened,
    VerbStarted,
)

_WHO = 7


class Conversation:
    """Turns the events of the progress socket into lines, each with its time since ``began``, or since the answer."""

    def __init__(self, began: datetime | None = None) -> None:
        self._began = began

    def lines(self, event: Mapping[str, Any]) -> Iterator[str]:
        """What there is to read of one event: often nothing."""
        if not event.get("isFinal"):
            return
        at = datetime.fromisoformat(event["timestamp"])
        match event:
            case {"answer": _} if self._began is None:
                self._began = at
            case {"user": str(text)}:
                yield self._line(at, "caller", click.style(text, fg="cyan"))
            case {"agent": str(text)}:
                yield self._line(at, "agent", click.style(text, fg="green"))
            case {"status": {"interrupted": {"seconds": seconds}}}:
                yield self.aside(at, f"interrupted: {seconds:.1f} s of it were heard, up to here", "yellow")
            case {"status": {"bargeIn": {"confirmed": False}}}:
                yield self.aside(at, "a noise over the agent: it paused, and went on", "yellow")
            case {"status": {"underrun": {"seconds": seconds}}}:
                yield self.aside(at, f"a gap of {seconds:.2f} s in the agent's voice", "red")
            case {"status": {"missing": what}}:
                yield self.aside(at, f"there should have been {what}, and there was none", "red")
            case {"status": {"fallback": {"kind": kind} as who}}:
                named = who.get("agentId") or who.get("number") or who.get("modelName", "")
                yield self.aside(at, f"somebody else goes on with the call: the {kind} {named}", "yellow")
            case {"status": {"socket": state}}:
                yield self.aside(at, f"the caller's socket is {state}", "yellow")
            case {"status": {"dial": {"number": number, "outcome": outcome}}}:
                yield self.aside(at, f"{number}: {outcome}")
            case {"status": {"transfer": {"number": number, "state": state}}}:
                yield self.aside(at, f"the transfer to {number}: {str(state).replace('_', ' ')}")
            case {"status": {"keys": {"digits": digits, "outcome": outcome}}}:
                yield self.aside(at, f"the keys {digits}: {outcome}")
            case {"function_results": results}:
                for result in results:
                    given = ", ".join(f"{name}={value}" for name, value in result["input"].items())
                    called = f"{result['name']}({given}) -> {result['result']}"
                    yield self._line(at, "tool", click.style(called, dim=True))
            case {"error": what}:
                yield self._line(at, "error", click.style(str(what), fg="red"))
            case {"hangup": {"reason": reason}}:
                yield self.aside(at, f"the call is over: {ENDINGS.get(reason, reason)}")
            case _:
                pass

    def aside(self, at: datetime, text: str, colour: str | None = None) -> str:
        """What happened beside the words."""
        return self._line(at, "", click.style(f"-- {text}", fg=colour, dim=True if colour is None else None))

    def _line(self, at: datetime, who: str, text: str) -> str:
        return f"{clock((at - (self._began or at)).total_seconds())}  {who:<{_WHO}}{text}"


ENDINGS = {
    "agent": "the agent hung up",
    "caller": "the caller hung up",
    "idle": "nobody spoke",
    "max_duration": "it lasted as long as it may",
    "transferred": "the caller was put through",
    "failed": "the agent failed",
    "no_media": "no sound came",
    "media_lost": "the sound was lost",
    "shutdown": "the service stopped",
    "api": "it was hung up by the API",
    "busy": "who was rung was busy",
    "no_answer": "nobody answered",
    "declined": "who was rung declined",
    "cancelled": "it was hung up before anybody answered",
    "voicemail": "a machine answered",
    "unavailable": "who was rung could not be reached",
    "callee": "who was rung hung up",
    "caller_gone": "the caller hung up while it rang",
}
"""Of calls, and of bridges."""


def telephone_line(event: CallEvent, started: float) -> str | None:
    """What the telephone network would tell of one event of a simulated call, if it is worth a line."""
    match event:
        case VerbStarted(_, verb, properties):
            status = f" {properties['status']}" if "status" in properties else ""
            text = f"the service says: {verb}{status}"
        case Answered():
            text = "answered"
        case SocketOpened():
            text = "the media socket is open"
        case SocketFailed(_, _, reason):
            text = f"no media socket: {reason}"
        case SocketClosed(_, code, by):
            text = f"the media socket was closed by {'the service' if by == 'service' else 'Jambonz'} ({code})"
        case AgentSpeech(_, speaking):
            text = "the agent speaks" if speaking else "the agent is silent"
        case Note(_, text):
            pass
        case DialProgress(_, dialled, call_status):
            text = f"{dialled.party}: {call_status}"
        case Ended(_, by, sip_status, reason):
            text = f"over: ended by {by}" if sip_status == 200 else f"over: {sip_status} {reason}"
        case _:
            return None
    return f"{clock(event.at - started)}  {'line':<{_WHO}}{click.style(text, dim=True)}"


def clock(seconds: float) -> str:
    """``0:07.3``"""
    tenths = round(max(seconds, 0.0) * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02}.{tenths % 10}"
