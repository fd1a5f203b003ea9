"""The first message of a Gemini Live session: what an agent's definition means in Gemini's words. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.agent.vendor_specific import GEMINI_GENERATION, GEMINI_LIVE, said_to
from pipelines.parts import Message, ToolSpec
from pipelines.realtime.model import Setup

_SCHEMA_KEYS = (
    "anyOf default description enum example format items maxItems maxLength maxProperties maximum minItems minLength "
    "minProperties minimum nullable pattern properties propertyOrdering required title type"
)
_SCHEMA = frozenset(_SCHEMA_KEYS.split())
"""What Gemini knows of JSON Schema: another key in a function's parameters ends the session (1007)."""


def talks_as_content(model: str) -> bool:
    """Models up to 2.5 take the text of a running conversation as ``clientContent``. Later ones take only its beginning
    that way, once the setup says so, and end the session (1007) at more; what follows is ``realtimeInput.text``."""
    return re.search(r"(^|[-/])[12]\.\d", model) is not None


def vendor_options(setup: Setup) -> Mapping[str, Any]:
    """Raises ValueError for what an agent may not have otherwise."""
    return said_to("google", GEMINI_LIVE, setup.vendor)


def setup_message(model: str, setup: Setup, handle: str | None) -> dict[str, Any]:
    """``handle`` of an earlier session, whose history this one takes over. Raises ValueError for vendor options that
    there are not."""
    options = vendor_options(setup)
    generation: dict[str, Any] = {"responseModalities": ["AUDIO"]}
    speech: dict[str, Any] = {}
    if setup.voice:
        speech["voiceConfig"] = {"prebuiltVoiceConfig": {"voiceName": setup.voice}}
    heard: dict[str, Any] = {}
    if setup.language:
        speech["languageCode"] = setup.language
        heard["languageCodes"] = [setup.language]
    if setup.hints:
        heard["customVocabulary"] = list(setup.hints)
    if speech:
        generation["speechConfig"] = speech
    if setup.temperature is not None:
        generation["temperature"] = 2 * setup.temperature
    generation.update({key: value for key, value in options.items() if key in GEMINI_GENERATION})
    message: dict[str, Any] = {
        "model": model if "/" in model else f"models/{model}",
        "generationConfig": generation,
        "realtimeInputConfig": _listening(setup),
        "inputAudioTranscription": heard,
        "outputAudioTranscription": {},
        "sessionResumption": {"handle": handle} if handle else {},
        "contextWindowCompression": {"slidingWindow": {}},
    }
    if setup.instructions:
        message["systemInstruction"] = {"parts": [{"text": setup.instructions}]}
    if setup.tools:
        message["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in setup.tools]}]
    if setup.history and not handle and not talks_as_content(model):
        message["historyConfig"] = {"initialHistoryInClientContent": True}
    message.update({key: value for key, value in options.items() if key not in GEMINI_GENERATION})
    return {"setup": message}


def _listening(setup: Setup) -> dict[str, Any]:
    config: dict[str, Any] = {
        "activityHandling": "START_OF_ACTIVITY_INTERRUPTS" if setup.interruptible else "NO_INTERRUPTION"
    }
    if setup.silence_seconds is not None:
        config["automaticActivityDetection"] = {"silenceDurationMs": round(1000 * setup.silence_seconds)}
    return config


def contents(history: Sequence[Message]) -> list[dict[str, Any]]:
    """The conversation so far, as turns that take turns and are not empty.

    Tools are told of in words: models that think want the signature of their thoughts with a ``functionCall``, and end
    the session where it is missing.
    """
    turns: list[dict[str, Any]] = []
    for message in history:
        role, text = ("model" if message.role == "assistant" else "user"), message.content
        if message.role == "tool":
            text = f"[The tool {message.name or message.tool_call_id} returned: {text}]"
        if not text.strip():
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"].append({"text": text})
        else:
            turns.append({"role": role, "parts": [{"text": text}]})
    return turns


def _declaration(tool: ToolSpec) -> dict[str, Any]:
    """``parameters``, and not ``parametersJsonSchema``, of which models up to 2.5 take no notice. A function without
    parameters goes without: an object without properties is refused."""
    declaration: dict[str, Any] = {"name": tool.name, "description": tool.description}
    if tool.parameters.get("properties"):
        declaration["parameters"] = schema(tool.parameters)
    return declaration


def schema(of: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON Schema cut down to what Gemini knows, with the same meaning where it can be had."""
    known: dict[str, Any] = {key: value for key, value in of.items() if key in _SCHEMA}
    kinds = of.get("type")
    if isinstance(kinds, list):
        named = [kind for kind in kinds if kind != "null"]
        known["type"] = named[0] if named else "string"
        if "null" in kinds:
            known["nullable"] = True
    if "const" in of:
        known["enum"] = [of["const"]]
    if "enum" in known and not all(isinstance(value, str) for value in known["enum"]):
        values = json.dumps(known.pop("enum"))
        known["description"] = f"{known.get('description', '')} One of {values}.".strip()
    choices = of.get("anyOf", of.get("oneOf"))
    if isinstance(choices, list):
        known["anyOf"] = [schema(choice) for choice in choices if isinstance(choice, Mapping)]
    properties = of.get("properties")
    if isinstance(properties, Mapping):
        known["properties"] = {name: schema(part) for name, part in properties.items() if isinstance(part, Mapping)}
        known["required"] = [name for name in of.get("required", ()) if name in known["properties"]]
    if isinstance(of.get("items"), Mapping):
        known["items"] = schema(of["items"])
    return {key: value for key, value in known.items() if value not in ([], {})}
