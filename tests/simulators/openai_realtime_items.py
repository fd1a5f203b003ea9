"""What the simulated model keeps: the items of the conversation, and the response that it is making."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from media.audio import PCM_24K, AudioFormat
from media.words import WORD_HEARD, TimedWord


@dataclass(slots=True)
class Item:
    id: str
    kind: str
    role: str = ""
    text: str = ""
    status: str = "completed"
    call_id: str = ""
    name: str = ""
    payload: str = ""
    """A call's arguments, or a tool's output."""
    spoken: bool = False
    format: AudioFormat = PCM_24K
    sound_bytes: int = 0
    """Of an answer: what was sent, late deltas included."""
    words: list[TimedWord] = field(default_factory=list)
    truncated_ms: int | None = None

    @property
    def audio_ms(self) -> int:
        sound_ms = self.sound_bytes * 1000 // self.format.bytes_per_second
        return sound_ms if self.truncated_ms is None else self.truncated_ms

    @property
    def known_text(self) -> str:
        """An answer's words as far as its sound goes; everything else is text."""
        if self.role != "assistant" or not self.spoken:
            return self.text
        seconds = self.audio_ms / 1000 + 1e-6
        return " ".join(w.word for w in self.words if w.start + WORD_HEARD * (w.end - w.start) <= seconds)

    def truncate(self, ms: int) -> None:
        self.truncated_ms = ms


@dataclass(slots=True)
class Response:
    id: str
    settings: dict[str, Any]
    format: AudioFormat
    status: str = "in_progress"
    item: Item | None = None
    sound: bytes = b""
    output: list[Item] = field(default_factory=list)
    _at: int = 0
    _words_told: int = 0

    def begin(self, item: Item, sound: bytes) -> None:
        self.item, self.sound = item, sound

    @property
    def at_item(self) -> dict[str, Any]:
        return {"response_id": self.id, "output_index": 0}

    @property
    def at_part(self) -> dict[str, Any]:
        assert self.item is not None
        return {"response_id": self.id, "item_id": self.item.id, "output_index": 0, "content_index": 0}

    def words_before(self, ahead_ms: int) -> list[str]:
        """The transcript runs ahead of the sound."""
        assert self.item is not None
        until = self.format.seconds(self.sound[: self._at]) + ahead_ms / 1000
        told = []
        for word in self.item.words[self._words_told :]:
            if word.start < until:
                told.append(word.word if self._words_told == 0 else f" {word.word}")
                self._words_told += 1
        return told

    def next_chunk(self, ms: int) -> bytes:
        assert self.item is not None
        size = self.format.bytes_per_second * ms // 1000
        chunk = self.sound[self._at : self._at + size]
        self._at += len(chunk)
        self.item.sound_bytes += len(chunk)
        return chunk

    def json(
        self,
        session: Mapping[str, Any],
        details: Mapping[str, Any] | None = None,
        usage: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        output = session["audio"]["output"]
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self.status,
            "status_details": details,
            "output": [item_json(item) for item in self.output],
            "conversation_id": "conv_1",
            "output_modalities": session["output_modalities"],
            "max_output_tokens": session["max_output_tokens"],
            "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
            "usage": usage,
            "metadata": self.settings.get("metadata"),
        }


def item_json(item: Item, status: str | None = None) -> dict[str, Any]:
    common = {"id": item.id, "object": "realtime.item", "type": item.kind, "status": status or item.status}
    match item.kind:
        case "function_call":
            arguments = "" if status == "in_progress" else item.payload
            return {**common, "call_id": item.call_id, "name": item.name, "arguments": arguments}
        case "function_call_output":
            return {**common, "call_id": item.call_id, "output": item.payload}
        case _:
            return {**common, "role": item.role, "content": [] if status == "in_progress" else [_content(item)]}


def _content(item: Item) -> dict[str, Any]:
    if item.role == "assistant":
        kind, words = ("output_audio", "transcript") if item.spoken else ("output_text", "text")
        return {"type": kind, words: item.known_text}
    return {"type": "input_audio", "transcript": None} if item.spoken else {"type": "input_text", "text": item.text}


def usage_of(items: Sequence[Item], output: Sequence[Item]) -> dict[str, Any]:
    """A token for each word; of sound, one for 100 ms of the caller's, and for 50 ms of the model's."""
    made = {item.id for item in output}
    before = [item for item in items if item.id not in made]
    text_in = sum(len(item.text.split()) + len(item.payload.split()) for item in before if not item.spoken) + 10
    audio_in = sum(item.audio_ms // 100 for item in before if item.spoken)
    text_out = sum(len(item.known_text.split()) + len(item.payload.split()) for item in output)
    audio_out = sum(item.audio_ms // 50 for item in output)
    given = {"text_tokens": text_in, "audio_tokens": audio_in, "image_tokens": 0, "cached_tokens": text_in // 2}
    return {
        "input_tokens": text_in + audio_in,
        "output_tokens": text_out + audio_out,
        "total_tokens": text_in + audio_in + text_out + audio_out,
        "input_token_details": given,
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
    }
