"""What the simulated REST API takes for a call that is to be placed: the checks of api-server, and those of the feature
server behind it."""

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
