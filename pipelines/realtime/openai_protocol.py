"""One session of OpenAI Realtime: its messages and ours, without the socket."""

from __future__ import annotations

import binascii
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pipelines.base64_sound import decode
from pipelines.json_text import json_object
from pipelines.parts import ToolCall
from pipelines.realtime.model import (
    AudioCame,
    CallerSaid,
    CallerSilent,
    CallerSpeaks,
    Capabilities,
    ItemHeard,
    ModelFault,
    NotUnderstood,
    Outgoing,
    RateLimited,
    RealtimeEvent,
    ResponseBegan,
    ResponseEnded,
    SessionEnding,
    SessionReady,
    Setup,
    ToolOutput,
    ToolsAsked,
    Used,
    WordsCame,
)
from pipelines.realtime.openai_preview import flat_format, flat_item, flat_session
from pipelines.realtime.openai_session import (
    SETUP_ID,
    UPDATE_ID,
    history_items,
    item_create,
    message_item,
    output_item,
    session_update,
    tool_fields,
)
from pipelines.realtime.openai_turns import Request, Responses
from pipelines.realtime.openai_wire import (
    IGNORED,
    fault,
    limits_left,
    mapping,
    number,
    read_sound,
    response_units,
    text,
    transcription_units,
)

COMMIT_MS = 100
"""A shorter turn than this is refused by the vendor."""

BELIEVED_SECONDS = 7200.0
"""A session that is said to last longer than this is not believed: one of the two clocks is wrong."""

_SAY = "Say exactly this, word for word, and nothing else:\n\n"
_COMMITTED = "the caller's turn"
_TRANSCRIPTION = "conversation.item.input_audio_transcription."

Answer = tuple[Sequence[RealtimeEvent], Sequence[Outgoing]]


