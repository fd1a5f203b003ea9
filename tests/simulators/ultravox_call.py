"""The other end of an Ultravox call's socket, pure: messages and the time in, messages out.

It hears by energy in the sound it gets, so it needs sound all the time, as Ultravox does. What the caller said is taken
from :attr:`SimulatedCall.heard`; what the agent says to it, from a function.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tests.simulators.ultravox_request import message_mistakes, seconds, tool_names

FRAME_SECONDS = 0.02
LOUD = 300
"""The peak of a frame that is taken for voice."""

PAUSE = 0.2
"""A sound that is followed by so much silence was not enough of an interruption."""

GAP = 0.5
"""Sound may be so late before it is called an underflow, and so early before it is dropped."""

TOOL_TIMEOUT = 2.5

_CHUNK_SECONDS = 0.2
_ALWAYS_ON = frozenset({"pong", "state", "transcript", "clientToolInvocation", "playbackClearBuffer", "callStarted"})
_FLAGS = {
    "client_tool_invocation": "clientToolInvocation",
    "playback_clear_buffer": "playbackClearBuffer",
    "call_started": "callStarted",
    "user_started_speaking": "userStartedSpeaking",
    "user_stopped_speaking": "userStoppedSpeaking",
}


@dataclass(frozen=True, slots=True)
class Close:
    """The end of the socket; 1006: without a word."""

    code: int = 1000


Out = str | bytes | Close


@dataclass(frozen=True, slots=True)
class Heard:
    """What the agent is to answer: a turn of the caller (``voice``), a text message, the result of a tool, or a
    ``prompt`` (what is to be said first)."""

    kind: Literal["voice", "text", "result", "prompt"]
    text: str


@dataclass(frozen=True, slots=True)
class UseTool:
    """``early``: asked for at once, while what was said before is still being spoken."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    early: bool = False


@dataclass(frozen=True, slots=True)
class HangUp:
    """The agent ends the call, after what it says before."""


Answer = str | UseTool | HangUp
Reply = Callable[[Heard], Answer | Sequence[Answer] | None]
Voice = Callable[[str], bytes]


@dataclass(slots=True)
class Faults:
    """``mute``: the socket is accepted, and nothing ever comes. ``silent``: the call starts, and no turn is answered.
    ``cut_speech`` seconds of sound after an utterance began, the socket is closed with ``close_code``. From
    ``half_open_after`` seconds on nothing is read or sent. ``inject``: messages, each so many seconds after the join.
    """

    mute: bool = False
    silent: bool = False
    cut_speech: float | None = None
    close_code: int = 1006
    half_open_after: float | None = None
    inject: list[tuple[float, str | bytes]] = field(default_factory=list)


@dataclass(slots=True)
class _Speech:
    """What is being said. ``then``: what ends with it."""

    text: str
    uninterruptible: bool = False
    then: Literal["", "soft", "strict"] = ""
    ordinal: int = 0
    pcm: bytes = b""
    began: float = 0.0
    sent: int = 0
    told: int = 0


@dataclass(slots=True)
class _End:
    reason: str


