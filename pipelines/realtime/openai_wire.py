"""What OpenAI Realtime's messages mean, as far as that needs no memory: sound by a fast path, faults, counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from pipelines.base64_sound import AS_BASE64
from pipelines.parts import ProviderFault
from pipelines.realtime.model import ModelFault

IGNORED = frozenset(
    {
        "conversation.created",
        "conversation.item.deleted",
        "conversation.item.retrieved",
        "conversation.item.truncated",
        "conversation.item.input_audio_transcription.segment",
        "input_audio_buffer.cleared",
        "input_audio_buffer.dtmf_event_received",
        "input_audio_buffer.timeout_triggered",
        "output_audio_buffer.cleared",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.text.delta",
        "response.text.done",
        "mcp_list_tools.completed",
        "mcp_list_tools.failed",
        "mcp_list_tools.in_progress",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
    }
)
"""Known, and of no consequence for a call on a WebSocket: told elsewhere, of WebRTC and SIP, or of tools not ours."""

_SOUND = 'audio.delta"'
_HEAD_CHARACTERS = 400


class Sound(BaseModel):
    """The only message that comes often, and is large."""

    model_config = AS_BASE64

    type: Literal["response.output_audio.delta", "response.audio.delta"]
    response_id: str
    item_id: str
    delta: bytes


_read = TypeAdapter(Sound).validator.validate_json


def read_sound(message: str) -> Sound | None:
    """The sound in a message that holds some and says so early, in a quarter of the time that it takes otherwise. None:
    it is another message, or there is something wrong with it."""
    if message.find(_SOUND, 0, _HEAD_CHARACTERS) < 0:
        return None
    try:
        sound: Sound = _read(message)
    except ValueError:
        return None
    return sound


def text(value: object) -> str:
    """A string of theirs; what is none is empty."""
    return value if isinstance(value, str) else ""


def number(value: object) -> float:
    """A count of theirs; what is none is 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    try:
        converted = float(value)
    except OverflowError:
        return 0.0
    return converted if math.isfinite(converted) and converted > 0 else 0.0


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


# What was used


def response_units(usage: Mapping[str, Any]) -> dict[str, float]:
    given, made = mapping(usage.get("input_token_details")), mapping(usage.get("output_token_details"))
    units = {
        "input_tokens": number(usage.get("input_tokens")),
        "cached_tokens": number(given.get("cached_tokens")),
        "output_tokens": number(usage.get("output_tokens")),
        "input_audio_tokens": number(given.get("audio_tokens")),
        "output_audio_tokens": number(made.get("audio_tokens")),
    }
    return {name: count for name, count in units.items() if count}


def transcription_units(usage: Mapping[str, Any]) -> dict[str, float]:
    """Of the recogniser, which has prices of its own."""
    units = {
        "transcription_input_tokens": number(usage.get("input_tokens")),
        "transcription_output_tokens": number(usage.get("output_tokens")),
        "transcription_seconds": number(usage.get("seconds")),
    }
    return {name: count for name, count in units.items() if count}


def limits_left(limits: object) -> dict[str, float]:
    left = {}
    for limit in limits if isinstance(limits, list) else ():
        name, most = text(mapping(limit).get("name")), number(mapping(limit).get("limit"))
        if name and most:
            left[name] = min(number(mapping(limit).get("remaining")) / most, 1.0)
    return left


# What went wrong

_FATAL: dict[str, tuple[ProviderFault, str]] = {
    "insufficient_quota": ("rate_limit", "the account has no quota left"),
    "credit_balance_exhausted": ("rate_limit", "the account has no credit left"),
    "billing_hard_limit_reached": ("rate_limit", "the account has reached its billing limit"),
    "invalid_api_key": ("auth", "the key was refused"),
    "account_deactivated": ("auth", "the account is deactivated"),
    "model_not_found": ("bad_request", "the account has no such model"),
    "beta_api_shape_disabled": ("bad_request", "the server holds our messages to be of the API's old shape"),
}
"""By code or, as the vendor has moved them before, by type."""

_KINDS: dict[str, ProviderFault] = {"rate_limit_exceeded": "rate_limit", "server_error": "server"}


def fault(error: Mapping[str, Any], secret: str, *, refused: str = "") -> ModelFault:
    """``refused``: what of ours was refused, where nothing can come of the session because of it."""
    said = " ".join(text(error.get("message")).split())[:200]
    if secret:
        said = said.replace(secret, "…")
    names = [name for name in (text(error.get("code")), text(error.get("type"))) if name]
    for name in names:
        if name in _FATAL:
            kind, sentence = _FATAL[name]
            return ModelFault(kind, f"{sentence} ({name}): {said}" if said else f"{sentence} ({name})", fatal=True)
    kind = next((_KINDS[name] for name in names if name in _KINDS), "bad_request")
    what = f"{names[0] if names else 'error'}: {said}"
    return ModelFault(kind, f"{refused} were refused: {what}" if refused else what, fatal=bool(refused))
