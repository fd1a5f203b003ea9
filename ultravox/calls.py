"""From what an agent and the call so far mean to the request that makes a call (Ultravox's StartCallRequest)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.agent.vendor_specific import HTTP_TOOLS, ULTRAVOX, said_to
from pipelines.parts import Message, ToolSpec
from pipelines.realtime.model import Setup

CLIENT_BUFFER_MS = 30_000
"""How far ahead of the ear Ultravox may send: we play out ourselves, and drop what it takes back."""

MINIMUM_INTERRUPTION = 0.2
"""Seconds of voice that break in on the agent. Ultravox's own 0.09 is a cough, or the agent's echo."""

TOOL_TIMEOUT = 10.0
"""Seconds. A slow tool gets a placeholder for its result long before; Ultravox's own 2.5 is a bound on its silence."""

GRACE_SECONDS = 20.0
"""The service itself ends a call at its longest, and says so; Ultravox does so much later, if it did not."""

_VAD_FRAME = 0.032
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class CallRefused(ValueError):
    """An agent's definition makes no call: a sentence that says where it is wrong."""


@dataclass(frozen=True, slots=True)
class HttpTool:
    """A tool that Ultravox asks by itself. ``{name}`` in ``url`` is a parameter's value; ``static`` are parameters
    that are not the model's to choose. Ultravox is told all of it: no place for credentials."""

    url: str
    method: str = "GET"
    static: Mapping[str, Any] = field(default_factory=dict)


