"""Jambonz's WebSocket application API: what its messages say, and what they are answered. Pure.

Jambonz opens one socket for each call, with the subprotocol ``ws.jambonz.org``. It sends JSON texts with a ``type`` and
a ``msgid``; those that ask for verbs, or want to be known as received, are acknowledged by that id within 5 s, and ours
may not have more than 24 KiB. What webhooks post is ``data`` here, and a relative hook is named in ``hook``.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from jambonz.commands import Command
from jambonz.hooks import BAD_REQUEST, MAX_HOOK_BYTES, ActionHook, CallHook, Hook, HookRefused, StatusHook, parse_hook
from jambonz.verbs import Verb

SUBPROTOCOL = "ws.jambonz.org"

MAX_MESSAGE_BYTES = 24 * 1024
"""Of ours: Jambonz closes the socket with 1009 for one that is larger."""

MAX_RECEIVED_BYTES = MAX_HOOK_BYTES + 4096
"""Of Jambonz's: a hook, and what is around it."""

ACK_SECONDS = 5.0
"""What Jambonz waits for an acknowledgement. Without that of ``session:new`` the call is refused."""

REMEMBERED = 64
"""Acknowledgements that are kept, for a message that comes again."""

UNUSABLE = 1007
"""The close code for what is no JSON, or no message."""

WRONG_KIND = 1003
POLICY = 1008

_NOTIFICATIONS = frozenset(
    {"call:status", "verb:status", "jambonz:error", "llm:event", "llm:tool-call"}
    | {"tts:tokens-result", "tts:streaming-event"}
)
"""What Jambonz waits for no answer to."""

HookT = TypeVar("HookT", bound=Hook)


class ApplicationRefused(Exception):
    """The socket has to be closed, with ``code``; the message is a sentence, and fits into the close frame."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class MessageTooLarge(ValueError):
    """A message of ours that Jambonz would close the socket for."""


@dataclass(frozen=True, slots=True)
class SessionNew:
    """A call, to be acknowledged with its application."""

    msgid: str
    hook: CallHook


@dataclass(frozen=True, slots=True)
class SessionReconnect:
    """The socket of a call was lost, and this one takes its place; ``hook`` is what the first one began with. Where
    the call's application had not been acknowledged yet, this acknowledgement has to bring it."""

    msgid: str
    hook: CallHook


@dataclass(frozen=True, slots=True)
class SessionAdulting:
    """A leg that ``dial`` made has become a call of its own."""

    msgid: str


@dataclass(frozen=True, slots=True)
class HookDue:
    """A verb is over (``verb:hook``), or the call is redirected to a hook of ours (``session:redirect``): what is
    next? ``path`` is the hook as the verb had it."""

    msgid: str
    path: str
    hook: ActionHook


@dataclass(frozen=True, slots=True)
class StatusTold:
    hook: StatusHook


@dataclass(frozen=True, slots=True)
class VerbStatus:
    """Only where it was asked for. ``event`` is ``starting``, ``finished``, ``start-playback``, …"""

    event: str
    verb: str
    id: str


@dataclass(frozen=True, slots=True)
class ErrorTold:
    """Jambonz could not do what it was told."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Again:
    """A message that was acknowledged already: the same acknowledgement, and nothing else."""

    text: str


@dataclass(frozen=True, slots=True)
class Unheeded:
    """Of no meaning to us. ``msgid`` is empty where nothing waits for an acknowledgement; ``first`` is the first of
    its type on this socket."""

    msgid: str
    type: str
    first: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message whose data is wrong. Acknowledged with nothing, so that Jambonz goes on as after a webhook that was
    answered 400."""

    msgid: str
    type: str
    sentence: str


Event = (
    SessionNew
    | SessionReconnect
    | SessionAdulting
    | HookDue
    | StatusTold
    | VerbStatus
    | ErrorTold
    | Again
    | Unheeded
    | Unreadable
)


