"""What is sent to set up a session of OpenAI Realtime, in the shape it has had since general availability."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from media.audio import AudioFormat, Encoding
from pipelines.agent.vendor_specific import OPENAI_REALTIME, said_to
from pipelines.parts import Message, ToolCall, ToolSpec
from pipelines.realtime.model import Setup

TRANSCRIPTION = "gpt-transcribe"

SETUP_ID = "setup"
"""The ``event_id`` of the settings: an error that repeats it refuses them."""

UPDATE_ID = "update"
"""That of others, in the middle of a session."""

_TAKES_KEYWORDS = ("gpt-transcribe", "gpt-live-transcribe")
_TAKES_NO_PROMPT = ("gpt-realtime-whisper", "gpt-4o-transcribe-diarize")


def wire_format(format: AudioFormat) -> dict[str, Any]:
    match format.encoding:
        case Encoding.MULAW:
            return {"type": "audio/pcmu"}
        case Encoding.ALAW:
            return {"type": "audio/pcma"}
        case Encoding.PCM16:
            return {"type": "audio/pcm", "rate": format.rate}


def session_fields(setup: Setup, input: AudioFormat, output: AudioFormat, transcription: str) -> dict[str, Any]:
    """The session as it is wanted. Raises ValueError for vendor options that cannot be."""
    options = said_to("openai", OPENAI_REALTIME, setup.vendor)
    audio: dict[str, Any] = {
        "input": {"format": wire_format(input), "turn_detection": _turn_detection(setup)},
        "output": {"format": wire_format(output)},
    }
    if setup.voice:
        audio["output"]["voice"] = setup.voice
    asked = options.get("audio", {}).get("input", {}).get("transcription", {})
    model = asked.get("model", transcription) if isinstance(asked, Mapping) else transcription
    audio["input"]["transcription"] = transcription_settings(str(model), setup.language or "", setup.hints)
    session: dict[str, Any] = {
        "type": "realtime",
        "instructions": setup.instructions,
        "output_modalities": ["audio"],
        "audio": audio,
        "tools": tool_fields(setup.tools),
    }
    return _merged(session, options)


def tool_fields(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    return [
        {"type": "function", "name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
        for tool in tools
    ]


def session_update(session: Mapping[str, Any], id: str = SETUP_ID) -> str:
    return json.dumps({"type": "session.update", "event_id": id, "session": session})


def _turn_detection(setup: Setup) -> dict[str, Any] | None:
    answers = {"create_response": True, "interrupt_response": setup.interruptible}
    match setup.detection:
        case "server" if setup.silence_seconds is not None:
            return {"type": "server_vad", "silence_duration_ms": round(setup.silence_seconds * 1000), **answers}
        case "server":
            return {"type": "server_vad", **answers}
        case "semantic":
            return {"type": "semantic_vad", **answers}
        case "own":
            return None


def transcription_settings(model: str, language: str, hints: Sequence[str]) -> dict[str, Any]:
    """How the caller is transcribed; ``language`` is a tag, or empty."""
    settings: dict[str, Any] = {"model": model}
    if language:
        settings["language"] = language.replace("_", "-").split("-")[0].lower()
    if hints and model.startswith(_TAKES_KEYWORDS):
        settings["keywords"] = list(hints)
    elif hints and not model.startswith(_TAKES_NO_PROMPT):
        settings["prompt"] = ", ".join(hints)
    return settings


def _merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(ours)
    for key, value in theirs.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return merged


# Items of the conversation


def item_create(item: Mapping[str, Any]) -> str:
    return json.dumps({"type": "conversation.item.create", "event_id": "item", "item": item})


def message_item(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def output_item(call_id: str, text: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def history_items(history: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """The conversation before this session; of tools' results those whose calls are in it, for others are refused."""
    asked: set[str] = set()
    for message in history:
        if message.role == "tool":
            if message.tool_call_id in asked:
                yield output_item(message.tool_call_id, message.content)
        elif message.content:
            yield message_item(message.role, message.content)
        for call in message.tool_calls:
            asked.add(call.id)
            yield _call_item(call)


def _call_item(call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(dict(call.arguments))
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments}
