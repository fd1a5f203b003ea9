"""The messages of a WebSocket application's socket, as a feature server writes and reads them. Pure."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

UNACKNOWLEDGED = frozenset({"call:status", "verb:status", "jambonz:error"})
"""What is not waited for."""

_NAMES_ITS_HOOK = frozenset({"verb:hook", "dial:confirm", "session:redirect"})
_NEED_NO_DATA = frozenset({"llm:tool-output", "tts:flush", "tts:clear"})


@dataclass(frozen=True, slots=True)
class Acknowledged:
    msgid: str
    data: Any


@dataclass(frozen=True, slots=True)
class Commanded:
    command: str
    data: Any
    queue: bool
    call_sid: str | None


def write(kind: str, call_sid: str | None, payload: dict[str, Any], hook: str) -> tuple[str, str]:
    """The ``msgid``, and the text. Only ``session:new`` makes a call's sid known to its socket: what goes before it
    names the call in its data alone."""
    msgid = uuid.uuid4().hex[:22]
    message = {
        "type": kind,
        "msgid": msgid,
        **({"call_sid": call_sid} if call_sid is not None else {}),
        **({"hook": hook} if kind in _NAMES_ITS_HOOK else {}),
        "data": payload,
        "b3": f"{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-1",
    }
    return msgid, json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def read(text: str) -> Acknowledged | Commanded:
    """Raises ValueError, in the words of a feature server."""
    message = json.loads(text)
    kind = message.get("type") if isinstance(message, dict) else None
    if not kind:
        raise ValueError("type property not supplied")
    if kind == "ack":
        if not message.get("msgid"):
            raise ValueError("msgid not supplied")
        return Acknowledged(message["msgid"], message.get("data"))
    if kind != "command":
        raise ValueError(f"invalid type property: {kind}")
    command, data = message.get("command"), message.get("data")
    if not command:
        raise ValueError("command property not supplied")
    if not data and command not in _NEED_NO_DATA:
        raise ValueError("data property not supplied")
    return Commanded(command, data, message.get("queueCommand") is True, message.get("callSid"))
