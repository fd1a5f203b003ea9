"""What the simulated REST API takes for calls that are to be placed, or under way: the checks of api-server, and
those of the feature server behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from jambonz.simulator.rest_rows import ApiError, Row

_SPEECH = (
    "speech_synthesis_vendor",
    "speech_synthesis_language",
    "speech_synthesis_voice",
    "speech_recognizer_vendor",
    "speech_recognizer_language",
)
_OF_APPLICATION = ("call_hook", "app_json", "call_status_hook", *_SPEECH)
_ADDRESS = {"phone": "number", "teams": "number", "user": "name", "sip": "sipUri"}
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "answerOnBridge": bool,
    "fromHost": str,
    "callerName": str,
    "amd": dict,
    "tag": dict,
    "timeout": int,
    "timeLimit": int,
    "call_hook": dict,
    "call_status_hook": dict,
    **dict.fromkeys(_SPEECH, str),
}
_LONGEST_FROM = 256
_KNOWN = frozenset(_TYPES) - {"answerOnBridge"} | {
    "from",
    "to",
    "headers",
    "account_sid",
    "application_sid",
    "app_json",
}
"""A feature server makes a verb of the body, and refuses properties that its validator does not know: also one that its
own schema takes."""

_LIVE_OPTIONS = frozenset(
    {"call_hook", "child_call_hook", "call_status", "listen_status", "transcribe_status", "conf_hold_status"}
    | {"conf_mute_status", "mute_status", "sip_request", "record", "tag", "dtmf", "conferenceParticipantAction"}
    | {"dub", "boostAudioSignal", "media_path"}
)
_VALUES = {
    "call_status": ("completed", "no-answer"),
    "listen_status": ("pause", "silence", "resume"),
    "mute_status": ("mute", "unmute"),
    "conf_hold_status": ("hold", "unhold"),
    "conf_mute_status": ("mute", "unmute"),
    "media_path": ("no-media", "partial-media", "full-media"),
}


def check_create_call(data: Row, applications: Mapping[str, Row]) -> Row:
    """The body as it is given on to the feature server. Raises :class:`ApiError`."""
    body = dict(data)
    if not body.get("from"):
        raise ApiError(400, "missing from parameter")
    to = body.get("to")
    if not isinstance(to, dict) or not isinstance(to.get(_ADDRESS.get(str(to.get("type")), "")), str):
        raise ApiError(400, f"missing or invalid to property: {json.dumps(to)}")
    if body.get("application_sid"):
        application = applications.get(body["application_sid"])
        if application is None:
            raise ApiError(400, f"application_sid not found {body['application_sid']}")
        body |= {name: application.get(name) for name in _OF_APPLICATION}
    else:
        body.pop("application_sid", None)
        if not all(body.get(name) for name in _SPEECH):
            raise ApiError(400, f"either application_sid or set of {', '.join(_SPEECH)} required")
        if not body.get("call_hook"):
            raise ApiError(400, "either call_hook or application_sid required")
    for name in ("call_hook", "call_status_hook"):
        hook = body.get(name)
        if isinstance(hook, str):
            hook = body[name] = {"url": hook, "method": "POST"}
        if isinstance(hook, dict) and not isinstance(hook.get("url"), str):
            raise ApiError(400, f"{name} must be string or an object containing a url property")
        if hook and not hook["url"].startswith(("http:", "https:", "ws:", "wss:")):
            raise ApiError(400, f"{name} url be an absolute url")
    return body


def feature_server_takes(body: Row) -> bool:
    """Its own check of the body, in which absent and null are the same."""
    fine = body.keys() <= _KNOWN and all(
        isinstance(value, _TYPES[name]) and not (_TYPES[name] is int and isinstance(value, bool))
        for name, value in body.items()
        if name in _TYPES and value is not None
    )
    return fine and isinstance(body["from"], str) and len(body["from"]) <= _LONGEST_FROM


def check_update_call(data: Row) -> None:
    """Live call control: one option, beside which there may be a whisper. Raises :class:`ApiError`."""
    options = {name for name in _LIVE_OPTIONS if data.get(name)}
    if not options and not data.get("whisper"):
        raise ApiError(400, "no valid options supplied to updateCall")
    if len(options) > 1 and options != {"call_hook", "child_call_hook"}:
        raise ApiError(400, "multiple options are not allowed in updateCall")
    for name, values in _VALUES.items():
        if data.get(name) and data[name] not in values:
            raise ApiError(400, f"invalid {name}")
    request, record = data.get("sip_request"), data.get("record")
    if request and not all(request.get(name) for name in ("method", "content_type", "content")):
        raise ApiError(400, "sip_request requires method, content_type and content properties")
    if record and not record.get("action"):
        raise ApiError(400, "record requires action property")
    if data.get("dtmf") and not data["dtmf"].get("digit"):
        raise ApiError(400, "invalid dtmf")
    if record and not record.get("siprecServerURL") and record.get("type") != "cloud":
        # Whatever the action, though it says otherwise.
        raise ApiError(400, "record requires siprecServerURL property when starting recording")
    if data.get("tag") and not isinstance(data["tag"], dict):
        raise ApiError(400, "invalid tag data")
