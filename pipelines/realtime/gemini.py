"""Gemini Live, by ``BidiGenerateContent``: an answer's sound comes in a burst, and the model tells that it was
interrupted. It wants sound all the time, and forgets nothing of what the caller did not hear.

The turns are the model's: without its own detection it wants each stretch of speech to be announced, and takes an
announcement for an interruption until it holds its answer to be played. Errors come as the close of the socket.
"""

from __future__ import annotations

import json
import re
from binascii import b2a_base64
from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

from media.audio import PCM_16K, PCM_24K
from pipelines.base64_sound import decode
from pipelines.json_text import duration_seconds, json_object
from pipelines.parts import ProviderError, ToolCall
from pipelines.realtime.fast_sound import FastSound
from pipelines.realtime.gemini_setup import contents, setup_message, talks_as_content, vendor_options
from pipelines.realtime.gemini_wire import camel, fault_of, field, listed, mapping, units_of
from pipelines.realtime.model import (
    Address,
    AudioCame,
    CallerSaid,
    CallerSilent,
    CallerSpeaks,
    Capabilities,
    ItemHeard,
    NotUnderstood,
    Outgoing,
    OutputCleared,
    RealtimeEvent,
    ResponseBegan,
    ResponseEnded,
    Resumable,
    SessionEnding,
    SessionOver,
    SessionReady,
    Setup,
    ToolOutput,
    ToolsAsked,
    ToolsWithdrawn,
    Used,
    WordsCame,
)

BASE_URL = "https://generativelanguage.googleapis.com"

SESSION_SECONDS = 600.0
"""A connection lasts about ten minutes; a message tells before it ends."""

SAY = "Say exactly this to the caller, in these words, and nothing else:\n"

_AUDIO_HEAD: Final = '{"realtimeInput":{"audio":{"mimeType":"audio/pcm;rate=16000","data":"'
_AUDIO_TAIL: Final = '"}}}'

_SOUND = FastSound(
    r'\s*\{\s*"server_?[Cc]ontent"\s*:\s*\{\s*"model_?[Tt]urn"\s*:\s*\{\s*(?:"role"\s*:\s*"model"\s*,\s*)?'
    r'"parts"\s*:\s*\[\s*\{\s*"inline_?[Dd]ata"\s*:\s*\{\s*"mime_?[Tt]ype"\s*:\s*"audio/pcm[^"\\]*"\s*,'
    r'\s*"data"\s*:\s*"',
    r'"\s*\}\s*\}\s*\]\s*(?:,\s*"role"\s*:\s*"model"\s*)?\}\s*\}\s*\}\s*',
)

_REFUSALS = ("BLOCKLIST", "MALFORMED", "OTHER", "PROHIBITED", "REACHED", "REJECTED", "SAFETY", "VIOLATION")
"""Parts of those reasons for the end of a turn that mean that there is no answer."""

_KNOWN = frozenset(
    {
        "setupComplete",
        "serverContent",
        "toolCall",
        "toolCallCancellation",
        "usageMetadata",
        "goAway",
        "sessionResumptionUpdate",
        "voiceActivity",
        "voiceActivityDetectionSignal",
        "error",
    }
)

Events = list[RealtimeEvent]


class GeminiLiveModel:
    """``model`` is the vendor's id, with or without ``models/``."""

    name = "gemini"
    capabilities = Capabilities(PCM_16K, PCM_24K, continuous=True, notes=False, session_seconds=SESSION_SECONDS)

    def __init__(self, model: str, *, api_key: str, base_url: str = BASE_URL, api_version: str = "v1") -> None:
        self._model = model
        self._api_key = api_key
        self._url = (
            f"{re.sub('^http', 'ws', base_url.rstrip('/'))}/ws/google.ai.generativelanguage.{api_version}"
            ".GenerativeService.BidiGenerateContent"
        )

    async def dial(self, setup: Setup) -> Address:
        try:
            vendor_options(setup)
        except ValueError as error:
            raise ProviderError(self.name, "bad_request", str(error)) from None
        return Address(self._url, {"x-goog-api-key": self._api_key} if self._api_key else {})

    def protocol(self, setup: Setup, handle: str | None = None) -> GeminiLiveProtocol:
        return GeminiLiveProtocol(self._model, setup, handle)

    async def hang_up(self, address: Address) -> SessionOver | None:
        return None

    async def close(self) -> None:
        pass