class ApplicationProtocol:
    """One socket, which is one call's. ``call_sid`` is empty until it is known."""

    def __init__(self) -> None:
        self.call_sid = ""
        self._due: set[str] = set()
        self._acknowledged: OrderedDict[str, str] = OrderedDict()
        self._unheeded: set[str] = set()

    def receive(self, text: str) -> Event | None:
        """What a message says; None for one that is being answered already. Raises :class:`ApplicationRefused`."""
        message = _parse(text)
        kind, msgid = message["type"], str(message.get("msgid") or "")
        if msgid in self._acknowledged:
            return Again(self._acknowledged[msgid])
        if msgid in self._due:
            return None
        self._check_call(kind, message)
        event = self._read(kind, msgid, message)
        match event:
            case StatusTold() | VerbStatus() | ErrorTold() | Again():
                pass
            case _:
                self._due.update({event.msgid} - {""})
        return event

    def ack(self, msgid: str, verbs: Sequence[Verb] | None = None) -> str:
        """The acknowledgement of a message, once. Raises :class:`MessageTooLarge`, and then it is still due."""
        if msgid not in self._due:
            raise ValueError(f"no message {msgid!r} waits for an acknowledgement")
        text = encode({"type": "ack", "msgid": msgid} | ({"data": list(verbs)} if verbs else {}))
        self._due.discard(msgid)
        self._acknowledged[msgid] = text
        while len(self._acknowledged) > REMEMBERED:
            self._acknowledged.popitem(last=False)
        return text

    def _check_call(self, kind: str, message: Mapping[str, Any]) -> None:
        sid = message.get("call_sid")
        if not self.call_sid and kind == "call:status":
            # Of a call that we have placed: its socket opens with the first state, and has a session at the answer.
            data = message.get("data")
            sid = data.get("call_sid") if isinstance(data, dict) else None
            self.call_sid = sid if isinstance(sid, str) else ""
        if not self.call_sid:
            if kind not in ("session:new", "session:reconnect", "session:adulting"):
                raise ApplicationRefused(POLICY, f"The socket begins with {kind[:40]}, and not with session:new.")
            return
        if sid is not None and sid != self.call_sid:
            raise ApplicationRefused(POLICY, "This socket is another call's.")

    def _read(self, kind: str, msgid: str, message: Mapping[str, Any]) -> Event:
        data = message.get("data")
        try:
            match kind:
                case "session:new":
                    return SessionNew(_needed(msgid), self._session(message))
                case "session:reconnect":
                    return SessionReconnect(_needed(msgid), self._session(message))
                case "session:adulting":
                    self._session(message)
                    return SessionAdulting(_needed(msgid))
                case "verb:hook" | "session:redirect":
                    path = message.get("hook")
                    return HookDue(_needed(msgid), path if isinstance(path, str) else "", self._hook(ActionHook, data))
                case "call:status":
                    return StatusTold(self._hook(StatusHook, data))
                case "verb:status":
                    told = data if isinstance(data, dict) else {}
                    name = told.get("name") or told.get("verb")
                    return VerbStatus(_short(told.get("event")), _short(name), _short(told.get("id")))
                case "jambonz:error":
                    return ErrorTold(_error(data))
                case _:
                    return self._unheeded_of(kind, msgid)
        except HookRefused as refused:
            sentence = str(refused).replace("The body", f"The data of {kind}", 1)
            return Unreadable("" if kind in _NOTIFICATIONS else msgid, kind, sentence)

    def _unheeded_of(self, kind: str, msgid: str) -> Unheeded:
        """Types that are new come from newer servers; what is to be acknowledged of those we cannot know."""
        first = kind not in self._unheeded and len(self._unheeded) < REMEMBERED
        if first:
            self._unheeded.add(kind)
        waits = kind in ("dial:confirm", "queue:status")
        return Unheeded(msgid if waits else "", kind[:80], first)

    def _session(self, message: Mapping[str, Any]) -> CallHook:
        hook = self._hook(CallHook, message.get("data"), sid=message.get("call_sid"))
        if self.call_sid and hook.call_sid != self.call_sid:
            raise ApplicationRefused(POLICY, "This socket is another call's.")
        self.call_sid = hook.call_sid
        return hook

    def _hook(self, model: type[HookT], data: Any, *, sid: Any = None) -> HookT:
        """Some notices do not say whose they are: it is this call."""
        if isinstance(data, dict) and "call_sid" not in data and (sid or self.call_sid):
            data = {**data, "call_sid": sid or self.call_sid}
        try:
            body = json.dumps(data).encode()
        except RecursionError:
            raise HookRefused(BAD_REQUEST, "The body is nested too deeply.") from None
        return parse_hook(model, body)


def encode(message: Command) -> str:
    """A message of ours as text. Raises :class:`MessageTooLarge`."""
    text = json.dumps(message, separators=(",", ":"))
    if len(text) > MAX_MESSAGE_BYTES:  # ASCII
        what = message.get("command") or message["type"]
        raise MessageTooLarge(f"{what} has {len(text)} bytes; Jambonz takes {MAX_MESSAGE_BYTES}")
    return text


def _parse(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise ApplicationRefused(UNUSABLE, "The message is not JSON.") from None
    if not isinstance(message, dict):
        raise ApplicationRefused(UNUSABLE, "The message is JSON, but not an object.")
    if not isinstance(message.get("type"), str) or not message["type"]:
        raise ApplicationRefused(UNUSABLE, "The message has no type.")
    return message


def _needed(msgid: str) -> str:
    if not msgid:
        raise ApplicationRefused(UNUSABLE, "The message has no msgid to be acknowledged by.")
    return msgid


def _short(value: Any) -> str:
    return str(value or "")[:80]


def _error(data: Any) -> str:
    """``msg`` or ``error``, and ``details``; never ``content``, which is what we had sent."""
    told = data if isinstance(data, dict) else {}
    parts = [told.get("msg") or told.get("error"), told.get("details"), told.get("verb")]
    return ": ".join(str(part)[:200] for part in parts if part) or "no details"
