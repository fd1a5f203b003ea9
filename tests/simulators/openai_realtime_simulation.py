"""OpenAI Realtime without its socket: messages and the time in, messages out. Behaves as documented, and as measured by
those who had to live with it: bursts, late deltas, refusals. What the client does wrong is told to it, and recorded."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from media.audio import ALAW_8K, MULAW_8K, PCM_24K, AudioFormat
from tests.simulators.openai_realtime_items import Item, Response, item_json, usage_of
from tests.simulators.openai_realtime_listening import ServerVad, SpeechStarted, SpeechStopped
from tests.simulators.openai_realtime_rules import problem_of
from tests.simulators.openai_realtime_scene import (
    Behaviour,
    Faults,
    History,
    Reply,
    Script,
    Sent,
    default_session,
    echo,
    full_detection,
    obey,
)
from tests.simulators.openai_realtime_voice import Voice, Voiced, tones
from tests.simulators.openai_realtime_wire import SimulatedWire

FORMATS = {"audio/pcm": PCM_24K, "audio/pcmu": MULAW_8K, "audio/pcma": ALAW_8K}
CHUNK_MS = 100
AHEAD_SECONDS = 3.0
"""More sound than this ahead of the clock cannot come from a telephone: it is in another format than was said."""


class RealtimeSimulation(SimulatedWire):
    """One session. ``said`` is what the caller says in his next turns; ``understand`` reads it in his sound instead."""

    def __init__(
        self,
        *,
        model: str = "gpt-realtime-2.1",
        reply: Script = echo,
        voice: Voice = tones,
        understand: Callable[[bytes, AudioFormat], str] | None = None,
        behaviour: Behaviour | None = None,
        faults: Faults | None = None,
        expires_at: int | None = None,
    ) -> None:
        super().__init__(faults or Faults())
        self.said: deque[str] = deque()
        self.received: list[dict[str, Any]] = []
        """The client's events, without the sound."""
        self.items: list[Item] = []
        self.session = default_session(model, expires_at)
        self._reply, self._voice, self._understand = reply, voice, understand
        self._behaviour = behaviour or Behaviour()
        self._heard_bytes = 0
        self._buffer = bytearray()
        self._vad: ServerVad | None = None
        self._turn_item: str | None = None
        self._active: Response | None = None
        self._spoke = False
        self._sent_ms = 0.0
        self._refused_once = self._hurried = False

    # The driver's side

    def opened(self, now: float) -> list[Sent]:
        self._now = self._began = now
        self._listen()
        self._emit("session.created", session=self.session)
        self._emit("conversation.created", conversation={"id": "conv_1", "object": "realtime.conversation"})
        if self._faults.expire_after is not None:
            self._later(self._faults.expire_after, self._expire)
        return self._taken()

    def receive(self, message: str | bytes, now: float) -> list[Sent]:
        sent = self.tick(now)
        if not self.stalled:
            self._receive(message)
        return sent + self._taken()

    def history(self) -> History:
        """What the model believes was said: of an interrupted answer, what it was told the caller heard."""
        entries = [(item.role, item.known_text) for item in self.items if item.kind == "message"]
        return [(role, text) for role, text in entries if text]

    # What the client sends

    def _receive(self, message: str | bytes) -> None:
        sound = _plain_sound(message)
        if sound is not None:
            self._hear(sound)
            return
        try:
            event = json.loads(message)
        except ValueError:
            event = None
        if not isinstance(event, dict) or isinstance(message, bytes):
            self._refuse({}, "invalid_event", "The message is not a JSON object in a text frame.")
            return
        if event.get("type") != "input_audio_buffer.append":
            self.received.append(event)
        problem = problem_of(event)
        if problem is not None:
            self._refuse(event, problem.code, problem.message, problem.param)
            return
        match event["type"]:
            case "session.update":
                self._update(event)
            case "input_audio_buffer.append":
                self._append(event)
            case "input_audio_buffer.commit":
                self._commit_asked(event)
            case "input_audio_buffer.clear":
                self._buffer.clear()
                if self._vad is not None:
                    self._vad.clear()
                self._emit("input_audio_buffer.cleared")
            case "conversation.item.create":
                self._create_item(event)
            case "conversation.item.delete" | "conversation.item.retrieve" | "conversation.item.truncate":
                self._about_item(event)
            case "response.create":
                self._create_asked(event)
            case "response.cancel":
                if self._active is None or event.get("response_id") not in (None, self._active.id):
                    self._refuse(event, "response_cancel_not_active", "Cancellation failed: no active response found")
                else:
                    self._cancel("client_cancelled")
            case _:
                raise AssertionError(f"{event['type']} passed the rules, and is not handled")

    # The session

    @property
    def _input(self) -> dict[str, Any]:
        return self.session["audio"]["input"]  # type: ignore[no-any-return]

    @property
    def _input_format(self) -> AudioFormat:
        return FORMATS[self._input["format"]["type"]]

    @property
    def _output_format(self) -> AudioFormat:
        return FORMATS[self.session["audio"]["output"]["format"]["type"]]

    def _update(self, event: Mapping[str, Any]) -> None:
        wanted = event["session"]
        audio = wanted.get("audio", {})
        voice = audio.get("output", {}).get("voice")
        if self._spoke and voice not in (None, self.session["audio"]["output"]["voice"]):
            self._refuse(event, "cannot_update_voice", "Cannot update a conversation's voice if audio is present.")
            return
        if wanted.get("model") not in (None, self.session["model"]):
            self._refuse(event, "invalid_value", "The model of a session cannot be changed.", "session.model")
            return
        self.session.update({key: value for key, value in wanted.items() if key != "audio"})
        self.session["audio"]["output"].update(audio.get("output", {}))
        self._input.update(audio.get("input", {}))
        if isinstance(self._input["turn_detection"], dict):
            self._input["turn_detection"] = full_detection(self._input["turn_detection"])
        if "input" in audio:
            self._listen()
        self._emit("session.updated", session=self.session)
        if self._faults.malformed:
            self._out.append('{"type":"response.output_audio.delta","delta":')
        if self._faults.huge:
            sound = base64.b64encode(bytes(5_000_000 * 3 // 4)).decode()
            content = [{"type": "input_audio", "audio": sound}]
            item = {"id": "item_huge", "object": "realtime.item", "type": "message", "role": "user", "content": content}
            self._emit("conversation.item.retrieved", item=item)

    def _listen(self) -> None:
        detection = self._input["turn_detection"]
        self._vad = None
        if detection is not None:
            self._vad = ServerVad(
                self._input_format,
                threshold=detection.get("threshold", 0.5),
                prefix_ms=detection.get("prefix_padding_ms", 300),
                silence_ms=detection.get("silence_duration_ms", 500),
            )

    # The caller

    def _append(self, event: Mapping[str, Any]) -> None:
        sound = base64.b64decode(event["audio"])
        if len(sound) % self._input_format.encoding.sample_bytes:
            self._refuse(event, "invalid_value", "The sound is not of whole samples.", "audio")
        else:
            self._hear(sound)

    def _hear(self, sound: bytes) -> None:
        self._heard_bytes += len(sound)
        due = self._now - self._began + AHEAD_SECONDS
        rate = self._input_format.bytes_per_second
        if self._heard_bytes / rate > due and not self._hurried:
            self._hurried = True
            self.mistakes.append(f"sound comes faster than it is spoken: is it {self._input_format}?")
        if self._vad is None:
            self._buffer += sound
        for found in self._vad.hear(sound) if self._vad is not None else ():
            self._on_voice(found)
        self._passed("caller", 1000 * self._heard_bytes / rate)

    def _on_voice(self, found: SpeechStarted | SpeechStopped) -> None:
        detection = self._input["turn_detection"]
        match found:
            case SpeechStarted(audio_start_ms):
                self._turn_item = self._id("item")
                self._emit("input_audio_buffer.speech_started", audio_start_ms=audio_start_ms, item_id=self._turn_item)
                if detection["interrupt_response"] and self._active is not None:
                    self._cancel("turn_detected")
            case SpeechStopped(audio_end_ms, sound):
                item = self._turn_item or self._id("item")
                self._emit("input_audio_buffer.speech_stopped", audio_end_ms=audio_end_ms, item_id=item)
                self._commit(item, sound)
                if detection["create_response"] and self._active is None:
                    self._respond({})

    def _commit_asked(self, event: Mapping[str, Any]) -> None:
        if len(self._buffer) * 10 < self._input_format.bytes_per_second:
            message = "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio."
            self._refuse(event, "input_audio_buffer_commit_empty", message)
            return
        sound = bytes(self._buffer)
        self._buffer.clear()
        self._commit(self._id("item"), sound)

    def _commit(self, id: str, sound: bytes) -> None:
        previous = self.items[-1].id if self.items else None
        self._emit("input_audio_buffer.committed", item_id=id, previous_item_id=previous)
        understood = self._understand(sound, self._input_format) if self._understand is not None else None
        text = understood if understood is not None else self.said.popleft() if self.said else ""
        item = Item(id, "message", "user", text=text, spoken=True, format=self._input_format, sound_bytes=len(sound))
        self._add(item, previous)
        if self._input["transcription"] is not None:
            self._later(self._behaviour.transcribe, lambda: self._transcribed(item))

    def _transcribed(self, item: Item) -> None:
        about = {"item_id": item.id, "content_index": 0}
        for word in item.text.split():
            self._emit("conversation.item.input_audio_transcription.delta", **about, delta=f"{word} ")
        tokens = round(item.audio_ms / 100)
        usage = {"type": "tokens", "input_tokens": tokens, "output_tokens": len(item.text.split())}
        usage["total_tokens"] = tokens + len(item.text.split())
        transcript = {"transcript": item.text, "usage": usage}
        self._emit("conversation.item.input_audio_transcription.completed", **about, **transcript)

    # Items

    def _add(self, item: Item, previous: str | None, *, done: bool = True) -> None:
        at = next((i for i, other in enumerate(self.items, 1) if other.id == previous), 0)
        self.items.insert(at, item)
        self._emit("conversation.item.added", previous_item_id=previous, item=item_json(item))
        if done:
            self._emit("conversation.item.done", previous_item_id=previous, item=item_json(item))

    def _find(self, id: str) -> Item | None:
        return next((item for item in self.items if item.id == id), None)

    def _create_item(self, event: Mapping[str, Any]) -> None:
        wanted = event["item"]
        id = wanted.get("id") or self._id("item")
        previous = event.get("previous_item_id") or (self.items[-1].id if self.items else None)
        known = [item.call_id for item in self.items if item.kind == "function_call"]
        answered = [item.call_id for item in self.items if item.kind == "function_call_output"]
        call_id = wanted.get("call_id", "")
        if self._find(id) is not None or len(id) > 32:
            self._refuse(event, "item_create_duplicate_item_id", f"An item '{id}' exists, or the id is too long.")
        elif previous not in (None, "root") and self._find(previous) is None:
            self._refuse(event, "invalid_value", f"There is no item '{previous}'.", "previous_item_id")
        elif wanted["type"] == "function_call_output" and (call_id not in known or call_id in answered):
            self._refuse(
                event, "invalid_tool_call_id", f"No tool call '{call_id}' waits for an output.", "item.call_id"
            )
        else:
            text = "".join(part.get("text", "") for part in wanted.get("content", ()))
            self._add(
                Item(
                    id,
                    wanted["type"],
                    wanted.get("role", ""),
                    text=text,
                    call_id=call_id or (self._id("call") if wanted["type"] == "function_call" else ""),
                    name=wanted.get("name", ""),
                    payload=wanted.get("arguments", wanted.get("output", "")),
                ),
                None if previous == "root" else previous,
            )

    def _about_item(self, event: Mapping[str, Any]) -> None:
        what = event["type"].rsplit(".", 1)[-1]
        item = self._find(event["item_id"])
        if item is None:
            message = f"Item with item_id '{event['item_id']}' was not found."
            self._refuse(event, f"item_{what}_invalid_item_id", message, "item_id")
            return
        match what:
            case "delete":
                self.items.remove(item)
                self._emit("conversation.item.deleted", item_id=item.id)
            case "retrieve":
                self._emit("conversation.item.retrieved", item=item_json(item))
            case _:
                self._truncate(event, item)

    def _truncate(self, event: Mapping[str, Any], item: Item) -> None:
        end = event["audio_end_ms"]
        if item.role != "assistant" or not item.spoken:
            message = f"Item '{item.id}' is no assistant message with audio."
            self._refuse(event, "item_truncate_invalid_item_id", message, "item_id")
        elif self._active is not None and self._active.item is item:
            self._refuse(event, "invalid_value", f"Item '{item.id}' is still being made.", "item_id")
        elif end <= 0 or end > item.audio_ms:
            message = f"Audio content of {item.audio_ms}ms cannot be truncated at {end}ms"
            self._refuse(event, "invalid_value", message, "audio_end_ms")
        else:
            item.truncate(end)
            self._emit("conversation.item.truncated", item_id=item.id, content_index=0, audio_end_ms=end)

    # Responses

    def _create_asked(self, event: Mapping[str, Any]) -> None:
        if self._active is not None:
            message = f"Conversation already has an active response in progress: {self._active.id}."
            self._refuse(event, "conversation_already_has_active_response", message)
            return
        if self._faults.fatal is not None and not self._refused_once:
            self._refused_once = True
            self._error(self._faults.fatal, "You exceeded your current quota.", type=self._faults.fatal)
            return
        settings = event.get("response", {})
        answered = {item.call_id for item in self.items if item.kind == "function_call_output"}
        waiting = [i.call_id for i in self.items if i.kind == "function_call" and i.call_id not in answered]
        if waiting and "instructions" not in settings:
            self.mistakes.append(f"response.create: the calls {waiting} have no output yet")
        self._respond(settings)

    def _respond(self, settings: Mapping[str, Any]) -> None:
        response = self._active = Response(self._id("resp"), dict(settings), self._output_format)
        self._emit("response.created", response=response.json(self.session))
        limits = [("requests", 1000, 990, 0.1), ("tokens", 40000, 30000, 15.0)]
        named = [{"name": n, "limit": most, "remaining": left, "reset_seconds": s} for n, most, left, s in limits]
        self._emit("rate_limits.updated", rate_limits=named)
        self._later(self._behaviour.think, lambda: self._answer(response))

    def _answer(self, response: Response) -> None:
        if response is not self._active:
            return
        if "instructions" in response.settings:
            reply = Reply(obey(response.settings["instructions"]))
        else:
            reply = self._reply(self._unanswered(), self._told())
        if response.settings.get("tool_choice") == "none":
            reply = Reply(reply.text)
        if not reply.text:
            self._finish(response, reply)
            return
        voiced = Voiced(PCM_24K, b"") if self._faults.silence else self._voice(reply.text)
        item = Item(self._id("item"), "message", "assistant", spoken=True, format=self._output_format)
        item.words = list(voiced.words)
        response.begin(item, voiced.encoded(self._output_format))
        previous = self.items[-1].id if self.items else None
        self._emit("response.output_item.added", **response.at_item, item=item_json(item, "in_progress"))
        self.items.append(item)
        self._emit("conversation.item.added", previous_item_id=previous, item=item_json(item, "in_progress"))
        part = {"type": "audio", "transcript": ""}
        self._emit("response.content_part.added", **response.at_part, part=part)
        chunks = math.ceil(len(response.sound) * 1000 / self._output_format.bytes_per_second / CHUNK_MS)
        for index in range(chunks):
            self._later(index * CHUNK_MS / 1000 / self._behaviour.speed, lambda: self._chunk(response))
        self._later(chunks * CHUNK_MS / 1000 / self._behaviour.speed, lambda: self._finish(response, reply))

    def _unanswered(self) -> str:
        for item in reversed(self.items):
            if item.role == "user":
                return item.text
            if item.role == "assistant" or item.kind == "function_call":
                break
        return ""

    def _told(self) -> History:
        outputs = [
            ("tool", i.payload) if i.kind == "function_call_output" else (i.role, i.known_text) for i in self.items
        ]
        return [(role, text) for role, text in outputs if role and text]

    def _chunk(self, response: Response) -> None:
        if response is self._active:
            for words in response.words_before(CHUNK_MS * 3):
                self._emit("response.output_audio_transcript.delta", **response.at_part, delta=words)
            self._delta(response)

    def _delta(self, response: Response) -> None:
        sound = response.next_chunk(CHUNK_MS)
        if not sound or self.stalled:
            return
        self._spoke = True
        self._emit("response.output_audio.delta", **response.at_part, delta=base64.b64encode(sound).decode())
        self._sent_ms += 1000 * len(sound) / self._output_format.bytes_per_second
        self._passed("agent", self._sent_ms)

    def _cancel(self, reason: str) -> None:
        response = self._active
        assert response is not None
        self._end(response, "cancelled", reason)
        for index in range(self._behaviour.late_deltas if response.item is not None else 0):
            self._later((index + 1) * self._behaviour.late_seconds, lambda: self._delta(response))

    def _finish(self, response: Response, reply: Reply) -> None:
        if response is self._active:
            self._end(response, "completed", None, reply)

    def _end(self, response: Response, status: str, reason: str | None, reply: Reply | None = None) -> None:
        self._active = None
        if response.item is not None:
            self._end_item(response, response.item, status)
        for name, arguments in reply.calls if reply is not None else ():
            self._call(response, name, arguments if isinstance(arguments, str) else json.dumps(arguments))
        response.status = status
        details = {"type": status} if reason is None else {"type": status, "reason": reason}
        usage = usage_of(self.items, response.output)
        self._emit("response.done", response=response.json(self.session, details, usage))

    def _end_item(self, response: Response, item: Item, status: str) -> None:
        item.status = "completed" if status == "completed" else "incomplete"
        said = " ".join(word.word for word in item.words) if status == "completed" else item.known_text
        self._emit("response.output_audio.done", **response.at_part)
        self._emit("response.output_audio_transcript.done", **response.at_part, transcript=said)
        self._emit("response.content_part.done", **response.at_part, part={"type": "audio", "transcript": said})
        self._emit("conversation.item.done", previous_item_id=None, item=item_json(item))
        self._emit("response.output_item.done", **response.at_item, item=item_json(item))
        response.output.append(item)

    def _call(self, response: Response, name: str, arguments: str) -> None:
        item = Item(self._id("item"), "function_call", call_id=self._id("call"), name=name, payload=arguments)
        at = {"response_id": response.id, "output_index": len(response.output)}
        about = {**at, "item_id": item.id, "call_id": item.call_id}
        self._emit("response.output_item.added", **at, item=item_json(item, "in_progress"))
        self._add(item, self.items[-1].id if self.items else None, done=False)
        self._emit("response.function_call_arguments.delta", **about, delta=arguments)
        self._emit("response.function_call_arguments.done", **about, name=name, arguments=arguments)
        self._emit("conversation.item.done", previous_item_id=None, item=item_json(item))
        self._emit("response.output_item.done", **at, item=item_json(item))
        response.output.append(item)


_HEAD, _TAIL = '{"type":"input_audio_buffer.append","audio":"', '"}'


def _plain_sound(message: str | bytes) -> bytes | None:
    """The sound of a message that is written in the plainest way, nearly all there are; a benchmark has thousands of
    them a second. What is wrong with others is found by their parser."""
    if not isinstance(message, str) or not (message.startswith(_HEAD) and message.endswith(_TAIL)):
        return None
    try:
        sound = binascii.a2b_base64(message[len(_HEAD) : -len(_TAIL)], strict_mode=True)
    except ValueError:
        return None
    return sound if len(sound) % 2 == 0 else None
