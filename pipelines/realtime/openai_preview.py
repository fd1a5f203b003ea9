"""The shape that OpenAI Realtime had before its general availability, and that Azure's dated previews still have: one
flat session, and other names for its sound and its texts. What such a server says needs no translation: its names are
understood beside those of today. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

TRANSCRIPTION = "whisper-1"
"""The recogniser that previews have."""

_FORMATS = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}
_TYPES = {flat: type for type, flat in _FORMATS.items()}

_FLAT = {"instructions": "instructions", "tools": "tools", "tool_choice": "tool_choice", "tracing": "tracing"}
_RENAMED = {**_FLAT, "max_output_tokens": "max_response_output_tokens"}
_UNNAMED = frozenset({"type", "output_modalities", "audio"})
"""Fields of a session that are somewhere else in the flat one."""


def is_preview(path: str, version: str | None) -> bool:
    """Whether the server at ``path``, asked for its ``api-version``, has this shape. ``…/v1`` has that of today."""
    dated = version is not None and re.fullmatch(r"\d{4}-\d{2}-\d{2}-preview", version) is not None
    return dated and "v1" not in path.split("/")


def flat_session(session: Mapping[str, Any]) -> dict[str, Any]:
    """A session of today's shape in the old one. Raises ValueError for what that does not have."""
    unknown = sorted(set(session) - set(_RENAMED) - _UNNAMED)
    if unknown:
        raise ValueError(f"options.vendorSpecific.openai.{unknown[0]} is not known to previews of the API")
    heard, said = session["audio"]["input"], session["audio"]["output"]
    flat: dict[str, Any] = {
        "modalities": ["text", "audio"],
        "input_audio_format": _FORMATS[heard["format"]["type"]],
        "output_audio_format": _FORMATS[said["format"]["type"]],
        "input_audio_transcription": _transcription(heard["transcription"]),
        "turn_detection": heard["turn_detection"],
    }
    if "noise_reduction" in heard:
        flat["input_audio_noise_reduction"] = heard["noise_reduction"]
    flat |= {name: said[name] for name in ("voice", "speed") if name in said}
    return flat | {old: session[name] for name, old in _RENAMED.items() if name in session}


def flat_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of the conversation: what the agent said is plain text there."""
    parts = item.get("content")
    if not isinstance(parts, list):
        return dict(item)
    return {**item, "content": [{**part, "type": part["type"].replace("output_text", "text")} for part in parts]}


def flat_format(session: Mapping[str, Any], side: str) -> str:
    """The type of the sound of ``side`` (``input``, ``output``), by today's name; empty where it is not told."""
    told = session.get(f"{side}_audio_format")
    return _TYPES.get(told, told) if isinstance(told, str) else ""


def _transcription(wanted: Any) -> Any:
    if not isinstance(wanted, Mapping):
        return wanted
    return {name: value for name, value in wanted.items() if name in ("language", "model", "prompt")}