class OpenAIRealtimeProtocol:
    """One session. ``session`` is what :func:`session_fields` made of ``setup``; ``secret`` is kept out of errors;
    ``wall`` is the time of day in seconds since 1970, in which the vendor tells when a session ends. ``preview``: the
    server wants the old shape.

    Every message but sound has an ``event_id``, so that an error tells what it is about."""

    def __init__(
        self,
        setup: Setup,
        session: Mapping[str, Any],
        capabilities: Capabilities,
        *,
        secret: str = "",
        preview: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._setup = setup
        self._session = session
        self._input, self._output = capabilities.input, capabilities.output
        self._whole_samples = self._output.encoding.sample_bytes == 2
        self._secret = secret
        self._preview = preview
        self._wall = wall
        detection = mapping(session["audio"]["input"]["turn_detection"])
        self._responses = Responses(
            by_server=detection.get("create_response") is not False and bool(detection),
            interrupts=detection.get("interrupt_response") is not False and bool(detection),
        )
        self._ready = False
        self._expires: float = 0
        self._uncommitted = 0
        self._received: dict[str, int] = {}
        """Bytes of sound of each item: the vendor refuses to truncate after the end."""
        self._half = b""
        """The first byte of a sample whose second is still to come."""
        self._words: dict[str, str] = {}
        self._calls: dict[str, dict[str, ToolCall]] = {}
        self._number = 0

    # To the model

    def opened(self) -> Sequence[Outgoing]:
        session, items = self._session, list(history_items(self._setup.history))
        if self._preview:
            session, items = flat_session(session), [flat_item(item) for item in items]
        greeting = self.say(self._setup.greeting) if self._setup.greeting else ()
        return [session_update(session), *(item_create(item) for item in items), *greeting]

    def audio(self, pcm: bytes) -> Outgoing:
        self._uncommitted += len(pcm)
        sound = binascii.b2a_base64(pcm, newline=False).decode()
        return '{"type":"input_audio_buffer.append","audio":"' + sound + '"}'

    def say(self, text: str) -> Sequence[Outgoing]:
        return self._want("text", response={"instructions": _SAY + text, "tool_choice": "none"})

    def tell(self, text: str) -> Sequence[Outgoing]:
        self._number += 1
        item = {"id": f"told_{self._number}", **message_item("user", text)}
        return [item_create(item), *self._want("turn", item["id"])]

    def note(self, text: str) -> Sequence[Outgoing]:
        return [item_create(message_item("user", text))]

    def update(self, setup: Setup) -> Sequence[Outgoing]:
        session = {"type": "realtime", "instructions": setup.instructions, "tools": tool_fields(setup.tools)}
        if self._preview:
            del session["type"]
        return [session_update(session, UPDATE_ID)]

    def answer(self) -> Sequence[Outgoing]:
        if self._uncommitted * 1000 < COMMIT_MS * self._input.bytes_per_second:
            return self._want("turn")
        self._uncommitted = 0
        return ['{"type":"input_audio_buffer.commit","event_id":"commit"}', *self._want("turn", _COMMITTED)]

    def interrupt(self) -> Sequence[Outgoing]:
        return ['{"type":"response.cancel","event_id":"cancel"}'] if self._responses.interrupt() else []

    def heard(self, items: Sequence[ItemHeard]) -> Sequence[Outgoing]:
        return [json.dumps(self._cut(item)) for item in items]

    def results(self, outputs: Sequence[ToolOutput]) -> Sequence[Outgoing]:
        told = [item_create(output_item(output.call.id, output.text)) for output in outputs]
        if self._setup.detection == "own":
            return told
        return [*told, *self._want("results", *(output.call.id for output in outputs))]

    def placeholder(self, call: ToolCall) -> Sequence[Outgoing]:
        return ()  # it hears the caller all the while

    def closing(self) -> Sequence[Outgoing]:
        return ()

    def _want(
        self, kind: Literal["text", "turn", "results"], *unseen: str, response: Mapping[str, Any] | None = None
    ) -> list[Outgoing]:
        self._number += 1
        id = f"ask_{self._number}"
        message: dict[str, Any] = {"type": "response.create", "event_id": id}
        if response is not None:
            message["response"] = response
        return _sent(self._responses.want(Request(id, json.dumps(message), kind, set(unseen))))

    def _cut(self, heard: ItemHeard) -> dict[str, Any]:
        received = self._received.get(heard.item, 0) * 1000 // self._output.bytes_per_second
        end = min(heard.milliseconds, received)
        if end <= 0:  # truncating to nothing is refused
            return {"type": "conversation.item.delete", "event_id": "heard", "item_id": heard.item}
        cut = {"item_id": heard.item, "content_index": 0, "audio_end_ms": end}
        return {"type": "conversation.item.truncate", "event_id": "heard", **cut}

    # From the model

    def receive(self, message: str | bytes) -> Answer:
        if isinstance(message, bytes):
            message = message.decode("utf-8", "replace")
        sound = read_sound(message)
        if sound is not None:
            return self._sound(sound.response_id, sound.item_id, sound.delta), ()
        event = json_object(message)
        if event is None:
            return [NotUnderstood("not a JSON object")], ()
        kind = text(event.get("type"))
        if kind.startswith("response."):
            return self._of_response(kind, event)
        if kind.startswith(("session.", "error", "rate_limits.")):
            return self._of_session(kind, event)
        return self._of_caller(kind, event)

    def _sound(self, response: str, item: str, data: bytes) -> Sequence[RealtimeEvent]:
        self._received[item] = self._received.get(item, 0) + len(data)
        if self._whole_samples and (self._half or len(data) % 2):
            data = self._half + data
            whole = len(data) // 2 * 2
            data, self._half = data[:whole], data[whole:]
        return [AudioCame(response, item, data)] if data else []

    def _of_response(self, kind: str, event: Mapping[str, Any]) -> Answer:
        match event:
            case {"type": "response.output_audio.delta" | "response.audio.delta", "delta": str(delta)}:
                try:
                    data = decode(delta)
                except ValueError:
                    return [NotUnderstood(f"{kind} without base64")], ()
                return self._sound(text(event.get("response_id")), text(event.get("item_id")), data), ()
            case {
                "type": "response.output_audio_transcript.delta" | "response.audio_transcript.delta",
                "delta": str(delta),
            }:
                return [WordsCame(text(event.get("response_id")), text(event.get("item_id")), text(delta))], ()
            case {"type": "response.created", "response": {"id": str(id)}}:
                self._responses.created(id)
                self._half = b""
                return [ResponseBegan(text(id))], ()
            case {
                "type": "response.output_item.done",
                "response_id": str(id),
                "item": {"type": "function_call", "call_id": str(call_id)},
            }:
                self._calls.setdefault(id, {})[call_id] = _call(call_id, event["item"])[0]
                return (), ()
            case {"type": "response.output_item.done", "item": dict()}:
                return (), ()
            case {"type": "response.done", "response": dict(response)}:
                return self._done(response)
            case _:
                return _rest(kind)

    def _done(self, response: Mapping[str, Any]) -> Answer:
        id, status = text(response.get("id")), text(response.get("status"))
        details = mapping(response.get("status_details"))
        units = response_units(mapping(response.get("usage")))
        events: list[RealtimeEvent] = [Used(units)] if units else []
        calls = self._calls.pop(id, {})
        output = response.get("output")
        for item in map(mapping, output if isinstance(output, list) else ()):
            if item.get("type") == "function_call" and (call_id := text(item.get("call_id"))):
                calls[call_id], wrong = _call(call_id, item)
                events += wrong if status == "completed" else ()
        if status == "completed" and calls:
            events.append(ToolsAsked(id, tuple(calls.values())))
        outgoing = _sent(self._responses.done(id))
        match status:
            case "completed":
                events.append(ResponseEnded(id))
            case "cancelled" | "incomplete":
                events.append(ResponseEnded(id, status, text(details.get("reason"))))
            case _:
                failed = fault(mapping(details.get("error")), self._secret)
                events += [failed, ResponseEnded(id, "failed", failed.message)]
        return events, outgoing

    def _of_session(self, kind: str, event: Mapping[str, Any]) -> Answer:
        match event:
            case {"type": "session.created", "session": dict(session)}:
                self._expires = number(session.get("expires_at"))
                return (), ()
            case {"type": "session.updated", "session": dict(session)}:
                return self._updated(session), ()
            case {"type": "rate_limits.updated", "rate_limits": list(limits)}:
                left = limits_left(limits)
                return ([RateLimited(left)] if left else ()), ()
            case {"type": "error", "error": dict(error)}:
                return self._error(error)
            case _:
                return _rest(kind)

    def _updated(self, session: Mapping[str, Any]) -> Sequence[RealtimeEvent]:
        audio, ours = mapping(session.get("audio")), self._session["audio"]
        for side in ("input", "output"):
            format = text(mapping(mapping(audio.get(side)).get("format")).get("type")) or flat_format(session, side)
            if format and format != ours[side]["format"]["type"]:
                message = f"the server's {side} is {format} and not {ours[side]['format']['type']}, which was asked for"
                return [ModelFault("protocol", message, fatal=True)]
        if self._ready:
            return ()
        self._ready = True
        seconds = (number(session.get("expires_at")) or self._expires) - self._wall()
        return [SessionReady(seconds if 0 < seconds <= BELIEVED_SECONDS else None)]

    def _error(self, error: Mapping[str, Any]) -> Answer:
        code, about = text(error.get("code")), text(error.get("event_id"))
        if code == "session_expired":
            return [SessionEnding(0)], ()
        active = code == "conversation_already_has_active_response"
        outgoing = _sent(self._responses.refused(about or None, active=active))
        return [fault(error, self._secret, refused="the session's settings" if about == SETUP_ID else "")], outgoing

    def _of_caller(self, kind: str, event: Mapping[str, Any]) -> Answer:
        match event:
            case {"type": "input_audio_buffer.speech_started"}:
                self._responses.caller_speaks()
                return [CallerSpeaks()], ()
            case {"type": "input_audio_buffer.speech_stopped"}:
                return [CallerSilent()], ()
            case {"type": "input_audio_buffer.committed"}:
                self._responses.seen([_COMMITTED])
                return (), self._want("turn") if self._responses.committed() else ()
            case {
                "type": "conversation.item.added" | "conversation.item.created" | "conversation.item.done",
                "item": dict(item),
            }:
                self._responses.seen([text(item.get("id")), text(item.get("call_id"))])
                return (), ()
            case {"type": str(), "item_id": str(item)} if kind.startswith(_TRANSCRIPTION):
                return self._said(kind.removeprefix(_TRANSCRIPTION), text(item), event), ()
            case _:
                return _rest(kind)

    def _said(self, what: str, item: str, event: Mapping[str, Any]) -> Sequence[RealtimeEvent]:
        match what:
            case "delta":
                self._words[item] = words = self._words.get(item, "") + text(event.get("delta"))
                return [CallerSaid(item, words, final=False)] if words else ()
            case "completed":
                self._words.pop(item, None)
                units = transcription_units(mapping(event.get("usage")))
                said = CallerSaid(item, text(event.get("transcript")))
                return [said, Used(units)] if units else [said]
            case "failed":
                failed = fault(mapping(event.get("error")), self._secret)
                message = f"the caller's words are not known: {failed.message}"
                words = self._words.pop(item, "")
                known = [CallerSaid(item, words)] if words else []
                return [ModelFault(failed.kind, message), *known]
            case _:
                return _rest(_TRANSCRIPTION + what)[0]


def _rest(kind: str) -> Answer:
    return (() if kind in IGNORED else [NotUnderstood(kind[:80] or "a message without a type")]), ()


def _sent(request: Request | None) -> list[Outgoing]:
    return [request.message] if request is not None else []


def _call(id: str, item: Mapping[str, Any]) -> tuple[ToolCall, list[ModelFault]]:
    """A call of a tool. Arguments that are no JSON object are none, so that the model is told what is missing."""
    name = text(item.get("name"))
    arguments = json_object(text(item.get("arguments")) or "{}")
    if arguments is not None:
        return ToolCall(text(id), name, arguments), []
    message = f"the arguments of the tool {name!r} are not a JSON object"
    return ToolCall(text(id), name, {}), [ModelFault("protocol", message)]
