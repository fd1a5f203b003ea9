"""What Ultravox refuses in the request that makes a call: a table of its fields, checked strictly."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

Check = Callable[[Any], list[str]]
"""Of a value: what is wrong with it, each as the rest of a sentence that begins with its path."""

DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def mistakes(request: Any) -> list[str]:
    """Sentences; none: the request is accepted."""
    return [problem.lstrip(". ") for problem in _start_call(request)]


def message_mistakes(message: Any) -> list[str]:
    """Of a data message to Ultravox: likewise."""
    kind = message.get("type") if isinstance(message, dict) else None
    check = _TO_SERVER.get(kind) if isinstance(kind, str) else None
    if check is None:
        return [f"{kind!r} is no type of message that a client sends"]
    return [f"{kind}{problem}" for problem in check({k: v for k, v in message.items() if k != "type"})]


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def _is(kind: type | tuple[type, ...], what: str) -> Check:
    def check(value: Any) -> list[str]:
        right = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
        return [] if right else [f" has to be {what}"]

    return check


_text, _flag = _is(str, "text"), _is(bool, "true or false")
_object = _is(dict, "an object")
_anything: Check = lambda value: []  # noqa: E731


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> list[str]:
        right = type(value) is int and low <= value <= high
        return [] if right else [f" has to be a whole number from {low} to {high}"]

    return check


def _number(low: float, high: float) -> Check:
    def check(value: Any) -> list[str]:
        right = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return [] if right else [f" has to be a number from {low:g} to {high:g}"]

    return check


def _duration(value: Any) -> list[str]:
    return [] if isinstance(value, str) and DURATION.fullmatch(value) else [' has to be a duration such as "1.5s"']


def _tool_name(value: Any) -> list[str]:
    right = isinstance(value, str) and TOOL_NAME.fullmatch(value)
    return [] if right else [" has to be a tool's name: at most 64 letters, digits, _ and -"]


def _one_of(*values: str) -> Check:
    return lambda value: [] if value in values else [f" has to be one of {', '.join(values)}"]


def _list(check: Check) -> Check:
    def of_all(value: Any) -> list[str]:
        if not isinstance(value, list):
            return [" has to be an array"]
        return [f"[{i}]{problem}" for i, item in enumerate(value) for problem in check(item)]

    return of_all


def _fields(
    known: Mapping[str, Check],
    *,
    required: Collection[str] = (),
    exactly_one: Collection[str] = (),
    at_most_one: Collection[str] = (),
) -> Check:
    def check(value: Any) -> list[str]:
        if not isinstance(value, dict):
            return [" has to be an object"]
        found = [f".{name} is not known" for name in value if name not in known]
        found += [f".{name} is missing" for name in required if name not in value]
        if exactly_one and sum(name in value for name in exactly_one) != 1:
            found.append(f" needs exactly one of {', '.join(exactly_one)}")
        if sum(name in value for name in at_most_one) > 1:
            found.append(f" takes at most one of {', '.join(at_most_one)}")
        for name, its_check in known.items():
            if name in value:
                found += [f".{name}{problem}" for problem in its_check(value[name])]
        return found

    return check


def _metadata(value: Any) -> list[str]:
    if not isinstance(value, dict):
        return [" has to be an object"]
    found = [f".{key} has to be text" for key, text in value.items() if not isinstance(text, str)]
    return found + [f".{key} is a name kept by Ultravox" for key in value if key.startswith("ultravox.")]


_VAD = _fields(
    {
        "turnEndpointDelay": _duration,
        "minimumTurnDuration": _duration,
        "minimumInterruptionDuration": _duration,
        "frameActivationThreshold": _number(0.1, 1),
    }
)
_MESSAGE = _fields(
    {
        "role": _one_of(*(f"MESSAGE_ROLE_{role}" for role in ("USER", "AGENT", "TOOL_CALL", "TOOL_RESULT"))),
        "text": _text,
        "invocationId": _text,
        "toolName": _tool_name,
        "medium": _one_of("MESSAGE_MEDIUM_VOICE", "MESSAGE_MEDIUM_TEXT"),
    },
    required=("role",),
)
_INACTIVITY = _fields(
    {
        "duration": _duration,
        "message": _text,
        "endBehavior": _one_of("END_BEHAVIOR_UNSPECIFIED", "END_BEHAVIOR_HANG_UP_SOFT", "END_BEHAVIOR_HANG_UP_STRICT"),
    },
    required=("duration", "message"),
)
_FIRST_SPEAKER = _fields(
    {
        "user": _fields(
            {"fallback": _fields({"delay": _duration, "text": _text, "prompt": _text}, at_most_one=("text", "prompt"))}
        ),
        "agent": _fields(
            {"uninterruptible": _flag, "text": _text, "prompt": _text, "delay": _duration},
            at_most_one=("text", "prompt"),
        ),
    },
    exactly_one=("user", "agent"),
)
_KINDS = ("pong", "state", "transcript", "clientToolInvocation", "dataConnectionToolInvocation", "playbackClearBuffer")
_MORE_KINDS = ("callStarted", "debug", "callEvent", "toolUsed", "userStartedSpeaking", "userStoppedSpeaking")
_DATA_MESSAGES = _fields(dict.fromkeys((*_KINDS, *_MORE_KINDS, "invokingTool"), _flag))
_RATE = _whole(8000, 48000)
_SOCKET = _fields(
    {
        "inputSampleRate": _RATE,
        "outputSampleRate": _RATE,
        "clientBufferSizeMs": _whole(0, 120_000),
        "dataMessages": _DATA_MESSAGES,
        "mediaIdleTimeout": _duration,
    },
    required=("inputSampleRate",),
)
_MEDIA = ("webRtc", "twilio", "telnyx", "plivo", "exotel", "sip", "serverWebSocket")
_MEDIUM = _fields({**dict.fromkeys(_MEDIA, _object), "serverWebSocket": _SOCKET}, at_most_one=_MEDIA)

_LOCATION = _one_of(*(f"PARAMETER_LOCATION_{place}" for place in ("QUERY", "PATH", "HEADER", "BODY")))
_KNOWN_VALUES = ("CALL_ID", "CONVERSATION_HISTORY", "OUTPUT_SAMPLE_RATE", "CALL_STATE", "CALL_STAGE_ID", "THREAD_ID")
_TEMPORARY = _fields(
    {
        "modelToolName": _tool_name,
        "description": _text,
        "dynamicParameters": _list(
            _fields(
                {"name": _text, "location": _LOCATION, "schema": _object, "required": _flag},
                required=("name", "location", "schema"),
            )
        ),
        "staticParameters": _list(
            _fields({"name": _text, "location": _LOCATION, "value": _anything}, required=("name", "location"))
        ),
        "automaticParameters": _list(
            _fields(
                {
                    "name": _text,
                    "location": _LOCATION,
                    "knownValue": _one_of(
                        *(f"KNOWN_PARAM_{name}" for name in (*_KNOWN_VALUES, "THREAD_STATES", "CALL_METADATA"))
                    ),
                },
                required=("name", "location", "knownValue"),
            )
        ),
        "requirements": _object,
        "timeout": _duration,
        "precomputable": _flag,
        "defaultReaction": _one_of(*(f"AGENT_REACTION_{kind}" for kind in ("SPEAKS", "LISTENS", "SPEAKS_ONCE"))),
        "staticResponse": _fields({"responseText": _text}),
        "http": _fields(
            {"baseUrlPattern": _text, "httpMethod": _one_of("GET", "POST", "PUT", "PATCH", "DELETE")},
            required=("baseUrlPattern", "httpMethod"),
        ),
        "client": _fields({}),
        "dataConnection": _fields({}),
    },
    required=("modelToolName", "description"),
    exactly_one=("http", "client", "dataConnection"),
)


def _temporary_tool(value: Any) -> list[str]:
    found = _TEMPORARY(value)
    if not found and "client" in value:
        parameters = [p for kind in ("dynamic", "static", "automatic") for p in value.get(f"{kind}Parameters", [])]
        if any(parameter["location"] != "PARAMETER_LOCATION_BODY" for parameter in parameters):
            found.append(" is a client tool: its parameters have to be in the BODY")
    return found


_TOOL = _fields(
    {
        "toolId": _text,
        "toolName": _tool_name,
        "temporaryTool": _temporary_tool,
        "nameOverride": _tool_name,
        "descriptionOverride": _text,
        "authTokens": _object,
        "parameterOverrides": _object,
        "transitionId": _text,
    },
    exactly_one=("toolId", "toolName", "temporaryTool"),
)


def tool_names(request: Mapping[str, Any]) -> list[str]:
    return [
        tool.get("nameOverride") or tool.get("temporaryTool", {}).get("modelToolName") or tool.get("toolName", "")
        for tool in request.get("selectedTools", [])
    ]


def _start_call(request: Any) -> list[str]:
    found = _START_CALL(request)
    if found:
        return found
    names = tool_names(request)
    return [f".selectedTools has {name!r} twice" for name in sorted({n for n in names if n and names.count(n) > 1})]


_VOICES = ("elevenLabs", "cartesia", "lmnt", "google", "inworld", "respeecher", "generic")
_CALLBACK = _fields({"url": _text, "secrets": _list(_text)}, required=("url",))
_START_CALL = _fields(
    {
        "systemPrompt": _text,
        "temperature": _number(0, 1),
        "model": _text,
        "voice": _text,
        "externalVoice": _fields(dict.fromkeys(_VOICES, _object), exactly_one=_VOICES),
        "voiceOverrides": _object,
        "languageHint": _text,
        "initialMessages": _list(_MESSAGE),
        "joinTimeout": _duration,
        "maxDuration": _duration,
        "timeExceededMessage": _text,
        "inactivityMessages": _list(_INACTIVITY),
        "selectedTools": _list(_TOOL),
        "medium": _MEDIUM,
        "recordingEnabled": _flag,
        "initialOutputMedium": _one_of("MESSAGE_MEDIUM_VOICE", "MESSAGE_MEDIUM_TEXT"),
        "firstSpeakerSettings": _FIRST_SPEAKER,
        "firstSpeaker": _one_of("FIRST_SPEAKER_AGENT", "FIRST_SPEAKER_USER"),
        "vadSettings": _VAD,
        "metadata": _metadata,
        "initialState": _object,
        "dataConnection": _object,
        "callbacks": _fields(dict.fromkeys(("joined", "ended", "billed"), _CALLBACK)),
        "retentionPolicy": _object,
        "sharedSecrets": _list(_text),
        "experimentalSettings": _object,
        "transcriptOptional": _flag,
    },
    at_most_one=("voice", "externalVoice"),
)

_TO_SERVER: dict[str, Check] = {
    "user_text_message": _fields({"text": _text, "urgency": _one_of("immediate", "soon", "later")}, required=("text",)),
    "forced_agent_message": _fields(
        {
            "content": _text,
            "toolCalls": _list(_fields({"id": _text, "name": _tool_name, "arguments": _object}, required=("name",))),
            "uninterruptible": _flag,
            "urgency": _one_of("immediate", "soon"),
        }
    ),
    "client_tool_result": _fields(
        {
            "invocationId": _text,
            "result": _text,
            "responseType": _one_of("tool-response", "hang-up", "new-stage", "send-to-thread"),
            "agentReaction": _one_of("speaks", "listens", "speaks-once"),
            "errorType": _one_of("undefined", "implementation-error"),
            "errorMessage": _text,
            "updateCallState": _object,
        },
        required=("invocationId",),
        exactly_one=("result", "errorType"),
    ),
    "set_output_medium": _fields({"medium": _one_of("voice", "text")}, required=("medium",)),
    "hang_up": _fields({"message": _text}),
    "ping": _fields({"timestamp": _number(0, 1e12)}, required=("timestamp",)),
}
