"""OpenAI Realtime in its old shape, as Azure's dated previews have it: the simulation of today behind a translation. It
knows the flat session and the old names alone, and refuses those of today."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from openai.types.beta.realtime import (
    ConversationItemCreateEvent,
    InputAudioBufferAppendEvent,
    InputAudioBufferCommitEvent,
    ResponseCancelEvent,
    ResponseCreateEvent,
    SessionUpdateEvent,
)
from openai.types.beta.realtime.conversation_item_delete_event import ConversationItemDeleteEvent
from openai.types.beta.realtime.conversation_item_truncate_event import ConversationItemTruncateEvent
from pydantic import BaseModel, ValidationError

from tests.simulators.openai_realtime_scene import Sent
from tests.simulators.openai_realtime_simulation import RealtimeSimulation

EVENTS: dict[str, type[BaseModel]] = {
    "session.update": SessionUpdateEvent,
    "input_audio_buffer.append": InputAudioBufferAppendEvent,
    "input_audio_buffer.commit": InputAudioBufferCommitEvent,
    "conversation.item.create": ConversationItemCreateEvent,
    "conversation.item.delete": ConversationItemDeleteEvent,
    "conversation.item.truncate": ConversationItemTruncateEvent,
    "response.create": ResponseCreateEvent,
    "response.cancel": ResponseCancelEvent,
}
FORMATS: dict[str, dict[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
NAMES = {
    "conversation.item.added": "conversation.item.created",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
}


class PreviewSimulation:
    """``real`` is the simulation behind. What the SDK's types of that time do not have is a mistake."""

    def __init__(self, real: RealtimeSimulation) -> None:
        self.real = real
        self.mistakes: list[str] = []

    @property
    def next_at(self) -> float | None:
        return self.real.next_at

    @property
    def stalled(self) -> bool:
        return self.real.stalled

    def opened(self, now: float) -> list[Sent]:
        return self._told(self.real.opened(now))

    def receive(self, message: str | bytes, now: float) -> list[Sent]:
        event = json.loads(message)
        self._judge(event)
        if event["type"] == "session.update":
            event["session"] = _today(event["session"])
        elif event["type"] == "conversation.item.create":
            for part in event["item"].get("content", ()):
                part["type"] = {"text": "output_text"}.get(part["type"], part["type"])
        return self._told(self.real.receive(json.dumps(event), now))

    def tick(self, now: float) -> list[Sent]:
        return self._told(self.real.tick(now))

    def _judge(self, event: dict[str, Any]) -> None:
        kind = EVENTS.get(event.get("type", ""))
        if kind is None:
            self.mistakes.append(f"there is no event {event.get('type')}")
            return
        try:
            judged = kind.model_validate(event, strict=True)
        except ValidationError as error:
            self.mistakes.append(f"{event['type']}: {error}")
            return
        self.mistakes += [f"{event['type']}: no field {name}" for name in _unknown(judged)]

    def _told(self, messages: Sequence[Sent]) -> list[Sent]:
        told: list[Sent] = []
        for message in messages:
            if not isinstance(message, str):
                told.append(message)
                continue
            event = json.loads(message)
            if event["type"] == "conversation.item.done":
                continue
            event["type"] = NAMES.get(event["type"], event["type"])
            if "session" in event:
                event["session"] = _flat(event["session"])
            told.append(json.dumps(event, separators=(",", ":")))
        return told


def _unknown(model: BaseModel) -> list[str]:
    """Fields that the SDK's type does not have, at any depth."""
    found = list(model.model_extra or ())
    for value in dict(model).values():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, BaseModel):
                found += _unknown(part)
    return found


def _today(flat: dict[str, Any]) -> dict[str, Any]:
    heard = {
        "format": FORMATS[flat["input_audio_format"]],
        "turn_detection": flat["turn_detection"],
        "transcription": flat["input_audio_transcription"],
    }
    said: dict[str, Any] = {"format": FORMATS[flat["output_audio_format"]]}
    if "voice" in flat:
        said["voice"] = flat["voice"]
    session: dict[str, Any] = {name: flat[name] for name in ("instructions", "tools", "tool_choice") if name in flat}
    if "max_response_output_tokens" in flat:
        session["max_output_tokens"] = flat["max_response_output_tokens"]
    return {"type": "realtime", **session, "output_modalities": ["audio"], "audio": {"input": heard, "output": said}}


def _flat(session: dict[str, Any]) -> dict[str, Any]:
    names = {format["type"]: name for name, format in FORMATS.items()}
    audio = session["audio"]
    return {
        "id": session["id"],
        "object": "realtime.session",
        "modalities": ["text", "audio"],
        "instructions": session["instructions"],
        "voice": audio["output"]["voice"],
        "input_audio_format": names[audio["input"]["format"]["type"]],
        "output_audio_format": names[audio["output"]["format"]["type"]],
        "input_audio_transcription": audio["input"]["transcription"],
        "turn_detection": audio["input"]["turn_detection"],
        "tools": session["tools"],
        "tool_choice": session["tool_choice"],
    }
