"""Commands: what the WebSocket application API can do to a call at any time, and webhooks cannot.

Builders give messages, ready for JSON, that Jambonz accepts; what it would refuse is a :class:`VerbError` here. Jambonz
answers no command: of one that it cannot do it says nothing, or ``jambonz:error``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from jambonz.verbs import Verb, VerbError
from pipelines.keys import GAP_MS, KEYS, PAUSES_MS, TONE_MS, keys_problem

Command = dict[str, Any]

RecordAction = Literal["startCallRecording", "stopCallRecording", "pauseCallRecording", "resumeCallRecording"]

_WHISPERED = frozenset({"say", "play"})


def redirect(verbs: Sequence[Verb], *, queue: bool = False) -> Command:
    """Other verbs in place of all that are left, the running one included; with ``queue``, after them."""
    if not verbs:
        raise VerbError("redirect needs a verb: without any, a call is held in silence")
    return _command("redirect", list(verbs), queue=queue)


def hang_up() -> Command:
    """End a call that was answered. One that was not rings on: the API server objects, and a socket is told nothing."""
    return _command("call:status", {"call_status": "completed"})


def whisper(verbs: Sequence[Verb]) -> Command:
    """Say or play something over what is heard, while ``listen`` or ``dial`` runs."""
    if not verbs or any(verb.get("verb") not in _WHISPERED for verb in verbs):
        raise VerbError("whisper takes say and play, and at least one of them")
    return _command("whisper", {"whisper": list(verbs)})


def dtmf(digit: str, *, milliseconds: int = TONE_MS) -> Command:
    """One key, as SIP INFO."""
    if digit not in KEYS:
        raise VerbError("the command dtmf takes one of 0-9, *, # and A-D")
    if milliseconds <= 0:
        raise VerbError(f"dtmf's duration must be more than 0, not {milliseconds}")
    return _command("dtmf", {"dtmf": {"digit": digit, "duration": milliseconds}})


def pressed(digits: str, *, milliseconds: int = TONE_MS) -> Iterator[tuple[Command | None, float]]:
    """Keys one after the other: each command (none for ``w`` and ``p``), and the seconds until the next."""
    wrong = keys_problem(digits, milliseconds=milliseconds)
    if wrong is not None:
        raise VerbError(f"dtmf {wrong}")
    for digit in digits:
        if digit in PAUSES_MS:
            yield None, PAUSES_MS[digit] / 1000
        else:
            yield dtmf(digit, milliseconds=milliseconds), (milliseconds + GAP_MS) / 1000


def record(
    action: RecordAction,
    *,
    recording_id: str | None = None,
    siprec_server: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Command:
    """Jambonz's own recording of the call (SIPREC): to begin it needs a server and an id."""
    data: dict[str, Any] = {"action": action}
    if action == "startCallRecording" and not (recording_id and siprec_server):
        raise VerbError("to start a recording, name a SIPREC server and an id")
    if recording_id is not None:
        data["recordingID"] = recording_id
    if siprec_server is not None:
        data["siprecServerURL"] = siprec_server
    if headers:
        data["headers"] = dict(headers)
    return _command("record", data)


def notify_of_verbs(wanted: bool = True) -> Command:
    """Have ``verb:status`` sent whenever a verb begins and ends."""
    return _command("config", {"notifyEvents": wanted})


def _command(name: str, data: Any, *, queue: bool = False) -> Command:
    return {"type": "command", "command": name, "queueCommand": queue, "data": data}
