"""The socket of an Ultravox call (``serverWebSocket``), pure: PCM both ways as binary, everything else as JSON.

Ultravox names no answers, so they are named here. One begins with its first sound or words and ends when the agent's
state is no longer ``speaking``. Interruption is the server's: it says ``playback_clear_buffer`` and takes what was not
heard yet for dropped; it can be told neither to stop nor what was heard.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pipelines.json_text import json_object
from pipelines.parts import ToolCall
from pipelines.realtime.model import (
    AudioCame,
    CallerSaid,
    CallerSilent,
    CallerSpeaks,
    ItemHeard,
    NotUnderstood,
    Outgoing,
    OutputCleared,
    RealtimeEvent,
    ResponseBegan,
    ResponseEnded,
    SessionReady,
    Setup,
    ToolOutput,
    ToolsAsked,
    WordsCame,
)
from ultravox.transcript import Utterance

PLACEHOLDER = (
    "This takes a moment; the result will follow as a message. Tell the caller that you are on it, and do not call "
    "this tool again meanwhile."
)

_LARGEST_MESSAGE = 1 << 20
_STATES = frozenset({"idle", "listening", "thinking", "speaking"})
_OF_NO_INTEREST = frozenset(
    {"pong", "debug", "call_event", "tool_used", "invoking_tool"}
    | {"user_started_speaking", "user_stopped_speaking", "room_info"}
)


class UltravoxProtocol:
    """One call's socket. Answers are named after the call, so that their names stay unique when a conversation goes on
    in another session."""

    def __init__(self, *, interruptible: bool = True) -> None:
        self._interruptible = interruptible
        self._ready = False
        self._closing = False
        self._name = "ultravox"
        self._state = "idle"
        self._prompted = False
        """We gave the model something to think about: that it thinks does not mean that the caller spoke."""
        self._caller_speaks = False
        self._count = 0
        self._response: str | None = None
        self._used_tools = False
        """The response under way asked for tools, and their results were sent: what comes now is another one."""
        self._ordinal: int | None = None
        self._past = -1
        """The highest ordinal of an utterance whose answer is over: what still comes of it is of no interest."""
        self._words = Utterance()
        self._caller: dict[str, Utterance] = {}
        self._odd = b""
        self._asked: dict[str, str] = {}
        """Ids of calls that wait for a result, with the answer that made them."""
        self._put_off: set[str] = set()
        self._settled: set[str] = set()

    # What the call wants

    def opened(self) -> Sequence[Outgoing]:
        return ()

    def audio(self, pcm: bytes) -> Outgoing:
        return pcm

    def say(self, text: str) -> Sequence[Outgoing]:
        self._prompted = True
        message = {"type": "forced_agent_message", "content": text, "urgency": "immediate"}
        return (_json({**message, "uninterruptible": not self._interruptible}),)

    def tell(self, text: str) -> Sequence[Outgoing]:
        self._prompted = True
        return (_user_text(text, "immediate"),)

    def note(self, text: str) -> Sequence[Outgoing]:
        return (_user_text(text, "later"),)

    def update(self, setup: Setup) -> Sequence[Outgoing]:
        return ()

    def answer(self) -> Sequence[Outgoing]:
        return ()

    def interrupt(self) -> Sequence[Outgoing]:
        return ()

    def heard(self, items: Sequence[ItemHeard]) -> Sequence[Outgoing]:
        return ()

    def placeholder(self, call: ToolCall) -> Sequence[Outgoing]:
        """The tool is slow, and the conversation is frozen until it has a result: here is one for the time being. The
        real one follows by :meth:`results`, as a message of its own, for Ultravox takes only one result for a call."""
        if call.id not in self._asked:
            return ()
        del self._asked[call.id]
        self._put_off.add(call.id)
        self._turn_over()
        return (_result(call.id, PLACEHOLDER),)

    def results(self, outputs: Sequence[ToolOutput]) -> Sequence[Outgoing]:
        """What was answered already is not answered again. A result that nobody waits for any more (it was put off,
        or another session asked for it) is told as a message, when there is a gap."""
        messages: list[Outgoing] = []
        for output in outputs:
            call = output.call
            if call.id in self._settled:
                continue
            self._settled.add(call.id)
            self._put_off.discard(call.id)
            if self._asked.pop(call.id, None) is not None:
                messages.append(_result(call.id, output.text))
            else:
                messages.append(_user_text(f"[The tool {call.name} has returned: {output.text}]", "soon"))
            self._turn_over()
        return messages

    def closing(self) -> Sequence[Outgoing]:
        if self._closing:
            return ()
        self._closing = True
        return (_json({"type": "hang_up"}),)

    # What Ultravox says

    def receive(self, message: str | bytes) -> tuple[Sequence[RealtimeEvent], Sequence[Outgoing]]:
        if not isinstance(message, str):
            return self._sound(bytes(message)), ()
        if len(message) > _LARGEST_MESSAGE:
            return (NotUnderstood(f"a message of {len(message)} characters"),), ()
        data = json_object(message)
        if data is None:
            return (NotUnderstood("text that is no JSON object"),), ()
        match data.get("type"):
            case "transcript":
                return self._transcript(data), ()
            case "state":
                return self._state_changed(data.get("state")), ()
            case "playback_clear_buffer":
                return self._cleared(), ()
            case "client_tool_invocation":
                return self._invocation(data)
            case "call_started":
                call_id = data.get("callId")
                if isinstance(call_id, str) and call_id and not self._count:
                    self._name = call_id[:64]
                return self._be_ready(), ()
            case str() as kind if kind in _OF_NO_INTEREST:
                return (), ()
            case kind:
                return (NotUnderstood(f"a message of type {str(kind)[:64]}"),), ()

    def _sound(self, data: bytes) -> Sequence[RealtimeEvent]:
        if self._odd:
            data = self._odd + data
        whole = len(data) & ~1
        self._odd, data = data[whole:], data[:whole]
        if not data or (self._response is None and self._state != "speaking" and not any(data)):
            return ()  # silence between answers is no answer
        response, begun = self._begin()
        return (*begun, AudioCame(response, response, data))

    def _transcript(self, data: Mapping[str, Any]) -> Sequence[RealtimeEvent]:
        text, delta, ordinal = data.get("text"), data.get("delta"), data.get("ordinal")
        whole = isinstance(text, str)
        piece = text if isinstance(text, str) else delta
        if not isinstance(piece, str):
            return (NotUnderstood("a transcript without text"),)
        number = ordinal if isinstance(ordinal, int) else None
        match data.get("role"):
            case "agent":
                return self._agent_said(piece, whole, number)
            case "user":
                if data.get("medium") == "text":
                    return ()  # what we told it ourselves
                return self._caller_said(piece, whole, number, data.get("final") is True)
            case _:
                return (NotUnderstood("a transcript of nobody's words"),)

    def _agent_said(self, piece: str, whole: bool, ordinal: int | None) -> Sequence[RealtimeEvent]:
        if ordinal is not None and ordinal <= self._past:
            return ()
        if self._response is None and (not piece or self._state not in ("thinking", "speaking")):
            return ()  # the last words of an answer that is over
        response, begun = self._begin()
        if ordinal != self._ordinal:
            self._ordinal, self._words = ordinal, Utterance()
        words = self._words.replace(piece) if whole else self._words.add(piece)
        return (*begun, WordsCame(response, response, words)) if words else begun

    def _caller_said(self, piece: str, whole: bool, ordinal: int | None, final: bool) -> Sequence[RealtimeEvent]:
        item = f"{self._name}-caller-{ordinal}"
        so_far = self._caller.setdefault(item, Utterance())
        if whole:
            so_far.replace(piece)
        else:
            so_far.add(piece)
        if final:
            del self._caller[item]
        return (CallerSaid(item, so_far.text, final),)

    def _state_changed(self, state: Any) -> Sequence[RealtimeEvent]:
        if not isinstance(state, str) or state not in _STATES:
            return (NotUnderstood(f"a state {str(state)[:64]}"),)
        before, self._state = self._state, state
        events: list[RealtimeEvent] = [*self._be_ready()]
        if state != "speaking":
            events += self._end("completed")
        if state == "thinking" and before == "listening" and not self._prompted:
            events += [*self._caller_began(), CallerSilent()]
            self._caller_speaks = False
        if state in ("speaking", "listening"):
            self._prompted = False
        return events

    def _cleared(self) -> Sequence[RealtimeEvent]:
        began = () if self._prompted else self._caller_began()
        self._state = "listening"  # which it says next; words that come before belong to what was dropped
        return (*self._be_ready(), *began, OutputCleared(), *self._end("cancelled"))

    def _caller_began(self) -> tuple[RealtimeEvent, ...]:
        """Ultravox can tell of every sound of voice; only those that became a turn, or broke in, are of interest."""
        if self._caller_speaks:
            return ()
        self._caller_speaks = True
        return (CallerSpeaks(),)

    def _invocation(self, data: Mapping[str, Any]) -> tuple[Sequence[RealtimeEvent], Sequence[Outgoing]]:
        invocation, name, parameters = data.get("invocationId"), data.get("toolName"), data.get("parameters")
        if not isinstance(invocation, str) or not invocation:
            return (NotUnderstood("a tool invocation without an id"),), ()
        if invocation in self._asked or invocation in self._put_off or invocation in self._settled:
            return (), ()
        if not isinstance(name, str) or not isinstance(parameters, dict | None):
            # Ultravox waits for an answer, whatever it meant.
            self._settled.add(invocation)
            error = {"errorType": "implementation-error", "errorMessage": "the invocation could not be understood"}
            message = _json({"type": "client_tool_result", "invocationId": invocation, **error})
            return (NotUnderstood("a tool invocation without a name or with odd parameters"),), (message,)
        response, begun = self._begin()
        self._asked[invocation] = response
        events = (*begun, ToolsAsked(response, (ToolCall(invocation, name, parameters or {}),)))
        # While it speaks, more of the same answer may come: that is over when it stops speaking.
        return events if self._state == "speaking" else (*events, *self._end("completed")), ()

    def _be_ready(self) -> tuple[RealtimeEvent, ...]:
        if self._ready:
            return ()
        self._ready = True
        return (SessionReady(),)

    def _turn_over(self) -> None:
        self._prompted = True
        self._used_tools = self._response is not None

    def _begin(self) -> tuple[str, tuple[RealtimeEvent, ...]]:
        """The answer that what came belongs to, and the events of its beginning, if it is new."""
        ended = self._end("completed") if self._used_tools else ()
        if self._response is not None:
            return self._response, ()
        self._count += 1
        self._response = f"{self._name}-{self._count}"
        return self._response, (*self._be_ready(), *ended, ResponseBegan(self._response))

    def _end(self, status: Literal["completed", "cancelled"]) -> tuple[RealtimeEvent, ...]:
        self._used_tools = False
        self._odd = b""
        if self._response is None:
            return ()
        ended = ResponseEnded(self._response, status)
        self._response = None
        if self._ordinal is not None:
            self._past = max(self._past, self._ordinal)
        self._ordinal, self._words = None, Utterance()
        return (ended,)


def _json(message: Mapping[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False)


def _user_text(text: str, urgency: str) -> str:
    return _json({"type": "user_text_message", "text": text, "urgency": urgency})


def _result(invocation: str, text: str) -> str:
    message = {"type": "client_tool_result", "invocationId": invocation, "result": text}
    return _json({**message, "responseType": "tool-response", "agentReaction": "speaks"})
