"""The first message of a GPT-Live session: what an agent's definition means in its words. Pure.

Unknown fields are refused, so that there is no room for what GPT-Live does not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from media.audio import MULAW_8K, AudioFormat, Encoding
from pipelines.agent.vendor_specific import GPT_LIVE, said_to
from pipelines.parts import Message
from pipelines.realtime.model import Setup

MOST_CONTENT = 1500
"""Characters of one text for the model, which may have 500 tokens."""

MOST_HISTORY, MOST_HISTORY_CHARACTERS = 128, 20_000
"""Of a history: the vendor's limits are 128 messages and 8,192 tokens."""

_TYPES = {Encoding.PCM16: "audio/pcm", Encoding.MULAW: "audio/pcmu", Encoding.ALAW: "audio/pcma"}


def session_config(model: str, backend: str, setup: Setup, format: AudioFormat = MULAW_8K) -> dict[str, Any]:
    instructions = setup.instructions
    if setup.language:
        instructions += f"\n\nThe language of this conversation is {setup.language}."
    if setup.hints:
        instructions += f"\n\nWords that are likely to be said: {', '.join(setup.hints)}."
    audio: dict[str, Any] = {"format": {"type": _TYPES[format.encoding], "rate": format.rate}}
    if setup.voice:
        audio["output"] = {"voice": setup.voice}
    config: dict[str, Any] = {"model": model, "audio": audio}
    if instructions.strip():
        config["instructions"] = instructions.strip()
    if setup.tools:
        config["delegation"] = {"type": "responses", "responses": _delegate(backend, setup)}
    history = _history(setup.history)
    if history:
        config["input"] = history
    return config


def vendor_options(setup: Setup) -> Mapping[str, Any]:
    """Of the model behind. Raises ValueError for what an agent may not have otherwise."""
    given: Mapping[str, Any] = said_to("openai", GPT_LIVE, setup.vendor).get("delegation", {})
    return given


def _delegate(backend: str, setup: Setup) -> dict[str, Any]:
    config: dict[str, Any] = {"model": backend}
    if setup.instructions:
        config["instructions"] = setup.instructions
    config["tools"] = [
        {"type": "function", "name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
        for tool in setup.tools
    ]
    return {**config, **vendor_options(setup)}


def _history(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Its end, as far as there is room; tools are told of in words."""
    items: list[dict[str, Any]] = []
    room = MOST_HISTORY_CHARACTERS
    for message in reversed(messages):
        role, text = message.role, message.content
        if role == "tool":
            text = f"The tool {message.name or message.tool_call_id} returned: {text}"
        if not text.strip():
            continue
        room -= len(text)
        if room < 0 or len(items) == MOST_HISTORY:
            break
        kind = "output_text" if role == "assistant" else "input_text"
        speaker = role if role in ("user", "assistant") else "developer"
        items.append({"type": "message", "role": speaker, "content": [{"type": kind, "text": text}]})
    return items[::-1]


def pieces(text: str) -> list[str]:
    """``text`` in parts that the model takes, between words where there are any."""
    parts = []
    while len(text) > MOST_CONTENT:
        cut = text.rfind(" ", MOST_CONTENT // 2, MOST_CONTENT)
        cut = cut if cut > 0 else MOST_CONTENT
        parts.append(text[:cut])
        text = text[cut:].lstrip()
    return [*parts, text]
