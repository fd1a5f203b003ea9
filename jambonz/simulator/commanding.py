"""What an application commands: over its socket, besides acknowledging, or by the REST API's live call control."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jambonz.simulator.specs import Refused, parse_verbs

if TYPE_CHECKING:
    from jambonz.simulator.call import CallSession

_ENDINGS = frozenset({"completed", "no-answer"})
_ACTIONS = frozenset({"startCallRecording", "stopCallRecording", "pauseCallRecording", "resumeCallRecording"})
_KEYS = frozenset("0123456789ABCD*#")
_WHILE_BRIDGED = frozenset({"mute:status", "conf:mute-status", "conf:hold-status", "conf:participant-action"})
_ACCEPTED = frozenset(
    {"dial", "dub", "listen:status", "stream:status", "transcribe:status", "sip:request", "boostAudioSignal"}
    | {"media:path", "llm:tool-output", "llm:update", "tts:tokens", "tts:flush", "tts:clear"}
)

_BY_REST = {
    "call_status": "call:status",
    "call_hook": "redirect",
    "listen_status": "listen:status",
    "transcribe_status": "transcribe:status",
    "mute_status": "mute:status",
    "conf_hold_status": "conf:hold-status",
    "conf_mute_status": "conf:mute-status",
    "sip_request": "sip:request",
    "dtmf": "dtmf",
    "record": "record",
    "conferenceParticipantAction": "conf:participant-action",
    "dub": "dub",
    "boostAudioSignal": "boostAudioSignal",
    "media_path": "media:path",
    "whisper": "whisper",
}
"""Options of the REST API, and which command is the same."""

_BARE = frozenset({"record", "conferenceParticipantAction", "dub", "boostAudioSignal", "media_path"})
"""The data of their commands are the option's value, and not the option."""


class Incompatible(Exception):
    """The call is not there, or in another state: a 422 in these words."""


def update(call: CallSession, body: Mapping[str, Any]) -> None:
    """A body that the API server has let through, as the commands that it stands for. Raises :class:`Incompatible`.
    What else cannot be done is noted: by then the answer was 202."""
    wanted = body.get("call_status")
    if wanted is not None and call.answered is not (wanted == "completed"):
        raise Incompatible(
            f"current call state is incompatible with requested action for call_sid {call.info.call_sid}"
        )
    for name, value in body.items():
        if name not in _BY_REST:
            call.note(f"the option {name} is not simulated: it does nothing")
            continue
        try:
            run_command(call, _BY_REST[name], value if name in _BARE else {name: value})
        except ValueError as error:
            call.note(f"a command by the REST API does nothing: {error}")


def run_command(
    call: CallSession, command: str, data: Any, *, queue: bool = False, call_sid: str | None = None
) -> None:
    """Do it, or raise ValueError in words."""
    if call_sid is not None and call_sid != call.info.call_sid:
        raise ValueError(f"there is no leg {call_sid}")
    call.report.commands.append((call.now, command, data))
    match command:
        case "redirect" if isinstance(data, list):
            _redirect(call, data, queue=queue)
        case "redirect" if isinstance(data, dict) and data.get("call_hook"):
            call.spawn(call.redirect(data["call_hook"]))
        case "redirect":
            raise ValueError("the simulator redirects to arrays of verbs and to call hooks, and to nothing else")
        case "call:status":
            _end(call, data)
        case "config":
            _configure(call, data)
        case "whisper":
            _whisper(call, data)
        case "dtmf":
            _press(call, data)
        case "record":
            if not isinstance(data, dict) or data.get("action") not in _ACTIONS:
                raise ValueError("record: invalid action")
            if data["action"] == "startCallRecording" and not (data.get("siprecServerURL") and data.get("recordingID")):
                raise ValueError("record: siprecServerURL and recordingID are needed")
        case _ if command in _WHILE_BRIDGED:
            if call.running not in ("dial", "conference"):
                call.note(f"{command} does nothing in {call.running or 'no verb'}")
        case _ if command in _ACCEPTED:
            call.note(f"the command {command} is not simulated: it does nothing")
        case _:
            raise ValueError(f"invalid command: {command}")


def _redirect(call: CallSession, data: list[Any], *, queue: bool) -> None:
    try:
        verbs = parse_verbs(data)
    except Refused as error:
        raise ValueError(str(error)) from None
    if queue:
        call.append(verbs)
    else:
        call.replace(verbs)


def _end(call: CallSession, data: Any) -> None:
    status = data.get("call_status") if isinstance(data, dict) else None
    if status not in _ENDINGS:
        raise ValueError(f"call:status: invalid call_status: {status}")
    if not call.gone.is_set():
        call.end_by_status(status)


def _configure(call: CallSession, data: Any) -> None:
    try:
        [(_, properties)] = parse_verbs([{"verb": "config", **data}] if isinstance(data, dict) else [data])
    except Refused as error:
        raise ValueError(str(error)) from None
    call.configure(properties)


def _whisper(call: CallSession, data: Any) -> None:
    wanted = data.get("whisper") if isinstance(data, dict) else None
    try:
        verbs = parse_verbs(wanted if isinstance(wanted, list) else [wanted])
    except Refused as error:
        raise ValueError(f"whisper: {error}") from None
    if not verbs or any(name not in ("say", "play") for name, _ in verbs):
        raise ValueError("whisper: say and play only")
    if call.running not in ("listen", "dial"):
        call.note(f"a whisper in {call.running or 'no verb'} is not heard")
        return
    for name, properties in verbs:
        call.note(f"whisper: {properties.get('text') or properties.get('url')} ({name})")
        call.notify("start-playback", name, properties)


def _press(call: CallSession, data: Any) -> None:
    pressed = data.get("dtmf") if isinstance(data, dict) else None
    digit = pressed.get("digit") if isinstance(pressed, dict) else None
    if not isinstance(digit, str) or digit not in _KEYS or len(digit) != 1:
        raise ValueError(f"dtmf: invalid digit: {digit}")
    call.note(f"dtmf: {digit}" if call.answered else "dtmf does nothing before there is an answer")
