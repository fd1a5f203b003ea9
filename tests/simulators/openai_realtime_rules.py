"""What OpenAI Realtime refuses in the shape of a client's events, each with the code and the parameter of its error."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_APPENDED = 15 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Problem:
    code: str
    param: str
    message: str


Check = Callable[[Any, str], Iterator[Problem]]


def problem_of(event: Mapping[str, Any]) -> Problem | None:
    """The first thing that is wrong with an event."""
    return next(_EVENT(event, ""), None)


def _wrong(param: str, wanted: str, value: Any) -> Problem:
    code = "invalid_type" if "one of" not in wanted else "invalid_value"
    return Problem(code, param, f"Invalid value for '{param}': expected {wanted}, but got {json.dumps(value)[:60]}.")


def of_type(*types: type) -> Check:
    def check(value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            yield _wrong(at, " or ".join(each.__name__ for each in types), value)

    return check


def one_of(*values: Any) -> Check:
    def check(value: Any, at: str) -> Iterator[Problem]:
        if not any(value == allowed and type(value) is type(allowed) for allowed in values):
            yield _wrong(at, f"one of {', '.join(map(str, values))}", value)

    return check


def between(low: float, high: float, *types: type) -> Check:
    def check(value: Any, at: str) -> Iterator[Problem]:
        yield from of_type(*types)(value, at)
        if isinstance(value, int | float) and not low <= value <= high:
            yield _wrong(at, f"one of {low} to {high}", value)

    return check


def either(*checks: Check) -> Check:
    def check(value: Any, at: str) -> Iterator[Problem]:
        found = [next(each(value, at), None) for each in checks]
        if None not in found:
            yield from (problem for problem in found[:1] if problem is not None)

    return check


def each(inner: Check) -> Check:
    def check(value: Any, at: str) -> Iterator[Problem]:
        yield from of_type(list)(value, at)
        for index, entry in enumerate(value if isinstance(value, list) else ()):
            yield from inner(entry, f"{at}[{index}]")

    return check


def fields(required: Mapping[str, Check] | None = None, /, **optional: Check) -> Check:
    known = {**(required or {}), **optional}

    def check(value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield _wrong(at, "an object", value)
            return
        prefix = f"{at}." if at else ""
        for name in required or {}:
            if name not in value:
                path = prefix + name
                yield Problem("missing_required_parameter", path, f"Missing required parameter: '{path}'.")
        for name, entry in value.items():
            if name not in known:
                yield Problem("unknown_parameter", prefix + name, f"Unknown parameter: '{prefix}{name}'.")
            else:
                yield from known[name](entry, prefix + name)

    return check


def tagged(tag: str, kinds: Mapping[str, Check]) -> Check:
    def check(value: Any, at: str) -> Iterator[Problem]:
        yield from of_type(dict)(value, at)
        if not isinstance(value, dict):
            return
        path = f"{at}.{tag}" if at else tag
        if tag not in value:
            yield Problem("missing_required_parameter", path, f"Missing required parameter: '{path}'.")
        elif not isinstance(value[tag], str) or value[tag] not in kinds:
            yield _wrong(path, f"one of {', '.join(kinds)}", value[tag])
        else:
            yield from kinds[value[tag]]({k: v for k, v in value.items() if k != tag}, at)

    return check


def base64_audio(value: Any, at: str) -> Iterator[Problem]:
    yield from TEXT(value, at)
    try:
        sound = base64.b64decode(value if isinstance(value, str) else "", validate=True)
    except ValueError:
        yield Problem("invalid_value", at, f"Invalid '{at}': it is not base64.")
        return
    if not sound or len(sound) > MOST_APPENDED:
        yield Problem("invalid_value", at, f"Invalid '{at}': {len(sound)} bytes; 1 to {MOST_APPENDED} are taken.")


TEXT, FLAG, WHOLE, OBJECT = of_type(str), of_type(bool), of_type(int), of_type(dict)
NULL = of_type(type(None))

_ANSWERS = {"create_response": FLAG, "interrupt_response": FLAG}
_FORMAT = tagged(
    "type",
    {"audio/pcm": fields({"rate": one_of(24000)}), "audio/pcmu": fields(), "audio/pcma": fields()},
)
_DETECTION = tagged(
    "type",
    {
        "server_vad": fields(
            threshold=between(0, 1, int, float),
            prefix_padding_ms=between(0, 10000, int),
            silence_duration_ms=between(0, 10000, int),
            idle_timeout_ms=between(5000, 30000, int),
            **_ANSWERS,
        ),
        "semantic_vad": fields(eagerness=one_of("low", "medium", "high", "auto"), **_ANSWERS),
    },
)
_TRANSCRIPTION = fields(model=TEXT, language=TEXT, languages=each(TEXT), prompt=TEXT, keywords=each(TEXT), delay=TEXT)
_NOISE = fields(type=one_of("near_field", "far_field"), strength=between(0, 2, int, float))
_TOOL = tagged(
    "type",
    {"function": fields({"name": TEXT}, description=TEXT, parameters=OBJECT), "mcp": lambda value, at: iter(())},
)
_COMMON = {
    "instructions": TEXT,
    "output_modalities": one_of(["audio"], ["text"]),
    "tools": each(_TOOL),
    "tool_choice": either(one_of("auto", "none", "required"), OBJECT),
    "parallel_tool_calls": FLAG,
    "reasoning": fields(effort=one_of("minimal", "low", "medium", "high", "xhigh")),
    "max_output_tokens": either(between(1, 4096, int), one_of("inf")),
    "prompt": either(OBJECT, NULL),
}
_INPUT = fields(
    format=_FORMAT,
    noise_reduction=either(_NOISE, NULL),
    transcription=either(_TRANSCRIPTION, NULL),
    turn_detection=either(_DETECTION, NULL),
)
_OUTPUT = fields(format=_FORMAT, voice=either(TEXT, fields({"id": TEXT})), speed=between(0.25, 1.5, int, float))
_SESSION = fields(
    {"type": one_of("realtime")},
    model=TEXT,
    audio=fields(input=_INPUT, output=_OUTPUT),
    truncation=either(one_of("auto", "disabled"), OBJECT),
    include=each(one_of("item.input_audio_transcription.logprobs")),
    tracing=either(one_of("auto"), OBJECT, NULL),
    **_COMMON,
)
_RESPONSE = fields(
    conversation=TEXT,
    input=each(OBJECT),
    metadata=either(OBJECT, NULL),
    audio=fields(output=fields(format=_FORMAT, voice=TEXT)),
    **_COMMON,
)

_ITEM_COMMON = {"id": TEXT, "object": one_of("realtime.item"), "status": TEXT}


def _content(*kinds: str) -> Check:
    part = {"input_text": fields({"text": TEXT}), "output_text": fields({"text": TEXT})}
    part |= {
        "input_audio": fields({"audio": base64_audio}, transcript=TEXT),
        "input_image": fields({"image_url": TEXT}),
    }
    return each(tagged("type", {kind: part[kind] for kind in kinds}))


def _message(*kinds: str) -> Check:
    return fields({"content": _content(*kinds)}, **_ITEM_COMMON)


_ITEM = tagged(
    "type",
    {
        "message": tagged(
            "role",
            {
                "system": _message("input_text"),
                "user": _message("input_text", "input_audio", "input_image"),
                "assistant": _message("output_text"),
            },
        ),
        "function_call": fields({"name": TEXT, "arguments": TEXT}, call_id=TEXT, **_ITEM_COMMON),
        "function_call_output": fields({"call_id": TEXT, "output": TEXT}, **_ITEM_COMMON),
    },
)
_ID = {"event_id": TEXT}
_EVENT = tagged(
    "type",
    {
        "session.update": fields({"session": _SESSION}, **_ID),
        "input_audio_buffer.append": fields({"audio": base64_audio}, **_ID),
        "input_audio_buffer.commit": fields(**_ID),
        "input_audio_buffer.clear": fields(**_ID),
        "conversation.item.create": fields({"item": _ITEM}, previous_item_id=TEXT, **_ID),
        "conversation.item.delete": fields({"item_id": TEXT}, **_ID),
        "conversation.item.retrieve": fields({"item_id": TEXT}, **_ID),
        "conversation.item.truncate": fields(
            {"item_id": TEXT, "content_index": one_of(0), "audio_end_ms": WHOLE}, **_ID
        ),
        "response.create": fields(response=_RESPONSE, **_ID),
        "response.cancel": fields(response_id=TEXT, **_ID),
    },
)