def call_request(
    setup: Setup,
    *,
    model: str,
    rate: int | None,
    max_seconds: float,
    http_tools: Mapping[str, HttpTool] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The body of ``POST /api/calls``. ``rate``: of the sound both ways, in Hz; None where a browser joins it
    over WebRTC. ``max_seconds``: the longest session, whatever the agent allows. Raises :class:`CallRefused`."""
    longest = max_seconds if setup.longest_seconds is None else setup.longest_seconds + GRACE_SECONDS
    request: dict[str, Any] = {
        "systemPrompt": setup.instructions,
        "model": model,
        "maxDuration": duration(min(longest, max_seconds)),
        "recordingEnabled": False,
        "transcriptOptional": False,
        "firstSpeakerSettings": _first_speaker(setup),
        "vadSettings": _vad(setup),
        "medium": _medium(rate),
    }
    if setup.voice is not None:
        request["voice"] = setup.voice
    if setup.language is not None:
        request["languageHint"] = setup.language
    if setup.temperature is not None:
        request["temperature"] = setup.temperature
    if setup.time_exceeded is not None and longest <= max_seconds:  # otherwise the call goes on in another session
        request["timeExceededMessage"] = setup.time_exceeded
    if setup.history:
        request["initialMessages"] = initial_messages(setup.history)
    if setup.idle_seconds is not None and (setup.idle_prompts or setup.idle_farewell):
        request["inactivityMessages"] = _inactivity(setup.idle_seconds, setup.idle_prompts, setup.idle_farewell)
    if setup.tools:
        request["selectedTools"] = [_tool(spec, (http_tools or {}).get(spec.name)) for spec in setup.tools]
    if metadata:
        request["metadata"] = dict(metadata)
    return _merged(request, vendor_settings(setup.vendor))


def vendor_settings(vendor: Mapping[str, Any]) -> dict[str, Any]:
    """``vendorSpecific.ultravox``, checked. Raises :class:`CallRefused`."""
    try:
        settings = said_to("ultravox", ULTRAVOX, vendor)
    except ValueError as error:
        raise CallRefused(str(error)) from None
    return {name: value for name, value in settings.items() if name != HTTP_TOOLS}


def duration(seconds: float) -> str:
    """A duration as protobuf's JSON has it, to the millisecond: ``3600s``, ``0.384s``."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def initial_messages(history: Iterable[Message]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for entry in history:
        match entry.role:
            case "user":
                messages.append({"role": "MESSAGE_ROLE_USER", "text": entry.content})
            case "assistant":
                if entry.content:
                    messages.append({"role": "MESSAGE_ROLE_AGENT", "text": entry.content})
                for call in entry.tool_calls:
                    arguments = json.dumps(dict(call.arguments))
                    about = {"invocationId": call.id, "toolName": call.name}
                    messages.append({"role": "MESSAGE_ROLE_TOOL_CALL", "text": arguments, **about})
            case "tool":
                about = {"invocationId": entry.tool_call_id or "", "toolName": entry.name or ""}
                messages.append({"role": "MESSAGE_ROLE_TOOL_RESULT", "text": entry.content, **about})
            case "system":
                pass  # the instructions are the call's systemPrompt
    return messages


def _first_speaker(setup: Setup) -> dict[str, Any]:
    if setup.greeting is None:
        return {"user": {}}
    uninterruptible = not (setup.interruptible and setup.greeting_interruptible)
    return {"agent": {"text": setup.greeting, "uninterruptible": uninterruptible}}


def _vad(setup: Setup) -> dict[str, str]:
    settings = {"minimumInterruptionDuration": duration(MINIMUM_INTERRUPTION)}
    if setup.silence_seconds is not None:
        frames = max(1, round(setup.silence_seconds / _VAD_FRAME))
        settings["turnEndpointDelay"] = duration(frames * _VAD_FRAME)
    return settings


def _medium(rate: int | None) -> dict[str, Any]:
    if rate is None:
        return {"webRtc": {}}
    wanted = ("callStarted", "state", "transcript", "clientToolInvocation", "playbackClearBuffer")
    socket = {"inputSampleRate": rate, "outputSampleRate": rate, "clientBufferSizeMs": CLIENT_BUFFER_MS}
    return {"serverWebSocket": {**socket, "dataMessages": dict.fromkeys(wanted, True)}}


def _inactivity(seconds: float, prompts: Sequence[str], farewell: str | None) -> list[dict[str, str]]:
    """Each message's duration begins where the one before it was said: they add up."""
    messages = [{"duration": duration(seconds), "message": prompt} for prompt in prompts]
    if farewell is not None:
        soft = "END_BEHAVIOR_HANG_UP_SOFT"  # a caller who speaks after all is listened to
        messages.append({"duration": duration(seconds), "message": farewell, "endBehavior": soft})
    return messages


def _tool(spec: ToolSpec, http: HttpTool | None) -> dict[str, Any]:
    if not _TOOL_NAME.fullmatch(spec.name):
        raise CallRefused(f"the tool {spec.name!r} needs a name of at most 64 letters, digits, _ and -")
    required = spec.parameters.get("required", ())
    properties = spec.parameters.get("properties", {})
    tool: dict[str, Any] = {"modelToolName": spec.name, "description": spec.description}
    tool["dynamicParameters"] = [
        {"name": name, "location": _location(name, http), "schema": dict(schema), "required": name in required}
        for name, schema in properties.items()
    ]
    if http is None:
        return {"temporaryTool": {**tool, "timeout": duration(TOOL_TIMEOUT), "client": {}}}
    if http.static:
        tool["staticParameters"] = [
            {"name": name, "location": _location(name, http), "value": value} for name, value in http.static.items()
        ]
    tool["http"] = {"baseUrlPattern": http.url, "httpMethod": http.method.upper()}
    return {"temporaryTool": tool}


def _location(name: str, http: HttpTool | None) -> str:
    if http is None:
        return "PARAMETER_LOCATION_BODY"
    if f"{{{name}}}" in http.url:
        return "PARAMETER_LOCATION_PATH"
    return f"PARAMETER_LOCATION_{'BODY' if http.method.upper() in ('POST', 'PUT', 'PATCH') else 'QUERY'}"


def _merged(request: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The vendor's settings laid over the request: parts are merged where ours are only defaults."""
    merged = {**request, **settings}
    for name in ("vadSettings", "metadata"):
        if name in request and name in settings:
            merged[name] = {**request[name], **settings[name]}
    if "selectedTools" in request and "selectedTools" in settings:
        merged["selectedTools"] = [*request["selectedTools"], *settings["selectedTools"]]
    if "externalVoice" in settings:
        merged.pop("voice", None)
    return merged