class GeminiLiveProtocol:
    """Answers have no names on the wire: they are r1, r2, and so on; so are the caller's turns, c1, c2."""

    def __init__(self, model: str, setup: Setup, handle: str | None = None) -> None:
        self._model = model
        self._setup = setup
        self._handle = handle
        self._ready = False
        self._number = 0
        self._response = ""
        self._open = False
        """The answer's end was not told yet."""
        self._trailing = False
        """The answer ended, its turn did not: words that come now are the answer's."""
        self._early = ""
        """Words that came before the sound of the answer they are of."""
        self._odd = b""
        self._ours = False
        """What interrupts is a message of ours, and not the caller."""
        self._turn = 1
        self._heard = ""
        self._withdrawn: set[str] = set()
        self._pending: set[str] = set()  # calls without a result

    # What the call wants

    def opened(self) -> Sequence[Outgoing]:
        return (_json(setup_message(self._model, self._setup, self._handle)),)

    def audio(self, pcm: bytes) -> Outgoing:
        return _AUDIO_HEAD + b2a_base64(pcm, newline=False).decode("ascii") + _AUDIO_TAIL

    def say(self, text: str) -> Sequence[Outgoing]:
        return self._write(SAY + text)

    def tell(self, text: str) -> Sequence[Outgoing]:
        return self._write(text)

    def note(self, text: str) -> Sequence[Outgoing]:
        """Any text ends what the model says, and is answered by models since 3."""
        return ()

    def update(self, setup: Setup) -> Sequence[Outgoing]:
        return ()

    def answer(self) -> Sequence[Outgoing]:
        return ()

    def interrupt(self) -> Sequence[Outgoing]:
        """There is no message for it: the model stops when it hears the caller itself, or is told something else."""
        return ()

    def heard(self, items: Sequence[ItemHeard]) -> Sequence[Outgoing]:
        return ()

    def results(self, outputs: Sequence[ToolOutput]) -> Sequence[Outgoing]:
        self._pending.difference_update(output.call.id for output in outputs)
        wanted = [output for output in outputs if output.call.id not in self._withdrawn]
        if not wanted:
            return ()
        self._trailing = False
        responses = [
            {"id": output.call.id, "name": output.call.name, "response": {"output": output.text}} for output in wanted
        ]
        return (_json({"toolResponse": {"functionResponses": responses}}),)

    def placeholder(self, call: ToolCall) -> Sequence[Outgoing]:
        return ()  # it hears the caller all the while

    def closing(self) -> Sequence[Outgoing]:
        return ()

    def _write(self, text: str) -> Sequence[Outgoing]:
        self._ours = self._open or self._trailing
        if talks_as_content(self._model):
            turns = [{"role": "user", "parts": [{"text": text}]}]
            return (_json({"clientContent": {"turns": turns, "turnComplete": True}}),)
        return (_json({"realtimeInput": {"text": text}}),)

    # What the model says

    def receive(self, message: str | bytes) -> tuple[Sequence[RealtimeEvent], Sequence[Outgoing]]:
        sound = _SOUND.find(message)
        if sound is not None:
            events: Events = []
            self._sound(sound, events)
            return events, ()
        content = json_object(message)
        if content is None:
            return (NotUnderstood("a message that is no JSON object"),), ()
        try:
            return self._object(content)
        except RecursionError:
            return (NotUnderstood("a message that is nested too deeply"),), ()

    def _object(self, message: dict[str, Any]) -> tuple[Events, Sequence[Outgoing]]:
        events: Events = []
        replies: Sequence[Outgoing] = ()
        if field(message, "setupComplete") is not None and not self._ready:
            self._ready = True
            events.append(SessionReady())
            replies = self._begin()
        self._content(mapping(message, "serverContent"), events)
        calls = listed(mapping(message, "toolCall"), "functionCalls")
        calls = [call for call in calls if not (isinstance(call, dict) and field(call, "id") in self._pending)]
        if calls:
            self._tools(calls, events)
        ids = tuple(str(one) for one in listed(mapping(message, "toolCallCancellation"), "ids"))
        ids = tuple(one for one in ids if one not in self._withdrawn)
        if ids:
            self._withdrawn.update(ids)
            events.append(ToolsWithdrawn(ids))
        used = units_of(mapping(message, "usageMetadata"))
        if used:
            events.append(Used(used))
        activity = field(mapping(message, "voiceActivity"), "voiceActivityType")
        if activity == "ACTIVITY_START":
            events.append(CallerSpeaks())
        elif activity == "ACTIVITY_END":
            events.append(CallerSilent())
        if field(message, "goAway") is not None:
            events.append(SessionEnding(duration_seconds(field(mapping(message, "goAway"), "timeLeft")) or 0.0))
        resumption = mapping(message, "sessionResumptionUpdate")
        handle = field(resumption, "newHandle")
        if field(resumption, "resumable") is True and isinstance(handle, str) and handle:
            events.append(Resumable(handle))
        error = field(message, "error")
        if error is not None:
            events.append(fault_of(error))
        unknown = [key for key in message if camel(key) not in _KNOWN]
        if unknown or not message:
            events.append(NotUnderstood(f"a message of {', '.join(unknown)[:100] or 'nothing'}"))
        return events, replies

    def _begin(self) -> Sequence[Outgoing]:
        """The session is set up: what was said before it, unless the handle stands for that, and the greeting."""
        messages: list[Outgoing] = []
        history = [] if self._handle else contents(self._setup.history)
        if history:
            done = not talks_as_content(self._model)
            messages.append(_json({"clientContent": {"turns": history, "turnComplete": done}}))
        if self._setup.greeting:
            messages += self.say(self._setup.greeting)
        return messages

    def _content(self, content: dict[str, Any], events: Events) -> None:
        self._caller(content, events)
        for part in listed(mapping(content, "modelTurn"), "parts"):
            blob = mapping(part, "inlineData") if isinstance(part, dict) else {}
            data = field(blob, "data")
            if isinstance(data, str) and str(field(blob, "mimeType")).startswith("audio/pcm"):
                self._sound(data, events)
        words = field(mapping(content, "outputTranscription"), "text")
        if isinstance(words, str) and words:
            self._words(words, events)
        if field(content, "interrupted") is True:
            if not self._ours:
                events.append(CallerSpeaks())
            if self._pending:  # it takes them back, and says so in its next message
                self._withdrawn |= self._pending
                events.append(ToolsWithdrawn(tuple(sorted(self._pending))))
                self._pending.clear()
            events.append(OutputCleared())
            self._ours, self._early = False, ""
            self._end(events, ResponseEnded(self._response, "cancelled"))
        if field(content, "generationComplete") is True:
            self._end(events, ResponseEnded(self._response))
            self._caller_done(events)
        if field(content, "turnComplete") is True:
            reason = str(field(content, "turnCompleteReason") or "")
            if any(part in reason for part in _REFUSALS) and not self._trailing:
                self._answer(events)
                self._end(events, ResponseEnded(self._response, "failed", reason[:100]))
            self._end(events, ResponseEnded(self._response))
            self._trailing = self._ours = False

    def _caller(self, content: dict[str, Any], events: Events) -> None:
        interim = field(mapping(content, "interimInputTranscription"), "text")
        if isinstance(interim, str) and interim.strip():
            events.append(CallerSaid(f"c{self._turn}", (self._heard + interim).strip(), final=False))
        transcription = mapping(content, "inputTranscription")
        text = field(transcription, "text")
        if isinstance(text, str) and text:
            self._heard += text
        if field(transcription, "finished") is True:
            self._caller_done(events)
        elif isinstance(text, str) and text and self._heard.strip():
            events.append(CallerSaid(f"c{self._turn}", self._heard.strip(), final=False))

    def _caller_done(self, events: Events) -> None:
        if self._heard.strip():
            events.append(CallerSaid(f"c{self._turn}", self._heard.strip()))
            self._turn += 1
        self._heard = ""

    def _answer(self, events: Events) -> None:
        """An answer is under way: the one that is, or a new one."""
        if self._open:
            return
        self._caller_done(events)
        self._number += 1
        self._response = f"r{self._number}"
        self._open, self._trailing, self._ours, self._odd = True, False, False, b""
        events.append(ResponseBegan(self._response))
        early, self._early = self._early, ""
        if early:
            self._words(early, events)

    def _sound(self, encoded: str | bytes, events: Events) -> None:
        try:
            data = self._odd + decode(encoded)
        except ValueError:
            events.append(NotUnderstood("sound that is no base64"))
            return
        self._odd = b""
        self._answer(events)
        if len(data) % 2:
            data, self._odd = data[:-1], data[-1:]
        if data:
            events.append(AudioCame(self._response, self._response, data))

    def _words(self, text: str, events: Events) -> None:
        if self._open or self._trailing:
            events.append(WordsCame(self._response, self._response, text))
        else:
            self._early += text

    def _end(self, events: Events, event: ResponseEnded) -> None:
        if self._open:
            self._open, self._trailing = False, True
            events.append(event)

    def _tools(self, wanted: list[Any], events: Events) -> None:
        """The answer ends where it asks for tools; models that go on speaking do so in another one. A call without
        an id is given one that no other has, in whichever session: functions are told it, to do nothing twice."""
        self._answer(events)
        calls = []
        for call in wanted:
            name = field(call, "name") if isinstance(call, dict) else None
            if not isinstance(name, str) or not name:
                events.append(NotUnderstood("a call of a tool without a name"))
                continue
            calls.append(ToolCall(str(field(call, "id") or f"call_{uuid4().hex[:12]}"), name, mapping(call, "args")))
        if calls:
            self._pending.update(call.id for call in calls)
            events.append(ToolsAsked(self._response, tuple(calls)))
        self._end(events, ResponseEnded(self._response))


def _json(message: object) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