class SimulatedCall:
    """``request`` is the accepted body; ``voice`` speaks in the medium's output rate."""

    def __init__(
        self,
        call_id: str,
        request: dict[str, Any],
        *,
        reply: Reply,
        voice: Voice,
        heard: deque[str] | None = None,
        think: float = 0.1,
        faults: Faults | None = None,
    ) -> None:
        socket = request.get("medium", {}).get("serverWebSocket", {})
        self.call_id = call_id
        self.request = request
        self.heard = deque[str]() if heard is None else heard
        self.mistakes: list[str] = []
        """What the client sent and should not have."""
        self.warnings: list[str] = []
        """What Ultravox would log as a call event."""
        self.turns: list[str] = []
        """What the caller was understood to say."""
        self.said: list[str] = []
        """What of the agent's words was played, as far as Ultravox knows."""
        self.results: list[dict[str, Any]] = []
        self.end_reason: str | None = None
        self.joined_at: float | None = None
        self.ended_at: float | None = None
        self.state = "idle"
        self.half_open = False
        self._reply, self._voice, self._think = reply, voice, think
        self._faults = faults or Faults()
        self._in_rate = int(socket.get("inputSampleRate", 48000))
        self._out_rate = int(socket.get("outputSampleRate", self._in_rate))
        self._buffer = int(socket.get("clientBufferSizeMs", 60)) / 1000
        self._wanted = {**dict.fromkeys(_ALWAYS_ON, True), **socket.get("dataMessages", {})}
        vad = request.get("vadSettings", {})
        self._endpoint = seconds(vad.get("turnEndpointDelay", "0.384s"))
        self._shortest_turn = max(0.06, seconds(vad.get("minimumTurnDuration", "0s")))
        self._interruption = seconds(vad.get("minimumInterruptionDuration", "0.09s"))
        self._longest = seconds(request.get("maxDuration", "3600s"))
        self._inactivity: list[dict[str, str]] = request.get("inactivityMessages", [])
        self._out: list[Out] = []
        self._in = bytearray()
        self._received = 0.0  # seconds of sound
        self._underflow = False
        self._voiced = self._silence = 0.0
        self._loud = False
        self._todo: deque[_Speech | UseTool | _End] = deque()
        self._speech: _Speech | None = None
        self._pending: Heard | None = None
        self._answer_at = 0.0
        self._frozen: tuple[str, float] | None = None
        self._asked = 0
        self._waiting: deque[Heard] = deque()
        self._ordinal = 0
        self._idle_since: float | None = None
        self._idle_index = 0
        self._fallback_at: float | None = None
        self._text_only = request.get("initialOutputMedium") == "MESSAGE_MEDIUM_TEXT"
        self._timed_out = False
        self._injected = 0

    # What the socket's driver calls

    def join(self, now: float) -> list[Out]:
        self.joined_at = now
        if self._faults.mute:
            return []
        self._send(type="call_started", callId=self.call_id)
        first = self.request.get("firstSpeakerSettings", {"agent": {}})
        if "user" in first:
            fallback = first["user"].get("fallback")
            if fallback:
                self._fallback_at = now + seconds(fallback.get("delay", "5s"))
            self._listen(now)
        else:
            agent = first["agent"]
            delay = seconds(agent.get("delay", "0s"))
            self._open(agent, now + delay, uninterruptible=agent.get("uninterruptible", False))
        return self._flush()

    def receive(self, message: str | bytes, now: float) -> list[Out]:
        if self.ended_at is not None or self._faults.mute or self.half_open:
            return []
        if isinstance(message, bytes):
            self._hear(message, now)
        else:
            self._told(message, now)
        return self._flush()

    def tick(self, now: float) -> list[Out]:
        """Every 20 ms or so."""
        if self.joined_at is None or self.ended_at is not None or self._faults.mute:
            return []
        elapsed = now - self.joined_at
        if self._faults.half_open_after is not None and elapsed >= self._faults.half_open_after:
            self.half_open = True
            return []
        for after, injected in self._faults.inject[self._injected :]:
            if elapsed < after:
                break
            self._injected += 1
            self._out.append(injected)
        self._watch_flow(elapsed)
        if elapsed >= self._longest and not self._timed_out:
            self._time_out(now)
        if self._frozen is not None and now >= self._frozen[1]:
            self._frozen = None
            self.warnings.append("a client tool did not answer in time")
            self._consider(Heard("result", "the tool timed out"), now)
        self._go_on(now)
        return self._flush()

    def left(self, now: float, *, clean: bool) -> None:
        """The client closed its socket."""
        if self.ended_at is None:
            self.ended_at, self.end_reason = now, "hangup" if clean else "connection_error"

    # Hearing

    def _hear(self, data: bytes, now: float) -> None:
        if len(data) % 2:
            self.mistakes.append("sound of half a sample")
        self._received += len(data) / 2 / self._in_rate
        self._underflow = False
        ahead = self._received - (now - (self.joined_at or 0.0))
        if ahead > GAP:
            self._received -= len(data) / 2 / self._in_rate
            self._warn_once("overflow: sound came faster than it is heard, and was dropped")
            return
        self._in += data
        size = 2 * round(self._in_rate * FRAME_SECONDS)
        while len(self._in) >= size:
            frame = np.frombuffer(bytes(self._in[:size]), np.int16).astype(np.int32)
            del self._in[:size]
            self._frame(bool(np.abs(frame).max() > LOUD), now)

    def _frame(self, loud: bool, now: float) -> None:
        if self._frozen is not None:
            return
        if loud:
            self._voiced += FRAME_SECONDS
            self._silence = 0.0
            if not self._loud:
                self._loud = True
                self._send(type="user_started_speaking")
        else:
            self._silence += FRAME_SECONDS
        turn = self.state == "listening" and self._voiced >= self._shortest_turn
        if turn:
            self._idle_since, self._idle_index, self._fallback_at = None, 0, None
        if self.state == "speaking" and self._voiced >= self._interruption - 1e-9:
            if self._speech is not None and not self._speech.uninterruptible and not self._timed_out:
                self._interrupt(now)
        elif self.state == "thinking" and self._voiced >= self._interruption - 1e-9 and not self._timed_out:
            self._pending = None
            self._todo.clear()
            self._set_state("listening")
        if turn and self._silence >= self._endpoint - 1e-9:
            self._hush()
            self._turn_over(now)
        elif not turn and self._silence >= PAUSE:
            self._hush()

    def _hush(self) -> None:
        if self._loud:
            self._send(type="user_stopped_speaking")
        self._loud, self._voiced = False, 0.0

    def _turn_over(self, now: float) -> None:
        text = self.heard.popleft() if self.heard else "something"
        self.turns.append(text)
        self._set_state("thinking")
        self._ordinal += 1
        self._transcript("user", "voice", text=text, final=True, ordinal=self._ordinal)
        if not self._faults.silent:
            self._consider(Heard("voice", text), now)

    def _interrupt(self, now: float) -> None:
        self._send(type="playback_clear_buffer")
        speech = self._speech
        if speech is not None:
            self._close_speech(speech, now)
        self._todo.clear()
        self._pending = None
        self._set_state("listening")
        if speech is not None and speech.then == "strict":
            self._end("agent_hangup", now)

    def _watch_flow(self, elapsed: float) -> None:
        behind = elapsed - self._received
        if behind > GAP:
            if not self._underflow:
                self.warnings.append(f"underflow: no sound came for {behind:.1f} s")
            self._underflow = True  # told once, until sound comes again
            self._received = elapsed

    def _warn_once(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    # Messages

    def _told(self, text: str, now: float) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            self.mistakes.append("text that is not JSON")
            return
        wrong = message_mistakes(message)
        if wrong:
            self.mistakes += wrong
            return
        match message["type"]:
            case "user_text_message":
                heard, urgency = Heard("text", message["text"]), message.get("urgency", "soon")
                self._ordinal += 1
                self._transcript("user", "text", text=heard.text, final=True, ordinal=self._ordinal)
                if urgency == "later":
                    return
                self._idle_since, self._idle_index = None, 0
                if self._frozen is not None or (urgency == "soon" and self.state != "listening"):
                    self._waiting.append(heard)
                else:
                    self._break_off(now)
                    self._consider(heard, now)
            case "forced_agent_message":
                speech = _Speech(message.get("content", ""), message.get("uninterruptible", False))
                if message.get("urgency", "immediate") == "immediate":
                    self._break_off(now)
                self._todo += [_Speech(speech.text, speech.uninterruptible)] if speech.text else []
                self._todo += [UseTool(t["name"], t.get("arguments", {})) for t in message.get("toolCalls", [])]
            case "client_tool_result":
                self._result(message, now)
            case "set_output_medium":
                self._text_only = message["medium"] == "text"
            case "hang_up":
                self._break_off(now)
                self._todo += [_Speech(message["message"], True)] if message.get("message") else []
                self._todo.append(_End("agent_hangup"))
                self._go_on(now)
            case "ping":
                self._send(type="pong", timestamp=message["timestamp"])
            case kind:
                raise AssertionError(f"nothing is done about {kind}")

    def _break_off(self, now: float) -> None:
        if self._speech is not None:
            self._interrupt(now)
        self._pending = None

    def _result(self, message: dict[str, Any], now: float) -> None:
        if self._frozen is None or message["invocationId"] != self._frozen[0]:
            self.warnings.append(f"a result for {message['invocationId']} that nobody waits for was ignored")
            return
        self._frozen = None
        self.results.append(message)
        self._voiced = self._silence = 0.0
        if message.get("responseType") == "hang-up":
            self._todo.append(_End("agent_hangup"))
        elif message.get("agentReaction") == "listens":
            self._listen(now)
        else:
            self._consider(Heard("result", message.get("result") or message.get("errorMessage", "")), now)

    # Answering

    def _consider(self, heard: Heard, now: float) -> None:
        self._pending, self._answer_at = heard, now + self._think
        if self._speech is None:
            self._set_state("thinking")

    def _open(self, what: dict[str, Any], at: float, *, uninterruptible: bool = False) -> None:
        if "text" in what:
            self._todo.append(_Speech(what["text"], uninterruptible))
            self._answer_at = at
        else:
            self._pending, self._answer_at = Heard("prompt", what.get("prompt", "")), at

    def _go_on(self, now: float) -> None:
        if self._speech is not None:
            self._speak(self._speech, now)
        if self._speech is not None or self._frozen is not None or now < self._answer_at or self.ended_at is not None:
            return
        if self._pending is not None:
            heard, self._pending = self._pending, None
            self._plan(heard)
        if self._todo:
            self._do(self._todo.popleft(), now)
        elif self.state != "listening":
            if self._waiting:
                self._consider(self._waiting.popleft(), now)
            elif not self._faults.silent:
                self._listen(now)
        else:
            self._grow_impatient(now)

    def _plan(self, heard: Heard) -> None:
        answers = self._reply(heard)
        for answer in [answers] if isinstance(answers, str | UseTool | HangUp) else answers or ():
            match answer:
                case str():
                    self._todo.append(_Speech(answer))
                case UseTool():
                    self._todo.append(answer)
                case HangUp():
                    self._todo.append(_End("agent_hangup"))

    def _do(self, action: _Speech | UseTool | _End, now: float) -> None:
        match action:
            case _Speech():
                self._begin_speech(action, now)
            case UseTool():
                self._invoke(action, now)
            case _End(reason):
                self._end(reason, now)

    def _invoke(self, tool: UseTool, now: float) -> None:
        names = tool_names(self.request)
        assert tool.name in names, f"the agent uses {tool.name!r}; the call has {names}"
        definition = self.request["selectedTools"][names.index(tool.name)].get("temporaryTool", {})
        if "client" not in definition:
            self._consider(Heard("result", "asked by Ultravox itself"), now)
            return
        self._asked += 1
        invocation = f"{self.call_id}-tool-{self._asked}"
        self._frozen = (invocation, now + seconds(definition.get("timeout", f"{TOOL_TIMEOUT}s")))
        if self._speech is None:
            self._set_state("thinking")
        self._send(
            type="client_tool_invocation", toolName=tool.name, invocationId=invocation, parameters=tool.parameters
        )

    def _begin_speech(self, speech: _Speech, now: float) -> None:
        self._ordinal += 1
        speech.ordinal, speech.began = self._ordinal, now
        speech.pcm = b"" if self._text_only else self._voice(speech.text)
        self._speech, self._idle_since = speech, None
        self._hush()
        self._set_state("speaking")
        self._speak(speech, now)
        if self._todo and isinstance(self._todo[0], UseTool) and self._todo[0].early:
            self._invoke(self._todo[0], now)
            self._todo.popleft()

    def _speak(self, speech: _Speech, now: float) -> None:
        per_second = 2 * self._out_rate
        due = min(len(speech.pcm), 2 * int((now - speech.began + self._buffer) * self._out_rate))
        words = speech.text.split()
        while speech.sent < due:
            size = min(due - speech.sent, 2 * round(_CHUNK_SECONDS * self._out_rate))
            if self._faults.cut_speech is not None:
                size = min(size, 2 * round(self._faults.cut_speech * self._out_rate) - speech.sent)
            self._out.append(speech.pcm[speech.sent : speech.sent + size])
            speech.sent += size
            self._tell_words(speech, words, speech.sent / len(speech.pcm))
            if self._faults.cut_speech is not None and speech.sent >= self._faults.cut_speech * per_second - 2:
                self._out.append(Close(self._faults.close_code))
                self.ended_at, self.end_reason = now, "system_error"
                return
        if now - speech.began >= len(speech.pcm) / per_second - 1e-9:
            self._tell_words(speech, words, 1.0)
            self._close_speech(speech, now)
            if speech.then:
                self._end("agent_hangup", now)
            elif not self._todo and self._frozen is None and self._pending is None and not self._waiting:
                self._listen(now)
            else:
                self._set_state("thinking")

    def _tell_words(self, speech: _Speech, words: list[str], share: float) -> None:
        upto = round(len(words) * share)
        for word in range(speech.told, upto):
            delta = words[word] if word == 0 else f" {words[word]}"
            self._transcript("agent", self._medium, delta=delta, final=False, ordinal=speech.ordinal)
        speech.told = max(speech.told, upto)

    def _close_speech(self, speech: _Speech, now: float) -> None:
        """With the words that were played, as far as is known here."""
        length = len(speech.pcm) / 2 / self._out_rate
        words = speech.text.split()
        share = min(1.0, (now - speech.began) / length) if length else 1.0
        text = " ".join(words[: round(len(words) * share)])
        self.said.append(text)
        self._speech = None
        self._transcript("agent", self._medium, text=text, final=True, ordinal=speech.ordinal)

    @property
    def _medium(self) -> str:
        return "text" if self._text_only else "voice"

    def _listen(self, now: float) -> None:
        self._set_state("listening")
        self._idle_since = now

    def _grow_impatient(self, now: float) -> None:
        if self._fallback_at is not None and now >= self._fallback_at:
            self._fallback_at = None
            self._open(self.request["firstSpeakerSettings"]["user"]["fallback"], now)
        if self._idle_since is None and not self._loud:
            self._idle_since = now
        if self._idle_since is None or self._loud or self._idle_index >= len(self._inactivity):
            return
        message = self._inactivity[self._idle_index]
        if now - self._idle_since < seconds(message["duration"]):
            return
        self._idle_index += 1
        ends: dict[str, Literal["", "soft", "strict"]] = {
            "END_BEHAVIOR_HANG_UP_SOFT": "soft",
            "END_BEHAVIOR_HANG_UP_STRICT": "strict",
        }
        self._begin_speech(_Speech(message["message"], then=ends.get(message.get("endBehavior", ""), "")), now)

    # The end

    def _time_out(self, now: float) -> None:
        self._timed_out = True
        self._break_off(now)
        self._todo.clear()
        self._frozen = None
        message = self.request.get("timeExceededMessage")
        self._todo += [_Speech(message, True)] if message else []
        self._todo.append(_End("timeout"))

    def _end(self, reason: str, now: float) -> None:
        self.ended_at, self.end_reason = now, reason
        self._out.append(Close())

    # Sending

    def _set_state(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._send(type="state", state=state)

    def _transcript(self, role: str, medium: str, **what: Any) -> None:
        self._send(type="transcript", role=role, medium=medium, **what)

    def _send(self, **message: Any) -> None:
        kind = message["type"]
        if self._wanted.get(_FLAGS.get(kind, kind), False):
            self._out.append(json.dumps(message))

    def _flush(self) -> list[Out]:
        out, self._out = self._out, []
        return out
